"""What a person reads of a run's settings and where they came from, and the same for ``--json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config.settings import Setting


def settings_text(settings: Sequence[Setting]) -> str:
    """Where each setting of a run came from, as comments."""
    lines = [
        "settings, none of which changes a bit: command line over environment over file over default"
    ]
    width = max(len(one.path) for one in settings)
    for one in settings:
        value = "–" if one.value is None else str(one.value)
        lines.append(f"  {one.path:{width}}  {value:8}  {one.source}")
    return "\n".join(f"# {line}" for line in lines)


def settings_dict(settings: Sequence[Setting]) -> dict[str, Any]:
    """The same for machines."""
    return {
        one.path: {"value": one.value, "source": one.source, "variable": one.variable}
        for one in settings
    }
