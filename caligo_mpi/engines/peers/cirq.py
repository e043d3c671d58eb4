"""Engine ``cirq``: Google's Cirq, density matrices.

``cirq.depolarize(q)`` takes the total probability q = 3p/4 of X, Y and Z, where p is the weight of
I/2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cirq
import numpy as np

from .circuits import Bits, CircuitEngine, Device, Experiment

_ALICE, _BOB = cirq.LineQubit.range(2)


class CirqEngine(CircuitEngine):
    """Cirq's density matrix: the state is computed once and its outcomes are drawn."""

    def circuit(
        self,
        found: Experiment,
        alice_basis: int,
        bob_basis: int,
    ) -> Any:
        """Φ⁺, the noise of the link, and what the devices do."""
        link = (
            cirq.asymmetric_depolarize(*found.pauli)
            if found.mixed is None
            else cirq.depolarize(3 * found.mixed / 4)
        )
        return cirq.Circuit(
            cirq.H(_ALICE),
            cirq.CNOT(_ALICE, _BOB),
            link(_BOB),
            _device(_ALICE, alice_basis, found.alice),
            _device(_BOB, bob_basis, found.bob),
            cirq.measure(_ALICE, _BOB, key="outcomes"),
        )

    def simulator(self, seed: int) -> Any:
        """A simulator with this seed."""
        return cirq.DensityMatrixSimulator(seed=seed)

    def shots(
        self,
        circuit: Any,
        count: int,
        seed: int,
    ) -> Bits:
        """Outcomes."""
        found = self.simulator(seed).run(circuit, repetitions=count)
        outcomes: Bits = found.measurements["outcomes"].T.astype(np.uint8)
        return outcomes


def _device(qubit: Any, basis: int, device: Device) -> Iterator[Any]:
    """Memory, gate and read-out; a confusion map would do for the last one, ten times as slowly."""
    if device.relaxation:
        yield cirq.amplitude_damp(device.relaxation)(qubit)
    if device.dephasing:
        yield cirq.phase_flip(device.dephasing)(qubit)
    if basis:
        yield cirq.H(qubit)
        if device.gate:
            yield cirq.depolarize(3 * device.gate / 4)(qubit)
    p, gamma = device.damping
    if gamma:
        yield cirq.generalized_amplitude_damp(p, gamma)(qubit)
