"""Engine ``pennylane``: PennyLane's ``default.mixed``, density matrices.

``qml.DepolarizingChannel(q)`` takes the total probability q = 3p/4 of X, Y and Z, where p is the
weight of I/2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml

from .circuits import Bits, CircuitEngine, Device, Experiment

_ALICE, _BOB = 0, 1


class PennylaneEngine(CircuitEngine):
    """The state is computed once for each block and basis, and its outcomes are drawn."""

    def circuit(
        self,
        found: Experiment,
        alice_basis: int,
        bob_basis: int,
    ) -> Callable[[], object]:
        """A quantum function: Φ⁺, the noise of the link, and what the devices do."""

        def run() -> object:
            qml.Hadamard(_ALICE)
            qml.CNOT([_ALICE, _BOB])
            if found.mixed is None:
                qml.QubitChannel(_kraus(found.pauli), _BOB)
            else:
                qml.DepolarizingChannel(3 * found.mixed / 4, _BOB)
            _device(_ALICE, alice_basis, found.alice)
            _device(_BOB, bob_basis, found.bob)
            return qml.sample(wires=[_ALICE, _BOB])

        return run

    def shots(
        self,
        circuit: Callable[[], object],
        count: int,
        seed: int,
    ) -> Bits:
        """Outcomes."""
        device = qml.device("default.mixed", wires=2, seed=seed)
        node = qml.QNode(circuit, device)
        run = qml.set_shots(node, shots=count)
        by_shot = np.asarray(run()).reshape(count, 2)
        outcomes: Bits = by_shot.T.astype(np.uint8)
        return outcomes


def _kraus(pauli: tuple[float, float, float]) -> list[Any]:
    """Kraus operators of a Pauli channel: PennyLane's own have one Pauli operator each."""
    rest = max(0.0, 1 - sum(pauli))
    operators = (qml.Identity, qml.PauliX, qml.PauliY, qml.PauliZ)
    weights = (rest, *pauli)
    kraus = []
    for operator, weight in zip(operators, weights, strict=True):
        matrix = operator.compute_matrix()
        kraus.append(np.sqrt(weight) * matrix)
    return kraus


def _device(wire: int, basis: int, device: Device) -> None:
    qml.AmplitudeDamping(device.relaxation, wire)
    qml.PhaseFlip(device.dephasing, wire)
    if basis:
        qml.Hadamard(wire)
        qml.DepolarizingChannel(3 * device.gate / 4, wire)
    p, gamma = device.damping
    qml.GeneralizedAmplitudeDamping(gamma, 1 - p, wire)  # its p is that of excitation
