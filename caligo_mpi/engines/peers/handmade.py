"""Engines ``plain``, ``loop``, ``threads``, ``processes``: the experiment as users program it by hand.

All know the two error rates from the closed forms and draw from them: ``plain`` with numpy on whole
arrays, ``loop`` in Python, one pair after another, and the other two that loop in a pool.
"""

from __future__ import annotations

import collections
import itertools
import os
import random
from collections.abc import Iterator
from concurrent import futures
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...pairs import Tick
from .circuits import Bits, BlockEngine, block_seed, draw_bases

if TYPE_CHECKING:
    from ...config.peers import HandmadeConfig


class Law(NamedTuple):
    """Probabilities of X for Alice and Bob, and of unequal bits where both chose Z, or both X."""

    alice_x: float
    bob_x: float
    error_z: float
    error_x: float


class _Handmade(BlockEngine):
    usual_batch = 1 << 12

    def __init__(self, config: HandmadeConfig, thresholds: dict[str, object] | None = None) -> None:
        super().__init__(config, thresholds)
        self.block = config.batch or self.usual_batch
        rates = self.expected
        self.law = Law(*self._bias, rates.qber_z, rates.qber_x)


class PlainEngine(_Handmade):
    """Numpy, one byte per value and a float compared per decision."""

    usual_batch = 1 << 16

    def blocks(
        self,
        count: int,
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> Iterator[Bits]:
        """Batches in turn; a generator for each column, so that the last batch may be short."""
        seeds = [block_seed(seed, column) for column in range(5)]
        generators = [np.random.default_rng(one) for one in seeds]
        for start in range(0, count, self.block):
            if tick:
                tick()
            size = min(self.block, count - start)
            yield self._batch(generators, size)

    def _batch(self, generators: list[np.random.Generator], size: int) -> Bits:
        law = self.law
        of_alice, of_bob, bits, errors, others = generators
        alice_basis = draw_bases(of_alice, size, law.alice_x)
        bob_basis = draw_bases(of_bob, size, law.bob_x)
        alice = bits.integers(0, 2, size, dtype=np.uint8)
        rate = np.where(alice_basis, law.error_x, law.error_z)
        flips = errors.random(size) < rate
        flipped = alice ^ flips
        unrelated = others.integers(0, 2, size, dtype=np.uint8)
        bob = np.where(alice_basis == bob_basis, flipped, unrelated)
        columns = [alice_basis, alice, bob_basis, bob]
        return np.stack(columns)


def pair_by_pair(law: Law, count: int, seed: int) -> list[tuple[int, int, int, int]]:
    """The loop: each pair's Alice's basis and bit, Bob's basis and bit."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(count):
        alice_basis = int(rng.random() < law.alice_x)
        bob_basis = int(rng.random() < law.bob_x)
        alice = rng.getrandbits(1)
        if alice_basis == bob_basis:
            error = law.error_x if alice_basis else law.error_z
            bob = alice ^ (rng.random() < error)
        else:
            bob = rng.getrandbits(1)
        pair = alice_basis, alice, bob_basis, bob
        pairs.append(pair)
    return pairs


def _as_rows(pairs: list[tuple[int, int, int, int]]) -> Bits:
    return np.array(pairs, np.uint8).T


class LoopEngine(_Handmade):
    """The loop alone; it looks up every 4096 pairs."""

    def rows(self, rng: np.random.Generator) -> Bits:
        """So many pairs."""
        seed = int(rng.integers(1 << 62))
        pairs = pair_by_pair(self.law, self.block, seed)
        return _as_rows(pairs)


class ThreadsEngine(_Handmade):
    """The loop in as many threads as there are cores, a task for each batch."""

    def __init__(self, config: HandmadeConfig, thresholds: dict[str, object] | None = None) -> None:
        super().__init__(config, thresholds)
        self._workers = len(os.sched_getaffinity(0))
        self._pool = self._make_pool()

    def _make_pool(self) -> futures.Executor:
        return futures.ThreadPoolExecutor(self._workers)

    def blocks(
        self,
        count: int,
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> Iterator[Bits]:
        """Batches in turn; a few per worker are under way."""
        rng = np.random.default_rng(block_seed(seed, 0))
        batches = -(-count // self.block)
        seeds = (int(rng.integers(1 << 62)) for _ in range(batches))
        submit = self._pool.submit
        tasks = (submit(pair_by_pair, self.law, self.block, one) for one in seeds)
        first = itertools.islice(tasks, 4 * self._workers)
        waiting = collections.deque(first)
        while waiting:
            if tick:
                tick()
            task = waiting.popleft()
            yield _as_rows(task.result())
            waiting.extend(itertools.islice(tasks, 1))


class ProcessesEngine(ThreadsEngine):
    """The loop in as many processes as there are cores, a task for each batch."""

    def _make_pool(self) -> futures.Executor:
        # A fork of a process that runs MPI, or threads, may hang.
        return futures.ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
