"""The test of BBM92: some of the sifted bits are told, the others cut into frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config.protocol import Bbm92Config
from ..pairs import Tally, bits
from ..pairs.bits import U8
from . import ldpc
from .draw import (
    FIRST_LONG_CODES,
    FIRST_POOLED_TESTS,
    LONG_CODES,
    POOLED_TESTS,
    STREAM_VERSION,
    random_subset,
)
from .estimate import estimate
from .key_length import hoeffding_margin
from .sift import select
from .transcript import Transcript
from .types import IDEAL, Abort, Premises, QberEstimate, Sifted

_FRAME_BITS = Bbm92Config.model_fields["frame_bits"].default
_WORDS = {
    FIRST_LONG_CODES: ldpc.WORD_BITS,
    FIRST_POOLED_TESTS: ldpc.LONGER_WORD_BITS,
    LONG_CODES: ldpc.WORD_BITS,
    POOLED_TESTS: ldpc.LONGER_WORD_BITS,
}


@dataclass(frozen=True, slots=True, eq=False)
class Disclosed:
    """After the test: what it showed, and the frames (frames, n) each party is left with.

    ``phase`` bounds what an eavesdropper can know, ``bit`` tells reconciliation what to expect; ``by_basis`` are both.
    """

    phase: QberEstimate
    bit: QberEstimate
    by_basis: Tally
    alice: U8
    bob: U8


def disclose(
    alice: Sifted,
    bob: Sifted,
    config: Bbm92Config,
    *,
    source: np.random.PCG64,
    talk: Transcript,
    premises: Premises = IDEAL,
) -> Disclosed | Abort:
    """Tell the test bits, count their errors, cut the rest into frames."""
    at_random = config.test == "random"
    if at_random:
        abort = uneven_bases(alice, config.epsilon_sec, premises.even)
        if abort is not None:
            return abort
    key_basis = _key_basis(alice, config)
    (of_alice, of_bob), count = select((alice.bits, bob.bits), key_basis)
    frames, frame_bits = frame_shape(count, config, premises.stream_version)
    if not frame_bits or (not at_random and count == alice.count):
        return Abort("sift", "too few pairs", {"sifted": alice.count, "in_key_basis": count})
    left = frames * frame_bits
    sample = random_subset(source, count, count - left)
    talk.send("alice", "sample positions", bits=count)
    bit = phase = _tell(of_alice, of_bob, sample, talk)
    if at_random:
        told = _by_basis(alice, bob, sample)
    else:
        other_basis = _complement(key_basis, alice.count)
        phase = _tell(alice.bits, bob.bits, other_basis, talk)
        in_z, in_x = (bit, phase) if config.test == "X" else (phase, bit)
        told = Tally(in_z.tested, in_z.errors, in_x.tested, in_x.errors)
    (of_alice, of_bob), _ = select((of_alice, of_bob), _complement(sample, count))
    return Disclosed(
        phase,
        bit,
        told,
        bits.unpack(of_alice, left).reshape(frames, frame_bits),
        bits.unpack(of_bob, left).reshape(frames, frame_bits),
    )


def uneven_bases(sifted: Sifted, epsilon: float, even: bool = True) -> Abort | None:
    """An abort unless Z and X are equally likely, and as frequent as that makes them but with probability 2ε.

    Only then do a random subset's errors in the measured bases stand for the others' in the opposite ones.  That they
    are equally likely cannot be seen from frequencies, so a small bias that is known of is an abort, too.
    """
    count = sifted.count
    in_x = bits.count_ones(sifted.basis)
    numbers = {"sifted": count, "in_x": in_x}
    if not count:
        return Abort("sift", "too few pairs", numbers)
    bias = abs(in_x / count - 0.5)
    if even and bias <= hoeffding_margin(count, epsilon):
        return None
    return Abort(
        "sift",
        "bases were not chosen evenly, which test='random' takes for granted: use test='Z' or test='X'",
        numbers,
    )


def frame_shape(
    count: int,
    config: Bbm92Config,
    version: int = STREAM_VERSION,
) -> tuple[int, int]:
    """How many frames of how many bits to make of ``count`` bits, the rest to be disclosed.

    In a ``version`` of the streams that has long codes a frame is one word, unless the configuration asks for another
    length.
    """
    left = int((1 - config.test_fraction) * count)
    asked = config.frame_bits
    if asked == _FRAME_BITS:
        asked = _WORDS.get(version, asked)
    frames = max(1, round(left / asked))
    return frames, left // frames


def _key_basis(sifted: Sifted, config: Bbm92Config) -> U8:
    """Packed mask of the sifted rows a key is made of."""
    if config.test == "Z":
        return sifted.basis
    if config.test == "X":
        return _complement(sifted.basis, sifted.count)
    none = np.zeros_like(sifted.basis)
    return _complement(none, sifted.count)


def _tell(
    alice: U8,
    bob: U8,
    mask: U8,
    talk: Transcript,
) -> QberEstimate:
    """Both tell their bits under ``mask``; each estimates the same."""
    (of_alice, of_bob), count = select((alice, bob), mask)
    talk.send("alice", "test bits", bits=count)
    talk.send("bob", "test bits", bits=count)
    return estimate(of_bob, of_alice, count)


def _by_basis(alice: Sifted, bob: Sifted, mask: U8) -> Tally:
    """The sifted rows under ``mask``, and the errors among them, by basis."""
    in_x = alice.basis & mask
    wrong = (alice.bits ^ bob.bits) & mask
    count_x = bits.count_ones(in_x)
    errors_x = bits.count_ones(wrong & in_x)
    return Tally(
        bits.count_ones(mask) - count_x,
        bits.count_ones(wrong) - errors_x,
        count_x,
        errors_x,
    )


def _complement(mask: U8, count: int) -> U8:
    out = ~mask
    bits.clear_padding(out, count)
    return out
