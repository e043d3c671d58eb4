"""The configuration of a sweep: a base, axes over its keys, and the points that they make.

Read as strictly as the configuration of a run: all that is wrong is in one `ConfigError`, also
where it is wrong at some points only.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import StrictStr, ValidationError

from ..errors import ConfigError
from . import run as runs
from .axes import MOST_POINTS, Axis, Group, Problems, read_groups
from .complaints import complain, equals
from .engines import BUILT_IN
from .points import Point, make_points, with_value
from .protocol import protocol_keys
from .reading import overridden, overridden_paths, read_yaml
from .run import Keep
from .sections import Range, Section, about, chosen, keys_of

#: Sections of a base that change no result.
_NO_RESULT = ("output", "schedule", "faults", "mpi", "sequential")
_REMEDY = "configs/sweep-fidelity.yaml is an example"


class SweepSections(Section):
    """The keys of a sweep's file."""

    base: Annotated[
        StrictStr | dict[str, Any],
        about("configuration of a run, inline or the name of its file beside this one"),
    ]
    seed: Annotated[
        int | None, Range(0), about("seed of the sweep (default: that of the base)")
    ] = None
    axes: Annotated[Any, about("the parameters that change: a list of axes")]
    keep: Annotated[
        Keep,
        about("what stays of a point's pairs: counts and checksums, the bits too, or only a law"),
    ] = "records"
    protocol: Annotated[
        StrictStr | dict[str, Any] | None,
        about("configuration of distill, inline or a file: each point then ends in a key"),
    ] = None
    protocol_limit: Annotated[
        int,
        Range(1000, 10**12),
        about("points with larger blocks get the formula of their key only", unit="pairs"),
    ] = 10_000_000
    efficiency: Annotated[
        float,
        Range(1, 10),
        about("of reconciliation in formulas where none was measured", symbol="f"),
    ] = 1.1
    confidence: Annotated[float, Range(0.5, 0.999999), about("of the intervals of error rates")] = (
        0.95
    )


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """A sweep: ``points`` are its runs, in the order of its file, the last axis fastest.

    ``base`` is what all points share, without the axes, as JSON values: two sweeps of equal base,
    seed, axes' paths and law can be put together.
    """

    source: str
    base: Mapping[str, Any]
    seed: int
    keep: Keep
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    protocol_limit: int
    efficiency: float
    confidence: float

    @property
    def restarts(self) -> int:
        """Launches after the first one."""
        return self.points[0].config.faults.restarts

    @property
    def identity(self) -> str:
        """What decides the results of equal points, as JSON."""
        law = "counts" if self.keep == "counts" else "bits"
        paths = sorted(axis.path for axis in self.axes)
        values = {"base": self.base, "seed": self.seed, "axes": paths, "law": law}
        return json.dumps(values, sort_keys=True)


def load_sweep(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep in a YAML file, after ``overrides`` like ``"base.pairs=1e6"``."""
    data = read_yaml(path, remedy=_REMEDY)
    return _read(data, overrides, source=os.fspath(path), folder=Path(path).parent)


def is_sweep_config(path: str | os.PathLike[str]) -> bool:
    """Whether a file configures a sweep; what cannot be read, or can be read once only, does not."""
    if not Path(path).is_file():
        return False
    try:
        data = read_yaml(path, remedy=_REMEDY)
    except ConfigError:
        return False
    return isinstance(data, Mapping) and "axes" in data and "engine" not in data


def parse_sweep(mapping: Mapping[str, Any], overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep in a mapping, as `load_sweep` reads it from a file.

    >>> base = {"pairs": "1e6", "seed": 1, "engine": {"name": "noise", "link": {}}}
    >>> axis = {"path": "engine.link.fidelity", "linspace": [0.9, 1, 3]}
    >>> [point.parameters for point in parse_sweep({"base": base, "axes": [axis]}).points]
    [{'engine.link.fidelity': 0.9}, {'engine.link.fidelity': 0.95}, {'engine.link.fidelity': 1.0}]
    """
    return _read(mapping, overrides, source="sweep", folder=Path())


def _read(data: object, overrides: Sequence[str], *, source: str, folder: Path) -> SweepConfig:
    if data is None:
        raise ConfigError(f"{source}: is empty; {_REMEDY}")
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{source}: must be a mapping of keys to values, not {type(data).__name__}"
        )
    for override in overrides:
        data = overridden(data, override, example="base.pairs=1e6")
    sections, groups = _checked(data, source, overrides)
    base = _loaded(sections.base, "base", folder, source)
    protocol = _loaded(sections.protocol, "protocol", folder, source)
    assert base is not None
    if sections.seed is not None:
        base = {**base, "seed": sections.seed}
    _require_few(groups, source)
    axes = _axes(groups, base, protocol, source)
    points = make_points(base, protocol, groups, keep=sections.keep, source=source)
    _require_fit(points, source)
    varies_seed = any(axis.path == "seed" for axis in axes)
    return SweepConfig(
        source=source,
        base=_shared(base, protocol, axes, sections),
        seed=0 if varies_seed else points[0].sweep_seed,
        keep=sections.keep,
        axes=axes,
        points=points,
        protocol_limit=sections.protocol_limit,
        efficiency=sections.efficiency,
        confidence=sections.confidence,
    )


def _require_fit(points: Sequence[Point], source: str) -> None:
    """Refuse what single runs know and sweeps do not."""
    faults = points[0].config.faults
    if any(point.config.engine.name == "auto" for point in points):
        problem = 'engine.name="auto": a sweep names its engine: noise or netsquid'
    elif faults.mode == "survive":
        problem = 'faults.mode="survive": a sweep whose ranks die is launched again; leave it out'
    elif faults.retries:
        problem = f"faults.retries={faults.retries}: the same command tries points that failed again; leave it out"
    else:
        return
    raise ConfigError(f"{source}: base.{problem}")


def _checked(
    data: Mapping[str, Any],
    source: str,
    overrides: Sequence[str],
) -> tuple[SweepSections, list[Group]]:
    """The file's own keys and its axes; all that is wrong with them in one message."""
    errors: list[Any] = []
    keys = list(keys_of(SweepSections))
    sections: SweepSections | None = None
    groups: list[Group] = []
    try:
        sections = SweepSections.model_validate(dict(data))
    except ValidationError as invalid:
        errors += _readable(invalid)
    if "axes" in data:
        try:
            groups = read_groups(data["axes"])
        except Problems as problems:
            errors += problems.errors
            keys += problems.keys
    if errors or sections is None:
        paths = overridden_paths(overrides)
        raise ConfigError(
            complain(errors, given=data, keys=keys, source=source, overrides=paths, answers={})
        )
    return sections, groups


def _readable(invalid: ValidationError) -> Iterator[dict[str, Any]]:
    """Errors of the file's own keys; the two kinds that base and protocol may be are told as one."""
    told = set()
    for error in invalid.errors(include_url=False):
        key = error["loc"][0]
        if key in ("base", "protocol") and error["type"] not in ("missing", "extra_forbidden"):
            if key not in told:
                sentence = "must be a section, or the name of a file"
                yield {"type": "rule", "loc": (key,), "input": error["input"], "msg": sentence}
            told.add(key)
        else:
            yield dict(error)


def _loaded(
    given: str | dict[str, Any] | None,
    key: str,
    folder: Path,
    source: str,
) -> dict[str, Any] | None:
    """A section that is inline or in a file of its own."""
    if given is None or isinstance(given, dict):
        return given
    path = folder / given
    try:
        found = read_yaml(path, remedy=f"{key} names a file beside {source}")
    except ConfigError as error:
        raise ConfigError(f"{source}: {key}: {error}") from None
    if not isinstance(found, Mapping):
        raise ConfigError(f"{source}: {key}: {path} is no configuration; it must be a mapping")
    return dict(found)


def _require_few(groups: Sequence[Group], source: str) -> None:
    count = math.prod(group.size for group in groups)
    if count > MOST_POINTS:
        sizes = " x ".join(f"{group.size:,}" for group in groups)
        raise ConfigError(
            f"{source}: {count:,} points ({sizes}); a sweep has at most {MOST_POINTS:,}: "
            "give its axes fewer values"
        )


# ── axes against the keys that there are ─────────────────────────────────────────────────────────


def _axes(
    groups: Sequence[Group],
    base: Mapping[str, Any],
    protocol: Mapping[str, Any] | None,
    source: str,
) -> tuple[Axis, ...]:
    lines: list[str] = []
    seen: dict[str, str] = {}
    found: list[Axis] = []
    for number, group in enumerate(groups):
        for axis in group.axes:
            path = axis.path
            if sentence := _misplaced(path, base, protocol) or _taken(path, seen):
                lines.append(f"{group.where}.path{equals(path)}: {sentence}")
            seen.setdefault(path, group.where)
            unit = _unit_of(path) if axis.unit is None else axis.unit
            found.append(Axis(path, axis.name or "", unit, number))
    if len(lines) == 1:
        raise ConfigError(f"{source}: {lines[0]}")
    if lines:
        raise ConfigError("\n  ".join([f"{source}: {len(lines)} errors", *lines]))
    return _named(found, source)


def _misplaced(path: str, base: Mapping[str, Any], protocol: Mapping[str, Any] | None) -> str:
    """Why no axis can have this path; empty if one can."""
    first = path.partition(".")[0]
    if first in _NO_RESULT:
        return f"{first} changes no result; name a key that does"
    if first == "protocol" and protocol is None:
        return "there is no protocol section; add it"
    if path in _known():
        return ""
    name = chosen(base.get("engine"), "name")
    if first == "engine" and isinstance(name, str) and name not in BUILT_IN:
        return ""  # an engine of another package has keys of its own
    close = difflib.get_close_matches(path, _known(), n=1, cutoff=0.5)
    nearest = f"did you mean {close[0]}?" if close else "`caligo-mpi schema` lists the keys"
    return f"unknown key; {nearest}"


def _taken(path: str, seen: Mapping[str, str]) -> str:
    for other, where in seen.items():
        if path == other:
            return f"{where} has this path, too; keep one of the two"
        if path.startswith(other + ".") or other.startswith(path + "."):
            return f"{where} changes {other}, and one is inside the other; keep one of the two"
    return ""


@cache
def _known() -> dict[str, str]:
    """Every key that an axis may name, with its unit."""
    found = {}
    for key in [*keys_of(runs.RunConfig), *protocol_keys("protocol.")]:
        section = key.path.partition(".")[0]
        if section not in _NO_RESULT:
            found[key.path] = _unit(key.meaning)
    return found


def _unit(meaning: str) -> str:
    """The unit in the brackets at the end of a key's description.

    >>> _unit("wait [Δt, ns]"), _unit("a factor [μ]"), _unit("a name")
    ('ns', '', '')
    """
    if not meaning.endswith("]"):
        return ""
    notes = meaning[:-1].rpartition("[")[2]
    last = notes.split(", ")[-1]
    return last if last in _UNITS else ""


_UNITS = ("ns", "km", "dB/km", "Hz", "pairs", "pairs per pulse")


def _unit_of(path: str) -> str:
    return _known().get(path, "")


def _named(axes: Sequence[Axis], source: str) -> tuple[Axis, ...]:
    """Axes with names: their own, else the last words of their paths that tell them apart."""
    words = [axis.path.rpartition(".")[2] for axis in axes]
    named = []
    for axis, word in zip(axes, words, strict=True):
        default = axis.path if words.count(word) > 1 else word
        named.append(replace(axis, name=axis.name or default))
    names = [axis.name for axis in named]
    for name in names:
        reason = ""
        if names.count(name) > 1:
            reason = "two axes have it"
        elif name in RESERVED:
            reason = "a column of results has it"
        if reason:
            raise ConfigError(
                f"{source}: the name {name} of an axis: {reason}; set name to another"
            )
    return tuple(named)


#: Names of results, which axes cannot have.
RESERVED = frozenset({"point", "state", "qber", "qber_z", "qber_x", "key_bits", "error"})


def _shared(
    base: Mapping[str, Any],
    protocol: Mapping[str, Any] | None,
    axes: Sequence[Axis],
    sections: SweepSections,
) -> dict[str, Any]:
    """What all points have in common, as JSON values; numbers are equal however they are written."""
    whole = {key: value for key, value in base.items() if key not in (*_NO_RESULT, "seed")}
    if protocol is not None:
        whole["protocol"] = {**protocol, "limit": sections.protocol_limit}
    for axis in axes:
        whole = with_value(whole, axis.path, _OPEN)
    found = _canonical(whole)
    assert isinstance(found, dict)
    return found


_OPEN = "(axis)"


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, str):
        try:
            return _canonical(float(value))
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
