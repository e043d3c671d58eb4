"""Stand-in for netsquid.qubits.qubitapi, for tests only: channels and measurement on density matrices."""

from __future__ import annotations

from math import sqrt

import numpy as np

import netsquid as ns

from .qubit import Matrix, Qubit, State

IDENTITY = np.eye(2, dtype=complex)
PAULI_X = np.array([[0, 1], [1, 0]], dtype=complex)
PAULI_Y = np.array([[0, -1j], [1j, 0]])
PAULI_Z = np.diag([1, -1]).astype(complex)
PROJECTORS = np.diag([1, 0]).astype(complex), np.diag([0, 1]).astype(complex)


def zero_qubit() -> Qubit:
    qubit = Qubit()
    State(PROJECTORS[0], [qubit])
    return qubit


def entangled_pair(rho: Matrix) -> tuple[Qubit, Qubit]:
    first, second = Qubit(), Qubit()
    State(rho, [first, second])
    return first, second


def channel(qubit: Qubit, *kraus: Matrix) -> None:
    state = qubit.state
    operators = [state.embed(k, qubit) for k in kraus]
    state.rho = sum(k @ state.rho @ k.conj().T for k in operators)


def depolarize(qubit: Qubit, prob: float) -> None:
    """Replace by the maximally mixed state with probability ``prob``."""
    if prob:
        share = sqrt(prob / 4)
        channel(
            qubit,
            sqrt(1 - 3 * prob / 4) * IDENTITY,
            share * PAULI_X,
            share * PAULI_Y,
            share * PAULI_Z,
        )


def dephase(qubit: Qubit, prob: float) -> None:
    if prob:
        channel(qubit, sqrt(1 - prob) * IDENTITY, sqrt(prob) * PAULI_Z)


def amplitude_dampen(qubit: Qubit, gamma: float) -> None:
    if gamma:
        channel(
            qubit,
            np.diag([1, sqrt(1 - gamma)]).astype(complex),
            sqrt(gamma) * np.array([[0, 1], [0, 0]], complex),
        )


def measure(qubit: Qubit) -> int:
    """Measure in Z; the partner, if there is one, is left in its conditional state."""
    state = qubit.state
    one = state.embed(PROJECTORS[1], qubit)
    outcome = int(ns.get_random_state().random_sample() < np.trace(one @ state.rho).real)
    projector = state.embed(PROJECTORS[outcome], qubit)
    rho = projector @ state.rho @ projector
    for partner in state.qubits:
        if partner is not qubit:
            axis = state.qubits.index(qubit)
            reduced = np.trace(rho.reshape(2, 2, 2, 2), axis1=axis, axis2=axis + 2)
            State(reduced / np.trace(reduced), [partner])
    State(PROJECTORS[outcome], [qubit])
    return outcome


def reduced_dm(qubit: Qubit) -> Matrix:
    state = qubit.state
    if len(state.qubits) == 1:
        return state.rho
    other = 1 - state.qubits.index(qubit)
    return np.trace(state.rho.reshape(2, 2, 2, 2), axis1=other, axis2=other + 2)
