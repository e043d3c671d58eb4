"""Engine ``qsim``: Google's qsim behind Cirq's circuits, a quantum trajectory per pair."""

from __future__ import annotations

from typing import Any

import qsimcirq

from .cirq import CirqEngine


class QsimEngine(CirqEngine):
    """Trajectories (Monte Carlo wave functions) of two qubits: qsim is made for many more."""

    block = 1 << 12

    def simulator(self, seed: int) -> Any:
        """A simulator with this seed, on one core."""
        options = qsimcirq.QSimOptions(cpu_threads=1)
        return qsimcirq.QSimSimulator(qsim_options=options, seed=seed)
