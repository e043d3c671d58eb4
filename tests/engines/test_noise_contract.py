"""The engine contract on the noise engine, and on engines that break it; choice of engines."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from caligo_mpi import engines, testing
from caligo_mpi.config import ArmConfig, LinkConfig, LossConfig, NoiseConfig, PdcSource, SideConfig
from caligo_mpi.engines.noise import NoiseEngine
from caligo_mpi.errors import ConfigError, EnvironmentProblem
from caligo_mpi.pairs import Pairs
from caligo_mpi.testing import EngineTests

WERNER = NoiseConfig(name="noise", link=LinkConfig(fidelity=0.92))
ARM = ArmConfig(detector_efficiency=0.4, dark_count_probability=0.01)
LOSSY = WERNER.model_copy(update={"loss": LossConfig(alice=ARM, bob=ARM)})
DEVICE = SideConfig(
    basis_bias=0.3, p_read1_given0=0.02, p_read0_given1=0.01, storage_time_ns=1e3, T1_ns=1e4, T2_ns=5e3,
    gate_depolarizing=0.02,
)  # fmt: skip


class Noise(EngineTests):
    config = WERNER

    def engine(self) -> engines.Engine:
        return engines.make_engine(self.config)


class TestWerner(Noise):
    pass


class TestPerfect(Noise):
    config = NoiseConfig(name="noise", link=LinkConfig(prob_max_mixed=0.0))


class TestDevices(Noise):
    config = NoiseConfig(
        name="noise",
        link=LinkConfig(pauli=(0.01, 0.0, 0.03)),
        alice=DEVICE,
        bob=SideConfig(basis_bias=0.8),
    )


class TestLossy(Noise):
    config = LOSSY


class TestLossyDevices(Noise):
    config = LOSSY.model_copy(update={"alice": DEVICE, "bob": DEVICE, "formalism": "ket"})


class TestDownConversion(Noise):
    count = 200_000
    config = NoiseConfig(
        name="noise",
        source=PdcSource(type="pdc", mu=0.2, misalignment=0.01),
        loss=LossConfig(alice=ARM),
    )


class TestAllInX(Noise):
    config = WERNER.model_copy(
        update={"alice": SideConfig(basis_bias=1.0), "bob": SideConfig(basis_bias=1.0)}
    )


# --- engines that break the contract --------------------------------------------------------


class Broken(NoiseEngine):
    """The lossy engine, spoiled after each sample."""

    def __init__(self, spoil: Any) -> None:
        super().__init__(LOSSY)
        self.spoil = spoil

    def sample(self, count: int, seed: np.random.SeedSequence, *, tick: Any = None) -> Pairs:
        if self.spoil == "deaf":
            return super().sample(count, seed)
        pairs = super().sample(count, seed, tick=tick)
        return self.spoil(pairs, count, seed) if callable(self.spoil) else pairs


def flip_outcomes(pairs: Pairs, count: int, seed: np.random.SeedSequence) -> Pairs:
    columns = pairs.columns.copy()
    columns[3] ^= 1
    return replace(pairs, columns=columns)


def flip_by_count(pairs: Pairs, count: int, seed: np.random.SeedSequence) -> Pairs:
    columns = pairs.columns.copy()
    columns[1, :1] ^= count & 1
    return replace(pairs, columns=columns)


def flip_by_memory(
    pairs: Pairs, count: int, seed: np.random.SeedSequence, calls: list[int] = []
) -> Pairs:  # noqa: B006
    calls.append(count)
    columns = pairs.columns.copy()
    columns[1, 5] ^= len(calls) & 255
    return replace(pairs, columns=columns)


def forget_chunk(pairs: Pairs, count: int, seed: np.random.SeedSequence) -> Pairs:
    return NoiseEngine(LOSSY).sample(count, np.random.SeedSequence(seed.entropy))


def dirty_padding(pairs: Pairs, count: int, seed: np.random.SeedSequence) -> Pairs:
    columns = pairs.columns.copy()
    if pairs.count & 7:
        columns[:, -1] |= 0x80
    return replace(pairs, columns=columns)


def repeat_index(pairs: Pairs, count: int, seed: np.random.SeedSequence) -> Pairs:
    index = pairs.index.copy() if pairs.index is not None else None
    if index is not None and pairs.count > 100:
        index[50] = index[49]
    return replace(pairs, index=index)


@pytest.mark.parametrize(
    ("spoil", "test"),
    [
        (flip_outcomes, "test_rates_are_as_expected"),
        (
            lambda pairs, count, seed: replace(pairs, alice_clicks=pairs.alice_clicks + 900),
            "test_rates_are_as_expected",
        ),
        (flip_by_count, "test_shorter_sample_is_a_prefix"),
        (flip_by_memory, "test_same_seed_gives_the_same_pairs"),
        (flip_by_memory, "test_one_engine_can_sample_again"),
        (forget_chunk, "test_other_chunks_have_other_pairs"),
        (dirty_padding, "test_columns_are_packed"),
        (repeat_index, "test_rows_carry_what_was_announced"),
        (
            lambda pairs, count, seed: replace(pairs, index=None),
            "test_rows_carry_what_was_announced",
        ),
        (
            lambda pairs, count, seed: replace(pairs, time=np.zeros(pairs.count)),
            "test_rows_carry_what_was_announced",
        ),
        (
            lambda pairs, count, seed: replace(pairs, duration_ns=np.nan),
            "test_rows_carry_what_was_announced",
        ),
        (lambda pairs, count, seed: replace(pairs, bob_clicks=0), "test_clicks_contain_the_rows"),
        ("deaf", "test_tick_is_called_and_can_stop_the_sample"),
    ],
)
def test_contract_catches(spoil: Any, test: str) -> None:
    class Contract(EngineTests):
        def engine(self) -> engines.Engine:
            return Broken(spoil)

    class Sound(EngineTests):
        def engine(self) -> engines.Engine:
            return NoiseEngine(LOSSY)

    getattr(Sound(), test)()
    with pytest.raises(AssertionError):
        getattr(Contract(), test)()


def test_plausible_holds_its_false_alarm_rate() -> None:
    # exact tails of Bin(1000, 0.03): P(k ≥ 65) = 2.1e-8, P(k ≥ 58) = 5.3e-6
    assert not testing.plausible(65, 1000, 0.03)
    assert testing.plausible(58, 1000, 0.03)
    assert not testing.plausible(1, 10**9, 0.0)
    assert testing.plausible(10**9, 10**9, 1.0)
    assert testing.plausible(0, 0, 0.3)


# --- choice of engines ----------------------------------------------------------------------


def test_noise_engine_is_made_and_usable() -> None:
    engine = engines.make_engine(WERNER)
    assert (engine.name, engine.stream_version, engine.has_index, engine.has_time) == (
        "noise",
        1,
        False,
        False,
    )
    assert engines.available()["noise"] is None


def test_stored_thresholds_reach_the_engine() -> None:
    thresholds = NoiseEngine(LOSSY).thresholds
    assert engines.make_engine(WERNER, thresholds).has_index


def test_unknown_engine_is_refused_with_the_names_of_those_that_exist() -> None:
    with pytest.raises(
        ConfigError,
        match=r"engine\.name='qutip' is not an installed engine; choose one of: noise, ",
    ):
        engines.make_engine(SimpleNamespace(name="qutip"))


def test_engine_that_misses_something_is_refused_with_the_reason() -> None:
    missing = engines.available()["netsquid"]
    if missing is None:
        pytest.skip("NetSquid is installed here")
    with pytest.raises(EnvironmentProblem, match="netsquid"):
        engines.make_engine(SimpleNamespace(name="netsquid"))


def test_plugin_is_found_by_its_entry_point(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "caligo_toy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: caligo-toy\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[caligo_mpi.engines]\ntoy = caligo_toy:make\nbroken = caligo_toy:absent\n"
    )
    (tmp_path / "caligo_toy.py").write_text(
        "def make(config):\n    return ('toy engine', config.name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert engines.make_engine(SimpleNamespace(name="toy")) == ("toy engine", "toy")
    assert engines.available()["toy"] is None
    assert "caligo_toy:absent cannot be loaded" in str(engines.available()["broken"])


@pytest.mark.parametrize("field", ["storage_time_ns", "gate_depolarizing", "T2_ns"])
def test_down_conversion_refuses_what_it_cannot_express(field: str) -> None:
    config = TestDownConversion.config.model_copy(
        update={"bob": SideConfig.model_construct(**{field: 0.5})}
    )
    with pytest.raises(ConfigError, match=rf"engine\.bob\.{field}=0\.5 .* leave it out"):
        NoiseEngine(config)


def test_state_of_the_pair_is_given_once() -> None:
    with pytest.raises(ConfigError, match=r"engine\.link is given with source\.type=pdc"):
        NoiseEngine(TestDownConversion.config.model_copy(update={"link": LinkConfig(fidelity=0.9)}))
    with pytest.raises(ConfigError, match=r"engine\.link is missing"):
        NoiseEngine(NoiseConfig.model_construct(name="noise"))


def test_only_engines_that_lose_pairs_carry_an_index() -> None:
    whole = ArmConfig(detector_efficiency=1.0, dark_count_probability=0.1)
    assert not NoiseEngine(
        WERNER.model_copy(update={"loss": LossConfig(alice=whole, bob=whole)})
    ).has_index
    assert NoiseEngine(LOSSY).has_index
    assert NoiseEngine(TestDownConversion.config).has_index
