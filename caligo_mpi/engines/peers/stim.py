"""Engine ``stim``: Clifford circuits with Pauli noise (Gidney, Quantum 5:497, 2021).

Stim's ``DEPOLARIZE1(q)`` takes the total probability q = 3p/4 of X, Y and Z, where p is the weight
of I/2.
"""

from __future__ import annotations

import numpy as np
import stim

from .circuits import Bits, CircuitEngine, Device, Experiment

_ALICE, _BOB = 0, 1


class StimEngine(CircuitEngine):
    """Stim's frame simulator; each circuit's shots are packed, two outcomes in a byte."""

    def circuit(
        self,
        found: Experiment,
        alice_basis: int,
        bob_basis: int,
    ) -> stim.Circuit:
        """Φ⁺, the noise of the link, and what the devices do."""
        circuit = stim.Circuit()
        circuit.append("H", [_ALICE])
        circuit.append("CX", [_ALICE, _BOB])
        if found.mixed is None:
            circuit.append("PAULI_CHANNEL_1", [_BOB], found.pauli)
        else:
            circuit.append("DEPOLARIZE1", [_BOB], 3 * found.mixed / 4)
        _measure(circuit, _ALICE, alice_basis, found.alice)
        _measure(circuit, _BOB, bob_basis, found.bob)
        return circuit

    def shots(
        self,
        circuit: stim.Circuit,
        count: int,
        seed: int,
    ) -> Bits:
        """Outcomes; the bits of one shot are one byte."""
        packed = circuit.compile_sampler(seed=seed).sample_bit_packed(count)[:, 0]
        return np.stack([packed & 1, packed >> 1])


def _measure(
    circuit: stim.Circuit,
    qubit: int,
    basis: int,
    device: Device,
) -> None:
    circuit.append("Z_ERROR", [qubit], device.dephasing)
    if basis:
        circuit.append("H", [qubit])
        circuit.append("DEPOLARIZE1", [qubit], 3 * device.gate / 4)
    circuit.append("M", [qubit], device.flip)
