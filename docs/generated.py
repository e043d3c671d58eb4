"""The pages that are made of the code: the command line, the answers to old keys, published numbers; and the tour."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import cross_validation
import notebook

from caligo_mpi.cli.parsing import parser
from caligo_mpi.config.old_keys import ANSWERS


def write(folder: Path) -> None:
    """Write all of them into ``folder``."""
    folder.mkdir(exist_ok=True)
    _renew(folder / "cli.md", "\n".join(command_line()))
    _renew(folder / "old-keys.md", "\n".join(old_keys()))
    _renew(folder / "cross-validation.md", "\n".join(cross_validation.page()))
    notebook.take(folder / "tour")


def _renew(path: Path, text: str) -> None:
    """Sphinx reads again only what has changed."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def command_line() -> Iterator[str]:
    """A section for each verb, with its help as the terminal shows it."""
    yield "# Command line\n"
    yield "```text"
    yield parser().format_help().rstrip()
    yield "```\n"
    for name, verb in _verbs().items():
        yield f"## `{name}`\n"
        yield "```text"
        yield verb.format_help().rstrip()
        yield "```\n"


def _verbs() -> dict[str, argparse.ArgumentParser]:
    (verbs,) = (
        action.choices
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(verbs)


def old_keys() -> Iterator[str]:
    """Names that other configurations use, with today's."""
    yield "| there | here | what to know |"
    yield "|---|---|---|"
    by_answer: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for old, answer in ANSWERS.items():
        by_answer.setdefault(answer, []).append(old)
    for (keys, sentence), olds in by_answer.items():
        there = ", ".join(f"`{old}`" for old in olds)
        here = ", ".join(f"`{key}`" for key in keys) or "–"
        escaped = re.sub(r"([|*])", r"\\\1", sentence)
        yield f"| {there} | {here} | {escaped} |"
