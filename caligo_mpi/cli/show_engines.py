"""The table of engines that ``engines`` prints."""

from __future__ import annotations

import re

from .catalog import wrapped


def engines_text(engines: dict[str, str | None], uses: dict[str, str]) -> str:
    """What ``engines`` prints: names, states and what they use, and below each engine what is missing."""
    width = max(map(len, ["engine", *engines]))
    lines = [f"{'engine':<{width}}  state"]
    for name, missing in engines.items():
        state = "usable"
        if missing:
            state = "not usable here"
        elif uses[name]:
            state = f"usable, {uses[name]}"
        lines += _hanging(state, name, width, 0)
        clauses = re.split(r"; |, (?=to get it)", missing or "")
        for clause in filter(None, clauses):
            lines += _hanging(clause, "", width, 2)
    return "\n".join(lines)


def _hanging(text: str, name: str, width: int, indent: int) -> list[str]:
    """A cell of the right column behind a name of the left one; further lines stand two letters to the right."""
    room = 77 - width - indent - indent // 2
    first, *further = wrapped(text, room)
    shift = " " * (indent + 2)
    margin = " " * width
    lines = [f"{name:<{width}}{shift}{first}"]
    for line in further:
        lines.append(f"{margin}{shift}  {line}")
    return lines
