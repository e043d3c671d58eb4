"""What a person reads of a run's settings and where they came from, and the same for ``--json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config.settings import Setting


def settings_text(settings: Sequence[Setting]) -> str:
    """Where each setting of a run came from, as comments."""
    rule = "command line over environment over file over default"
    lines = [f"# settings, none of which changes a bit: {rule}"]
    width = max(len(one.path) for one in settings)
    for one in settings:
        path = one.path.ljust(width)
        value = "–" if one.value is None else str(one.value)
        lines.append(f"#   {path}  {value:8}  {one.source}")
    return "\n".join(lines)


def settings_dict(settings: Sequence[Setting]) -> dict[str, Any]:
    """The settings of ``validate --json``, by path."""
    found = {}
    for one in settings:
        found[one.path] = {
            "value": one.value,
            "source": one.source,
            "variable": one.variable,
        }
    return found
