"""What is wrong with a configuration, in sentences."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Why the NetSquid engine lacks a key that another one has, where that is not plain.
_REASONS = {
    "loss": "NetSquid's links try until a pair arrives: loss takes time and drops no round",
    "pauli": "its links are depolarizing; use fidelity",
    "storage_time_ns": (
        "there qubits idle in simulated time: "
        "engine.device.T1_ns, engine.device.T2_ns and engine.hold"
    ),
}

#: Errors that are told one by one; of the others, how many there are.
_MOST_LINES = 20

#: A choice that a key depends on: its path and the values it may have.
Need = tuple[str, tuple[str | None, ...]]
Answers = Mapping[str, tuple[tuple[str, ...], str]]


@dataclass(frozen=True, slots=True)
class Key:
    """A key that some configuration may have."""

    path: str
    meaning: str
    needs: tuple[Need, ...] = ()

    def unmet(self, given: object) -> dict[str, str]:
        """The choices that ``given`` makes otherwise: path → what it would have to be."""
        unmet = {}
        for path, values in self.needs:
            choice = look_up(given, path.split("."))
            if choice not in values:
                unmet[path] = " or ".join(filter(None, values))
        return unmet


def look_up(given: object, path: Sequence[str]) -> object:
    """The value at ``path`` of nested mappings; None where there is none."""
    for name in path:
        given = given.get(name) if isinstance(given, Mapping) else None
    return given


def equals(value: object) -> str:
    """``=value`` in one short line for a message; nothing for a section."""
    if isinstance(value, Mapping):
        return ""
    if value is None or isinstance(value, bool | str):
        escaped = isinstance(value, str) and not value.isprintable()
        text = json.dumps(value, ensure_ascii=escaped)
    else:
        try:
            text = " ".join(str(value).split())
        except (ValueError, RecursionError):  # Python prints no integers of more than 4300 digits
            text = "…"
    if len(text) > 60:
        text = text[:57] + "..."
    return "=" + text


def complain(
    errors: Sequence[Mapping[str, Any]],
    *,
    given: object,
    keys: Sequence[Key],
    source: str,
    overrides: Sequence[str],
    answers: Answers,
) -> str:
    """One message for all ``errors`` (dicts with type, loc, input, msg, ctx).

    It is one line, or a header and a line for each error.  ``answers`` says of names from other
    designs what to use instead of each.
    """
    answered: set[str] = set()
    lines: dict[str, None] = {}
    untold = 0
    for error in sorted(errors, key=_is_absence):
        if len(lines) >= _MOST_LINES:
            untold += 1
            continue
        path = _path(error["loc"])
        if _is_absence(error) and path != "engine" and any(_inside(new, path) for new in answered):
            continue  # an answer to an old name says already what to add
        prefix = "--set " if _is_of_command(path, overrides) else ""
        for line in _lines(error, path, given=given, keys=keys, answered=answered, answers=answers):
            lines[prefix + line] = None
    return _message(list(lines), untold, source)


def _is_of_command(path: str, overrides: Sequence[str]) -> bool:
    """Whether an override gave the value at ``path``, a part of it, or a section around it."""
    return any(_inside(path, one) or _inside(one, path) for one in overrides)


def _message(lines: list[str], untold: int, source: str) -> str:
    if len(lines) == 1:
        return f"{source}: {lines[0]}"
    told = [f"{source}: {len(lines) + untold} errors"]
    for line in lines:
        told.append(f"  {line}")
    if untold:
        told.append(f"  and {untold} more")
    return "\n".join(told)


def _is_absence(error: Mapping[str, Any]) -> bool:
    return error["type"] in ("missing", "none")


def _lines(
    error: Mapping[str, Any],
    path: str,
    *,
    given: object,
    keys: Sequence[Key],
    answered: set[str],
    answers: Answers,
) -> Iterator[str]:
    """The lines for one error; new keys that they name are added to ``answered``."""
    if error["type"] != "extra_forbidden":
        yield _line(error, path, given=given, keys=keys)
        return
    value = error["input"]
    valid = [key.path for key in keys if not key.unmet(given)]
    has_old = False
    for below, name in _names(path, error["loc"][-1], value):
        if not _is_old(name, keys, answers):
            continue
        has_old = True
        new, meaning = answers[name.lower()]
        answered.update(new)
        use = [path for path in new if path in valid] or new
        remedy = f"use {', '.join(use)}: " if use else ""
        yield f"{below}: not a key; {remedy}{meaning}"
    if not has_old:
        nearest = _nearest(path, valid, given=given, keys=keys)
        yield f"{path}{equals(value)}: unknown key; {nearest}"


def _line(error: Mapping[str, Any], path: str, *, given: object, keys: Sequence[Key]) -> str:
    """The line for an error of a known key."""
    kind = error["type"]
    value = error["input"]
    here = path + equals(value)
    if kind == "missing":
        meanings = [key.meaning for key in keys if key.path == path and not key.unmet(given)]
        meaning = meanings[0] if meanings else ""
        return f"{path}: missing; add it ({meaning})"
    if kind == "none" or (kind == "rule" and value is None):
        return f"{path}: {error['msg']}"
    if kind == "invalid_key":
        return f"{path}: not text; every key is a name"
    if kind == "literal_error":
        expected = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return f"{here}: must be {' or '.join(expected)}"
    if kind == "model_type" and value is None:
        return f"{path}: is empty; fill it in or remove it"
    if kind == "model_type":
        return f"{here}: must be a section of keys"
    if kind in ("string_type", "string_unicode"):
        return f"{here}: must be text"
    return f"{here}: {error['msg']}"


def _is_old(name: str, keys: Sequence[Key], answers: Answers) -> bool:
    """Whether a name is known from other designs, in upper or lower case.

    A key of ours, as it is written, is not.
    """
    if name in answers:
        return True
    ours = any(_last(key.path) == name for key in keys)
    return name.lower() in answers and not ours


def _nearest(path: str, valid: Sequence[str], *, given: object, keys: Sequence[Key]) -> str:
    """What to write instead of the unknown key at ``path``."""
    section, _, name = path.rpartition(".")
    unmet = [key.unmet(given) for key in keys if key.path == path]
    if unmet:
        return f"only with {_choices(unmet)}{_reason(name, given)}"
    elsewhere = [other for other in valid if _last(other) == name]
    if elsewhere:
        return f"it belongs to {' or '.join(dict.fromkeys(elsewhere))}"
    siblings = {}
    for other in valid:
        where, _, sibling = other.rpartition(".")
        if where == section:
            siblings[sibling.lower()] = sibling
    close = difflib.get_close_matches(name.lower(), siblings, n=1)
    if close:
        return f"did you mean {siblings[close[0]]}?"
    return f"known here: {', '.join(siblings.values())}"


def _choices(unmet: Sequence[Mapping[str, str]]) -> str:
    """What would have to be chosen for a key: of several ways, those that are nearest."""
    # Of engines, one that stands for itself: other simulators have the noise engine's keys.
    ways = [way for way in unmet if " or " not in way.get("engine.name", "")] or unmet
    ways = [way for way in ways if way.get("engine.name") != "sequence"] or ways
    ways = [way for way in ways if "engine.name" not in way] or ways
    told = []
    for way in ways:
        choices = [f"{key}: {values}" for key, values in way.items()]
        told.append(", ".join(choices))
    return " or ".join(dict.fromkeys(told))


def _reason(name: str, given: object) -> str:
    """Why an engine that simulates time lacks a key; empty where that is plain."""
    engine = look_up(given, ("engine", "name"))
    if engine not in ("netsquid", "auto") or name not in _REASONS:
        return ""
    return f" ({_REASONS[name]})"


def _names(path: str, name: object, value: object) -> Iterator[tuple[str, str]]:
    """(``path=value``, name) of a key and of the keys below it, as deep as sections go."""
    level = [(path, str(name), value)]
    for _ in range(4):
        deeper = []
        for where, own_name, item in level:
            yield where + equals(item), own_name
            if not isinstance(item, Mapping):
                continue
            for key, inner in item.items():
                deeper.append((f"{where}.{_word(key)}", str(key), inner))
        level = deeper


def _path(loc: Sequence[str | int]) -> str:
    """The key's path; parts in angle brackets only tell a union's members apart."""
    return ".".join(_word(part) for part in loc if not str(part).startswith("<"))


def _word(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() else ascii(key)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _inside(path: str, section: str) -> bool:
    return path == section or path.startswith(section + ".")
