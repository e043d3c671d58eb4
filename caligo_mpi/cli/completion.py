"""Completion scripts for shells, made from the parser by shtab."""

from __future__ import annotations

import argparse

from ..errors import EnvironmentProblem

#: Arguments that name files.
_FILES = {"file", "files", "config", "run", "path", "output", "trace"}


def script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``; `EnvironmentProblem` where shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise EnvironmentProblem(
            "completion needs shtab, which is not installed: python -m pip install 'caligo-mpi[complete]'"
        ) from None
    from .parsing import parser

    command = parser()
    for sub in _verbs(command):
        for action in sub._actions:
            if action.dest in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(command, shell)).rstrip("\n") + "\n"


def _verbs(command: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            return list(action.choices.values())
    return []
