"""Without NetSquid: what is said about it, and what the engine knows before it runs."""

import math
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.netsquid import NetsquidEngine, default_hold, environment, probe
from caligo_mpi.engines.netsquid.engine import measured_bases, recorded
from caligo_mpi.errors import EnvironmentProblem

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests" / "netsquid_standin"

USABLE = {
    "netsquid": "1.1.8", "pydynaa": "1.0.2", "netsquid-magic": "16.0.1", "netsquid-netbuilder": "0.1.2",
    "squidasm": "0.13.6", "netqasm": "2.0", "numpy": "1.26.4",
}  # fmt: skip


LINK = {"fidelity": 0.9, "cycle_time_ns": 1000}


def config(**fields):
    return NetsquidConfig.model_validate({"name": "netsquid", "link": LINK, **fields})


def engine(**fields):
    return NetsquidEngine(config(**fields))


def installed(directory, **versions):
    """A directory that looks to importlib.metadata like one where these packages are installed."""
    for name, version in versions.items():
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return directory


def probe_in(path, package=ROOT):
    """What `probe` says in a process that finds modules and packages in ``path`` first."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [package, *path]))}
    command = [
        sys.executable,
        "-c",
        "from caligo_mpi.engines.netsquid import probe; print(probe())",
    ]
    return subprocess.run(
        command, env=env, cwd=package, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def no_netsquid():
    if environment.is_stand_in() or not probe():
        pytest.skip("NetSquid, or its stand-in, is here")


@pytest.mark.usefixtures("no_netsquid")
def test_sampling_without_netsquid_says_what_is_missing_and_how_to_get_it():
    with pytest.raises(EnvironmentProblem) as problem:
        engine().sample(10, np.random.SeedSequence(1))
    said = str(problem.value)
    assert said.startswith(
        "engine 'netsquid' needs netsquid>=1.1.8 (not installed), pydynaa>=0.3 (not installed), "
    )
    assert "squidasm>=0.13.6 (not installed), netqasm<=2.0 (not installed)" in said
    assert "(1) register at https://forum.netsquid.org/" in said
    assert (
        "(2) in an environment of its own with Python 3.10 or 3.11: pip install -r requirements-netsquid.txt"
        in said
    )


@pytest.mark.usefixtures("no_netsquid")
def test_nothing_is_missing_where_all_is_installed(tmp_path):
    assert probe_in([installed(tmp_path, **USABLE)]) == "None\n"


@pytest.mark.usefixtures("no_netsquid")
@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        (
            "netsquid",
            "0.0.1",
            "netsquid>=1.1.8 (found 0.0.1, an empty placeholder from the public index)",
        ),
        (
            "pydynaa",
            "0.0.1",
            "pydynaa>=0.3 (found 0.0.1, an empty placeholder from the public index)",
        ),
        ("netsquid", "1.1.7", "netsquid>=1.1.8 (found 1.1.7)"),
        ("netsquid-magic", "15.9", "netsquid-magic>=16.0 (found 15.9)"),
        ("squidasm", "0.13.5", "squidasm>=0.13.6 (found 0.13.5)"),
        ("netqasm", "2.3", "netqasm<=2.0 (found 2.3)"),
        ("netqasm", "2.0.1", "netqasm<=2.0 (found 2.0.1)"),
        ("numpy", "2.0.0", "numpy<2 (found 2.0.0)"),
    ],
)
def test_one_wrong_version_is_named_alone(tmp_path, name, version, said):
    path = installed(tmp_path, **{**USABLE, name: version})
    assert probe_in([path]).startswith(f"engine 'netsquid' needs {said}; to get it: ")


@pytest.mark.usefixtures("no_netsquid")
@pytest.mark.parametrize(
    ("name", "version"), [("netqasm", "2.0.0"), ("squidasm", "0.14.0"), ("netsquid", "1.2.0a1")]
)
def test_equal_and_later_versions_will_do(tmp_path, name, version):
    assert probe_in([installed(tmp_path, **{**USABLE, name: version})]) == "None\n"


def open_wheels(directory):
    return installed(directory, **{name: USABLE[name] for name in ("squidasm", "netqasm", "numpy")})


@pytest.mark.usefixtures("no_netsquid")
def test_the_stand_in_runs_from_its_checkout(tmp_path):
    assert probe_in([open_wheels(tmp_path), STAND_IN]) == "None\n"


@pytest.mark.usefixtures("no_netsquid")
def test_an_installed_package_refuses_the_stand_in(tmp_path):
    site = open_wheels(tmp_path / "site-packages")
    shutil.copytree(
        ROOT / "caligo_mpi", site / "caligo_mpi", ignore=shutil.ignore_patterns("__pycache__")
    )
    refusal = "engine 'netsquid' needs netsquid (found: a stand-in outside its source checkout); "
    assert probe_in([STAND_IN], package=site).startswith(refusal)
    shutil.copytree(
        STAND_IN, site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    assert probe_in([], package=site).startswith(refusal)


def test_the_engine_can_be_described_without_netsquid():
    described = engine(alice={"basis_bias": 0.25}, bob={"basis_bias": 0.5})
    assert described.expected.qber_z == pytest.approx(0.0666666667)
    assert described.expected.qber_x == pytest.approx(0.0666666667)
    assert (described.expected.sifted_z, described.expected.sifted_x) == (0.375, 0.125)
    assert (described.has_time, described.has_index, described.stream_version) == (True, False, 2)
    assert described.thresholds == {}


@pytest.mark.parametrize(
    ("fields", "hold"),
    [
        ({}, 10),
        ({"link": {"type": "perfect"}}, 10),
        ({"device": {"measure_time_ns": 100.0, "gate_depolarizing": 0.1}}, 10),
        ({"device": {"T2_ns": 1e6}}, 1),
        ({"device": {"T1_ns": 1e6, "T2_ns": 1e5}}, 1),
        ({"link": {"type": "heralded-double-click", "length_km": 1.0}}, 1),
    ],
)
def test_pairs_are_held_together_where_that_costs_nothing(fields, hold):
    assert default_hold(config(**fields)) == hold


@pytest.mark.parametrize(
    ("fields", "z", "x"),
    [
        ({"link": {"fidelity": 0.835, "cycle_time_ns": 1000}}, 0.11, 0.11),
        ({"link": {"prob_max_mixed": 0.3, "cycle_time_ns": 1000}}, 0.15, 0.15),
        ({"link": {"type": "perfect"}, "device": {"gate_depolarizing": 0.1}}, 0.0, 0.095),
        ({"link": {"type": "perfect"}, "alice": {"readout_flip": 0.05}}, 0.05, 0.05),
        # a = 0.7, b = 0.1 per side: product a² + b² = 0.5.
        (
            {
                "link": {"type": "perfect"},
                "alice": {"p_read1_given0": 0.1, "p_read0_given1": 0.2},
                "bob": {"p_read1_given0": 0.1, "p_read0_given1": 0.2},
            },
            0.25,
            0.25,
        ),
        # One pair held: nothing idles.
        ({"device": {"T1_ns": 10.0, "T2_ns": 10.0}, "hold": 1}, 0.0666667, 0.0666667),
        # Two held, each idles for one cycle or one measurement of 1000 ns: γ = 1 − 1/e, E_Z = (1−γ)² + γ², E_X = 1/e².
        (
            {
                "link": {"type": "perfect"}, "device": {"T1_ns": 1e3, "T2_ns": 1e3, "measure_time_ns": 1e3},
                "hold": 2,
            },
            0.2325442,
            0.4323324,
        ),
        (
            {
                "link": {"type": "perfect"}, "device": {"T1_ns": 1e3, "T2_ns": 1e3, "measure_time_ns": 1e3},
                "hold": 2, "formalism": "ket",
            },
            0.4323324,
            0.4323324,
        ),
    ],
)  # fmt: skip
def test_expected_rates_follow_the_closed_forms(fields, z, x):
    expected = engine(**fields).expected
    assert (expected.qber_z, expected.qber_x) == pytest.approx((z, x), abs=5e-8)


@pytest.mark.parametrize(
    ("read_errors", "read"),
    [
        ({"p_read1_given0": 1.0, "p_read0_given1": 0.0}, [1, 1, 1, 1]),
        ({"p_read1_given0": 0.0, "p_read0_given1": 1.0}, [0, 0, 0, 0]),
        ({"p_read1_given0": 1.0, "p_read0_given1": 1.0}, [1, 1, 0, 0]),
        ({}, [0, 0, 1, 1]),
    ],
)
def test_read_out_errors_turn_the_bits_they_are_named_after(read_errors, read):
    seed, bits = np.random.SeedSequence(1), np.array([0, 0, 1, 1], np.uint8)
    # Certain errors are beyond what a configuration may say, but leave nothing to chance here.
    certain = config().alice.model_copy(update=read_errors)
    both = config().model_copy(update={"alice": certain})
    assert recorded(both, seed, "alice", bits).tolist() == read
    assert recorded(both, seed, "bob", bits).tolist() == [0, 0, 1, 1]


def test_bases_and_read_out_errors_come_from_streams_of_their_own():
    """Literal bits: a change of them changes every file."""
    seed = np.random.SeedSequence(1)
    drawn = [measured_bases(config(), seed, name, 24) for name in ("alice", "bob")]
    flips = [
        recorded(config(**{name: {"readout_flip": 0.5}}), seed, name, np.zeros(24, np.uint8))
        for name in ("alice", "bob")
    ]
    assert ["".join(map(str, column)) for column in (*drawn, *flips)] == [
        "101101011001011010110111",
        "111001100001110001011111",
        "100100010010000001011011",
        "010011111011101011001110",
    ]


def test_heralded_links_have_no_closed_form():
    expected = engine(link={"type": "heralded-double-click", "length_km": 1.0}).expected
    assert math.isnan(expected.qber_z)
    assert math.isnan(expected.qber_x)


@pytest.mark.parametrize("formalism", ["dm", "ket"])
@pytest.mark.parametrize("success", [1.0, 0.7])
def test_idle_times_average_over_positions_bases_and_attempts(formalism, success):
    """Against a sum over every position, every choice of earlier bases, and waits up to 60 cycles."""
    hold, t1, t2, cycle, measure, gate, w = 3, 9e3, 4e3, 500.0, 300.0, 200.0, 0.8
    bias = {"a": 0.3, "b": 0.6}
    z = x = 0.0
    for position in range(hold):
        later = hold - 1 - position
        for a, b in product(product((0, 1), repeat=position), repeat=2):
            chance = math.prod(
                bias[s] if h else 1 - bias[s] for s, side in (("a", a), ("b", b)) for h in side
            )
            for cycles in range(later, 61):
                wait = math.comb(cycles - 1, later - 1) if later else cycles == 0
                weight = chance * wait * success**later * (1 - success) ** (cycles - later) / hold
                t_a, t_b = (
                    cycles * cycle + position * measure + sum(side) * gate for side in (a, b)
                )
                g_a, g_b = (1 - math.exp(-t / t1) for t in (t_a, t_b))
                z += weight * (w * (1 - g_a) * (1 - g_b) + (g_a * g_b if formalism == "dm" else 0))
                x += weight * w * 0.9**2 * math.exp(-(t_a + t_b) / t2)
    expected = engine(
        link={"prob_max_mixed": 0.2, "prob_success": success, "cycle_time_ns": cycle},
        device={
            "T1_ns": t1, "T2_ns": t2, "measure_time_ns": measure, "single_qubit_gate_time_ns": gate,
            "gate_depolarizing": 0.1,
        },
        alice={"basis_bias": bias["a"]}, bob={"basis_bias": bias["b"]}, formalism=formalism, hold=hold,
    ).expected  # fmt: skip
    assert (expected.qber_z, expected.qber_x) == pytest.approx(((1 - z) / 2, (1 - x) / 2), abs=1e-9)
