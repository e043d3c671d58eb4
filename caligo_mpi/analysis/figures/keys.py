"""Figures of keys files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...config.modes import has_strings
from ...protocol.key_length import binary_entropy, finite_key_length
from ...store.keys import KeysTables
from .pairs import figure
from .style import GREEN, INK, ORANGE, RED, SKY, label, large_numbers, line_note, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way from pairs to key: what was taken away, how many bits, and why."""

    name: str
    bits: int


def where_bits_went(keys: KeysTables) -> list[Step]:
    """Every row of the pairs file, by what became of it; the last step is the key.

    Bits of blocks that were aborted after the test are a step of their own.
    """
    one_key = not has_strings(keys.info.mode)
    blocks = keys.blocks
    aborted = blocks["abort_step"] != b""
    went_on = blocks[~aborted]
    told = "tested_z" in (blocks.dtype.names or ())
    disclosed = went_on["tested_z"] + went_on["tested_x"] if told else went_on["tested"]
    rows, sifted = int(blocks["count"].sum()), int(went_on["sifted"].sum())
    left = int(went_on["reconciled_bits"].sum())
    tested = int(disclosed.sum()) if one_key else sifted - left
    tags, leak = int(went_on["tag_bits"].sum()), int(went_on["leak_bits"].sum())
    key = int(went_on["key_bits"].sum())
    known = _known(went_on, left) if one_key else 0
    lost = int(blocks["count"][aborted].sum())
    steps = [
        Step("pairs", rows),
        Step("in aborted blocks", lost),
        Step("bases differ" if one_key else "opened or in the other set", rows - lost - sifted),
        Step("disclosed in the test", tested),
        Step("unused", max(0, sifted - tested - left)),
        Step("leaked by correction", max(0, leak - tags)),
        Step("tags", tags),
        Step("phase errors, h(Q)", known),
        Step("finite size" if one_key else "memory and finite size", left - leak - known - key),
        Step("key", key),
    ]  # fmt: skip
    return [step for step in steps if step.bits or step.name in ("pairs", "key")]


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
        if step.name in _WHOLE:
            begin, end = 0, step.bits
        else:
            begin, end = top - step.bits, top
            top = begin
        color = _WHOLE.get(step.name, ORANGE if step.bits >= 0 else RED)
        ax.barh(place, end - begin, left=begin, color=color, height=0.7)
        _name_bar(ax, place, (begin / rows, end / rows), step.bits)
    ax.set_yticks(range(len(steps)), [step.name for step in steps])
    ax.set_xlim(0, rows * 1.02)
    ax.invert_yaxis()
    label(ax, "Where every bit went", "bits", "")
    large_numbers(ax)


#: Steps that begin at 0, and their colors; all others are taken away from what is left.
_WHOLE = {"pairs": SKY, "key": GREEN}


def _name_bar(ax: Axes, place: int, ends: tuple[float, float], bits: int) -> None:
    """A bar's number beside it, or within it where it takes all of the width; ``ends`` are shares of that."""
    low, high = min(ends), max(ends)
    share = abs(ends[1] - ends[0])
    told = f"{bits:,} ({100 * share:.3g} %)"
    at, shift, side, color = high, 4, "left", INK
    if high > 0.6:
        at, shift, side = low, -4, "right"
    if high > 0.6 and low < 0.4:
        at, shift, side, color = low, 5, "left", "#000000"  # on a bar, on any ground
    spot: dict[str, Any] = {
        "xytext": (shift, 0),
        "textcoords": "offset points",
        "xycoords": ("axes fraction", "data"),
    }
    ax.annotate(told, (at / 1.02, place), va="center", ha=side, fontsize=8, color=color, **spot)


#: More than so many points become pixels.
_POINTS = 2000


@figure()
def plot_efficiency(data: KeysTables, ax: Axes) -> None:
    """What reconciliation told of each frame, by the least that it had to tell (Shannon): f per frame."""
    frames = data.frames
    found = np.zeros(0) if frames is None else frames["efficiency"]
    good = np.isfinite(found)
    if frames is not None and good.any():
        rate = frames["corrected"][good] / frames["bits"][good]
        # A point of a vector graphic takes 150 bytes, and a run may have a million frames.
        many = len(rate) > _POINTS
        percent = 100 * rate
        ax.plot(percent, found[good], ".", color=SKY, ms=7, mec=INK, mew=0.3, rasterized=many)
        ax.annotate(
            f"mean {found[good].mean():.4f}", (0.98, 0.9), xycoords="axes fraction", ha="right"
        )
    ax.axhline(1, color=INK, lw=1)
    line_note(ax, 1, "Shannon limit, f = 1")
    ax.set_ylim(0.98, max(1.1, float(found[good].max(initial=1.0)) * 1.03))
    label(ax, "Efficiency of reconciliation", "errors of the frame / %", "f = leak / (n·h(errors))")
    failed = 0 if frames is None else int((frames["agreed"] == 0).sum())
    note(ax, f"one point per frame, {int(good.sum()):,} frames; {failed} thrown away")


@figure()
def plot_finite_key(data: KeysTables, ax: Axes) -> None:
    """Secret bits per sifted bit against the size of a block, with this file's blocks on the curve (``bbm92``).

    The curve keeps the mean block's error rate, test share and leak per bit.
    """
    blocks = data.blocks[data.blocks["reconciled_bits"] > 0]
    label(ax, "Finite-key curve", "sifted bits per block", "secret bits per sifted bit")
    if not len(blocks) or data.info.mode != "bbm92":
        return
    sums = {
        name: float(blocks[name].sum())
        for name in ("sifted", "reconciled_bits", "tested", "errors", "leak_bits")
    }
    mean = {name: value / len(blocks) for name, value in sums.items()}
    qber = sums["errors"] / max(1.0, sums["tested"])
    config = json.loads(data.info.config)
    sizes = np.geomspace(mean["sifted"] / 300, mean["sifted"] * 300, 60)
    share = [
        _length(mean, size / mean["sifted"], qber, config, len(data.blocks)) / size
        for size in sizes
    ]
    ax.plot(sizes, share, color=SKY)
    leak = mean["leak_bits"] / mean["reconciled_bits"]
    limit = (1 - _entropy(qber) - leak) * mean["reconciled_bits"] / mean["sifted"]
    ax.axhline(limit, color=INK, lw=1, ls="--")
    line_note(ax, limit, "for ever more pairs")
    ax.plot(
        blocks["sifted"], blocks["key_bits"] / blocks["sifted"], "o", color=GREEN, mec=INK, mew=0.4
    )
    ax.set_xscale("log")
    ax.set_ylim(0, max(limit, 0.01) * 1.25)
    note(ax, f"points: blocks of this file; curve: at its QBER of {100 * qber:.3f} %")


def _length(
    mean: dict[str, float], scale: float, qber: float, config: dict[str, Any], blocks: int
) -> int:
    return finite_key_length(
        key_bits=int(scale * mean["reconciled_bits"]),
        test_bits=int(scale * mean["tested"]),
        qber=qber,
        leak_bits=int(scale * mean["leak_bits"]),
        epsilon_sec=config["epsilon_sec"] / blocks,
        epsilon_cor=config["epsilon_cor"] / blocks,
    )


__all__ = ["Step", "plot_efficiency", "plot_finite_key", "plot_waterfall", "where_bits_went"]
