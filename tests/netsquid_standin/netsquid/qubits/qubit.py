"""Stand-in for netsquid.qubits.qubit, for tests only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]


class State:
    """The density matrix ``rho`` of one qubit or of a pair."""

    def __init__(self, rho: Matrix, qubits: list[Qubit]) -> None:
        self.rho, self.qubits = rho, qubits
        for qubit in qubits:
            qubit.state = self

    def embed(self, operator: Matrix, qubit: Qubit) -> Matrix:
        """``operator`` on ``qubit``, identity on its partner."""
        if len(self.qubits) == 1:
            return operator
        identity = np.eye(2)
        return (
            np.kron(operator, identity) if qubit is self.qubits[0] else np.kron(identity, operator)
        )


class Qubit:
    state: State
