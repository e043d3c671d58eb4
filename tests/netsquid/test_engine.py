# ruff: noqa: NPY002 (the legacy generators are what third-party code uses)
"""What a chunk is: reproducible, a prefix of longer ones, timed, and leaves the process as it was."""

import gc
import logging
import random
import subprocess
import sys

import numpy as np
import pytest
from two_engines import require_same

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.pairs import bits, tally

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)


LINK = {"fidelity": 0.8, "cycle_time_ns": 1000}


def engine(**fields):
    return NetsquidEngine(
        NetsquidConfig.model_validate({"name": "netsquid", "link": LINK, **fields})
    )


def seed(chunk=0):
    return np.random.SeedSequence(11, spawn_key=(chunk,))


LOSSY = {"link": {"fidelity": 0.8, "prob_success": 0.3, "cycle_time_ns": 500}}
ALL_STREAMS = {
    **LOSSY,
    "alice": {"basis_bias": 0.3, "p_read1_given0": 0.1, "p_read0_given1": 0.2},
    "bob": {"readout_flip": 0.1},
    "device": {"T2_ns": 10_000, "gate_depolarizing": 0.1},
    "hold": 3,
}


def test_results_on_the_stand_in_are_called_so():
    import netsquid

    assert engine().name == ("netsquid (stand-in)" if hasattr(netsquid, "STAND_IN") else "netsquid")


def test_a_chunk_is_the_same_after_another_one():
    first, other, again = (engine(**ALL_STREAMS).sample(150, seed(chunk)) for chunk in (0, 1, 0))
    assert first.checksum() == again.checksum() != other.checksum()


def test_sampling_twice_with_one_seed_object_gives_the_same_chunk():
    same = seed()
    assert engine().sample(50, same).checksum() == engine().sample(50, same).checksum()


def test_another_process_gives_the_same_bits():
    script = (
        "import numpy as np\n"
        "from caligo_mpi.config import NetsquidConfig\n"
        "from caligo_mpi.engines.netsquid import NetsquidEngine\n"
        f"config = NetsquidConfig.model_validate({{'name': 'netsquid', **{ALL_STREAMS!r}}})\n"
        "seed = np.random.SeedSequence(11, spawn_key=(0,))\n"
        "print(NetsquidEngine(config).sample(150, seed).checksum())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(other.stdout) == engine(**ALL_STREAMS).sample(150, seed()).checksum()


@pytest.mark.parametrize("short", [0, 1, 9, 10, 99, 101, 230])
@pytest.mark.parametrize(
    "fields", [LOSSY, ALL_STREAMS], ids=["ten held", "all streams, three held"]
)
def test_a_shorter_chunk_is_a_prefix(fields, short):
    long, part = engine(**fields).sample(240, seed()), engine(**fields).sample(short, seed())
    assert part.count == part.alice_clicks == part.bob_clicks == short
    for whole, column in zip(long.columns, part.columns, strict=True):
        np.testing.assert_array_equal(bits.extract(whole, 0, short), column)
    np.testing.assert_array_equal(long.time[:short], part.time)
    assert part.duration_ns == (long.time[short - 1] if short else 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        LOSSY,
        ALL_STREAMS,
        {"link": {"fidelity": 0.8, "prob_success": 0.2, "cycle_time_ns": 500}, "hold": 1},
        {
            "link": {"fidelity": 0.9, "cycle_time_ns": 1000}, "hold": 4,
            "device": {"measure_time_ns": 70, "single_qubit_gate_time_ns": 13, "init_time_ns": 5},
        },
        {"link": {"type": "perfect", "length_km": 0.1}, "alice": {"basis_bias": 1.0}},
        {"link": {"fidelity": 0.9, "length_km": 0.1}, "device": {"T1_ns": 1e6, "T2_ns": 5e5}},
    ],
)  # fmt: skip
def test_the_noise_engine_has_the_same_law_where_the_name_alone_differs(fields):
    """16 outcomes, times and attempts, false alarm 1e-6 each."""
    section = {"link": LINK, **fields}
    require_same(engine(**section).sample(800, seed()), section)


def test_python_and_numpy_keep_their_own_random_states():
    random.seed(1)
    np.random.seed(1)
    wanted = random.random(), np.random.random_sample()
    random.seed(1)
    np.random.seed(1)
    engine().sample(10, seed())
    assert (random.random(), np.random.random_sample()) == wanted


def test_global_generators_start_from_the_chunk_s_seed():
    """Third-party code draws from them, so what they give during a chunk must not depend on the process."""
    drawn = []

    def draw():
        drawn.append((random.random(), np.random.random_sample()))

    engine().sample(20, seed(), tick=draw)
    random.seed(99)
    np.random.seed(99)
    engine().sample(20, seed(), tick=draw)
    engine().sample(20, seed(1), tick=draw)
    assert drawn[0:2] == drawn[2:4]
    assert drawn[0] != drawn[4]


def test_tick_is_called_after_every_request():
    calls = []
    engine(hold=4).sample(230, seed(), tick=lambda: calls.append(None))
    assert len(calls) == 58


def test_a_tick_that_raises_ends_the_chunk_and_the_next_one_is_right():
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    with pytest.raises(Stop):
        engine(**ALL_STREAMS).sample(50, seed(), tick=stop)
    before = engine(**ALL_STREAMS).sample(50, seed())
    assert before.checksum() == engine(**ALL_STREAMS).sample(50, seed()).checksum()


def test_one_pair_takes_whole_cycles_and_on_average_one_over_prob_success():
    pairs = engine(
        link={"fidelity": 0.8, "prob_success": 0.2, "cycle_time_ns": 500}, hold=1
    ).sample(2000, seed())
    cycles = np.diff(pairs.time, prepend=0.0) / 500
    assert set(cycles % 1) == {0.0}
    assert cycles.min() == 1
    # Geometric law: mean 5, variance 20.  False alarm 1e-6.
    assert abs(cycles.mean() - 5) < 4.9 * np.sqrt(20 / 2000)
    assert abs((cycles == 1).mean() - 0.2) < 4.9 * np.sqrt(0.16 / 2000)


def test_a_request_takes_its_cycles_measurements_and_gates():
    fields = {
        "link": {"fidelity": 0.9, "cycle_time_ns": 1000},
        "device": {"measure_time_ns": 70, "single_qubit_gate_time_ns": 13, "init_time_ns": 5},
        "hold": 4,
    }
    pairs = engine(**fields).sample(400, seed())
    gates = [
        bits.unpack(c, 400).reshape(-1, 4).sum(1) for c in (pairs.alice_basis, pairs.bob_basis)
    ]
    # A request starts when both sides are done with the one before.
    ends = np.cumsum(4 * (1000 + 70) + 13 * np.maximum(*gates))
    np.testing.assert_allclose(pairs.time, np.repeat(ends, 4), rtol=0, atol=1e-6)
    assert pairs.duration_ns == pairs.time[-1]


@pytest.mark.parametrize(
    ("link", "step"),
    [
        ({"type": "perfect", "cycle_time_ns": 250}, 250),
        ({"fidelity": 0.9, "length_km": 0.1}, 500),
        ({"type": "perfect", "length_km": 0.1}, 500),
        ({"type": "perfect"}, 1000),
    ],
)
def test_the_cycle_is_a_time_or_light_through_a_fiber(link, step):
    assert engine(link=link, hold=1).sample(3, seed()).time.tolist() == pytest.approx(
        [step, 2 * step, 3 * step]
    )


def test_unequal_bases_are_uncorrelated_and_equal_ones_agree():
    pairs = engine(link={"type": "perfect"}).sample(2000, seed())
    a_basis, a, b_basis, b = (bits.unpack(column, 2000) for column in pairs.columns)
    equal = a_basis == b_basis
    assert (a == b)[equal].all()
    unequal = (a == b)[~equal]
    assert abs(unequal.mean() - 0.5) < 4.9 * np.sqrt(0.25 / len(unequal))
    assert abs(a.mean() - 0.5) < 4.9 * np.sqrt(0.25 / 2000)


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_a_bias_of_0_or_1_is_one_basis(bias):
    side = {"basis_bias": bias}
    counts = tally(engine(alice=side, bob=side).sample(100, seed()).columns, 100)
    assert (counts.sifted_x if bias else counts.sifted_z) == 100


def test_heralded_pairs_count_as_the_target_state():
    """An ideal station delivers Ψ⁺ or Ψ⁻; unequal photons dephase them: errors (1−V)/2 in X, none in Z."""
    link = {
        "type": "heralded-double-click",
        "length_km": 1.0,
        "attenuation_db_per_km": 0.0,
        "visibility": 0.8,
    }
    counts = tally(engine(link=link).sample(2000, seed()).columns, 2000)
    assert counts.errors_z == 0
    assert abs(counts.errors_x / counts.sifted_x - 0.1) < 4.9 * np.sqrt(0.09 / counts.sifted_x)


def test_the_simulator_says_nothing(capfd):
    engine().sample(20, seed())
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("Stack").level == logging.WARNING


def test_nothing_is_kept_of_the_chunks_done():
    """Twenty more chunks leave fewer objects behind than there are chunks."""

    def objects_after(chunks):
        for chunk in chunks:
            engine().sample(20, seed(chunk))
        gc.collect()
        return len(gc.get_objects())

    few = objects_after(range(5))
    assert objects_after(range(5, 25)) - few < 20
