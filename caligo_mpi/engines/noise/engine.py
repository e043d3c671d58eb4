"""The noise engine: pairs drawn from the closed-form law of `link`, with numpy alone.

Stream definition, version 1
----------------------------
A chunk's bits are a function of its ``SeedSequence`` s, of the configuration's probabilities as
integers in units of 2^-64 (``thresholds``) and of what follows; nothing else.

*Generator.*  numpy's SFC64, raw 64-bit words in the order drawn, little-endian.  Records come from
``SFC64(s)``; positions of coincidences and counts of single clicks, where pairs can be lost, from the
children of s with spawn keys ``(*s.spawn_key, 0)`` and ``(*s.spawn_key, 1)``.

*Table draw* of n values (`_tables`).  A law with weights w_i of sum S gives value i floor(2^16 w_i/S)
codes, in order of i from 0.  ⌈n/4⌉ words are read as 16-bit codes.  Then each draw, in order, whose
code no value owns takes one word v and the value j for which v lies in [B_j, B_j+1), where B are the
cumulative left-overs (2^16 w_i mod S) as fractions of their sum, in units of 2^-64, rounded down.

*Plane* of m words: bit i of word k belongs to record 64k + i.  Bits that are 1 with probability 0 or
1 draw nothing, with probability ½ m words, else 8m table draws of a byte each, whose weights are
those of eight independent bits.

*Records* come in blocks that end at words 2^6, 2^9, 2^12, 2^13 and each further multiple of 2^13; a block
is drawn whole and cut.  Per block: Alice's bases A, Bob's bases B, Alice's outcomes a, unrelated bits u,
flips f in Z, and in X if their probability differs (f is taken by A); then b = a ⊕ f ⊕ (u ∧ (A ⊕ B)).  Then
falls of a from 1 to 0 in Z, and in X if their probability differs, rises from 0 to 1, and both for b; where
neither basis has any, nothing is drawn.

*Positions* (`_clicks`) are the partial sums of distances, less one, drawn 2^10 at first, then 2^14 at a time.
A distance is 1 + Σ d_i 1024^i; each digit is drawn for the whole block, the top one first.  With
Q = 1 − P in fixed point of 192 bits, products rounded down: while Q^8192 > 2^-80 there is a lower digit
0 … 1023 of weights Q^d, and Q becomes Q^1024; the top digit is 0 … 8191 of weights Q^d.  Behind five lower
digits it is 0 or 1, of weights 1 − Q and Q.

*Single clicks*: Alice's alone among the emissions without coincidence, then Bob's among the rest.
Trials are counted in groups of n = 2^18, 2^12, 2^6 by table draws, then a word each, compared with P.  The
tables' weights start with 2^192 at the mode ⌊(n+1)P⌋, continue by the ratios (n−k)P/((k+1)(1−P)) and their
inverses, rounded down, and end on both sides with the first below 2^102.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, cast

import numpy as np

from ...pairs import Pairs
from .. import Tick
from .clicks import sample_count, sample_positions
from .model import describe, expected_rates, integer_thresholds
from .outcomes import Law, sample_records
from .tables import ONE, Raw

if TYPE_CHECKING:
    from ...config import NoiseConfig


class NoiseEngine:
    """Exact samples of the configured law; see the module for the stream they come from."""

    name = "noise"
    stream_version = 1
    has_time = False

    def __init__(self, config: NoiseConfig, thresholds: dict[str, object] | None = None) -> None:
        described = describe(config)
        self.expected = expected_rates(config, described)
        self.thresholds = (
            integer_thresholds(config, described) if thresholds is None else thresholds
        )
        known = cast("dict[str, int]", self.thresholds)
        self._law = Law(**{field.name: known[field.name] for field in fields(Law)})
        self._coincidence, self._alice_only, self._bob_only = (
            known[name] for name in ("coincidence", "alice_only", "bob_only")
        )
        self.has_index = self._coincidence < ONE

    def sample(
        self, count: int, seed: np.random.SeedSequence, *, tick: Tick | None = None
    ) -> Pairs:
        """Simulate ``count`` emissions; about 2^19 pairs pass between two calls of ``tick``."""
        tick = tick or _nothing
        records = _raw(seed)
        if not self.has_index:
            return Pairs(
                sample_records(self._law, count, records, tick),
                count,
                alice_clicks=count,
                bob_clicks=count,
            )
        positions = sample_positions(self._coincidence, count, _raw(seed, 0), tick)
        rows = len(positions)
        clicks = _raw(seed, 1)
        alice_only = sample_count(self._alice_only, count - rows, clicks)
        bob_only = sample_count(self._bob_only, count - rows - alice_only, clicks)
        return Pairs(
            sample_records(self._law, rows, records, tick),
            rows,
            index=positions,
            alice_clicks=rows + alice_only,
            bob_clicks=rows + bob_only,
        )


def _raw(seed: np.random.SeedSequence, *child: int) -> Raw:
    if child:
        seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *child))
    return cast(Raw, np.random.SFC64(seed).random_raw)


def _nothing() -> None:
    pass
