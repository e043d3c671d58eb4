"""Stand-in for netsquid.components.instructions, for tests only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, sin, sqrt

import numpy as np

from netsquid.qubits.qubit import Matrix
from netsquid.qubits.qubitapi import IDENTITY, PAULI_X, PAULI_Y, PAULI_Z


@dataclass(frozen=True, eq=False)
class Instruction:
    """``matrix`` of the rotation angle for single-qubit gates; None for what is no gate or not modeled."""

    name: str
    matrix: Callable[[float | None], Matrix] | None = None


def _fixed(name: str, matrix: Matrix) -> Instruction:
    return Instruction(name, lambda _angle: matrix)


def _rotation(name: str, axis: Matrix) -> Instruction:
    return Instruction(name, lambda angle: cos(angle / 2) * IDENTITY - 1j * sin(angle / 2) * axis)


INSTR_INIT = Instruction("init")
INSTR_MEASURE = Instruction("measure")
INSTR_X, INSTR_Y, INSTR_Z = _fixed("x", PAULI_X), _fixed("y", PAULI_Y), _fixed("z", PAULI_Z)
INSTR_H = _fixed("h", (PAULI_X + PAULI_Z) / sqrt(2))
INSTR_K = _fixed("k", (PAULI_Y + PAULI_Z) / sqrt(2))
INSTR_S = _fixed("s", np.diag([1, 1j]))
INSTR_T = _fixed("t", np.diag([1, (1 + 1j) / sqrt(2)]))
INSTR_ROT_X, INSTR_ROT_Y, INSTR_ROT_Z = (
    _rotation(f"rot_{name}", axis)
    for name, axis in (("x", PAULI_X), ("y", PAULI_Y), ("z", PAULI_Z))
)
INSTR_CNOT, INSTR_CZ = Instruction("cnot"), Instruction("cz")
INSTR_CXDIR, INSTR_CYDIR = Instruction("cxdir"), Instruction("cydir")
