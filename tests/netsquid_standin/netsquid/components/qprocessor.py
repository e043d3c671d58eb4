"""Stand-in for NetSquid's quantum processor, for tests only."""

from __future__ import annotations

from math import exp
from typing import Any

from pydynaa import TIMELINE, Entity, EventExpression

import netsquid as ns
from netsquid.qubits import qubitapi
from netsquid.qubits.qubit import Qubit

from .component import Component
from .instructions import INSTR_INIT, INSTR_MEASURE
from .qprogram import QuantumProgram


class MemoryPosition:
    def __init__(self) -> None:
        self.in_use = False
        self.qubit: Qubit | None = None
        self.idle_since = 0.0


class QuantumProcessor(Component):
    """Memory positions that decohere while idle, and single-qubit operations that take time and depolarize."""

    def __init__(self, name: str, config: Any) -> None:
        super().__init__(name)
        if config.T1 > 0 and config.T2 > config.T1:
            raise ValueError("T2 must not exceed T1")
        self.config = config
        self.num_positions: int = config.num_qubits
        self.mem_positions = [MemoryPosition() for _ in range(self.num_positions)]

    def free_position(self) -> int:
        return next(i for i, position in enumerate(self.mem_positions) if not position.in_use)

    def put(self, qubit: Qubit, index: int) -> None:
        position = self.mem_positions[index]
        position.qubit, position.in_use, position.idle_since = qubit, True, TIMELINE.now

    def peek(self, index: int, skip_noise: bool = False) -> list[Qubit | None]:
        if not skip_noise:
            self._decohere(self.mem_positions[index])
        return [self.mem_positions[index].qubit]

    def execute_program(self, program: QuantumProgram) -> EventExpression:
        """Idle noise up to now, the operation and its noise at its end; none while it runs."""
        [index] = program.positions
        position = self.mem_positions[index]
        self._decohere(position)
        done = Entity()

        def finish() -> None:
            self._perform(program, position)
            position.idle_since = TIMELINE.now
            TIMELINE.trigger(done, "done")

        TIMELINE.after(self._duration(program), finish)
        return EventExpression(done, "done")

    def _duration(self, program: QuantumProgram) -> float:
        if program.instruction is INSTR_INIT:
            return self.config.init_time
        if program.instruction is INSTR_MEASURE:
            return self.config.measure_time
        return self.config.single_qubit_gate_time

    def _perform(self, program: QuantumProgram, position: MemoryPosition) -> None:
        if program.instruction is INSTR_INIT:
            position.qubit, position.in_use = qubitapi.zero_qubit(), True
        elif program.instruction is INSTR_MEASURE:
            program.output["last"] = [qubitapi.measure(position.qubit)]
        elif program.instruction.matrix is None:
            raise NotImplementedError(f"the stand-in has no instruction {program.instruction.name}")
        else:
            qubitapi.channel(position.qubit, program.instruction.matrix(program.angle))
            qubitapi.depolarize(position.qubit, self.config.single_qubit_gate_depolar_prob)

    def _decohere(self, position: MemoryPosition) -> None:
        idle, position.idle_since = TIMELINE.now - position.idle_since, TIMELINE.now
        t1, t2 = self.config.T1, self.config.T2
        if position.qubit is None or idle <= 0:
            return
        if t1 > 0:
            if ns.get_qstate_formalism() is not ns.QFormalism.DM:
                raise NotImplementedError("the stand-in has T1 in density matrices only")
            qubitapi.amplitude_dampen(position.qubit, 1 - exp(-idle / t1))
        if t2 > 0:
            # Amplitude damping alone leaves exp(-t/2T1) of the coherence; the rest up to exp(-t/T2) is dephasing.
            kept = exp(-idle / t2) * (exp(idle / (2 * t1)) if t1 > 0 else 1.0)
            qubitapi.dephase(position.qubit, (1 - kept) / 2)
