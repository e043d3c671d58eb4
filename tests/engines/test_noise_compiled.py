"""The compiled kernel makes the bits of the numpy kernel, whatever the law and the length; and when it is used."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from helpers import environment, one_sentence

from caligo_mpi import parse_config
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.noise import kernel, outcomes
from caligo_mpi.engines.noise.outcomes import Law
from caligo_mpi.engines.noise.tables import ONE, raw_words
from caligo_mpi.pairs import Chunk, Pairs, tally
from caligo_mpi.runs.chunks import record_chunk, run_chunk

pytest.importorskip("numba", reason="numba is not installed")

from caligo_mpi.engines.noise import compiled

HALF = ONE >> 1
WERNER = Law(HALF, HALF, ONE // 50, ONE // 50, 0, 0, 0, 0)
# About the borders of words and blocks, which end at 64, 512, 4096 and multiples of 8192 words.
LENGTHS = [
    *(0, 1, 7, 8, 63, 64, 65, 4095, 4096, 4097, 32_767, 32_768, 32_769),
    *(262_143, 262_145, 524_288, 524_289, 1_048_576, 1_048_583),
]


def nothing() -> None:
    pass


def both(law: Law, count: int, number: int = 0) -> list[tuple[bytes, object]]:
    """Columns and counts by numpy, and compiled."""
    seed = np.random.SeedSequence(99, spawn_key=(number,))
    plain = outcomes.sample_records(law, count, raw_words(seed), nothing)
    columns, counts = kernel.sample_compiled(compiled, law, count, seed, nothing)
    assert columns.flags.c_contiguous
    assert columns.shape == plain.shape
    return [(plain.tobytes(), tally(plain, count)), (columns.tobytes(), counts)]


@pytest.mark.parametrize("count", LENGTHS)
def test_every_length_has_the_same_bits(count):
    plain, fast = both(WERNER, count)
    assert plain == fast


def random_law(draw: random.Random) -> Law:
    """Certain, even, equal and rare probabilities, falls in both directions or none."""

    def probability() -> int:
        return draw.choice([0, ONE, HALF, ONE // 50, draw.randrange(ONE), draw.randrange(1, 1000)])

    def change() -> int:
        return draw.choice([0, 0, -1, 1]) * draw.choice([ONE // 100, draw.randrange(ONE), HALF])

    flip, fall = probability(), change()
    flips = draw.choice([(flip, flip), (flip, probability())])
    falls = [draw.choice([(fall, fall), (change(), change()), (0, 0)]) for _ in range(2)]
    return Law(probability(), probability(), *flips, *falls[0], *falls[1])


@pytest.mark.parametrize("number", range(60))
def test_every_law_has_the_same_bits(number):
    draw = random.Random(number)
    law, count = random_law(draw), draw.choice([1000, 40_000, 70_001])
    plain, fast = both(law, count, number)
    assert plain == fast, law


def test_a_shorter_draw_is_a_prefix():
    seed = np.random.SeedSequence(5)
    law = random_law(random.Random(3))
    long, _ = kernel.sample_compiled(compiled, law, 600_000, seed, nothing)
    short, _ = kernel.sample_compiled(compiled, law, 530_000, seed, nothing)
    assert (short == long[:, : 530_000 // 8]).all()


def test_a_tick_is_called_after_each_block_and_may_end_the_draw():
    ticks: list[int] = []
    seed = np.random.SeedSequence(5)
    kernel.sample_compiled(compiled, WERNER, 2 * 524_288, seed, lambda: ticks.append(1))
    assert len(ticks) == len(list(outcomes.blocks(2 * 524_288)))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernel.sample_compiled(compiled, WERNER, 1 << 30, seed, stop)


DEVICES = {"link": {"fidelity": 0.95}, "alice": {"basis_bias": 0.3, "p_read1_given0": 0.01}}


@pytest.mark.parametrize("count", [8192, 6 * 8192, 524_288, 532_480, 1 << 21])
def test_a_chunk_without_its_pairs_has_the_same_record(monkeypatch, count):
    monkeypatch.setenv("CALIGO_COMPILE", "on")
    config = parse_config({"pairs": count, "seed": 3, "engine": {"name": "noise", **DEVICES}})
    chunk, engine = Chunk(5, 0, count), make_engine(config.engine)
    assert engine.sum_up(count, chunk.seed_sequence(3)) is not None
    kept, alone = (run(engine, chunk, 3) for run in (run_chunk, record_chunk))
    assert alone.pairs is None
    assert int(kept.record["checksum"][0]) == kept.pairs.checksum()
    for name in kept.record.dtype.names:
        assert name == "seconds" or kept.record[name] == alone.record[name], name


@pytest.mark.parametrize("count", [1, 8, 8191, 8193, 1_048_583])
def test_columns_of_other_lengths_are_kept_to_be_summed(monkeypatch, count):
    monkeypatch.setenv("CALIGO_COMPILE", "on")
    config = parse_config({"pairs": count, "seed": 3, "engine": {"name": "noise", **DEVICES}})
    chunk, engine = Chunk(0, 0, count), make_engine(config.engine)
    assert engine.sum_up(count, chunk.seed_sequence(3)) is None
    kept, alone = (run(engine, chunk, 3) for run in (run_chunk, record_chunk))
    assert kept.record["checksum"] == alone.record["checksum"]


@pytest.mark.parametrize("number", range(12))
def test_every_law_is_summed_up(number):
    law = random_law(random.Random(number))
    seed = np.random.SeedSequence(7, spawn_key=(number,))
    blocks, count = compiled.Blocks(law, seed, 5 * 8192), 5 * 8192
    planes = np.empty((4, outcomes.FULL), np.uint64)
    found = tally(np.empty((4, 0), np.uint8), 0)
    for first, words in outcomes.blocks(count):
        found += blocks.draw(planes[:, :words], first)
    columns, counts = kernel.sample_compiled(compiled, law, count, seed, nothing)
    assert (found, blocks.checksum()) == (counts, Pairs(columns, count).checksum())


class Kept:
    """A sink that keeps what it is shown."""

    def __init__(self, words: int) -> None:
        self.planes = np.zeros((4, words), np.uint64)

    def lend(self, words: int) -> np.ndarray:
        return np.empty((4, words), np.uint64)

    def take(self, block: np.ndarray, first: int) -> None:
        self.planes[:, first : first + block.shape[1]] = block


@pytest.mark.parametrize("count", [8192, 5 * 8192, 1 << 20, (1 << 20) + 3 * 8192])
def test_a_sink_gets_the_columns_and_no_word_more(monkeypatch, count):
    monkeypatch.setenv("CALIGO_COMPILE", "on")
    law, seed = random_law(random.Random(count)), np.random.SeedSequence(9)
    sink = Kept(count // 64)
    summed = kernel.sum_up(law, count, seed, nothing, sink)
    columns, counts = kernel.sample_compiled(compiled, law, count, seed, nothing)
    assert summed.tally == counts
    assert (sink.planes.view(np.uint8) == columns).all()


# ── when it is used ──────────────────────────────────────────────────────────────────────────────

LOSSY = {
    "engine": {
        "name": "noise",
        "link": {"pauli": [0.01, 0.02, 0.03]},
        "alice": {"basis_bias": 0.3, "p_read1_given0": 0.01, "p_read0_given1": 0.04},
        "bob": {"p_read1_given0": 0.05, "gate_depolarizing": 0.1},
        "loss": {"alice": {"detector_efficiency": 0.4, "dark_count_probability": 1e-3}},
    }
}


@pytest.mark.parametrize("changes", [{}, LOSSY], ids=["plain", "lossy"])
def test_runs_have_the_same_digest(caligo, write_config, changes):
    digests = set()
    for choice in ("on", "off", "auto"):
        config = write_config(f"{choice}.yaml", output=f"{choice}.h5", **changes)
        variables = environment(CALIGO_COMPILE=choice)
        done = caligo("generate", config, "--json", env=variables)
        assert done.returncode == 0, done.stderr
        digests.add(json.loads(done.stdout)["data_digest"])
        checked = caligo("verify", f"{choice}.h5", "--resample", 2, env=variables)
        assert checked.returncode == 0, checked.stderr
    assert len(digests) == 1


def loaded(code: str, **variables: str) -> str:
    """What a process prints that runs this."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(**variables), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SMALL_RUN = """
import sys, caligo_mpi
link = {"name": "noise", "link": {"fidelity": 0.95}}
caligo_mpi.generate_pairs(caligo_mpi.parse_config({"pairs": 100_000, "seed": 1, "engine": link}))
print("numba" in sys.modules)
"""


def test_numba_is_not_even_imported_for_a_small_run():
    assert loaded(SMALL_RUN) == "False"
    assert loaded(SMALL_RUN, CALIGO_COMPILE="on") == "True"
    assert loaded(SMALL_RUN, CALIGO_COMPILE="off") == "False"


def test_kept_code_is_loaded_beside_a_long_run():
    """As the work grows, the loader goes from numpy to the code that the import above has kept."""
    loader = kernel.Loader()
    loader.spend(0.5)
    assert loader.compiled() is None
    assert loader._thread is None
    loader.spend(0.6)
    assert loader._thread is not None
    loader._thread.join(60)
    assert loader.compiled() is compiled
    assert not loader.problem


def test_nothing_is_loaded_where_the_environment_says_off():
    code = (
        "from caligo_mpi.engines.noise.kernel import Loader\n"
        "loader = Loader()\nloader.spend(99)\nprint(loader._thread)"
    )
    assert loaded(code, CALIGO_COMPILE="off") == "None"


def test_a_broken_numba_is_named_and_done_without(caligo, write_config, tmp_path):
    broken = tmp_path / "broken"
    (broken / "numba").mkdir(parents=True)
    (broken / "numba/__init__.py").write_text("raise RuntimeError('built for another numpy')\n")
    path = os.pathsep.join([str(broken), environment()["PYTHONPATH"]])
    variables = environment(PYTHONPATH=path)
    listed = caligo("engines", env=variables)
    assert listed.returncode == 0
    said = " ".join(listed.stdout.split())
    assert "numba cannot be used (RuntimeError: built for another numpy)" in said
    assert caligo("generate", write_config(), env=variables).returncode == 0
    asked = {**variables, "CALIGO_COMPILE": "on"}
    one_sentence(
        caligo("generate", write_config("b.yaml", output="b.h5"), env=asked),
        "CALIGO_COMPILE=on in the environment, but numba cannot be used",
    )


@pytest.mark.parametrize("verb", ["generate", "engines"])
def test_a_choice_that_is_none_is_refused(caligo, write_config, tmp_path, verb):
    variables = environment(CALIGO_COMPILE="yes")
    arguments = [verb] if verb == "engines" else [verb, write_config()]
    one_sentence(caligo(*arguments, env=variables), "CALIGO_COMPILE=yes", "auto, on or off")
    assert not (tmp_path / "run.h5.part").exists()
