"""Quasi-cyclic low-density parity-check codes: what they are, and those that come with the package.

A code is a small base matrix: where entry (r, c) holds a shift s ≥ 0, check r·Z + (i + s) mod Z
covers bit c·Z + i for i in 0 … Z − 1; −1 holds nothing.  The checks of one base row touch no bit twice,
so a layer of Z checks can be decoded at once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...pairs.bits import U8

I16 = NDArray[np.int16]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

FOLDER = Path(__file__).with_name("codes")
_LONG = 128  # a circulant that is worth a call of its own


@dataclass(frozen=True, slots=True)
class Point:
    """Frames decoded at one error rate: how many, how many wrong, how many of these unnoticed."""

    qber: float
    frames: int
    failures: int
    undetected: int
    iterations: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Measured frame errors with the first ``punctured`` or ``shortened`` bits of the code's orders."""

    punctured: int
    shortened: int
    points: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Code:
    """A parity-check matrix of n columns and m rows, and what was measured of it.

    ``base`` is (rows, columns) of shifts.  ``puncturing`` lists base columns no two of which share a base
    row: their bits can be punctured (untainted, so any set of them has full rank in the checks).
    """

    name: str
    lift: int
    base: I16
    puncturing: tuple[int, ...] = ()
    curves: tuple[Curve, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Bits of a frame."""
        return int(self.base.shape[1]) * self.lift

    @property
    def m(self) -> int:
        """Checks, and bits of a syndrome."""
        return int(self.base.shape[0]) * self.lift

    @property
    def rate(self) -> float:
        """1 − m/n."""
        return 1 - self.m / self.n

    @cached_property
    def layers(self) -> tuple[I64, ...]:
        """For each base row the bits of its checks: (degree, Z), check i of the row in column i."""
        lift = self.lift
        check = np.arange(lift)
        layers = []
        for row in self.base:
            held = np.flatnonzero(row >= 0)
            shift = row[held].astype(np.int64)
            place = (check - shift[:, None]) % lift
            begin = lift * held[:, None]
            layers.append(begin + place)
        return tuple(layers)

    @cached_property
    def circulants(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each base row its circulants, in the order of `layers`: first bit, and shift."""
        rows = []
        for row in self.base:
            held = np.flatnonzero(row >= 0)
            begins = (self.lift * held).tolist()
            rows.append(tuple(zip(begins, row[held].tolist(), strict=True)))
        return tuple(rows)

    @cached_property
    def edges(self) -> tuple[I64, I64]:
        """Bit of every edge, layer by layer, and the degree of each layer's checks."""
        layers = self.layers
        degrees = np.array([len(layer) for layer in layers])
        bits = np.concatenate([layer.ravel() for layer in layers])
        return bits, degrees

    @cached_property
    def puncture_order(self) -> I64:
        """Bits that may be punctured, in order, their base columns in turn."""
        columns = np.array(self.puncturing, np.int64)
        return _in_turn(columns, self.lift)

    @cached_property
    def shorten_order(self) -> I64:
        """All bits in the order of being shortened, base columns in turn."""
        columns = np.arange(self.base.shape[1])
        return _in_turn(columns, self.lift)


def available_codes() -> dict[str, tuple[int, float]]:
    """Name → (n, rate) of the codes in the package, shorter ones first, then by rate.

    >>> available_codes()["n4096-r50"]
    (4096, 0.5)
    """
    found = {}
    for name in _names():
        code = load_code(name)
        found[name] = (code.n, code.rate)
    return found


@cache
def load_code(name: str) -> Code:
    """The code of this name, with its measured curves.

    >>> code = load_code("n4096-r50")
    >>> code.n, code.m
    (4096, 2048)
    """
    if name not in _names():
        names = ", ".join(_names())
        raise ConfigError(f"code={name!r} does not exist; choose one of {names}")
    text = (FOLDER / f"{name}.json").read_text("utf-8")
    return from_json(json.loads(text))


def from_json(data: dict[str, Any]) -> Code:
    """A code from what `to_json` made of it."""
    rows = data["circulants"]
    shape = len(rows), data["columns"]
    base = np.full(shape, -1, np.int16)
    for row, circulants in enumerate(rows):
        for column, shift in circulants:
            base[row, column] = shift
    curves = []
    for curve in data["curves"]:
        points = tuple(Point(**point) for point in curve["points"])
        known = curve["shortened"]
        curves.append(Curve(curve["punctured"], known, points))
    return Code(
        data["name"],
        data["lift"],
        base,
        tuple(data["puncturing"]),
        tuple(curves),
        data["about"],
    )


def to_json(code: Code) -> dict[str, Any]:
    """The code and its curves as JSON values; ``circulants`` lists (column, shift) for each base row."""
    circulants = []
    for row in code.base:
        columns = np.flatnonzero(row >= 0)
        pairs = np.stack([columns, row[columns]], axis=1)
        circulants.append(pairs.tolist())
    return {
        "name": code.name,
        "about": code.about,
        "lift": code.lift,
        "columns": code.base.shape[1],
        "puncturing": list(code.puncturing),
        "curves": [asdict(curve) for curve in code.curves],
        "circulants": circulants,
    }


def syndrome(code: Code, bits: U8) -> U8:
    """Parities of all checks for each row of ``bits`` (frames, n): (frames, m)."""
    lift = code.lift
    if lift >= _LONG:
        return _syndrome_by_shifts(code, bits)
    columns = np.ascontiguousarray(bits.T)
    out = np.empty((code.m, len(bits)), np.uint8)
    for row, layer in enumerate(code.layers):
        check = row * lift
        odd = out[check : check + lift]
        np.bitwise_xor.reduce(columns[layer], axis=0, out=odd)
    return np.ascontiguousarray(out.T)


def _syndrome_by_shifts(code: Code, bits: U8) -> U8:
    """The same, a circulant at a time: faster where these are long, and without the list of all edges."""
    lift = code.lift
    out = np.zeros((len(bits), code.m), np.uint8)
    for row, column in np.argwhere(code.base >= 0):
        check = row * lift
        bit = column * lift
        own = bits[:, bit : bit + lift]
        odd = out[:, check : check + lift]
        shift = int(code.base[row, column])
        rest = lift - shift
        odd[:, shift:] ^= own[:, :rest]
        odd[:, :shift] ^= own[:, rest:]
    return out


@cache
def _names() -> tuple[str, ...]:
    names = [entry.stem for entry in FOLDER.glob("*.json")]
    by_length = sorted(names, key=lambda name: (len(name), name))
    return tuple(by_length)


def _in_turn(columns: I64, lift: int) -> I64:
    place = np.arange(lift)[:, None]
    bits = columns[None, :] * lift + place
    return bits.ravel()
