"""What the protocols may take for granted of a file's devices, against matrices."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import caligo_mpi
from caligo_mpi.config import BUILT_IN
from caligo_mpi.engines.link import readout
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.protocol.disclosure import uneven_bases
from caligo_mpi.protocol.key_length import finite_key_length, preparation_quality
from caligo_mpi.protocol.sift import sides, sift
from caligo_mpi.protocol.types import Detection
from caligo_mpi.runs import devices
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.modes import mode_of
from caligo_mpi.store.keys import read_keys

PROTOCOL = {"mode": "bbm92", "seed": 5, "reconciliation": "ldpc"}
Z_AXIS, X_AXIS, Y_AXIS = (
    np.diag([1.0, -1]),
    np.array([[0.0, 1], [1, 0]]),
    np.array([[0, -1j], [1j, 0]]),
)


def run_config(**engine):
    engine = {"name": "noise", "link": {"fidelity": 0.99}, **engine}
    return caligo_mpi.parse_config({"pairs": 300_000, "seed": 3, "engine": engine})


def measurement(axis, p0, p1):
    """The elements for 0 and 1 of a measurement along ``axis`` with read-out errors."""
    ideal = (np.eye(2) + axis) / 2, (np.eye(2) - axis) / 2
    return (1 - p0) * ideal[0] + p1 * ideal[1], p0 * ideal[0] + (1 - p1) * ideal[1]


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.conj().T


def overlap(one, other):
    return max(np.linalg.norm(root(a) @ root(b), 2) ** 2 for a in one for b in other)


@pytest.mark.parametrize("shift", [0.0, 1e-6, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0])
def test_quality_is_the_overlap_of_the_two_measurements(shift):
    c = overlap(measurement(Z_AXIS, 0, shift), measurement(X_AXIS, 0, shift))
    assert preparation_quality(shift) == pytest.approx(-np.log2(c), abs=1e-9)
    mirrored = overlap(measurement(Z_AXIS, shift, 0), measurement(X_AXIS, shift, 0))
    assert preparation_quality(shift) == pytest.approx(-np.log2(mirrored), abs=1e-9)


@pytest.mark.parametrize(
    ("p0", "p1"), [(0.0, 0.0), (0.1, 0.1), (0.02, 0.07), (0.3, 0.05), (0.0, 0.5)]
)
def test_the_rest_of_a_read_out_error_is_a_channel_in_front(p0, p1):
    """A qubit turned by Y with some probability, then measured with one-sided errors alone, gives the same bits."""
    shift = abs(p1 - p0)
    turned = (1 - readout(p0, p1).symmetric) / 2
    for axis in (Z_AXIS, X_AXIS):
        one_sided = measurement(axis, *((0, shift) if p1 >= p0 else (shift, 0)))
        seen = [(1 - turned) * m + turned * Y_AXIS @ m @ Y_AXIS for m in one_sided]
        np.testing.assert_allclose(seen, measurement(axis, p0, p1), atol=1e-12)


@pytest.mark.parametrize("gate", [0.0, 0.1])
@pytest.mark.parametrize(("t1", "t2"), [(0, 0), (0, 50.0), (100.0, 200.0), (100.0, 30.0)])
def test_memory_and_gate_are_one_channel_in_front_of_both_measurements(t1, t2, gate):
    """Its Choi matrix, with the shrinking that the engine gives Z and X, is positive: Eve may have it."""
    from caligo_mpi.engines import link

    z, x = link.storage_z(20.0, t1, "dm"), link.storage_x(20.0, t2, gate)
    choi = np.kron(np.eye(2) + z.shift * Z_AXIS, np.eye(2)) + z.scale * np.kron(Z_AXIS, Z_AXIS)
    # Its Y component is free, since nobody measures Y: one choice that is positive will do.
    choices = [
        choi + x.scale * np.kron(X_AXIS, X_AXIS) - y * np.kron(Y_AXIS, Y_AXIS)
        for y in np.linspace(-1, 1, 2001)
    ]
    assert max(np.linalg.eigvalsh(choice)[0] for choice in choices) > -1e-3


UNEVEN_READ_OUT = {"p_read1_given0": 0.01, "p_read0_given1": 0.03}


@pytest.mark.parametrize(
    ("engine", "shift"),
    [
        ({"alice": UNEVEN_READ_OUT}, 0.02),
        ({"alice": {"p_read1_given0": 0.02}, "bob": {"p_read1_given0": 0.03}}, 0.02),
        ({"bob": UNEVEN_READ_OUT}, 0.0),
        ({"alice": {"readout_flip": 0.02}}, 0.0),
        ({"alice": {"p_read1_given0": 0.02, "p_read0_given1": 0.02}}, 0.0),
        (
            {
                "alice": {
                    "T1_ns": 1e4,
                    "T2_ns": 1e4,
                    "storage_time_ns": 10.0,
                    "gate_depolarizing": 0.001,
                }
            },
            0.0,
        ),
    ],
)
def test_the_length_begins_at_the_quality_of_alices_measurements(tmp_path, engine, shift):
    generate(run_config(**engine), tmp_path / "run.h5")
    job = prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(PROTOCOL))
    keys = distill(job, tmp_path / "keys.h5").keys
    security = read_keys(tmp_path / "keys.h5").info.security
    assert security["preparation_quality"] == preparation_quality(shift) <= 1
    assert any("preparation_quality" in sentence for sentence in security["assumed"])
    (block,) = keys.blocks
    law = {
        "key_bits": int(block["reconciled_bits"]), "test_bits": int(block["tested"]), "qber": float(block["qber"]),
        "leak_bits": int(block["leak_bits"]), "epsilon_sec": 1e-10, "epsilon_cor": 1e-15,
    }  # fmt: skip
    assert keys.key_bits == finite_key_length(**law, quality=preparation_quality(shift)) > 1000
    assert (keys.key_bits < finite_key_length(**law)) == (shift > 0)


def test_the_summary_says_that_the_quality_is_below_1(caligo, tmp_path):
    side = "engine:\n  name: noise\n  link: {fidelity: 0.99}\n  alice: {p_read0_given1: 0.05}\n"
    (tmp_path / "run.yaml").write_text(f"pairs: 100_000\nseed: 1\n{side}")
    (tmp_path / "p.yaml").write_text("mode: bbm92\nseed: 1\n")
    assert caligo("generate", "run.yaml", "-q", "-o", "run.h5").returncode == 0
    result = caligo("distill", "run.h5", "--config", "p.yaml", "-o", "keys.h5")
    assert (
        "  preparation quality 0.8712 bits per key bit: Alice's read-out favors a bit"
        in result.stdout.splitlines()
    )


def test_netsquid_and_noise_have_one_rule():
    link = {"type": "perfect"}
    for side, expected in (({"p_read0_given1": 0.05}, 0.871), ({"readout_flip": 0.05}, 1.0)):
        run = caligo_mpi.parse_config(
            {"pairs": 8, "seed": 1, "engine": {"name": "netsquid", "link": link, "alice": side}}
        )
        assert mode_of("bbm92").premises(run).quality == pytest.approx(expected, abs=5e-4)


def test_of_another_packages_engine_nothing_is_known():
    plugin = caligo_mpi.RunConfig.from_json('{"pairs": 1, "seed": 1, "engine": {"name": "theirs"}}')
    assert mode_of("bbm92").premises(plugin).quality == 1
    sentence = "nothing is known of engine theirs: its devices are taken for ideal ones"
    assert mode_of("bbm92").assumptions(plugin)[0] == sentence


@pytest.mark.parametrize("test", ["random", "Z"])
def test_a_known_bias_is_refused_however_small(tmp_path, test):
    """Its frequencies are within the margin, which is wide enough for 0.501 in 75,000 rows."""
    generate(run_config(alice={"basis_bias": 0.501}), tmp_path / "run.h5")
    alice, bob = sides(caligo_mpi.read_pairs(tmp_path / "run.h5").packed())
    assert uneven_bases(sift(alice, bob.basis), 1e-10) is None
    keys = distill(
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol({**PROTOCOL, "test": test})),
        tmp_path / "keys.h5",
    ).keys
    assert (keys.blocks["abort_step"][0], keys.key_bits > 0) == (
        (b"sift", False) if test == "random" else (b"", True)
    )


def test_biases_that_cancel_are_even(tmp_path):
    even = run_config(alice={"basis_bias": 0.3}, bob={"basis_bias": 0.7})
    assert mode_of("bbm92").premises(even).even
    uneven = run_config(alice={"basis_bias": 0.3}, bob={"basis_bias": 0.3})
    assert not mode_of("bbm92").premises(uneven).even


def test_keys_begun_without_a_look_at_the_read_out_are_not_gone_on_with(tmp_path):
    generate(run_config(alice=UNEVEN_READ_OUT), tmp_path / "run.h5")
    job = prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(PROTOCOL))
    old = replace(job, info=replace(job.info, stream_version=1))
    distill(old, tmp_path / "keys.h5", map=lambda setup, items: serial_map(setup, items[:0]))
    sentence = "was made with stream_version=1 of the protocol, and this would have 2; choose another output"
    with pytest.raises(StoreError, match=sentence):
        distill(job, tmp_path / "keys.h5")


OTHERS = [name for name in BUILT_IN if name not in ("noise", "netsquid", "sequence")]


@pytest.mark.parametrize("name", [*OTHERS, "theirs"])
def test_devices_of_an_engine_that_says_nothing_of_them_are_refused_for_transfer(name):
    """Built in or a plug-in, in one sentence; nothing else that is asked about devices fails."""
    fields = {} if name == "theirs" else {"link": {"fidelity": 0.99}}
    written = {"pairs": 8, "seed": 1, "engine": {"name": name, **fields}}
    config = caligo_mpi.RunConfig.from_json(json.dumps(written))
    with pytest.raises(ConfigError) as refused:
        devices.require_transfer(config, source="run.h5")
    unknown = f"nothing is known of how the devices of engine.name={name} detect"
    assert str(refused.value).startswith(f"run.h5 cannot be used with mode=rot: {unknown}; ")
    for mode in ("bbm92", "rot"):
        assert mode_of(mode).assumptions(config)
        assert mode_of(mode).premises(config).quality == 1
    assert (devices.expected(config) is None) == (name == "theirs")
    assert devices.detection(config) == Detection()
