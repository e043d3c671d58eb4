"""What a pairs file says about its run, its launches and its chunks."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..pairs.stopping import DECISION_DTYPE
from .files import read_at
from .info import RunInfo
from .launches import metrics_of, read_table
from .layout import Layout
from .pieces import Pieces
from .records import Records, batches, read_records


class About:
    """The part of an open pairs file that is not about rows."""

    info: RunInfo
    _layout: Layout
    _fd: int
    _pieces: Pieces

    @property
    def pairs(self) -> int:
        """Emissions of the whole run."""
        return self.info.pairs

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return cast("dict[str, Any]", json.loads(self.info.config))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.info.seed

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.info.engine

    @property
    def digest(self) -> str:
        """Of the configuration: of everything that changes bits."""
        return self.info.config_digest

    @property
    def outcome_counts(self) -> NDArray[np.uint64] | None:
        """Counts by Alice's basis, Bob's basis, Alice's and Bob's outcome, shape (2, 2, 2, 2); law, not bits.

        None in files of pairs.
        """
        if not self.info.is_law:
            return None
        return np.array(self.info.outcome_counts, np.uint64).reshape(2, 2, 2, 2)

    @property
    def chunks(self) -> Records:
        """The records of the readable chunks (`pairs.CHUNK_DTYPE`), all in memory."""
        return read_records(
            self._fd,
            self._layout,
            0,
            self._pieces.chunks,
        )

    def chunk_records(self, start: int, stop: int) -> Records:
        """The records of the readable chunks ``start`` to ``stop``: a run may have more than memory holds."""
        wanted = range(self._pieces.chunks)[start:stop]
        end = max(wanted.start, wanted.stop)
        return read_records(
            self._fd,
            self._layout,
            wanted.start,
            end,
        )

    @property
    def chunk_count(self) -> int:
        """How many chunks can be read."""
        return self._pieces.chunks

    def total(self, name: str) -> float:
        """The sum of a column of `chunks`, some records at a time; a float holds it exactly up to 2^53."""
        every = range(self._pieces.chunks)
        sums = []
        for _, records in batches(self._fd, self._layout, every):
            sums.append(float(records[name].sum()))
        return math.fsum(sums)

    @property
    def runs(self) -> NDArray[Any]:
        """One row per launch that wrote to the file."""
        return read_table(self._fd, self._layout, "runs")

    @property
    def faults(self) -> NDArray[Any]:
        """One row per fault."""
        return read_table(self._fd, self._layout, "faults")

    @property
    def metrics(self) -> NDArray[np.void]:
        """One row per launch and rank: what it did with its time (`store.METRICS_DTYPE`).

        Empty in files of formats before 1.4.
        """
        return metrics_of(self._fd, self._layout)

    @property
    def decisions(self) -> NDArray[np.void]:
        """How the interval narrowed in a run with ``until``, a row per decision (`stopping.DECISION_DTYPE`).

        Empty before the run has stopped, and in other files.
        """
        rows = np.zeros(self.info.decisions, DECISION_DTYPE)
        if len(rows):
            read_at(self._fd, rows, self._layout.offsets["decisions"])
        return rows

    @property
    def until(self) -> dict[str, Any] | None:
        """By which goal the run stopped, where, and the estimate; None before, and in other files."""
        if not self.info.until:
            return None
        return cast("dict[str, Any]", json.loads(self.info.until))
