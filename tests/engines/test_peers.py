"""Other simulators, and programs written by hand, against the closed forms.

Those that are not installed are skipped by name; `stim` is in the environment of the tests.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import ROOT

from caligo_mpi import ConfigError, EnvironmentProblem, generate_pairs, parse_config, status, store
from caligo_mpi.config import BUILT_IN
from caligo_mpi.engines import available, link, make_engine, version
from caligo_mpi.engines.compare import outcome_counts
from caligo_mpi.engines.noise.model import describe
from caligo_mpi.pairs import Chunk, bits
from caligo_mpi.runs.identity import run_info
from caligo_mpi.testing import EngineTests

CIRCUITS = ("stim", "qiskit-aer", "cirq", "qsim", "pennylane")
HANDMADE = ("plain", "loop", "threads", "processes")
#: Pairs of a comparison; by default a million.
SLOW = {"qiskit-aer": 200_000, "qsim": 50_000, "loop": 200_000}

DEVICE = {
    "storage_time_ns": 1000.0,
    "T2_ns": 4000.0,
    "gate_depolarizing": 0.2,
    "readout_flip": 0.03,
}
LINKS: dict[str, dict[str, Any]] = {
    "Werner": {"link": {"fidelity": 0.7}},
    "Pauli, biased bases": {
        "link": {"pauli": [0.05, 0.01, 0.12]},
        "alice": {"basis_bias": 0.3},
        "bob": {"basis_bias": 0.6},
    },
    "devices": {"link": {"prob_max_mixed": 0.1}, "alice": DEVICE, "bob": {"gate_depolarizing": 0.3}},
}  # fmt: skip
#: What favors a bit; only simulators of density matrices and trajectories have it.
ASYMMETRIC = {
    "link": {"fidelity": 0.9},
    "alice": {
        "storage_time_ns": 1000.0,
        "T1_ns": 3000.0,
        "T2_ns": 2000.0,
        "p_read1_given0": 0.1,
        "p_read0_given1": 0.02,
    },
    "bob": {"storage_time_ns": 500.0, "T1_ns": 2000.0, "T2_ns": 4000.0, "p_read0_given1": 0.07},
}


def engine_config(name: str, **experiment: Any) -> Any:
    return parse_config({"pairs": 1, "seed": 0, "engine": {"name": name, **experiment}}).engine


def installed(name: str) -> str:
    if missing := available()[name]:
        pytest.skip(missing)
    return name


def law(config: Any) -> np.ndarray:
    """P(alice_basis, alice_outcome, bob_basis, bob_outcome), flat."""
    model = describe(config.as_noise())
    chances = [{0: 1 - side.basis_bias, 1: side.basis_bias} for side in (config.alice, config.bob)]
    found = []
    for a_basis, a, b_basis, b in itertools.product((0, 1), repeat=4):
        both = model.correlation[a_basis] if a_basis == b_basis else 0.0
        recorded = link.moments(both, model.alice[a_basis], model.bob[b_basis])
        found.append(chances[0][a_basis] * chances[1][b_basis] * recorded.probability(a, b))
    return np.array(found)


def deviations(name: str, experiment: dict[str, Any], pairs: int) -> np.ndarray:
    """Of each of the 16 outcomes, in standard deviations."""
    config = engine_config(name, **experiment)
    seed = Chunk(3, 0, pairs).seed_sequence(20_260_711)
    counts = outcome_counts(make_engine(config).sample(pairs, seed))
    expected = law(config)
    return (counts - pairs * expected) / np.sqrt(pairs * expected * (1 - expected))


@pytest.mark.parametrize("case", LINKS)
@pytest.mark.parametrize("name", [*CIRCUITS, "plain", "loop"])
def test_sixteen_outcomes_follow_the_closed_form(name: str, case: str) -> None:
    """Within 5σ each; a false alarm has a probability of 16 · 5.7e-7.

    A simulator that took 3p/4 for p, or the other way round, is off by a hundred of them.
    """
    pairs = SLOW.get(installed(name), 1_000_000)
    assert np.abs(deviations(name, LINKS[case], pairs)).max() < 5


@pytest.mark.parametrize("name", ["qiskit-aer", "cirq", "qsim", "pennylane"])
def test_what_favors_a_bit_follows_the_closed_form(name: str) -> None:
    pairs = SLOW.get(installed(name), 1_000_000)
    assert np.abs(deviations(name, ASYMMETRIC, pairs)).max() < 5


@pytest.mark.parametrize("name", CIRCUITS)
def test_the_test_would_catch_the_other_convention(name: str) -> None:
    """The weight p taken for the probability of a Pauli error: 3p/4 of it is the noise of another fidelity."""
    mixed = 0.4
    config = engine_config(installed(name), link={"prob_max_mixed": 0.75 * mixed})
    seed = Chunk(3, 0, 50_000).seed_sequence(20_260_711)
    counts = outcome_counts(make_engine(config).sample(50_000, seed))
    expected = law(engine_config(name, link={"prob_max_mixed": mixed}))
    off = (counts - 5e4 * expected) / np.sqrt(5e4 * expected * (1 - expected))
    assert np.abs(off).max() > 5


# --- the contract ---------------------------------------------------------------------------


class Peer(EngineTests):
    name = ""
    experiment: ClassVar = LINKS["devices"]

    def engine(self) -> Any:
        return make_engine(engine_config(installed(self.name), **self.experiment))


class TestStim(Peer):
    name = "stim"


class TestAer(Peer):
    name = "qiskit-aer"


class TestCirq(Peer):
    name = "cirq"


class TestQsim(Peer):
    name = "qsim"
    count = 10_000


class TestPennylane(Peer):
    name = "pennylane"


class TestPlain(Peer):
    name = "plain"


class TestPlainInSmallBatches(Peer):
    name = "plain"
    experiment: ClassVar = {**LINKS["devices"], "batch": 77}
    count = 5000


class TestLoop(Peer):
    name = "loop"


class TestThreads(Peer):
    name = "threads"
    experiment: ClassVar = {**LINKS["devices"], "batch": 100}


def test_processes_make_the_pairs_of_threads() -> None:
    """A pool of processes takes a second to start, so that their contract is tested by this alone."""
    engines = [make_engine(engine_config(name, **LINKS["devices"])) for name in HANDMADE[2:]]
    seed = Chunk(1, 0, 50_000).seed_sequence(7)
    threads, processes = (engine.sample(50_000, seed).checksum() for engine in engines)
    assert threads == processes


class TestWithoutPrefixes(EngineTests):
    """A plug-in that declares ``prefix = False`` is tested for all else."""

    def engine(self) -> Any:
        return make_engine(engine_config("whole"))

    def test_its_shorter_samples_are_no_prefix(self) -> None:
        first = bits.extract(self.sample().columns[1], 0, 1000)
        assert not np.array_equal(first, self.sample(1000).columns[1])


# --- what they cannot, and where they are not -----------------------------------------------


@pytest.mark.parametrize("name", ["stim", *HANDMADE])
@pytest.mark.parametrize(
    ("side", "key"),
    [
        ({"T1_ns": 10.0, "T2_ns": 5.0}, "T1_ns=10.0"),
        ({"p_read1_given0": 0.1}, "p_read1_given0=0.1"),
        ({"p_read0_given1": 0.1}, "p_read0_given1=0.1"),
    ],
)
def test_what_an_engine_cannot_is_said(name: str, side: dict[str, float], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.bob\.{key}: engine {name} cannot express it"):
        engine_config(name, link={"fidelity": 0.9}, bob=side)


def test_loss_is_the_noise_engines() -> None:
    with pytest.raises(
        ConfigError, match=r"engine\.loss: unknown key; only with engine\.name: noise$"
    ):
        engine_config("stim", link={"fidelity": 0.9}, loss={})


def test_a_loop_has_no_batches() -> None:
    with pytest.raises(ConfigError, match=r"engine\.batch=4: not with engine loop"):
        engine_config("loop", link={"fidelity": 0.9}, batch=4)


@pytest.mark.parametrize("name", CIRCUITS)
def test_one_that_is_not_installed_says_how_to_get_it(name: str) -> None:
    missing = available()[name]
    if missing is None:
        assert version(name)
        pytest.skip(f"{name} is installed here")
    assert f"pip install 'caligo-mpi[{name}]'" in missing
    with pytest.raises(EnvironmentProblem, match="which is not installed"):
        make_engine(engine_config(name, link={"fidelity": 0.9}))


def test_every_peer_has_an_extra_of_its_name() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    extras = dict(re.findall(r'^([a-z-]+) = \["([a-z-]+)', text, re.MULTILINE))
    needs = {name: entry.needs for name, entry in BUILT_IN.items() if entry.needs}
    assert set(needs) == set(CIRCUITS)
    assert {name: extras.get(name) for name in needs} == needs


# --- in a run -------------------------------------------------------------------------------


def test_a_run_with_stim(caligo: Any, write_config: Any, tmp_path: Any) -> None:
    installed("stim")
    path = write_config(engine={"name": "stim", "link": {"fidelity": 0.9}}, pairs=20_000)
    result = caligo("generate", path, "-q")
    assert result.returncode == 0, result.stderr
    assert status(tmp_path / "run.h5").engine == f"stim {version('stim')}"
    again = caligo("verify", tmp_path / "run.h5", "--resample", "3")
    assert again.returncode == 0, again.stderr
    longer = caligo("generate", path, "-q", "--set", "pairs=30_000")
    assert longer.returncode == 0, longer.stderr


def test_pairs_without_prefixes_are_raised_from_whole_chunks_only(
    caligo: Any, write_config: Any
) -> None:
    path = write_config(engine={"name": "whole"}, pairs=8192 + 8)
    assert caligo("generate", path, "-q").returncode == 0
    assert caligo("generate", path, "-q").returncode == 0
    longer = caligo("generate", path, "-q", "--set", "pairs=3e4")
    assert longer.returncode == 2
    assert (
        "pairs=30000: run.h5 has pairs=8200, which cannot be raised with engine whole"
        in longer.stderr
    )
    assert caligo("generate", path, "-q", "--force", "--set", "pairs=16384").returncode == 0
    assert caligo("generate", path, "-q", "--set", "pairs=3e4").returncode == 0


def test_another_release_does_not_go_on_with_a_file(
    caligo: Any, write_config: Any, tmp_path: Any
) -> None:
    path = write_config(engine={"name": "plain", "link": {"fidelity": 0.9}}, pairs=16384)
    run = parse_config(
        {
            "pairs": 8192,
            "seed": 7,
            "chunk_size": 8192,
            "engine": {"name": "plain", "link": {"fidelity": 0.9}},
        }
    )
    info = replace(run_info(run, make_engine(run.engine)), engine="plain 0.1")
    with store.PairStore.open(tmp_path / "run.h5", info, launch={}):
        pass
    longer = caligo("generate", path, "-q")
    assert longer.returncode == 2
    assert "was begun with plain 0.1, and here is plain, which makes other bits" in longer.stderr


def test_chunk_size_does_not_fit_blocks() -> None:
    config = {"pairs": 40_000, "seed": 5, "chunk_size": 10_008}
    run = parse_config(
        {**config, "engine": {"name": "plain", "link": {"fidelity": 0.9}, "batch": 1000}}
    )
    arrays = generate_pairs(run)
    assert len(arrays.alice_basis) == 40_000


def test_devices_of_peers_are_not_trusted_for_oblivious_transfer() -> None:
    from caligo_mpi.runs.devices import require_transfer

    run = parse_config(
        {"pairs": 8, "seed": 1, "engine": {"name": "stim", "link": {"fidelity": 0.99}}}
    )
    with pytest.raises(
        ConfigError, match=r"nothing is known of how the devices of engine\.name=stim"
    ):
        require_transfer(run, source="run.h5")
