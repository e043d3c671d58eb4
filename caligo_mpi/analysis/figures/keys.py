"""Figures of keys files."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...config.modes import has_strings
from ...machine.wording import counted
from ...protocol.key_length import binary_entropy, finite_key_length
from ...store.keys import KeysTables
from .style import (
    GREEN,
    INK,
    ORANGE,
    RED,
    SKY,
    beside,
    figure,
    label,
    large_numbers,
    line_note,
    note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Steps that begin at 0, and their colors; all others are taken away from what is left.
_WHOLE = {"pairs": SKY, "key": GREEN}
#: The share of the width that a letter of a bar's number takes.
_LETTER = 0.023
#: Letters of a step's name from which on it has two lines, and letters of such a line.
_LONG, _BREAK = 21, 16
#: More than so many points become pixels.
_POINTS = 2000
#: How much smaller and larger than this file's the blocks of a curve are.
_RANGE = 300


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way from pairs to key: what was taken away, how many bits, and why."""

    name: str
    bits: int


def where_bits_went(keys: KeysTables) -> list[Step]:
    """Every row of the pairs file, by what became of it; the last step is the key.

    Bits of blocks that were aborted after the test are a step of their own.
    """
    blocks = keys.blocks
    went_on = blocks[blocks["abort_step"] == b""]
    rows = _sum(blocks, "count")
    kept = _sum(went_on, "count")
    sifted = _sum(went_on, "sifted")
    left = _sum(went_on, "reconciled_bits")
    leak = _sum(went_on, "leak_bits")
    tags = _sum(went_on, "tag_bits")
    key = _sum(went_on, "key_bits")
    if has_strings(keys.info.mode):
        apart, short = "opened or in the other set", "memory and finite size"
        tested = sifted - left
        known = 0
    else:
        apart, short = "bases differ", "finite size"
        tested = _disclosed(went_on)
        known = _known(went_on, left)
    steps = [
        Step("pairs", rows),
        Step("in aborted blocks", rows - kept),
        Step(apart, kept - sifted),
        Step("disclosed in the test", tested),
        Step("unused", max(0, sifted - tested - left)),
        Step("leaked by correction", max(0, leak - tags)),
        Step("tags", tags),
        Step("phase errors, h(Q)", known),
        Step(short, left - leak - known - key),
        Step("key", key),
    ]
    return [step for step in steps if step.bits or step.name in _WHOLE]


def _sum(blocks: Any, name: str) -> int:
    return int(blocks[name].sum())


def _disclosed(blocks: Any) -> int:
    """Bits that the parties told each other to estimate error rates; older files know their sum alone."""
    if "tested_z" in (blocks.dtype.names or ()):
        return _sum(blocks, "tested_z") + _sum(blocks, "tested_x")
    return _sum(blocks, "tested")


def _known(blocks: Any, left: int) -> int:
    """What an eavesdropper knows of the bits by the tested error rates, were they exact: n·h(Q)."""
    bits = blocks["reconciled_bits"].astype(float)
    known = sum(n * _entropy(q) for n, q in zip(bits, blocks["qber"], strict=True))
    return min(left, round(float(known)))


def _entropy(rate: float) -> float:
    return binary_entropy(min(float(rate), 0.5))


@figure(height=3.4)
def plot_waterfall(data: KeysTables, ax: Axes) -> None:
    """Where every bit went, from the pairs to the key.  ``data`` is what `read_keys` gives."""
    steps = where_bits_went(data)
    rows = max(1, steps[0].bits)
    top = rows
    for place, step in enumerate(steps):
        begin, end = top - step.bits, top
        color = ORANGE if step.bits >= 0 else RED
        if step.name in _WHOLE:
            begin, end = 0, step.bits
            color = _WHOLE[step.name]
        else:
            top = begin
        ax.barh(
            place,
            end - begin,
            left=begin,
            color=color,
            height=0.7,
        )
        ends = (begin / rows, end / rows)
        _name_bar(ax, place, ends, step.bits)
    names = [_in_lines(step.name) for step in steps]
    ax.set_yticks(range(len(steps)), names)
    ax.set_xlim(0, rows * 1.02)
    ax.invert_yaxis()
    label(ax, "Where every bit went", "bits", "")
    large_numbers(ax)


def _in_lines(name: str) -> str:
    """A step's name, a long one in two lines, which leaves the bars more room."""
    return textwrap.fill(name, _BREAK) if len(name) > _LONG else name


def _name_bar(ax: Axes, place: int, ends: tuple[float, float], bits: int) -> None:
    """A bar's number where there is room: behind it, before it, or within it; ``ends`` are shares of the width."""
    low, high = min(ends), max(ends)
    percent = 100 * (high - low)
    told = f"{bits:,} ({percent:.3g} %)"
    needed = _LETTER * len(told)
    at, shift, side, color = high, 4, "left", INK
    if high > 1 - needed and low > needed:
        at, shift, side = low, -4, "right"
    elif high > 1 - needed and high - low > needed:
        at, shift, color = low, 5, "#000000"  # on a bar, on any ground
    beside(
        ax,
        told,
        (at / 1.02, place),
        (shift, 0),
        xycoords=("axes fraction", "data"),
        va="center",
        ha=side,
        fontsize=8,
        color=color,
    )


@figure()
def plot_efficiency(data: KeysTables, ax: Axes) -> None:
    """What reconciliation told of each frame, by the least that it had to tell (Shannon): f per frame."""
    found = np.zeros(0)
    failed = 0
    if data.frames is not None:
        is_known = np.isfinite(data.frames["efficiency"])
        frames = data.frames[is_known]
        found = frames["efficiency"]
        failed = int((data.frames["agreed"] == 0).sum())
        if len(frames):
            _draw_frames(ax, frames)
    ax.axhline(1, color=INK, lw=1)
    line_note(ax, 1, "Shannon limit, f = 1")
    worst = float(found.max(initial=1.0))
    ax.set_ylim(0.98, max(1.1, worst * 1.03))
    label(ax, "Efficiency of reconciliation", "errors of the frame / %", "f = leak / (n·h(errors))")
    shown = counted(len(found), "frame")
    note(ax, f"a point per frame, {shown}; {failed} thrown away")


def _draw_frames(ax: Axes, frames: Any) -> None:
    """A point for each frame, and the mean of all."""
    percent = 100 * (frames["corrected"] / frames["bits"])
    found = frames["efficiency"]
    ax.plot(
        percent,
        found,
        ".",
        color=SKY,
        ms=7,
        mec=INK,
        mew=0.3,
        # A point of a vector graphic takes 150 bytes, and a run may have a million frames.
        rasterized=len(found) > _POINTS,
    )
    mean = found.mean()
    ax.annotate(
        f"mean {mean:.4f}",
        (0.98, 0.9),
        xycoords="axes fraction",
        ha="right",
    )


@figure()
def plot_finite_key(data: KeysTables, ax: Axes) -> None:
    """Secret bits per sifted bit against the size of a block, with this file's blocks on the curve (``bbm92``).

    The curve keeps the mean block's error rate, test share and leak per bit.
    """
    blocks = data.blocks[data.blocks["reconciled_bits"] > 0]
    label(ax, "Finite-key curve", "sifted bits per block", "secret bits per sifted bit")
    if not len(blocks) or data.info.mode != "bbm92":
        return
    mean = _mean_block(blocks)
    config = json.loads(data.info.config)
    least, most = mean["sifted"] / _RANGE, mean["sifted"] * _RANGE
    sizes = np.geomspace(least, most, 60)
    shares = [_share(mean, size, config, len(data.blocks)) for size in sizes]
    ax.plot(sizes, shares, color=SKY)
    limit = _limit(mean)
    ax.axhline(
        limit,
        color=INK,
        lw=1,
        ls="--",
    )
    line_note(ax, limit, "for ever more pairs")
    ax.plot(
        blocks["sifted"],
        blocks["key_bits"] / blocks["sifted"],
        "o",
        color=GREEN,
        mec=INK,
        mew=0.4,
    )
    ax.set_xscale("log")
    ax.set_ylim(0, max(limit, 0.01) * 1.25)
    percent = 100 * mean["qber"]
    note(ax, f"points: blocks of this file; curve: at its QBER of {percent:.3f} %")


def _mean_block(blocks: Any) -> dict[str, float]:
    """The mean of blocks, with the error rate of all of them."""
    names = ("sifted", "reconciled_bits", "tested", "leak_bits")
    mean = {name: _sum(blocks, name) / len(blocks) for name in names}
    tested = _sum(blocks, "tested")
    mean["qber"] = _sum(blocks, "errors") / max(1, tested)
    return mean


def _limit(mean: dict[str, float]) -> float:
    """Secret bits per sifted bit of ever larger blocks."""
    leak = mean["leak_bits"] / mean["reconciled_bits"]
    per_bit = 1 - _entropy(mean["qber"]) - leak
    return per_bit * mean["reconciled_bits"] / mean["sifted"]


def _share(mean: dict[str, float], size: float, config: dict[str, Any], blocks: int) -> float:
    """Secret bits per sifted bit of a block of another size, of a file of so many blocks."""
    scale = size / mean["sifted"]
    length = finite_key_length(
        key_bits=int(scale * mean["reconciled_bits"]),
        test_bits=int(scale * mean["tested"]),
        qber=mean["qber"],
        leak_bits=int(scale * mean["leak_bits"]),
        epsilon_sec=config["epsilon_sec"] / blocks,
        epsilon_cor=config["epsilon_cor"] / blocks,
    )
    return length / size


__all__ = ["Step", "plot_efficiency", "plot_finite_key", "plot_waterfall", "where_bits_went"]
