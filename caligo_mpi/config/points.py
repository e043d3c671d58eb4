"""The points of a sweep: each one the configuration of a run, with a seed of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .axes import Group
from .complaints import equals, look_up
from .protocol import ProtocolConfig, parse_protocol
from .run import SHORTHANDS, Keep, OutputConfig, RunConfig, validated

_MOST_LINES = 20
_SEED_BITS = 63  # fits any integer column


@dataclass(frozen=True, slots=True)
class Point:
    """A run of a sweep.

    ``parameters`` are the values of the axes by path, as the run has them; ``key`` is made of them
    alone, and so is the seed of ``config`` together with the sweep's.
    """

    index: int
    key: str
    parameters: Mapping[str, Any]
    config: RunConfig
    protocol: ProtocolConfig | None
    sweep_seed: int


def make_points(
    base: Mapping[str, Any],
    protocol: Mapping[str, Any] | None,
    groups: Sequence[Group],
    *,
    keep: Keep,
    source: str,
) -> tuple[Point, ...]:
    """All points, whose runs ``keep`` so much; one `ConfigError` has everything that is wrong at any of them."""
    base = {key: value for key, value in base.items() if key != "output"}
    paths = [axis.path for group in groups for axis in group.axes]
    rows = [group.rows() for group in groups]
    points: list[Point] = []
    wrong: dict[str, list[int]] = {}
    count = 0
    for row in itertools.product(*rows):
        values = itertools.chain.from_iterable(row)
        parameters = dict(zip(paths, values, strict=True))
        try:
            points.append(_point(count, parameters, base, protocol, keep))
        except ConfigError as error:
            for line in _lines(str(error)):
                wrong.setdefault(line, []).append(count)
        count += 1
    if wrong:
        raise ConfigError(_complaint(wrong, count, source))
    _require_different(points, source)
    return tuple(points)


def with_value(data: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of ``data`` with one value changed; sections are made where there are none.

    >>> with_value({"a": {"b": 1}}, "a.c", 2)
    {'a': {'b': 1, 'c': 2}}
    """
    name, _, rest = path.partition(".")
    out = dict(data)
    if not rest:
        out[name] = value
        return out
    inner = out.get(name)
    if isinstance(inner, str) and name in SHORTHANDS:
        inner = {SHORTHANDS[name]: inner}
    if inner is not None and not isinstance(inner, Mapping):
        raise ConfigError(f"{path}: {name}{equals(inner)} is not a section, it has no key {rest}")
    out[name] = with_value(inner or {}, rest, value)
    return out


def _point(
    index: int,
    values: Mapping[str, Any],
    base: Mapping[str, Any],
    protocol: Mapping[str, Any] | None,
    keep: Keep,
) -> Point:
    both: dict[str, Any] = {**base, "protocol": protocol or {}}
    for path, value in values.items():
        both = with_value(both, path, value)
    of_protocol = both.pop("protocol")
    config = validated(both, source="", installed=True)
    plan = None
    if protocol is not None:
        plan = parse_protocol({"seed": 0, **of_protocol})
    parameters = {path: _resolved(path, config, plan) for path in values}
    seed = _seed(config.seed, parameters)
    if plan is not None and "seed" not in of_protocol:
        plan = plan.model_copy(update={"seed": seed})
    output = OutputConfig(keep=keep)
    return Point(
        index=index,
        key=_digest(parameters)[:16],
        parameters=parameters,
        config=config.model_copy(update={"seed": seed, "output": output}),
        protocol=plan,
        sweep_seed=config.seed,
    )


def _seed(sweep_seed: int, parameters: Mapping[str, Any]) -> int:
    """A point's own seed, from the sweep's and from its parameters."""
    others = {path: value for path, value in parameters.items() if path != "seed"}
    digest = _digest([sweep_seed, others])
    return int(digest, 16) >> (256 - _SEED_BITS)


def _resolved(path: str, config: RunConfig, plan: ProtocolConfig | None) -> Any:
    """The value at a path as the run has it: numbers are equal however they were written."""
    if path.startswith("protocol.") and plan is not None:
        _, *names = path.split(".")
        return look_up(plan.resolved(), names)
    return look_up(config.resolved(), path.split("."))


def _digest(values: object) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────


def _lines(message: str) -> list[str]:
    """The errors of one point, without the name of where they come from."""
    first, *rest = message.split("\n")
    if rest:
        return [line.strip() for line in rest]
    return [first.removeprefix(": ").removeprefix("protocol configuration: ")]


def _complaint(wrong: Mapping[str, Sequence[int]], count: int, source: str) -> str:
    """One message for the errors of all points, those of the same wording together."""
    told = []
    for line, some in itertools.islice(wrong.items(), _MOST_LINES):
        told.append(f"{_where(some, count)}: {line}")
    if len(wrong) > len(told):
        told.append(f"and {len(wrong) - len(told)} errors more")
    if len(told) == 1:
        return f"{source}: {told[0]}"
    numbers = sorted(set(itertools.chain.from_iterable(wrong.values())))
    head = f"{source}: {len(numbers)} of {count} points are wrong ({ranges_text(numbers)})"
    return "\n  ".join([head, *told])


def _where(numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count:
        return "every point" if count > 1 else "the only point"
    noun = "point" if len(numbers) == 1 else "points"
    return f"{noun} {ranges_text(numbers)}"


def ranges_text(numbers: Sequence[int], most: int = 12) -> str:
    """Whole numbers in order, neighbors together.

    >>> ranges_text([1, 2, 3, 7])
    '1-3, 7'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    told = []
    for first, last in parts[:most]:
        told.append(f"{first}" if first == last else f"{first}-{last}")
    if len(parts) > most:
        told.append("…")
    return ", ".join(told)


def _require_different(points: Sequence[Point], source: str) -> None:
    first: dict[str, Point] = {}
    for point in points:
        if point.key in first:
            named = ", ".join(f"{path}{equals(value)}" for path, value in point.parameters.items())
            raise ConfigError(
                f"{source}: points {first[point.key].index} and {point.index} are the same "
                f"({named}); give each axis different values"
            )
        first[point.key] = point
