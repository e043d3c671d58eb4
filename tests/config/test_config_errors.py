"""What a wrong configuration is told: each of these is a `ConfigError` with exactly this text."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from caligo_mpi.config import RunConfig, engine_names, load_config, parse_config
from caligo_mpi.config.old_keys import ANSWERS
from caligo_mpi.config.sections import keys_of
from caligo_mpi.errors import ConfigError

NOISE: dict[str, Any] = {"name": "noise", "link": {"fidelity": 0.97}}
NETSQUID: dict[str, Any] = {"name": "netsquid", "link": {"fidelity": 0.97, "cycle_time_ns": 1}}
PDC: dict[str, Any] = {"name": "noise", "source": {"type": "pdc", "mu": 0.05}}
RUN: dict[str, Any] = {"pairs": 1000, "seed": 1, "engine": NOISE}


def _message(data: Any, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_config(data, overrides)
    return str(error.value)


def _with(path: str, value: object, engine: dict[str, Any] = NOISE) -> dict[str, Any]:
    out = section = deepcopy({**RUN, "engine": engine})
    *sections, key = path.split(".")
    for name in sections:
        section = section.setdefault(name, {})
    section[key] = value
    return out


LINK_IN_TIME = {"fidelity": 0.9, "cycle_time_ns": 1000}
TIMED = (
    "only with a link whose attempts take time; "
    "give engine.link a cycle_time_ns or a length_km, or remove it"
)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("pairs", 0, "pairs=0: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", -1, "pairs=-1: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", 1e30, "pairs=1e+30: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", "abc", 'pairs="abc": must be a whole number from 1 to 1_000_000_000_000_000'),
        ("pairs", True, "pairs=true: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", None, "pairs=null: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", 1.5, "pairs=1.5: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("pairs", [1], "pairs=[1]: must be a whole number from 1 to 1_000_000_000_000_000"),
        ("seed", -1, "seed=-1: must be a whole number of at least 0"),
        ("chunk_size", 7, "chunk_size=7: must be a multiple of 8 from 8 to 268_435_456"),
        ("chunk_size", 100, "chunk_size=100: must be a multiple of 8 from 8 to 268_435_456"),
        ("chunk_size", 2**29, "chunk_size=536870912: must be a multiple of 8 from 8 to 268_435_456"),
        ("engine.link.fidelity", 1.2, "engine.link.fidelity=1.2: must be a number from 0.25 to 1"),
        ("engine.link.fidelity", 0.2, "engine.link.fidelity=0.2: must be a number from 0.25 to 1"),
        ("engine.link.fidelity", math.nan, "engine.link.fidelity=nan: must be a number from 0.25 to 1"),
        ("engine.alice.T1_ns", math.inf, "engine.alice.T1_ns=inf: must be a number of at least 0"),
        ("engine.alice.T1_ns", "1e400", 'engine.alice.T1_ns="1e400": must be a number of at least 0'),
        (
            "engine.loss.bob", {"dark_count_rate_hz": 1, "gate_width_ns": 0},
            "engine.loss.bob.gate_width_ns=0: must be a number above 0",
        ),
        (
            "engine.loss.bob.dark_count_probability", 1,
            "engine.loss.bob.dark_count_probability=1: must be a number from 0 to below 1",
        ),
        ("engine.bob.readout_flip", 0.6, "engine.bob.readout_flip=0.6: must be a number from 0 to 0.5"),
        (
            "engine.link", {"pauli": [0.1, 0.2]},
            "engine.link.pauli=[0.1, 0.2]: must be three probabilities [pX, pY, pZ]",
        ),
        ("engine.link", {"pauli": [0, 0, 2]}, "engine.link.pauli.2=2: must be a number from 0 to 1"),
        (
            "engine.link", {"pauli": [0.5, 0.5, 0.1]},
            "engine.link.pauli=[0.5, 0.5, 0.1]: the three sum to 1.1; must be at most 1",
        ),
        ("engine.formalism", "kets", 'engine.formalism="kets": must be dm or ket'),
        ("schedule", "greedy", 'schedule.policy="greedy": must be static or dynamic or guided or adaptive'),
        ("schedule", {"rank0_computes": True}, "schedule.rank0_computes=true: must be auto or yes or no"),
        ("output", 5, "output=5: must be a section of keys"),
        ("output", "", 'output.path="": must be a file name'),
        ("engine.alice", None, "engine.alice: is empty; fill it in or remove it"),
        ("engine.alice", 5, "engine.alice=5: must be a section of keys"),
        ("engine.source", "pdc", 'engine.source="pdc": must be a section with the type single_pair or pdc'),
        ("engine.source", {"type": "laser"}, "engine.source: must be a section with the type single_pair or pdc"),
        (
            "engine", "noise",
            'engine="noise": must be a section with the name of an engine, such as {name: noise, link: …}',
        ),
        ("engine", None, "engine=null: must be a section with the name of an engine, such as {name: noise, link: …}"),
        ("engine", {}, "engine: must be a section with the name of an engine, such as {name: noise, link: …}"),
        ("engine", {"name": "nosie"}, f'engine.name="nosie": no such engine; there are {", ".join(engine_names())}'),
        ("engine", {"name": "noise"}, "engine.link: missing; give exactly one of fidelity, prob_max_mixed, pauli"),
        ("engine.link", {}, "engine.link: give exactly one of fidelity, prob_max_mixed, pauli"),
        (
            "engine.link.prob_max_mixed", 0.04,
            "engine.link: fidelity=0.97 and prob_max_mixed=0.04 exclude each other; "
            "keep one of fidelity, prob_max_mixed, pauli",
        ),
        (
            "engine.bob", {"readout_flip": 0.01, "p_read1_given0": 0.02},
            "engine.bob: readout_flip=0.01 and p_read1_given0=0.02 exclude each other; "
            "keep readout_flip or p_read1_given0 with p_read0_given1",
        ),
        (
            "engine.alice", {"T1_ns": 100, "T2_ns": 201},
            "engine.alice.T2_ns=201: must be at most 200 with T1_ns=100: T2 ≤ 2·T1 in any memory",
        ),
        (
            "engine.alice", {"T1_ns": 100},
            "engine.alice.T2_ns: must be given with T1_ns=100, at most 200; or set T1_ns to 0",
        ),
        (
            "engine.loss.bob", {"dark_count_rate_hz": 10},
            "engine.loss.bob.dark_count_rate_hz=10: needs gate_width_ns: the time per emission in which it counts",
        ),
        (
            "engine.loss.bob", {"gate_width_ns": 10},
            "engine.loss.bob.gate_width_ns=10: has no effect without dark_count_rate_hz; give the rate or remove it",
        ),
        (
            "engine.loss.bob", {"dark_count_rate_hz": 10, "dark_count_probability": 0.1, "gate_width_ns": 1},
            "engine.loss.bob: dark_count_rate_hz=10 and dark_count_probability=0.1 exclude each other; "
            "keep one of dark_count_rate_hz, dark_count_probability",
        ),
        (
            "engine.loss.bob", {"dark_count_rate_hz": 1e9, "gate_width_ns": 40},
            "engine.loss.bob.dark_count_rate_hz=1000000000.0: makes 40 dark counts per gate; must be at most 30",
        ),
        (
            "engine.loss.bob", {"detector_efficiency": 0},
            "engine.loss.bob: no photon arrives and there are no dark counts, so it never clicks; raise its efficiency",
        ),
        (
            "engine.loss", {"alice": {"length_km": 500}, "bob": {"length_km": 500}},
            "engine.loss: coincidences of probability 1e-20 never happen; must be at least 1e-18",
        ),
        (
            "engine.link.fidelty", 0.9,
            "engine.link.fidelty=0.9: unknown key; did you mean fidelity?",
        ),
        ("fidelity", 0.9, "fidelity=0.9: unknown key; it belongs to engine.link.fidelity"),
        (
            "engine.length_km", 5,
            "engine.length_km=5: unknown key; it belongs to engine.link.length_km or engine.loss.alice.length_km "
            "or engine.loss.bob.length_km",
        ),
        ("schedule.fast", True, "schedule.fast=true: unknown key; known here: policy, rank0_computes"),
        ("engine.source", {"mu": 1}, "engine.source.mu=1: unknown key; only with engine.source.type: pdc"),
        ("engine.device", {"measure_time_ns": 5}, f"engine.device: {TIMED}"),
        ("engine.hold", 5, f"engine.hold=5: {TIMED}"),
        ("engine.max_wait_ns", 5, f"engine.max_wait_ns=5: {TIMED}"),
        ("engine.link.type", "heraldd", "engine.link: must be a section without a type, or with the type perfect, "
         "depolarise, heralded, heralded-single-click or heralded-double-click"),
        ("engine.link", {**LINK_IN_TIME, "prob_success": 1e-9},
         "engine.link.prob_success=1e-09: must be a number from 1e-08 to 1"),
        ("engine.link.cycle_time_ns", 1e-4,
         "engine.link.cycle_time_ns=0.0001: must be at least 0.001: times are whole picoseconds"),
        ("engine.link", {"type": "heralded-double-click"},
         "engine.link.length_km: missing; add it (fiber between Alice and Bob [L, km])"),
        ("engine.link", {"type": "heralded-double-click", "length_km": 1, "detector_efficiency": 0},
         "engine.link.detector_efficiency=0: is 0 and there are no dark counts, so no attempt is ever heralded; "
         "raise it"),
        ("engine.link", {"type": "heralded-double-click", "length_km": 1, "bright_population": 0.1},
         "engine.link.bright_population=0.1: only with type heralded-single-click; remove it or choose that type"),
        ("engine.link", {"pauli": [0, 0, 0.1], "cycle_time_ns": 5, "fidelity": 0.9},
         "engine.link.pauli=[0, 0, 0.1]: only with type heralded; remove it or choose that type"),
    ],
)  # fmt: skip
def test_a_single_error_is_one_line(path: str, value: object, message: str) -> None:
    assert _message(_with(path, value)) == f"configuration: {message}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "loss", {},
            "engine.loss: unknown key; only with engine.name: noise "
            "(NetSquid's links try until a pair arrives: loss takes time and drops no round)",
        ),
        (
            "alice", {"storage_time_ns": 5},
            "engine.alice.storage_time_ns=5: unknown key; only with engine.name: noise "
            "(there qubits idle in simulated time: engine.device.T1_ns, engine.device.T2_ns and engine.hold)",
        ),
        (
            "device", {"T1_ns": 100, "T2_ns": 150},
            "engine.device.T2_ns=150: must be at most 100 with T1_ns=100: NetSquid's model refuses T2 > T1",
        ),
        (
            "link", {"type": "perfect", "fidelity": 1},
            "engine.link.fidelity=1: not with type perfect; remove it or choose type depolarise",
        ),
        (
            "link", {"type": "perfect", "prob_success": 0.5},
            "engine.link.prob_success=0.5: must be 1 with type perfect; or choose type depolarise",
        ),
        ("link", {"fidelity": 1}, "engine.link: give exactly one of cycle_time_ns, length_km"),
        ("link", {"cycle_time_ns": 1}, "engine.link: give exactly one of fidelity, prob_max_mixed"),
        (
            "link", {"type": "nv"},
            "engine.link: must be a section with the type perfect, depolarise, heralded-single-click "
            "or heralded-double-click",
        ),
        (
            "link", {"type": "heralded-single-click"},
            "engine.link.length_km: missing; add it (fiber between Alice and Bob [L, km])",
        ),
        (
            "link", {"type": "heralded-single-click", "length_km": 1, "prob_success": 0.5},
            "engine.link.prob_success=0.5: unknown key; only with engine.link.type: perfect or depolarise",
        ),
        ("hold", 0, "engine.hold=0: must be a whole number from 1 to 1_000"),
    ],
)  # fmt: skip
def test_the_netsquid_engine_has_its_own_rules(path: str, value: object, message: str) -> None:
    assert _message(_with(f"engine.{path}", value, NETSQUID)) == f"configuration: {message}"


def test_heralded_pairs_are_held_one_at_a_time() -> None:
    engine = {
        "name": "netsquid",
        "link": {"type": "heralded-single-click", "length_km": 1},
        "hold": 2,
    }
    assert _message({**RUN, "engine": engine}) == (
        "configuration: engine.hold=2: must be 1 with a heralded-single-click link, "
        "whose pairs are corrected one at a time"
    )


def test_down_conversion_has_no_link_and_no_memory() -> None:
    engine = {
        **PDC,
        "link": {"fidelity": 0.9},
        "bob": {"T1_ns": 5, "T2_ns": 5, "gate_depolarizing": 0},
    }
    assert _message({**RUN, "engine": engine}) == (
        "configuration: 3 errors\n"
        "  engine.link: not with a pdc source, whose state follows from mu and misalignment; remove it\n"
        "  engine.bob.T1_ns=5: not with a pdc source: its photons are not stored; remove it\n"
        "  engine.bob.T2_ns=5: not with a pdc source: its photons are not stored; remove it"
    )


def test_too_many_chunks_are_refused() -> None:
    assert _message({**RUN, "pairs": 10**15, "chunk_size": 8}) == (
        "configuration: chunk_size=8: would make more than 100_000_000 chunks of pairs=1000000000000000; raise it"
    )


def test_all_errors_are_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("""
pairs: 0
engine:
  name: noise
  link: {fidelity: 1.2, prob_max_mixed: 0.1}
  alice: {T1_ns: 10, T2_ns: 30, basis_bais: 0.5}
  bob: {readout_flip: yes}
  loss: {alice: {coupling: 0}}
schedule: {policy: greedy}
num_workers: 4
""")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == (
        f"{path}: 9 errors\n"
        "  pairs=0: must be a whole number from 1 to 1_000_000_000_000_000\n"
        "  engine.link.fidelity=1.2: must be a number from 0.25 to 1\n"
        "  engine.link: fidelity=1.2 and prob_max_mixed=0.1 exclude each other; "
        "keep one of fidelity, prob_max_mixed, pauli\n"
        "  engine.alice.basis_bais=0.5: unknown key; did you mean basis_bias?\n"
        '  engine.bob.readout_flip="yes": must be a number from 0 to 0.5\n'
        "  engine.loss.alice: no photon arrives and there are no dark counts, so it never clicks; "
        "raise its efficiency\n"
        '  schedule.policy="greedy": must be static or dynamic or guided or adaptive\n'
        "  num_workers=4: not a key; use mpi.ranks: usually chosen at launch (--ranks N or mpirun -n N); "
        "it never changes the bits\n"
        "  seed: missing; add it (seed of all random streams; numpy mixes any size into 128 bits)"
    )


# -- names of other designs -----------------------------------------------------------------------------------


def test_old_keys_are_answered_wherever_they_occur() -> None:
    old = {
        "num_epr_pairs": 1000,
        "base_seed": 1,
        "parallel": {"num_workers": 4, "isolation_level": "process"},
        "network_config": {"distance_km": 10},
        "engine": {"name": "noise", "channel_fidelity": 0.97, "nsm_storage_rate": 0.75},
    }
    assert _message(old) == (
        "configuration: 9 errors\n"
        "  engine.channel_fidelity=0.97: not a key; use engine.link.fidelity: "
        "F = ⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair, not 1−p: QBER = 2(1−F)/3\n"
        "  engine.nsm_storage_rate=0.75: not a key; remove it: the noise of the adversary's memory is a parameter of "
        "`distill`; it changes neither pairs nor QBER\n"
        "  num_epr_pairs=1000: not a key; use pairs: it counts emissions; with loss the file holds fewer rows\n"
        "  base_seed=1: not a key; use seed: the only seed: chunk i draws from child i of SeedSequence(seed), "
        "whatever the ranks and the time\n"
        "  parallel: not a key; use mpi.ranks: usually chosen at launch (--ranks N or mpirun -n N); "
        "it never changes the bits\n"
        "  parallel.num_workers=4: not a key; use mpi.ranks: usually chosen at launch "
        "(--ranks N or mpirun -n N); it never changes the bits\n"
        '  parallel.isolation_level="process": not a key; remove it: every chunk always has its own random stream '
        "and its own simulation\n"
        "  network_config: not a key; use engine.link, engine.alice, engine.bob, engine.loss: the link's state, "
        "each side's device and the losses are separate sections; `caligo-mpi init` writes them all\n"
        "  network_config.distance_km=10: not a key; use engine.loss.alice.length_km, engine.loss.bob.length_km: "
        "the arm from the source to one side: a distance L between the two with the source midway is L/2 in each"
    )


@pytest.mark.parametrize(
    "name",
    ["num_epr_pairs", "total_pairs", "pairs_per_batch", "batch_size", "num_workers", "workers", "parallel",
     "isolation_level", "prefetch_batches", "base_seed", "noise_params", "network_config", "channel_fidelity",
     "detector_error", "distance_km", "fiber_loss_db_per_km", "dark_count_rate", "nsm_storage_rate", "n_pairs",
     "num_pairs", "batch", "random_seed", "qber", "noise_rate", "noise", "depolarizing_prob", "storage_noise_r",
     "detection_efficiency"],
)  # fmt: skip
def test_old_key_is_answered(name: str) -> None:
    new, meaning = ANSWERS[name]
    for path in (name, f"engine.{name}", f"engine.alice.{name}", f"physics.{name}"):
        message = _message(_with(path, 1))
        assert (
            message
            == f"configuration: {path}=1: not a key; "
            + (f"use {', '.join(new)}: " if new else "")
            + meaning
        )


def test_old_keys_lead_to_keys_that_exist() -> None:
    paths = {key.path for key in keys_of(RunConfig)}
    assert {path for new, _ in ANSWERS.values() for path in new} - paths == set()
    assert not {
        name
        for name in ANSWERS
        if name in {"pairs", "seed", "chunk_size", "engine", "schedule", "output"}
    }


def test_a_link_that_takes_time_has_no_arms_and_memories_are_given_once() -> None:
    given = {"loss": {}, "device": {"T2_ns": 5.0}, "bob": {"T2_ns": 5.0}}
    engine = {"name": "noise", "link": LINK_IN_TIME, **given}
    assert _message({"pairs": 100, "seed": 1, "engine": engine}) == (
        "configuration: 2 errors\n"
        "  engine.loss: not with a link that tries until a pair arrives: loss takes time there "
        "(engine.link.prob_success) and drops no round; remove it\n"
        "  engine.bob.T2_ns=5.0: is given in engine.device, too, for both sides; keep one of the two"
    )


def test_old_keys_lead_to_keys_of_the_engine_at_hand() -> None:
    meaning = "relaxation time in ns; 0 is off"
    assert _message(_with("engine.t1", 5)) == (
        "configuration: engine.t1=5: not a key; use engine.alice.T1_ns, engine.bob.T1_ns, "
        f"engine.device.T1_ns: {meaning}"
    )
    assert _message(_with("engine.device.T1", 5, NETSQUID)) == (
        f"configuration: engine.device.T1=5: not a key; use engine.device.T1_ns: {meaning}"
    )


# -- overrides ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "engine.link.prob_max_mixed=0.1",
            "configuration: --set engine.link: fidelity=0.97 and prob_max_mixed=0.1 exclude each other; "
            "keep one of fidelity, prob_max_mixed, pauli",
        ),
        (
            "engine.link.fidelty=0.9",
            "configuration: --set engine.link.fidelty=0.9: unknown key; did you mean fidelity?",
        ),
        (
            "engine.lnk.fidelity=0.9",
            "configuration: --set engine.lnk: unknown key; did you mean link?",
        ),
        (
            "engine.link.fidelity.x=1",
            "--set engine.link.fidelity.x=1: engine.link.fidelity=0.97 is not a section, it has no key x",
        ),
        (
            "pairs",
            "--set pairs: must be a dotted key and a value, such as engine.link.fidelity=0.97",
        ),
        ("=5", "--set =5: must be a dotted key and a value, such as engine.link.fidelity=0.97"),
        (
            "engine..x=5",
            "--set engine..x=5: must be a dotted key and a value, such as engine.link.fidelity=0.97",
        ),
        (
            "engine.link={a",
            "--set engine.link, line 1: not valid YAML: expected ',' or '}', but got '<stream end>'",
        ),
        (
            "pairs=many",
            'configuration: --set pairs="many": must be a whole number from 1 to 1_000_000_000_000_000',
        ),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    assert _message(RUN, override) == message


# -- files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": is empty; `caligo-mpi init` writes a starter"),
        (b"# nothing\n", ": is empty; `caligo-mpi init` writes a starter"),
        (b"- pairs\n- seed\n", ": must be a mapping of keys to values, not list"),
        (b"pairs", ": must be a mapping of keys to values, not str"),
        (b"\x89HDF\r\n\x1a\n\xff\xfe", ": not UTF-8 text; a configuration is a YAML file"),
        ("pairs: 1".encode("utf-16"), ": not UTF-8 text; a configuration is a YAML file"),
        (b"pairs: 1\0", ": not a text file: character #x0000 is not allowed"),
        (b"#" * 1_048_577, ": larger than 1_048_576 bytes; not a configuration"),
        (
            b"pairs: 1\nseed: 1\npairs: 2\n",
            ", line 3: duplicate key pairs, first in line 1; keep one of the two",
        ),
        (
            b"pairs: 1\n---\npairs: 2\n",
            ", line 2: not valid YAML: a second document starts here; keep one",
        ),
        (b"pairs: 1\n1: 2\n", ", line 2: the key 1 is not text; a key is a name"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_so(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == f"{path}{message}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "none.yaml")
    assert str(error.value) == (
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory; `caligo-mpi init` writes a starter"
    )
    for path in (tmp_path, "a\0b"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(path)


# -- anything at all ------------------------------------------------------------------------------------------

RECURSIVE: dict[str, Any] = {}
RECURSIVE["engine"] = RECURSIVE
DEEP: Any = 0
for _ in range(2000):
    DEEP = [DEEP]

ANYTHING: list[Any] = [
    None, True, -1, 1e30, 10**5000, -(10**5000), "abc", "", "1e999999999", "1e9999999999999999999", "0x10", "٣",
    math.nan, math.inf, [], [[1]], {}, {1: 2}, {None: 1}, {("a",): 1}, {"ключ": 1}, {"a\nb\ud800": 1}, "\ud800", "a\0b",
    b"bytes", object(), 1j, RECURSIVE, DEEP, {"name": []}, {"type": {}}, {"type": 10**5000}, [10**5000] * 3,
]  # fmt: skip
PLACES = ["pairs", "seed", "chunk_size", "engine", "engine.name", "engine.link", "engine.link.fidelity", "engine.alice",
          "engine.source", "engine.loss", "engine.loss.bob", "engine.formalism", "schedule", "output", "output.path",
          "unknown", "engine.unknown", "noise_params"]  # fmt: skip


def _refusal(data: dict[str, Any]) -> str | None:
    try:
        parse_config(data)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("place", PLACES)
def test_anything_anywhere_is_accepted_or_refused_in_printable_lines(place: str) -> None:
    refusals = []
    for value in ANYTHING:
        data = {**RUN, "engine": {**NOISE, "link": {**NOISE["link"]}, "loss": {}}, "output": {}}
        section = data
        *sections, key = place.split(".")
        for name in sections:
            section = section[name]
        section[key] = value
        refusals.append(_refusal(data))
    texts = [text for text in refusals if text]
    assert len(texts) >= 20
    assert all(line.isprintable() for text in texts for line in text.split("\n"))
    assert not [
        text
        for text in texts
        if "pydantic" in text or "Input should" in text or "Value error" in text
    ]


@pytest.mark.parametrize("data", [5, "pairs: 1", [], {1: 2}, {"pairs": RECURSIVE}, RECURSIVE])
def test_anything_as_a_configuration_is_refused(data: Any) -> None:
    assert _message(data).startswith("configuration: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pairs": NaN}', b"\xff"])
def test_a_damaged_stored_configuration_is_refused(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r"^stored configuration: "):
        RunConfig.from_json(text)


HERALDED = {"type": "heralded-double-click", "length_km": 10}


@pytest.mark.parametrize(
    ("name", "key", "meaning"),
    [
        ("length", "length_km", "the fiber between Alice and Bob"),
        ("p_loss_length", "attenuation_db_per_km", "in dB/km"),
        ("dark_count_prob", "dark_count_probability", "per attempt"),
        ("detector_eff", "detector_efficiency", "an arriving photon is detected"),
    ],
)
def test_keys_of_heralded_links_are_sent_to_the_link(name: str, key: str, meaning: str) -> None:
    engine = {"name": "netsquid", "link": {**HERALDED, name: 0.2}}
    message = _message({"pairs": 10, "seed": 1, "engine": engine})
    assert f"engine.link.{name}=0.2: not a key; use engine.link.{key}: " in message
    assert meaning in message
    assert "engine.loss" not in message


def test_visibility_is_not_taken_for_a_mixed_state() -> None:
    engine = {"name": "noise", "link": {"fidelity": 0.9, "visibility": 0.9}}
    message = _message({"pairs": 10, "seed": 1, "engine": engine})
    assert "a key of heralded links" in message
    assert "something else: prob_max_mixed = 1 − V" in message
    accepted = {"name": "netsquid", "link": {**HERALDED, "visibility": 0.9}}
    assert parse_config({"pairs": 10, "seed": 1, "engine": accepted}).engine.link.visibility == 0.9


def test_each_of_several_old_sections_is_named_with_its_new_one() -> None:
    old = {
        "noise_params": {"channel_fidelity": 0.9},
        "nsm_params": {"storage_noise_r": 0.1},
        "workers": 3,
    }
    engine = {"name": "noise", "link": {"fidelity": 0.9}}
    lines = _message({"pairs": 10, "seed": 1, "engine": engine, **old}).splitlines()
    for name in ("noise_params:", "noise_params.channel_fidelity", "nsm_params:", "workers=3"):
        assert any(line.strip().startswith(name) for line in lines), name


@pytest.mark.parametrize("where", ["top", "link"])
def test_of_very_many_errors_twenty_are_told_and_the_rest_counted(where: str) -> None:
    unknown = {f"key{number}": number for number in range(20_000)}
    link = {"fidelity": 0.9, **(unknown if where == "link" else {})}
    run = {"pairs": 10, "seed": 1, "engine": {"name": "noise", "link": link}}
    header, *lines = _message({**run, **(unknown if where == "top" else {})}).splitlines()
    assert header.endswith("20000 errors")
    assert len(lines) == 21
    assert lines[-1].strip() == "and 19980 more"
