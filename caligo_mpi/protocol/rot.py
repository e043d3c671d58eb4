"""Random oblivious transfer on one block of pairs: what both know beforehand, and the order of the messages."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from ..config.protocol import RotConfig
from ..pairs import Pairs, Tick, bits
from .commit import SESSION_BYTES
from .draw import ALICE, BOB, FIRST_LONG_CODES, LONG_CODES, SESSION, random_bytes, stream
from .estimate import likely_at_most
from .ldpc import OneWay, choose_code, choose_first_long_code, choose_long_code, expect
from .sift import sides
from .terms import Terms
from .transcript import Transcript, last_pair_ns
from .transfer import CODE_CONFIDENCE, Alice, Bob, CodeFor
from .types import IDEAL, Abort, Block, BlockResult, Frame, Premises, QberEstimate
from .verify import SEED_BITS, tag_bits_for


def make_block(
    pairs: Pairs,
    config: RotConfig,
    *,
    block: Block,
    blocks: int = 1,
    premises: Premises = IDEAL,
    tick: Tick = lambda: None,
) -> BlockResult:
    """One random oblivious transfer with the code that ``config.failure_target`` asks for; it is the only block."""
    code_for = partial(
        code_of,
        target=config.failure_target,
        version=premises.stream_version,
    )
    return transfer(
        pairs,
        config,
        block=block,
        premises=premises,
        code_for=code_for,
    )


def code_of(
    size: int,
    test: QberEstimate,
    *,
    target: float,
    version: int,
) -> OneWay:
    """A code of the package for sets of ``size`` bits that fail no more often than ``target``."""
    long = choose_long_code(size, expect(test), target=target) if version >= LONG_CODES else None
    if long is not None:
        return long
    first = FIRST_LONG_CODES <= version < LONG_CODES
    choose = choose_first_long_code if first else choose_code
    return choose(size, likely_at_most(test, CODE_CONFIDENCE), target=target)


def transfer(
    pairs: Pairs,
    config: RotConfig,
    *,
    block: Block,
    premises: Premises,
    code_for: CodeFor,
) -> BlockResult:
    """One random oblivious transfer from the ``block``'s ``pairs``."""
    result = BlockResult(block)
    talk = Transcript(last_pair_ns(pairs))
    terms = agree_terms(pairs, config, block=block, premises=premises)
    if terms.left <= 1:
        numbers = {"valid": terms.valid, "test": terms.test}
        return _close(result, talk, abort=Abort("sift", "too few pairs", numbers))
    of_alice, of_bob = sides(pairs)
    hers, his = (
        stream(config.seed, block.index, party, premises.stream_version) for party in (ALICE, BOB)
    )
    alice = Alice(of_alice, terms, source=hers)
    bob = Bob(
        of_bob,
        terms,
        source=his,
        choice=config.choice,
    )
    abort = converse(alice, bob, talk, code_for)
    result = replace(
        result,
        estimate=alice.estimate,
        disclosed=alice.disclosed,
        choice=bob.choice,
    )
    if abort is None:
        result = _with_strings(result, alice, bob)
    return _close(result, talk, abort=abort)


def _with_strings(result: BlockResult, alice: Alice, bob: Bob) -> BlockResult:
    """The result with what both ended with."""
    if alice.strings is None or bob.output is None:
        return result
    frame = Frame(alice.syndrome_bits, bob.corrected, bob.decoded)
    strings = [bits.pack(string) for string in alice.strings]
    return replace(
        result,
        sifted=alice.set_size,
        reconciled_bits=alice.set_size,
        corrected=bob.corrected,
        per_frame=(frame,),
        tag_bits=2 * alice.terms.tag_bits,
        key_bits=bob.output.size,
        alice=np.stack(strings),
        bob=bits.pack(bob.output),
        decoded=bob.decoded,
    )


def agree_terms(
    pairs: Pairs,
    config: RotConfig,
    *,
    block: Block,
    premises: Premises,
) -> Terms:
    """What is known to both before the first message."""
    version = premises.stream_version
    public = stream(config.seed, block.index, SESSION, version)
    session = random_bytes(public, SESSION_BYTES)
    return Terms(
        session=session.tobytes(),
        rounds=pairs.alice_clicks or pairs.count,
        valid=pairs.count,
        test=math.ceil(config.test_fraction * pairs.count),
        detection=premises.detection,
        epsilon=config.epsilon,
        qber_limit=config.qber_limit,
        tag_bits=tag_bits_for(config.epsilon, version),
        storage_r=config.storage_r,
        storage_rate=config.storage_rate,
        last_pair_ns=last_pair_ns(pairs),
        wait_ns=config.wait_ns,
    )


def converse(
    alice: Alice,
    bob: Bob,
    talk: Transcript,
    code_for: CodeFor,
) -> Abort | None:
    """Carry the messages from the one to the other, in the order the protocol asks for."""
    terms = alice.terms
    talk.send("bob", "rounds detected", bits=terms.rounds)
    if (abort := alice.check_losses()) is not None:
        return abort
    root = bob.commit()
    talk.send("bob", "commitment", bits=8 * len(root))
    test = alice.choose_test(root)
    talk.send("alice", "rows to open", bits=terms.valid)
    opening = bob.open(test)
    if isinstance(opening, Abort):
        return opening
    talk.send("bob", "opening", bits=opening.bits)
    if (abort := alice.check_opening(opening)) is not None:
        return abort
    talk.wait(terms.wait_ns)
    bases = alice.reveal_bases(talk.clock_ns)
    if isinstance(bases, Abort):
        return bases
    talk.send("alice", "bases", bits=len(bases))
    sets = bob.sort_rows(bases)
    if isinstance(sets, Abort):
        return sets
    talk.send("bob", "index sets", bits=2 * terms.left)
    last = alice.make_strings(sets, code_for)
    if isinstance(last, Abort):
        return last
    told = sum(len(syndrome) for syndrome in last.syndromes)
    talk.send("alice", "syndromes of both sets", bits=told, leak_bits=told)
    tag_bits = 2 * terms.tag_bits
    talk.send("alice", "tags of both sets", bits=2 * SEED_BITS + tag_bits, leak_bits=tag_bits)
    seeds = sum(len(seed) for seed in last.toeplitz)
    talk.send("alice", "Toeplitz seeds of both sets", bits=seeds)
    return bob.receive(last, code_for)


def _close(result: BlockResult, talk: Transcript, *, abort: Abort | None = None) -> BlockResult:
    return replace(
        result,
        leak_bits=talk.leak_bits,
        messages=tuple(talk.messages),
        abort=abort,
    )
