"""What tells two configurations apart, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MOST = 6  # keys that are named

_ABSENT = object()


def differences(found: str, asked: str, *, only: Iterable[str] = ()) -> str:
    """The keys that differ between two configurations in JSON, with both values.

    ``only`` are the top-level keys that count; all of them if it is empty.

    >>> differences('{"seed": 7, "engine": {"name": "noise"}}', '{"seed": 8, "engine": {}}')
    "engine.name='noise' there and not given here, seed=7 there and 8 here"
    """
    there = _flat(found)
    here = _flat(asked)
    chosen = set(only)
    told = []
    for name in sorted(there.keys() | here.keys()):
        section = name.partition(".")[0]
        if chosen and section not in chosen:
            continue
        theirs = there.get(name, _ABSENT)
        ours = here.get(name, _ABSENT)
        if theirs != ours:
            told.append(f"{name}{_there(theirs)} there and {_here(ours)} here")
    more = len(told) - _MOST
    if more > 0:
        told = [*told[:_MOST], f"{more} more"]
    return ", ".join(told)


def _flat(text: str) -> dict[str, Any]:
    """The values of a configuration in JSON by their dotted keys; none where the text is something else."""
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return dict(_leaves(values))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _there(value: Any) -> str:
    if value is _ABSENT:
        return " not given"
    return f"={_short(value)}"


def _here(value: Any) -> str:
    if value is _ABSENT:
        return "not given"
    return _short(value)


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) <= 40:
        return text
    return text[:37] + "..."
