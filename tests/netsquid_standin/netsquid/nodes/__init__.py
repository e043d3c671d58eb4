"""Stand-in for netsquid.nodes, for tests only."""

from __future__ import annotations

import itertools

from netsquid.components import Component, QuantumProcessor


class Node(Component):
    _ids = itertools.count()

    def __init__(
        self, name: str, ID: int | None = None, qmemory: QuantumProcessor | None = None
    ) -> None:
        super().__init__(name)
        self.ID = next(self._ids) if ID is None else ID
        self.qmemory = qmemory
