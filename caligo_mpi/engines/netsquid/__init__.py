"""The NetSquid engine: Alice and Bob as SquidASM programs, one isolated simulation per chunk.

NetSquid needs a license and cannot be a dependency of this package; `probe` says what is missing.
Loss stretches time and never drops a round: a link asks until it succeeds.  Device decoherence acts
on idle qubits alone, so it changes nothing unless several pairs are held at once (``hold``).
"""

from .engine import NetsquidEngine, default_hold
from .environment import probe

__all__ = ["NetsquidEngine", "default_hold", "probe"]
