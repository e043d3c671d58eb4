"""A file's section of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A figure and the name of its files."""

    name: str
    axes: Axes

    @property
    def title(self) -> str:
        """What it shows."""
        return self.axes.get_title(loc="left")


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """What is said of a file: HTML before and after its figures, and a line for the comparison."""

    title: str
    summary: Mapping[str, object]
    parts: Sequence[str]
    figures: Sequence[Figure]
    after: Sequence[str] = field(default_factory=list)
