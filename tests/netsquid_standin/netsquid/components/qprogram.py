"""Stand-in for netsquid.components.qprogram, for tests only."""

from __future__ import annotations

from .instructions import Instruction


class QuantumProgram:
    """One instruction on one qubit: squidasm makes no longer ones for generic devices."""

    def __init__(self) -> None:
        self.output: dict[str, list[int]] = {}

    def apply(
        self, instruction: Instruction, qubit_indices: list[int], angle: float | None = None
    ) -> None:
        self.instruction, self.positions, self.angle = instruction, qubit_indices, angle
