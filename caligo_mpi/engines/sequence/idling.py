"""T1 and T2 of stored memories, by SeQUeNCe's stabilizer manager.

The ket manager has no decoherence: what it holds after a herald is a Bell state or a product of bits,
which is handed to a stabilizer state, idles there and is measured.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import stim
from sequence.kernel.quantum_manager.stabilizer import QuantumManagerStabilizer
from sequence.kernel.quantum_state import StabilizerState

from ...config import SequenceConfig

_PS_PER_NS = 1000
_NS_PER_S = 1e9


class Idling:
    """Both memories' decoherence, and their measurement after it."""

    def __init__(self, config: SequenceConfig, seed: int) -> None:
        self._simulator = stim.TableauSimulator(seed=seed)
        self._simulator.set_num_qubits(2)
        self._manager = QuantumManagerStabilizer(seed=seed)
        self._keys = [self._manager.new(), self._manager.new()]
        # Set as it is: the manager's own setters and circuits copy the simulator, unseeded.
        shared = StabilizerState(self._simulator, list(self._keys), seed)
        self._manager.states.update(dict.fromkeys(self._keys, shared))
        self._sides = []
        for side in (config.alice, config.bob):
            time = round(side.storage_time_ns * _PS_PER_NS)
            t1 = side.T1_ns or inf
            t2 = side.T2_ns or inf
            self._sides.append((time, t1, t2))

    @staticmethod
    def needed(config: SequenceConfig) -> bool:
        """Whether a memory decoheres."""
        sides = (config.alice, config.bob)
        return any(side.storage_time_ns and side.T2_ns for side in sides)

    def measure(
        self,
        manager: Any,
        keys: list[int],
        bases: list[int],
    ) -> list[int]:
        """Let the pair that ``manager`` holds at ``keys`` idle, and measure it."""
        simulator = self._simulator
        simulator.reset(0, 1)
        state = joint_state(manager, keys)
        simulator.do(preparation(state))
        outcomes = []
        for qubit, (time, t1, t2) in enumerate(self._sides):
            key = self._keys[qubit]
            if t2 < inf:
                self._manager.last_idle_time_ps_by_key[key] = 0
                self._manager.apply_idling_decoherence(
                    [key],
                    time,
                    t1 / _NS_PER_S,
                    t2 / _NS_PER_S,
                )
        for qubit, basis in enumerate(bases):
            if basis:
                simulator.h(qubit)
            outcome = simulator.measure(qubit)
            outcomes.append(int(outcome))
        return outcomes


def joint_state(manager: Any, keys: list[int]) -> Any:
    """The four amplitudes of two memories, the first one's bit in front."""
    first, second = (manager.get(key) for key in keys)
    if first is not second:
        return np.kron(first.state, second.state)
    amplitudes = np.reshape(first.state, (2, 2))
    if list(first.keys) != keys:
        amplitudes = amplitudes.T
    return amplitudes.ravel()


def preparation(state: Any) -> stim.Circuit:
    """Gates from |00⟩ to a Bell state or a product of bits."""
    places = np.flatnonzero(np.abs(state) > 0.5)
    place = int(places[0])
    first, second = divmod(place, 2)
    circuit = stim.Circuit()
    if len(places) == 1:
        bits = [qubit for qubit, bit in enumerate((first, second)) if bit]
        if bits:
            circuit.append("X", bits)
        return circuit
    circuit.append("H", [0])
    other = state[places[1]]
    coherence = state[place] * np.conj(other)
    if np.real(coherence) < 0:
        circuit.append("Z", [0])
    circuit.append("CX", [0, 1])
    if second:
        circuit.append("X", [1])
    return circuit
