"""Stand-in for netsquid_magic.link_layer, for tests only."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import netsquid as ns
import numpy as np
from netsquid.protocols import Protocol
from netsquid.qubits.qubit import Matrix
from netsquid.qubits.qubitapi import entangled_pair
from pydynaa import TIMELINE
from qlink_interface import ResCreateAndKeep

if TYPE_CHECKING:
    from .egp import EgpProtocol


class BellIndex(enum.IntEnum):
    PHI_PLUS = 0
    PSI_PLUS = 1
    PSI_MINUS = 2
    PHI_MINUS = 3


_KETS = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, -1, 0], [1, 0, 0, -1]]) / np.sqrt(2)
BELL_STATES = {index: np.outer(_KETS[index], _KETS[index]).astype(complex) for index in BellIndex}


@dataclass(frozen=True)
class LinkModel:
    """An attempt takes ``cycle_time`` ns and succeeds with ``prob_success``; then ``deliver`` draws label and state.

    ``asked`` gives the model for a fidelity that is asked for, where it depends on that.
    """

    cycle_time: float
    prob_success: float
    deliver: Callable[[], tuple[BellIndex, Matrix]]
    asked: Callable[[float], LinkModel] | None = None


class MagicLinkLayerProtocol(Protocol):
    """Delivers a pair some whole cycles after one end asked for it and the other was ready to receive."""

    def __init__(self, model: LinkModel) -> None:
        super().__init__()
        self.model = model
        self.ends: dict[int, EgpProtocol] = {}
        self._wanted: list[int] = []
        self._ready: list[int] = []

    def create(self, node_id: int, number: int, minimum_fidelity: float) -> None:
        if self.model.asked:
            self.model = self.model.asked(minimum_fidelity)
        self._wanted += [node_id] * number
        self._attempt()

    def receive(self, node_id: int) -> None:
        self._ready.append(node_id)
        self._attempt()

    def _attempt(self) -> None:
        if self._wanted and self._ready:
            creator, receiver = self._wanted.pop(0), self._ready.pop(0)
            cycles = (
                1
                if self.model.prob_success == 1
                else ns.get_random_state().geometric(self.model.prob_success)
            )
            TIMELINE.after(self.model.cycle_time * cycles, lambda: self._deliver(creator, receiver))

    def _deliver(self, creator: int, receiver: int) -> None:
        label, rho = self.model.deliver()
        for node_id, qubit in zip((creator, receiver), entangled_pair(rho), strict=True):
            end = self.ends[node_id]
            position = end.node.qmemory.free_position()
            end.node.qmemory.put(qubit, position)
            end.send_signal(
                ResCreateAndKeep.__name__,
                ResCreateAndKeep(bell_state=label, logical_qubit_id=position),
            )
        self._attempt()
