# ruff: noqa: D102  (the names of tests say it)
"""The contract that every engine, ours or a plug-in, must pass, as pytest tests.

::

    from caligo_mpi.testing import EngineTests

    class TestMyEngine(EngineTests):
        def engine(self):
            return MyEngine(MyConfig(fidelity=0.95))

One class per configuration worth testing; ``count`` and ``seed`` can be overridden.
"""

from __future__ import annotations

import json
import math
from typing import ClassVar

import numpy as np

from .engines import Engine, declared_columns, keeps_prefixes
from .pairs import Chunk, Pairs, bits, tally
from .pairs.checks import breach_of_declared, breach_of_packed

#: Probability, per rate tested, that a correct engine fails.
FALSE_ALARM = 1e-6


def plausible(hits: int, trials: int, probability: float) -> bool:
    """Whether ``hits`` among ``trials`` may be chance, for events of this ``probability``.

    They may where Chernoff's bound of both tails is above `FALSE_ALARM`.  This holds at any size,
    and demands exactness where the probability is 0 or 1.  A deviation of 5.4 standard deviations
    fails.

    >>> plausible(0, 100, 0.0), plausible(1, 100, 0.0), plausible(500, 1000, 0.5), plausible(600, 1000, 0.5)
    (True, False, True, False)
    """
    if not trials:
        return hits == 0
    surprise = trials * _divergence(hits / trials, probability)
    return surprise <= math.log(2 / FALSE_ALARM)


def _divergence(seen: float, true: float) -> float:
    """Kullback–Leibler divergence of two binary laws, in nats."""
    total = 0.0
    for p, q in ((seen, true), (1 - seen, 1 - true)):
        if p > 0:
            total += p * math.log(p / q) if q > 0 else math.inf
    return total


class EngineTests:
    """Subclass as ``Test…`` and define `engine`; every test builds its own, as every rank does."""

    #: Emissions per sample; enough of them that the rates mean something.
    count: ClassVar[int] = 20_000
    #: Seed of the run whose chunks are sampled.
    seed: ClassVar[int] = 2024

    def engine(self) -> Engine:
        """A new engine of the configuration under test."""
        raise NotImplementedError(f"{type(self).__name__} has to define engine()")

    def sample(self, count: int | None = None, chunk: int = 0) -> Pairs:
        """Pairs of one chunk from a new engine."""
        count = self.count if count is None else count
        seed = Chunk(chunk, 0, count).seed_sequence(self.seed)
        return self.engine().sample(count, seed)

    def test_describes_itself(self) -> None:
        engine = self.engine()
        assert engine.name
        assert isinstance(engine.name, str)
        assert isinstance(engine.stream_version, int)
        in_json = json.loads(json.dumps(engine.thresholds))
        assert in_json == engine.thresholds, "thresholds must be JSON values"

    def test_same_seed_gives_the_same_pairs(self) -> None:
        first = self.sample()
        second = self.sample()
        assert first.count == second.count
        assert first.checksum() == second.checksum(), "the same seed gave other pairs"
        assert first.alice_clicks == second.alice_clicks
        assert first.bob_clicks == second.bob_clicks
        assert first.duration_ns == second.duration_ns

    def test_one_engine_can_sample_again(self) -> None:
        engine = self.engine()
        checksums = []
        for chunk in (0, 1, 0):
            seed = Chunk(chunk, 0, self.count).seed_sequence(self.seed)
            pairs = engine.sample(self.count, seed)
            checksums.append(pairs.checksum())
        first, _, again = checksums
        assert first == again, "what was sampled before changed the pairs"

    def test_other_chunks_have_other_pairs(self) -> None:
        first = self.sample(chunk=0).checksum()
        second = self.sample(chunk=1).checksum()
        assert first != second, "two chunks are alike"

    def test_shorter_sample_is_a_prefix(self) -> None:
        if not keeps_prefixes(self.engine()):
            return  # declared by ``prefix = False``: then pairs cannot be raised later
        whole = self.sample()
        for count in (1, 7, 64, self.count // 3, self.count - 1):
            part = self.sample(count)
            rows = part.count
            if whole.index is None or part.index is None:
                assert rows == count
            else:
                below = np.searchsorted(whole.index, count)
                assert rows == below, f"{count=}: another number of rows"
                assert np.array_equal(part.index, whole.index[:rows]), f"{count=}: other positions"
            if whole.time is not None and part.time is not None:
                assert np.array_equal(part.time, whole.time[:rows]), f"{count=}: other times"
            for name, values in part.extra.items():
                beginning = whole.extra[name][:rows]
                same = values.tobytes() == beginning.tobytes()
                assert same, f"{count=}: other values of {name}"
            for column, longer in zip(part.columns, whole.columns, strict=True):
                beginning = bits.extract(longer, 0, rows)
                assert np.array_equal(column, beginning), f"{count=}: other bits"

    def test_columns_are_packed(self) -> None:
        for count in (1, 13, 4099, self.count):
            pairs = self.sample(count)
            assert 0 <= pairs.count <= count
            assert pairs.columns.dtype == np.uint8
            assert pairs.columns.shape == (4, bits.nbytes(pairs.count))
            breach = breach_of_packed(pairs)
            assert not breach, f"{count=}: {breach}"

    def test_rows_carry_what_was_announced(self) -> None:
        engine = self.engine()
        pairs = self.sample()
        assert (pairs.index is not None) == engine.has_index
        assert (pairs.time is not None) == engine.has_time
        breach = breach_of_packed(pairs)
        assert not breach, breach
        if pairs.index is None:
            assert pairs.count == self.count, "pairs are lost without an index"
        else:
            assert pairs.index.dtype == np.uint64
            assert bool((pairs.index < self.count).all()), "the index leaves the chunk"
        if pairs.time is not None:
            assert pairs.time.dtype == np.float64
            assert bool((np.diff(pairs.time) >= 0).all()), "time runs backwards"
        assert math.isfinite(pairs.duration_ns)
        assert pairs.duration_ns >= 0

    def test_declared_columns_are_as_declared(self) -> None:
        engine = self.engine()
        declared = declared_columns(engine)
        for count in (1, 13, self.count):
            pairs = self.sample(count)
            breach = breach_of_declared(pairs, declared)
            assert not breach, f"{count=}: {breach}"

    def test_clicks_contain_the_rows(self) -> None:
        pairs = self.sample()
        assert pairs.count <= pairs.alice_clicks <= self.count
        assert pairs.count <= pairs.bob_clicks <= self.count

    def test_rates_are_as_expected(self) -> None:
        expected = self.engine().expected
        pairs = self.sample()
        counts = tally(pairs.columns, pairs.count)
        rates = {
            "coincidence": (pairs.count, self.count, expected.coincidence),
            "alice_click": (pairs.alice_clicks, self.count, expected.alice_click),
            "bob_click": (pairs.bob_clicks, self.count, expected.bob_click),
            "sifted_z": (counts.sifted_z, pairs.count, expected.sifted_z),
            "sifted_x": (counts.sifted_x, pairs.count, expected.sifted_x),
            "qber_z": (counts.errors_z, counts.sifted_z, expected.qber_z),
            "qber_x": (counts.errors_x, counts.sifted_x, expected.qber_x),
        }
        for name, (hits, trials, probability) in rates.items():
            if math.isnan(probability):
                continue  # some simulated links have no closed form
            good = plausible(hits, trials, probability)
            assert good, f"{name}: {hits}/{trials} is not {probability}"

    def test_times_are_as_expected(self) -> None:
        expected = self.engine().expected
        if math.isnan(expected.request_ns):
            return  # no times, or none with a closed form
        requests = -(-self.count // expected.hold)
        mean = requests * expected.request_ns
        spread = math.sqrt(requests * expected.request_variance_ns2)
        off = abs(self.sample().duration_ns - mean)
        # 4.9 standard deviations: the false alarm of a normal law.
        assert off <= 4.9 * spread + 1e-9 * mean, f"{off} ns off the mean of {mean} ns"

    def test_tick_is_called_and_can_stop_the_sample(self) -> None:
        class Stop(Exception):
            pass

        def stop() -> None:
            raise Stop

        engine = self.engine()
        seed = Chunk(0, 0, self.count).seed_sequence(self.seed)
        try:
            engine.sample(self.count, seed, tick=stop)
        except Stop:
            return
        raise AssertionError("tick was not called, or its exception was lost")
