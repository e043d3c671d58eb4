"""What a link says of a pair beside the pair: attempts until it was there, and the state it was heralded in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import NetsquidConfig, NetsquidLinkConfig
from ...pairs import ColumnSpec, X
from .closed_form import cycle_time
from .programs import Party

ATTEMPTS = ColumnSpec(
    "attempts",
    "u4",
    description="attempts of the link until it delivered the pair; 0 where its times do not tell",
)
BELL_STATE = ColumnSpec(
    "bell_state",
    "u1",
    description="Bell state that the link reported, before Bob's correction to phi+",
    flags={0: "phi+", 1: "psi+", 2: "psi-", 3: "phi-"},
)

# How far from a whole number of attempts a time may be.
_SLACK = 1e-3


def declared(config: NetsquidConfig, hold: int) -> tuple[ColumnSpec, ...]:
    """The columns of a configuration's pairs.

    Attempts are told by the times of pairs that are shared one at a time; a link that always succeeds has none to
    count.  Heralded links, whose pairs are shared one at a time, deliver several states.
    """
    if not isinstance(config.link, NetsquidLinkConfig):
        return ATTEMPTS, BELL_STATE
    can_fail = config.link.prob_success < 1
    is_told = can_fail and hold == 1
    return (ATTEMPTS,) if is_told else ()


def reported(
    config: NetsquidConfig,
    columns: tuple[ColumnSpec, ...],
    alice: Party,
    bob: Party,
) -> dict[str, NDArray[Any]]:
    """The values of ``columns`` for all pairs of both parties."""
    found: dict[str, NDArray[Any]] = {}
    if ATTEMPTS in columns:
        found["attempts"] = _attempts(config, alice, bob)
    if BELL_STATE in columns:
        found["bell_state"] = np.array(bob.states, np.uint8)
    return found


def _attempts(config: NetsquidConfig, alice: Party, bob: Party) -> NDArray[np.uint32]:
    """From when both sides were ready until both had the pair, in units of an attempt's duration."""
    ready = np.maximum(alice.starts, bob.starts)
    cycle = cycle_time(config.link)
    of_alice = (_arrival(config, alice) - ready) / cycle
    of_bob = (_arrival(config, bob) - ready) / cycle
    whole = np.rint(of_alice)
    is_whole = np.abs(of_alice - whole) < _SLACK
    is_whole &= np.abs(of_bob - whole) < _SLACK
    is_told = is_whole & (whole >= 1) & (whole < 1 << 32)
    attempts = np.where(is_told, whole, 0)
    return attempts.astype(np.uint32)


def _arrival(config: NetsquidConfig, party: Party) -> NDArray[np.float64]:
    """When a side had each pair: before it measured, and before the H gate where that was in X."""
    device = config.device
    in_x = party.bases == X
    gate = np.where(in_x, device.single_qubit_gate_time_ns, 0.0)
    measured = np.array(party.times)
    arrival: NDArray[np.float64] = measured - gate - device.measure_time_ns
    return arrival
