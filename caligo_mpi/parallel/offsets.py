"""What all items before one add up to, known as soon as their sizes are: the places of results in a file."""

from __future__ import annotations

from collections.abc import Iterator


class Offsets:
    """Sizes come in any order of positions; sums are handed out in order."""

    def __init__(self) -> None:
        self.next = 0  # all below have their sums
        self._total = 0
        self._sizes: dict[int, tuple[int, int]] = {}  # position → size, who has it

    def sized(self, position: int, size: int, source: int) -> None:
        """An item's result, which ``source`` has, is of this size."""
        self._sizes[position] = (size, source)

    def known(self) -> Iterator[tuple[int, int, int]]:
        """(position, source, sum of the sizes before it) of each item whose sum is known by now, once.

        >>> offsets = Offsets()
        >>> offsets.sized(1, 5, source=3)
        >>> list(offsets.known())
        []
        >>> offsets.sized(0, 7, source=2)
        >>> list(offsets.known())
        [(0, 2, 0), (1, 3, 7)]
        """
        while self.next in self._sizes:
            size, source = self._sizes.pop(self.next)
            before = self._total
            self._total += size
            position = self.next
            self.next += 1
            yield position, source, before
