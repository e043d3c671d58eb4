"""Key distribution (BBM92) on one block of pairs.

Every function takes one party's data and what the other announced; where it takes both
parties', it does the same for each in turn.  They meet only in `reconcile`, whose codes keep
them apart by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..config.protocol import Bbm92Config
from ..errors import ConfigError
from ..pairs import Pairs, Tick, bits
from ..pairs.bits import U8
from . import cascade, ldpc
from .amplify import amplify, seed_bits
from .disclosure import Disclosed, disclose
from .draw import ALICE, FIRST_LONG_CODES, LONG_CODES, STREAM_VERSION, random_bits, stream
from .estimate import likely_at_most, no_code
from .key_length import finite_key_length
from .sift import sides, sift
from .transcript import Transcript, last_pair_ns
from .types import (
    IDEAL,
    Abort,
    Announced,
    Block,
    BlockResult,
    Frame,
    Premises,
    Reconciled,
    Sifted,
)
from .verify import SEED_BITS, draw_tag_key, tag_bits_for, tags

_VARIANTS = {"cascade": "original", "cascade-low-leak": "low-leak"}
_CODE_CONFIDENCE = 0.9  # that the error rate is within what a one-way code is made for
#: Share of the frames such a code may fail on: a safer one tells more than these hold.
_FRAMES_LOST = 0.01


@dataclass(frozen=True, slots=True)
class Share:
    """One block's share of the run's failure probabilities, and of its `Premises` what lengths depend on."""

    epsilon_sec: float
    epsilon_cor: float
    quality: float = 1.0
    stream_version: int = STREAM_VERSION
    announced: Announced | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """Bob's corrected frames, which have the same tag as Alice's, all tags' bits, what the code told of each frame."""

    bob: U8
    same: NDArray[np.bool_]
    tag_bits: int
    leaks: list[int]

    def rows(self, alice: U8) -> U8:
        """The frames that both hold alike, end to end: one row per party."""
        own = alice[self.same]
        his = self.bob[self.same]
        return np.stack([own.ravel(), his.ravel()])

    def frames(self, before: U8) -> tuple[Frame, ...]:
        """Each frame's report; ``before`` are Bob's frames as they were."""
        corrected = np.count_nonzero(before != self.bob, axis=1)
        agreed = self.same.tolist()
        frames = map(Frame, self.leaks, corrected.tolist(), agreed)
        return tuple(frames)


def make_block(
    pairs: Pairs,
    config: Bbm92Config,
    *,
    block: Block,
    blocks: int,
    premises: Premises = IDEAL,
    tick: Tick = lambda: None,
) -> BlockResult:
    """Make a key of the ``block``'s ``pairs``; it is one of ``blocks``, which share the ε's evenly."""
    share = _share(config, blocks, premises)
    source = stream(config.seed, block.index, ALICE, premises.stream_version)
    talk = Transcript(last_pair_ns(pairs))
    alice, bob = announce_bases(pairs, talk)
    tick()
    result = BlockResult(block, sifted=alice.count, announced=premises.announced)
    tested = disclose(alice, bob, config, source=source, talk=talk, premises=premises)
    if isinstance(tested, Abort):
        return _close(result, talk, abort=tested)
    result = _with_test(result, tested)
    if (abort := too_noisy(tested, config, share)) is not None:
        return _close(result, talk, abort=abort)
    tick()
    agreed = agree(tested, config, share, source=source, talk=talk, tick=tick)
    if isinstance(agreed, Abort):
        return _close(result, talk, abort=agreed)
    result = _with_correction(result, tested, agreed)
    length = _length(tested, share, leak_bits=talk.leak_bits)
    if not length or not agreed.same.any():
        return _close(result, talk, abort=_nothing_left(tested, talk))
    rows = agreed.rows(tested.alice)
    alice_key, bob_key = hash_rows(rows, length, source=source, talk=talk, tick=tick)
    result = replace(result, key_bits=length, alice=alice_key, bob=bob_key)
    return _close(result, talk)


def announce_test(
    pairs: Pairs,
    config: Bbm92Config,
    *,
    block: Block,
    premises: Premises = IDEAL,
) -> BlockResult:
    """The block as far as its test, the same as in `make_block`: ``estimate`` is what reconciliation goes by."""
    source = stream(config.seed, block.index, ALICE, premises.stream_version)
    talk = Transcript(last_pair_ns(pairs))
    alice, bob = announce_bases(pairs, talk)
    tested = disclose(alice, bob, config, source=source, talk=talk, premises=premises)
    if isinstance(tested, Abort):
        return BlockResult(block, abort=tested)
    return BlockResult(block, estimate=tested.bit)


def hash_rows(
    rows: U8,
    length: int,
    *,
    source: np.random.PCG64,
    talk: Transcript,
    tick: Tick = lambda: None,
) -> tuple[U8, U8]:
    """Both parties' keys, packed, of the rows that they hold; Alice draws the matrix."""
    count = rows.shape[1]
    seed = random_bits(source, seed_bits(count, length))
    talk.send("alice", "Toeplitz seed", bits=len(seed))
    tick()
    # The matrix is public: each party multiplies its own row, here in one go.
    alice, bob = amplify(rows, seed, length)
    return bits.pack(alice), bits.pack(bob)


def _share(config: Bbm92Config, blocks: int, premises: Premises) -> Share:
    """What one of so many blocks may spend of the ε's."""
    return Share(
        config.epsilon_sec / blocks,
        config.epsilon_cor / blocks,
        premises.quality,
        premises.stream_version,
        premises.announced,
    )


def _with_test(result: BlockResult, tested: Disclosed) -> BlockResult:
    return replace(
        result,
        estimate=tested.phase,
        disclosed=tested.by_basis,
        reconciled_bits=tested.alice.size,
        frames=len(tested.alice),
    )


def _with_correction(result: BlockResult, tested: Disclosed, agreed: Agreed) -> BlockResult:
    equal = tested.alice == agreed.bob
    return replace(
        result,
        corrected=int(np.count_nonzero(tested.bob != agreed.bob)),
        per_frame=agreed.frames(tested.bob),
        failed_frames=int(np.count_nonzero(~agreed.same)),
        tag_bits=agreed.tag_bits,
        decoded=bool(equal[agreed.same].all()),
    )


def _nothing_left(tested: Disclosed, talk: Transcript) -> Abort:
    numbers = {
        "qber": tested.phase.qber,
        "reconciled_bits": tested.alice.size,
        "leak_bits": talk.leak_bits,
    }
    return Abort("amplify", "no secret bits are left", numbers)


def announce_bases(pairs: Pairs, talk: Transcript) -> tuple[Sifted, Sifted]:
    """Both tell their bases; each keeps the rows where the other's equals its own."""
    alice, bob = sides(pairs)
    talk.send("bob", "bases", bits=bob.count)
    talk.send("alice", "bases", bits=alice.count)
    return sift(alice, bob.basis), sift(bob, alice.basis)


def too_noisy(tested: Disclosed, config: Bbm92Config, share: Share) -> Abort | None:
    """An abort where the error rate is over the limit, or not even a leakless code would leave a bit."""
    numbers = {
        "qber": tested.phase.qber,
        "sample_qber": tested.bit.qber,
        "qber_limit": config.qber_limit,
    }
    if max(tested.phase.qber, tested.bit.qber) > config.qber_limit:
        return Abort("estimate", "the error rate is over the limit", numbers)
    if not _length(tested, share, leak_bits=0):
        numbers["key_bits"] = tested.alice.size
        numbers["test_bits"] = tested.phase.tested
        return Abort(
            "estimate",
            "too few pairs for the error rate and the failure probabilities",
            numbers,
        )
    return None


def agree(
    tested: Disclosed,
    config: Bbm92Config,
    share: Share,
    *,
    source: np.random.PCG64,
    talk: Transcript,
    tick: Tick = lambda: None,
) -> Agreed | Abort:
    """Reconcile frame by frame, then compare tags.

    A frame whose tags differ is discarded, and counts as leaked from end to end: what is left
    is then as secret as the whole would be after telling that frame (chain rule).
    """
    try:
        long = share.stream_version >= FIRST_LONG_CODES
        corrected = reconcile_long(tested, config.reconciliation, share) if long else None
        if corrected is None:
            corrected = reconcile(tested, config.reconciliation, source=source, tick=tick)
    except ConfigError as error:  # no code for this error rate
        return no_code(str(error), tested.bit, _CODE_CONFIDENCE)
    report(corrected, config.reconciliation, talk)
    leaks = [frame.leak_bits for frame in corrected]
    received = np.stack([frame.bits for frame in corrected])
    frames, frame_bits = received.shape
    epsilon = share.epsilon_cor / frames
    key = draw_tag_key(source, tag_bits_for(epsilon, share.stream_version))
    told = tags(tested.alice, key)
    own = tags(received, key)
    same = np.array([one == other for one, other in zip(told, own, strict=True)])
    tag_bits = frames * key.tag_bits
    talk.send("alice", "tags", bits=SEED_BITS + tag_bits, leak_bits=tag_bits)
    untold = 0
    for frame in np.flatnonzero(~same):
        rest = frame_bits - leaks[frame] - key.tag_bits
        untold += max(0, rest)
    talk.send("bob", "frames whose tags agree", bits=frames, leak_bits=frames + untold)
    return Agreed(received, same, tag_bits, leaks)


def reconcile(
    tested: Disclosed,
    method: str,
    *,
    source: np.random.PCG64,
    tick: Tick = lambda: None,
) -> list[Reconciled]:
    """Correct Bob's frames; `ConfigError` where no code fits the error rate."""
    if method in _VARIANTS:
        least = 1 / tested.bit.tested
        return cascade.reconcile(
            tested.alice,
            tested.bob,
            qber=max(tested.bit.qber, least),
            seed=int(source.random_raw()),
            variant=_VARIANTS[method],
            tick=tick,
        )
    qber = likely_at_most(tested.bit, _CODE_CONFIDENCE)
    if method == "ldpc":
        return ldpc.reconcile(
            tested.alice,
            tested.bob,
            qber=qber,
            target=_FRAMES_LOST,
        )
    return ldpc.reconcile_blind(
        tested.alice,
        tested.bob,
        qber=qber,
        source=source,
        target=_FRAMES_LOST,
    )


def reconcile_long(tested: Disclosed, method: str, share: Share) -> list[Reconciled] | None:
    """Correct Bob's frames by long codes; ``None`` where none is fit."""
    expected = ldpc.expect(tested.bit, share.announced)
    correct = ldpc.reconcile_long if method == "ldpc" else ldpc.reconcile_nested
    as_first = share.stream_version < LONG_CODES
    return correct(tested.alice, tested.bob, expected=expected, as_first=as_first)


def report(corrected: list[Reconciled], method: str, talk: Transcript) -> None:
    """Put the messages of `reconcile` on the transcript: Bob's, to which Alice's are the answers."""
    leak = sum(frame.leak_bits for frame in corrected)
    messages = sum(frame.messages for frame in corrected)
    # 1 + 2k of them where Alice speaks first.
    asked = sum(frame.messages // 2 for frame in corrected)
    if asked:
        talk.send(
            "bob",
            f"{method} questions",
            bits=leak if method in _VARIANTS else asked,
            count=asked,
        )
    talk.send(
        "alice",
        f"{method} answers",
        bits=leak,
        leak_bits=leak,
        count=messages - asked,
    )


def _length(tested: Disclosed, share: Share, *, leak_bits: int) -> int:
    return finite_key_length(
        key_bits=tested.alice.size,
        test_bits=tested.phase.tested,
        qber=tested.phase.qber,
        leak_bits=leak_bits,
        epsilon_sec=share.epsilon_sec,
        epsilon_cor=share.epsilon_cor,
        quality=share.quality,
    )


def _close(result: BlockResult, talk: Transcript, *, abort: Abort | None = None) -> BlockResult:
    return replace(
        result,
        leak_bits=talk.leak_bits,
        messages=tuple(talk.messages),
        abort=abort,
    )
