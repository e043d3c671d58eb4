"""Requests for pairs on a link whose attempts take time: bits, attempts and waits, block by block.

The order in which words are taken is that of docs/stream.md, *Links whose attempts take time*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clicks import draw_distances
from .outcomes import fall, toss, toss_by_basis
from .tables import Raw, Words

#: Rows of a full block, unless requests are large.
_FULL = 1 << 15
_FIRST = 1 << 6  # requests of the first block


class Sources(NamedTuple):
    """The chunk's generators: for outcomes, for attempts, and for what memories lose."""

    outcomes: Raw
    attempts: Raw
    losses: Raw


@dataclass(slots=True)
class Block:
    """Rows of whole requests: packed planes, and arrays with one value per row or request.

    ``waited`` counts the cycles that a pair was held while later ones were made; ``cycles`` and
    ``gates`` count what each request took.
    """

    rows: int
    hold: int
    a_basis: Words
    b_basis: Words
    a_bit: Words
    b_bit: Words
    bell: Words | None
    attempts: NDArray[np.uint64]
    waited: NDArray[np.uint64]
    cycles: NDArray[np.uint64]
    gates: NDArray[np.uint64]


def blocks(hold: int) -> Iterator[int]:
    """How many requests each block has, by a schedule that does not know the chunk's size."""
    requests = _FIRST
    whole = _FULL // (_FIRST * hold)
    most = max(_FIRST, whole * _FIRST)
    while True:
        yield min(requests, most)
        requests = min(8 * requests, most)


def draw_requests(law: Mapping[str, int], requests: int, sources: Sources) -> Block:
    """The next ``requests`` requests, a multiple of 64."""
    hold = law["hold"]
    rows = requests * hold
    words = rows // 64
    raw = sources.outcomes
    a_basis = toss(law["alice_x"], words, raw)
    b_basis = toss(law["bob_x"], words, raw)
    a_bit, b_bit = _delivered(law, a_basis, b_basis, raw)
    bell = raw(words) if law["two_outcomes"] else None
    distances = draw_distances(law["success"], rows, sources.attempts)
    attempts = distances.astype(np.uint64)
    waited, cycles = _waits(attempts.reshape(requests, hold))
    block = Block(
        rows=rows,
        hold=hold,
        a_basis=a_basis,
        b_basis=b_basis,
        a_bit=a_bit,
        b_bit=b_bit,
        bell=bell,
        attempts=attempts,
        waited=waited.reshape(-1),
        cycles=cycles,
        gates=np.zeros(requests, np.uint64),
    )
    _idle(law, block, sources)
    _read_out(law, block, raw)
    return block


def _waits(attempts: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The attempts that each pair waits for, those of later ones, and all attempts of a request."""
    waited = np.zeros_like(attempts)
    last = attempts.shape[1] - 1
    for place in range(last, 0, -1):
        np.add(waited[:, place], attempts[:, place], out=waited[:, place - 1])
    all_cycles = waited[:, 0] + attempts[:, 0]
    return waited, all_cycles


def _delivered(
    law: Mapping[str, int],
    a_basis: Words,
    b_basis: Words,
    raw: Raw,
) -> tuple[Words, Words]:
    """Both sides' bits of fresh pairs, after Bob's correction."""
    words = len(a_basis)
    a_bit = raw(words)
    unrelated = raw(words)
    b_bit = a_basis ^ b_basis
    b_bit &= unrelated
    b_bit ^= a_bit
    b_bit ^= toss_by_basis(
        law["flip_z"],
        law["flip_x"],
        a_basis,
        raw,
    )
    dark = law["dark"]
    if dark:
        # Both bits are 0 (1 if negative) in Z, and Bob's is then inverted; in X they are random.
        separable = toss(abs(dark), words, raw)
        _set(a_bit, separable & ~a_basis, ones=dark < 0)
        _set(b_bit, separable & ~b_basis, ones=dark > 0)
        in_x = separable & b_basis
        b_bit &= ~in_x
        b_bit |= unrelated & in_x
    return a_bit, b_bit


def _set(plane: Words, where: Words, *, ones: bool) -> None:
    """Set bits to 1 or to 0, in place."""
    if ones:
        plane |= where
    else:
        plane &= ~where


# --- memories -------------------------------------------------------------------------------


def _idle(law: Mapping[str, int], block: Block, sources: Sources) -> None:
    """What the pairs' memories lose before they are read, in place."""
    before_a: NDArray[np.uint64] | None = None
    before_b: NDArray[np.uint64] | None = None
    if law["gate_ps"]:
        before_a, gates_a = _gates(block.a_basis, block.hold)
        before_b, gates_b = _gates(block.b_basis, block.hold)
        block.gates = np.maximum(gates_a, gates_b)
    incoherent = _lost(
        law,
        block,
        ("x_cycle", "x_measure"),
        (("x_gate_alice", before_a), ("x_gate_bob", before_b)),
        sources.losses,
    )
    if incoherent is not None:
        noise = sources.outcomes(len(incoherent))
        block.b_bit ^= incoherent & noise & block.b_basis
    turned = bool(law["two_outcomes"])
    for side, before in (("alice", before_a), ("bob", before_b)):
        relaxed = _relaxed(law, block, side, before, sources.losses)
        if relaxed is not None:
            _relax(
                law,
                block,
                side,
                relaxed,
                turned=turned and side == "bob",
                raw=sources.outcomes,
            )


def _relaxed(
    law: Mapping[str, int],
    block: Block,
    side: str,
    gates_before: NDArray[np.uint64] | None,
    raw: Raw,
) -> Words | None:
    """A plane of the pairs whose half relaxed on one side; None if none can."""
    lost = _lost(
        law,
        block,
        (f"{side}_z_cycle", f"{side}_z_measure"),
        ((f"{side}_z_gate", gates_before),),
        raw,
    )
    stored = law[f"{side}_z_storage"]
    if not stored:
        return lost
    from_storage = toss(stored, len(block.a_basis), raw)
    return from_storage if lost is None else lost | from_storage


def _gates(basis: Words, hold: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """For each pair the gates of those read before it, and for each request all gates."""
    unpacked = np.unpackbits(basis.view(np.uint8), bitorder="little")
    in_x = unpacked.reshape(-1, hold)
    up_to: NDArray[np.uint64] = in_x.cumsum(axis=1, dtype=np.uint64)
    before = up_to - in_x.astype(np.uint64)
    return before.reshape(-1), up_to[:, -1]


def _lost(
    law: Mapping[str, int],
    block: Block,
    common: tuple[str, str],
    gates: tuple[tuple[str, NDArray[np.uint64] | None], ...],
    raw: Raw,
) -> Words | None:
    """A plane of the pairs that lost something while they were held; None if none can.

    A loss comes after a geometric number of units of waiting, so it has come where that
    number is at most the number of units waited.
    """
    if block.hold == 1:
        return None
    position = None
    if law[common[1]]:
        position = np.tile(
            np.arange(block.hold, dtype=np.uint64),
            block.rows // block.hold,
        )
    units = [(common[0], block.waited), (common[1], position), *gates]
    found: NDArray[np.bool_] | None = None
    for name, waited in units:
        if not law[name] or waited is None:
            continue
        until_lost = draw_distances(law[name], block.rows, raw)
        happened = until_lost <= waited
        found = happened if found is None else found | happened
    if found is None:
        return None
    packed = np.packbits(found, bitorder="little")
    return packed.view(np.uint64)


def _relax(
    law: Mapping[str, int],
    block: Block,
    side: str,
    lost: Words,
    *,
    turned: bool,
    raw: Raw,
) -> None:
    """Bits measured in Z that relaxed: they fall to 0, or are random in the twirl.

    Where Bob's bit is ``turned`` by the correction, a fallen one is recorded as 1.
    """
    if side == "alice":
        basis, bit = block.a_basis, block.a_bit
    else:
        basis, bit = block.b_basis, block.b_bit
    in_z = lost & ~basis
    if law["ground"]:
        _set(bit, in_z, ones=turned)
    else:
        bit ^= in_z & raw(len(bit))


def _read_out(law: Mapping[str, int], block: Block, raw: Raw) -> None:
    """Symmetric flips, then one-sided ones, of both sides' bits, in place."""
    for name, bit, basis in (
        ("alice", block.a_bit, block.a_basis),
        ("bob", block.b_bit, block.b_basis),
    ):
        flip = law[f"{name}_flip"]
        if flip:
            bit ^= toss(flip, len(bit), raw)
        one_way = law[f"{name}_fall"]
        fall(bit, basis, (one_way, one_way), raw)
