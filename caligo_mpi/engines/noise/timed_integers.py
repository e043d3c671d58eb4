"""Links whose attempts take time: the integers that decide their bits and times."""

from __future__ import annotations

from math import ldexp

from .. import link
from .timed import Timed, picoseconds


def timed_thresholds(law: Timed) -> dict[str, object]:
    """Everything that decides a bit or a time, as integers: names as in docs/stream.md."""
    integers: dict[str, object] = {}
    for name, probability in _probabilities(law).items():
        integers[name] = round(ldexp(probability, 64))
    measuring = law.hold * picoseconds(law.measure)
    storing = picoseconds(law.storage)
    integers |= {
        "hold": law.hold,
        "cycle_ps": picoseconds(law.cycle),
        "read_ps": measuring + storing,
        "gate_ps": picoseconds(law.gate),
        "two_outcomes": int(law.state.two_outcomes),
        "ground": int(law.ground),
    }
    if law.max_cycles is not None:
        integers["max_cycles"] = law.max_cycles
    return integers


def _probabilities(law: Timed) -> dict[str, float]:
    """Everything that decides a bit."""
    state = law.state
    alice = law.alice
    bob = law.bob
    kept_x = law.gate_kept * alice.kept_in_x(alice.storage)
    correlation_x = state.x * kept_x * bob.kept_in_x(bob.storage)
    return {
        "success": state.success,
        "alice_x": alice.in_x,
        "bob_x": bob.in_x,
        "flip_z": link.qber(state.z),
        "flip_x": link.qber(correlation_x),
        "dark": state.dark,
        **_losses(law),
        "alice_flip": link.qber(alice.read.symmetric),
        "alice_fall": alice.read.shift,
        "bob_flip": link.qber(bob.read.symmetric),
        "bob_fall": bob.read.shift,
    }


def _losses(law: Timed) -> dict[str, float]:
    """Probabilities that memories lose a pair's coherence, or a side's bit, in a unit of waiting.

    Of units there are cycles, measurements, and gates of either side.
    """
    alice = law.alice
    bob = law.bob
    losses = {
        "x_cycle": link.lost(law.cycle, alice.T2, bob.T2),
        "x_measure": link.lost(law.measure, alice.T2, bob.T2),
        "x_gate_alice": link.lost(law.gate, alice.T2),
        "x_gate_bob": link.lost(law.gate, bob.T2),
    }
    for name, side in (("alice", alice), ("bob", bob)):
        losses[f"{name}_z_storage"] = link.lost(side.storage, side.T1)
        losses[f"{name}_z_cycle"] = link.lost(law.cycle, side.T1)
        losses[f"{name}_z_measure"] = link.lost(law.measure, side.T1)
        losses[f"{name}_z_gate"] = link.lost(law.gate, side.T1)
    return losses
