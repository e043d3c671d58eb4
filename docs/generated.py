"""The pages that are made of the code: the command line, the answers to old keys; and the tour's pictures."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cross_validation

from caligo_mpi.cli.command import parser
from caligo_mpi.config.old_keys import ANSWERS

TOUR = Path(__file__).with_name("tour.md")


def write(folder: Path) -> None:
    """Write all of them into ``folder``."""
    folder.mkdir(exist_ok=True)
    _renew(folder / "cli.md", "\n".join(command_line()))
    _renew(folder / "old-keys.md", "\n".join(old_keys()))
    _renew(folder / "cross-validation.md", "\n".join(cross_validation.page()))
    take_tour(folder / "tour")


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


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and text of every block of code of a page that is to be run."""
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(language, body) for language, body in found]


def take_tour(folder: Path) -> None:
    """Run the tour's blocks one after the other in ``folder``, unless they were run there already."""
    text = TOUR.read_text("utf-8")
    done = folder / "done"
    if done.exists() and done.read_text("utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, (language, body) in enumerate(blocks(text), 1):
        shell = [sys.executable, "-W", "error", "-c"] if language == "python" else ["bash", "-ec"]
        said = subprocess.run(
            [*shell, body], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
        (folder / f"{number}.txt").write_text(said.stdout, "utf-8")
    done.write_text(text, "utf-8")
