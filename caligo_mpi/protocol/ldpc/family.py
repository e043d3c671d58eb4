"""Families of long codes: one base matrix for words of any length and for leaks in steps of a few per cent.

The shifts of a family are less than half of ``least_lift``, so two of them never differ by as much: what is no
cycle of four in integers is none modulo any lift from ``least_lift`` on, and the word can have the length of the key.
A check can be **split** in two that hold half of its bits each.  A split tells one more syndrome bit per row of
Z checks, and the syndromes of what was split are known from those of its parts: the codes of a family are nested.
Splitting goes back to Varodayan, Aaron and Girod, Signal Process. 86:3123 (2006), who merge checks instead.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from .code import I16, Code

FOLDER = Path(__file__).with_name("families")


@dataclass(frozen=True, slots=True)
class Limit:
    """Where words begin to fail: they do once more than about ``qber``·n bits are wrong.

    The number that is one too many spreads from word to word with a variance of ``spread``·n.  Measured with
    ``frames`` words at the given number of ``splits``.
    """

    splits: int
    qber: float
    spread: float
    frames: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Words decoded at the error rate where a share of ``promise`` of them may fail."""

    splits: int
    lift: int
    qber: float
    promise: float
    frames: int
    failures: int
    undetected: int
    iterations: float


@dataclass(frozen=True, slots=True)
class Floor:
    """Words decoded so far from where they begin to fail that any failure is of another kind: a floor."""

    splits: int
    lift: int
    qber: float
    frames: int
    failures: int
    undetected: int


@dataclass(frozen=True, eq=False)
class Family:
    """The base matrix (rows, columns) of shifts, −1 where there is none, and what was measured of it.

    ``limits`` are in the order of rising splits, the last one being the most there are; ``first_limits`` are those
    that were measured first, where that was done again.
    """

    name: str
    least_lift: int
    base: I16
    limits: tuple[Limit, ...] = ()
    trials: tuple[Trial, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    first_limits: tuple[Limit, ...] = ()
    floors: tuple[Floor, ...] = ()

    @property
    def columns(self) -> int:
        """Base columns: a word of lift Z has this many times Z bits."""
        return int(self.base.shape[1])

    @property
    def splits(self) -> int:
        """Checks that can be split, as far as that was measured."""
        return self.limits[-1].splits if self.limits else 0

    @property
    def floor(self) -> float:
        """Failures per decoded bit where there should be none: what fails is small, and long words have more of it."""
        seen = sum(floor.frames * floor.lift * self.columns for floor in self.floors)
        failures = sum(floor.failures for floor in self.floors)
        return failures / seen if seen else 0.0

    def share(self, splits: int) -> float:
        """Syndrome bits per bit of a word."""
        return (len(self.base) + splits) / self.columns

    def limit(self, splits: int) -> Limit:
        """The `Limit` at any number of splits: on a line between those measured."""
        above = next(limit for limit in self.limits if limit.splits >= splits)
        below = [limit for limit in self.limits if limit.splits <= splits][-1]
        steps = above.splits - below.splits
        if not steps:
            return above
        part = (splits - below.splits) / steps
        qber = below.qber + part * (above.qber - below.qber)
        spread = below.spread + part * (above.spread - below.spread)
        frames = min(below.frames, above.frames)
        return Limit(
            splits,
            qber,
            spread,
            frames,
        )

    @lru_cache(maxsize=8)  # noqa: B019 - families are few, and live as long as the process
    def code(self, lift: int, splits: int = 0) -> Code:
        """The code of words of ``lift`` times `columns` bits after so many ``splits``."""
        if lift < self.least_lift:
            raise ConfigError(
                f"lift={lift} is too short for {self.name}: it must be at least {self.least_lift}"
            )
        base = split(self.base, splits)
        return Code(f"{self.name}+{splits}", lift, base)


def split(base: I16, splits: int) -> I16:
    """The base matrix with every second bit of its first ``splits`` rows moved to a row of its own, at the end.

    Bits are counted by degree, so that either half has its share of each.

    >>> split(np.array([[0, 3, 2, 1], [-1, 0, 1, 2]], np.int16), 1).tolist()
    [[0, -1, 2, -1], [-1, 0, 1, 2], [-1, 3, -1, 1]]
    """
    kept = base.copy()
    _, columns = base.shape
    new = np.full((splits, columns), -1, base.dtype)
    degree = np.count_nonzero(base >= 0, axis=0)
    for row in range(splits):
        held = np.flatnonzero(base[row] >= 0)
        by_degree = np.argsort(degree[held], kind="stable")
        moved = held[by_degree][1::2]
        new[row, moved] = base[row, moved]
        kept[row, moved] = -1
    return np.concatenate([kept, new])


@cache
def available_families() -> tuple[str, ...]:
    """Names of the families in the package, those that tell least first.

    >>> len(available_families()) > 5
    True
    """
    names = [entry.stem for entry in FOLDER.glob("*.json")]
    return tuple(sorted(names))


@cache
def load_family(name: str, *, as_first: bool = False) -> Family:
    """The family of this name, with what was measured of it last, or with what was known of it ``as_first``."""
    if as_first:
        now = load_family(name)
        return replace(now, limits=now.first_limits or now.limits, floors=())
    if name not in available_families():
        names = ", ".join(available_families())
        raise ConfigError(f"family={name!r} does not exist; choose one of {names}")
    text = (FOLDER / f"{name}.json").read_text("utf-8")
    return from_json(json.loads(text))


def from_json(data: dict[str, Any]) -> Family:
    """A family from what `to_json` made of it."""
    rows = data["circulants"]
    shape = len(rows), data["columns"]
    base = np.full(shape, -1, np.int16)
    for row, circulants in enumerate(rows):
        columns = np.cumsum(circulants[::2])
        base[row, columns] = circulants[1::2]
    limits = tuple(Limit(**limit) for limit in data["limits"])
    trials = tuple(Trial(**trial) for trial in data["trials"])
    first = tuple(Limit(**limit) for limit in data.get("first_limits", []))
    floors = tuple(Floor(**floor) for floor in data.get("floors", []))
    return Family(
        data["name"],
        data["least_lift"],
        base,
        limits,
        trials,
        data["about"],
        first,
        floors,
    )


def to_json(family: Family) -> dict[str, Any]:
    """The family as JSON values; ``circulants`` has for each row steps to the next column and shifts in turn."""
    circulants = []
    for row in family.base:
        columns = np.flatnonzero(row >= 0)
        steps = np.diff(columns, prepend=0)
        pairs = np.stack([steps, row[columns]], axis=1)
        circulants.append(pairs.ravel().tolist())
    first = [asdict(limit) for limit in family.first_limits]
    return {
        "name": family.name,
        "about": family.about,
        "least_lift": family.least_lift,
        "columns": family.columns,
        "limits": [asdict(limit) for limit in family.limits],
        **({"first_limits": first} if first else {}),
        "trials": [asdict(trial) for trial in family.trials],
        "floors": [asdict(floor) for floor in family.floors],
        "circulants": circulants,
    }
