"""The noise engine on links whose attempts take time: rows with times and numbers of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...pairs import ColumnSpec, Pairs, Tick, bits
from .requests import Block, Sources, blocks, draw_requests
from .tables import raw_words
from .timed import describe_timed, timed_rates
from .timed_integers import timed_thresholds

if TYPE_CHECKING:
    from ...config import NoiseConfig

ATTEMPTS = ColumnSpec(
    "attempts", "u4", description="attempts of the link up to and with the one that made the pair"
)
BELL_STATE = ColumnSpec(
    "bell_state",
    "u1",
    description="Bell state that the link reported, before Bob's correction to phi+",
    flags={0: "phi+", 1: "psi+", 2: "psi-", 3: "phi-"},
)

_MOST = np.uint64((1 << 32) - 1)  # attempts that the column can tell


class TimedEngine:
    """Exact samples of links with geometric attempts, from the stream that docs/stream.md defines.

    A row's ``time`` (ns) is when both sides had measured its request; pairs held together share it.
    """

    name = "noise"
    stream_version = 1
    has_time = True

    def __init__(self, config: NoiseConfig, thresholds: dict[str, object] | None = None) -> None:
        law = describe_timed(config)
        self.expected = timed_rates(law)
        self.thresholds = timed_thresholds(law) if thresholds is None else thresholds
        self._law = cast("dict[str, int]", self.thresholds)
        self.has_index = "max_cycles" in self._law
        self.columns: tuple[ColumnSpec, ...] = (ATTEMPTS,)
        if self._law["two_outcomes"]:
            self.columns = ATTEMPTS, BELL_STATE

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` pairs in whole requests; ``tick`` is called after each block."""
        sources = Sources(
            outcomes=raw_words(seed),
            attempts=raw_words(seed, 2),
            losses=raw_words(seed, 3),
        )
        rows = _Rows(self._law, count)
        for requests in blocks(self._law["hold"]):
            if rows.filled >= count:
                break
            block = draw_requests(self._law, requests, sources)
            rows.add(block)
            if tick is not None:
                tick()
        return rows.pairs()


class _Rows:
    """The rows of a chunk while its blocks come in."""

    def __init__(self, law: dict[str, int], count: int) -> None:
        self._law = law
        self._count = count
        self.filled = 0
        self._columns = np.zeros((4, bits.nbytes(count)), np.uint8)
        self._time = np.empty(count)
        self._attempts = np.empty(count, np.uint32)
        self._bell = np.empty(count if law["two_outcomes"] else 0, np.uint8)
        self._kept = np.empty(count if "max_cycles" in law else 0, np.bool_)
        self._cycles = self._requests = self._gates = 0

    def add(self, block: Block) -> None:
        """Append a block's rows, as many as fit."""
        first = self.filled
        rows = min(block.rows, self._count - first)
        here = slice(first, first + rows)
        planes = (block.a_basis, block.a_bit, block.b_basis, block.b_bit)
        first_byte = first >> 3
        end_byte = first_byte + (block.rows >> 3)
        for column, plane in zip(self._columns, planes, strict=True):
            part = column[first_byte:end_byte]
            packed = plane.view(np.uint8)
            part[:] = packed[: len(part)]
        times = self._times(block)
        self._time[here] = times[:rows]
        np.minimum(
            block.attempts[:rows],
            _MOST,
            out=self._attempts[here],
            casting="unsafe",
        )
        if block.bell is not None:
            packed = block.bell.view(np.uint8)
            minus = np.unpackbits(packed, count=rows, bitorder="little")
            np.add(minus, np.uint8(1), out=self._bell[here])  # Ψ⁺ is 1, Ψ⁻ is 2
        if "max_cycles" in self._law:
            most = min(self._law["max_cycles"], (1 << 64) - 1)
            self._kept[here] = block.waited[:rows] <= np.uint64(most)
        self.filled += rows

    def _times(self, block: Block) -> NDArray[np.float64]:
        """When each row's request was over (ns): whole picoseconds, as floats."""
        law = self._law
        requests = len(block.cycles)
        cycles = block.cycles.cumsum() + np.uint64(self._cycles)
        gates = block.gates.cumsum() + np.uint64(self._gates)
        first = self._requests + 1
        done = np.arange(first, first + requests, dtype=np.float64)
        self._cycles = int(cycles[-1])
        self._gates = int(gates[-1])
        self._requests += requests
        time = np.multiply(cycles, float(law["cycle_ps"]), dtype=np.float64)
        done *= float(law["read_ps"])
        time += done
        if law["gate_ps"]:
            time += gates * float(law["gate_ps"])
        time /= 1000.0
        if block.hold == 1:
            return time
        return np.repeat(time, block.hold)

    def pairs(self) -> Pairs:
        """The chunk."""
        bits.clear_padding(self._columns, self._count)
        duration = float(self._time[-1]) if self._count else 0.0
        if "max_cycles" not in self._law:
            return self._registered(
                self._columns,
                self._time,
                None,
                duration,
            )
        kept = self._kept
        columns = []
        for column in self._columns:
            values = bits.unpack(column, self._count)
            columns.append(bits.pack(values[kept]))
        index = np.flatnonzero(kept).astype(np.uint64)
        self._attempts = self._attempts[kept]
        if len(self._bell):
            self._bell = self._bell[kept]
        return self._registered(
            np.stack(columns),
            self._time[kept],
            index,
            duration,
        )

    def _registered(
        self,
        columns: NDArray[Any],
        time: NDArray[Any],
        index: NDArray[Any] | None,
        duration: float,
    ) -> Pairs:
        rows = len(time)
        extra: dict[str, NDArray[Any]] = {ATTEMPTS.name: self._attempts}
        if self._law["two_outcomes"]:
            extra[BELL_STATE.name] = self._bell
        return Pairs(
            columns,
            rows,
            index=index,
            time=time,
            alice_clicks=rows,
            bob_clicks=rows,
            duration_ns=duration,
            extra=extra,
        )
