"""What a pairs file says about its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..pairs import ColumnSpec, Partition
from ..pairs import table as columns
from .metrics import METRICS_ROWS

#: What a file has of its chunks: their columns, or their records alone; or of no chunk, but counts from their law.
Keep = Literal["pairs", "records", "counts"]

#: What is said of counts wherever they are shown.
LABEL = "law, not bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a pairs file says about its run.

    ``engine`` is the engine's name for provenance, ``config`` the resolved configuration as JSON,
    ``config_digest`` covers everything that changes bits; ``coincidence`` is the expected number of rows
    per emission (1 where no pair can be lost), ``software`` maps dependencies to versions and more,
    ``declared`` are the columns that the engine declares, ``notes`` further attributes of the file (written, not
    read back).  With ``keep="records"`` the file has no columns: they can be simulated again, and each chunk's record
    has their checksum.  With ``keep="counts"`` there are no pairs at all, but the sixteen ``outcome_counts``, drawn
    from their law.  ``until`` says, as JSON, by which goal a finished run stopped where, and ``decisions`` is the
    number of rows about it; both are empty where ``pairs`` were asked for.  ``metrics`` is the number of rows for
    what ranks do; files of older formats have none.
    """

    pairs: int
    chunk_size: int
    seed: int
    engine: str
    stream_version: int
    config: str
    config_digest: str
    thresholds: Mapping[str, object] = field(default_factory=dict)
    has_index: bool = False
    has_time: bool = False
    declared: tuple[ColumnSpec, ...] = ()
    coincidence: float = 1.0
    software: Mapping[str, object] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    keep: Keep = "pairs"
    outcome_counts: tuple[int, ...] = ()
    until: str = ""
    decisions: int = 0
    metrics: int = METRICS_ROWS

    @property
    def is_law(self) -> bool:
        """Whether it has counts drawn from their law, and no bits."""
        return self.keep == "counts"

    @property
    def has_columns(self) -> bool:
        """Whether the columns of its chunks are in the file."""
        return self.keep == "pairs"

    @property
    def columns(self) -> list[str]:
        """The names of its chunks' columns, in the file or not."""
        return [column.name for column in self.table]

    @property
    def stored(self) -> tuple[ColumnSpec, ...]:
        """Those of its columns that are in the file."""
        return self.table if self.has_columns else ()

    @property
    def partition(self) -> Partition:
        """The chunks that the run is cut into."""
        return Partition(self.pairs, self.chunk_size)

    @property
    def table(self) -> tuple[ColumnSpec, ...]:
        """The columns of its rows, in the order of every checksum."""
        return columns.table(
            has_index=self.has_index,
            has_time=self.has_time,
            declared=self.declared,
        )

    @property
    def capacity(self) -> int:
        """Rows to make room for: all pairs, or where pairs can be lost the mean plus 10 sigma and 64."""
        if not self.has_index:
            return self.pairs
        mean = self.pairs * self.coincidence
        variance = mean * max(0.0, 1 - self.coincidence)
        likely = math.ceil(mean + 10 * math.sqrt(variance)) + 64
        return min(self.pairs, likely)
