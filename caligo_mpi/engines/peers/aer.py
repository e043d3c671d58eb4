"""Engine ``qiskit-aer``: Qiskit's simulator, density matrices.

Its ``depolarizing_error(p, 1)`` takes the weight p of I/2, not the probability of a Pauli error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
)

from .circuits import Bits, CircuitEngine, Device, Experiment

_ALICE, _BOB = 0, 1


class AerEngine(CircuitEngine):
    """Of Aer's methods the density matrix is the fastest here, by far."""

    block = 1 << 14

    def circuit(
        self,
        found: Experiment,
        alice_basis: int,
        bob_basis: int,
    ) -> Any:
        """The circuit, and the simulator that knows the read-out's errors."""
        circuit = QuantumCircuit(2, 2)
        circuit.h(_ALICE)
        circuit.cx(_ALICE, _BOB)
        _add(circuit, _BOB, _link(found))
        model = NoiseModel()
        sides = ((_ALICE, alice_basis, found.alice), (_BOB, bob_basis, found.bob))
        for qubit, basis, device in sides:
            _measure(circuit, qubit, basis, device)
            zero, one = device.read1_given0, device.read0_given1
            if zero or one:
                model.add_readout_error(
                    ReadoutError([[1 - zero, zero], [one, 1 - one]]),
                    [qubit],
                )
        simulator = AerSimulator(method="density_matrix", noise_model=model, max_parallel_threads=1)
        return circuit, simulator

    def shots(
        self,
        circuit: Any,
        count: int,
        seed: int,
    ) -> Bits:
        """Outcomes, from the memory of single shots; its texts begin with Bob's bit."""
        made, simulator = circuit
        job = simulator.run(made, shots=count, memory=True, seed_simulator=seed)
        text = "".join(job.result().get_memory()).encode()
        return np.frombuffer(text, np.uint8).reshape(-1, 2).T[::-1] - ord("0")


def _link(found: Experiment) -> Any:
    if found.mixed is not None:
        return depolarizing_error(found.mixed, 1)
    x, y, z = found.pauli
    return pauli_error(
        [
            ("X", x),
            ("Y", y),
            ("Z", z),
            ("I", max(0.0, 1 - x - y - z)),
        ]
    )


def _measure(
    circuit: Any,
    qubit: int,
    basis: int,
    device: Device,
) -> None:
    if device.relaxation:
        _add(circuit, qubit, amplitude_damping_error(device.relaxation))
    if device.dephasing:
        _add(
            circuit,
            qubit,
            pauli_error([("Z", device.dephasing), ("I", 1 - device.dephasing)]),
        )
    if basis:
        circuit.h(qubit)
        _add(circuit, qubit, depolarizing_error(device.gate, 1))
    circuit.measure(qubit, qubit)


def _add(circuit: Any, qubit: int, error: Any) -> None:
    circuit.append(error.to_instruction(), [qubit])
