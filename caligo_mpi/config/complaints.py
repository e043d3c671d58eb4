"""What is wrong with a configuration, in sentences."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .old_keys import ANSWERS

#: Why an engine lacks a key that another one has, where that is not plain.
_REASONS = {
    "loss": "NetSquid's links try until a pair arrives: loss takes time and drops no round",
    "pauli": "its links are depolarizing; use fidelity",
    "storage_time_ns": "there qubits idle in simulated time: engine.device.T1_ns, engine.device.T2_ns and engine.hold",
}

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
        return {
            path: " or ".join(filter(None, values))
            for path, values in self.needs
            if look_up(given, path.split(".")) not in values
        }


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
        text = json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())
    else:
        try:
            text = " ".join(str(value).split())
        except (ValueError, RecursionError):  # Python prints no integers of more than 4300 digits
            text = "…"
    return "=" + (text if len(text) <= 60 else text[:57] + "...")


def complain(
    errors: Sequence[Mapping[str, Any]],
    *,
    given: object,
    keys: Sequence[Key],
    source: str,
    overrides: Sequence[str],
    answers: Answers = ANSWERS,
) -> str:
    """One message for all ``errors`` (dicts with type, loc, input, msg, ctx): one line, or a header and a line each.

    ``answers`` are names of other designs: what to use instead of each.
    """
    answered: set[str] = set()
    lines: dict[str, None] = {}
    for error in sorted(errors, key=lambda error: error["type"] in ("missing", "none")):
        path = _path(error["loc"])
        if (
            error["type"] in ("missing", "none")
            and path != "engine"
            and any(_inside(new, path) for new in answered)
        ):
            continue
        prefix = (
            "--set " if any(_inside(path, one) or _inside(one, path) for one in overrides) else ""
        )
        for line in _lines(error, path, given=given, keys=keys, answered=answered, answers=answers):
            lines[prefix + line] = None
    if len(lines) == 1:
        return f"{source}: {next(iter(lines))}"
    return f"{source}: {len(lines)} errors\n" + "\n".join(f"  {line}" for line in lines)


def _lines(
    error: Mapping[str, Any],
    path: str,
    *,
    given: object,
    keys: Sequence[Key],
    answered: set[str],
    answers: Answers,
) -> Iterator[str]:
    kind, value = error["type"], error["input"]
    here = path + equals(value)
    if kind == "extra_forbidden":
        valid = [key.path for key in keys if not key.unmet(given)]
        old = [
            (below, name)
            for below, name in _names(path, error["loc"][-1], value)
            if _is_old(name, keys, answers)
        ]
        for below, name in old:
            new, meaning = answers[name.lower()]
            answered.update(new)
            use = [path for path in new if path in valid] or new
            yield f"{below}: not a key; " + (f"use {', '.join(use)}: " if use else "") + meaning
        if not old:
            yield f"{here}: unknown key; {_nearest(path, valid, given=given, keys=keys)}"
    elif kind == "missing":
        meaning = next(
            (key.meaning for key in keys if key.path == path and not key.unmet(given)), ""
        )
        yield f"{path}: missing; add it ({meaning})"
    elif kind == "none" or (kind == "rule" and value is None):
        yield f"{path}: {error['msg']}"
    elif kind == "invalid_key":
        yield f"{path}: not text; every key is a name"
    elif kind == "literal_error":
        expected = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        yield f"{here}: must be {' or '.join(expected)}"
    elif kind == "model_type":
        yield (
            f"{path}: is empty; fill it in or remove it"
            if value is None
            else f"{here}: must be a section of keys"
        )
    elif kind in ("string_type", "string_unicode"):
        yield f"{here}: must be text"
    else:
        yield f"{here}: {error['msg']}"


def _is_old(name: str, keys: Sequence[Key], answers: Answers) -> bool:
    """Known from other designs, in upper or lower case, unless it is a key of ours as it is written."""
    return name in answers or (
        name.lower() in answers and all(_last(key.path) != name for key in keys)
    )


def _nearest(path: str, valid: Sequence[str], *, given: object, keys: Sequence[Key]) -> str:
    """What to write instead of the unknown key at ``path``."""
    section, _, name = path.rpartition(".")
    here = [key.unmet(given) for key in keys if key.path == path]
    if here:
        nearest = [unmet for unmet in here if "engine.name" not in unmet] or here
        wanted = dict.fromkeys(
            ", ".join(f"{key}: {values}" for key, values in unmet.items()) for unmet in nearest
        )
        return f"only with {' or '.join(wanted)}" + (
            f" ({_REASONS[name]})" if name in _REASONS else ""
        )
    elsewhere = [other for other in valid if _last(other) == name]
    if elsewhere:
        return f"it belongs to {' or '.join(dict.fromkeys(elsewhere))}"
    siblings = {
        _last(other).lower(): _last(other) for other in valid if other.rpartition(".")[0] == section
    }
    close = difflib.get_close_matches(name.lower(), siblings, n=1)
    return (
        f"did you mean {siblings[close[0]]}?"
        if close
        else f"known here: {', '.join(siblings.values())}"
    )


def _names(path: str, name: object, value: object) -> Iterator[tuple[str, str]]:
    """(``path=value``, name) of a key and of the keys below it, as deep as sections go."""
    level = [(path, str(name), value)]
    for _ in range(4):
        yield from ((where + equals(item), name) for where, name, item in level)
        level = [
            (f"{where}.{_word(key)}", str(key), below)
            for where, _, item in level if isinstance(item, Mapping) for key, below in item.items()
        ]  # fmt: skip


def _path(loc: Sequence[str | int]) -> str:
    """The key's path; parts in angle brackets only tell a union's members apart."""
    return ".".join(_word(part) for part in loc if not str(part).startswith("<"))


def _word(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() else ascii(key)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _inside(path: str, section: str) -> bool:
    return path == section or path.startswith(section + ".")
