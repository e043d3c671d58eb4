"""What a researcher looks for in a keys file: rates, error rates by basis, efficiencies; older files lack them."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.cli import show_keys
from caligo_mpi.pairs import Chunk
from caligo_mpi.runs.chunks import chunk_result
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.store.keys import keys_status, read_keys, verify_keys, write_file

PROTOCOL = {
    "mode": "bbm92",
    "seed": 5,
    "block_size": 100_000,
    "frame_bits": 5000,
    "reconciliation": "cascade",
}
# Phase errors alone: X has errors that Z does not have.
ENGINE = {
    "name": "noise",
    "link": {"pauli": [0.005, 0.0, 0.025]},
    "loss": {"bob": {"detector_efficiency": 0.8}},
}


def run_config(**changes):
    return caligo_mpi.parse_config({"pairs": 400_000, "seed": 3, "engine": ENGINE, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "run.h5"
    generate(run_config(), path)
    distill(prepare(path, caligo_mpi.parse_protocol(PROTOCOL)), path.with_name("keys.h5"))
    return path.with_name("keys.h5")


def test_secret_bits_per_emission(made):
    keys = read_keys(made)
    assert keys.info.rows < keys.info.emissions == 400_000
    assert keys.per_emission == keys.key_bits / 400_000 > 0.05
    assert keys.per_second is None
    with h5py.File(made) as file:
        assert (file.attrs["emissions"], file.attrs["key_per_emission"]) == (
            400_000,
            keys.per_emission,
        )
        assert "key_per_second" not in file.attrs


def test_secret_bits_per_second_where_time_is_simulated(tmp_path):
    """Pairs of a plug-in that takes 50 ns per emission."""
    config = run_config(
        pairs=100_000, chunk_size=100_000, engine={"name": "noise", "link": {"fidelity": 0.99}}
    )
    pairs = caligo_mpi.generate_pairs(config).packed()
    pairs = replace(pairs, time=50.0 * np.arange(1, 100_001), duration_ns=5e6)
    info = store.RunInfo(
        pairs=100_000, chunk_size=100_000, seed=1, engine="timed", stream_version=1, has_time=True,
        config=json.dumps(config.resolved()), config_digest="0" * 64,
    )  # fmt: skip
    with store.PairStore.open(tmp_path / "run.h5", info, launch={}) as pair_store:
        pair_store.append(chunk_result(Chunk(0, 0, 100_000), pairs), rank=0)
        pair_store.finish()
    done = distill(
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(PROTOCOL)), tmp_path / "keys.h5"
    )
    assert done.keys.per_second == pytest.approx(done.keys.key_bits / 5e-3)
    with h5py.File(tmp_path / "keys.h5") as file:
        assert file.attrs["key_per_second"] == done.keys.per_second
        assert file.attrs["duration_ns"] == 5e6
    assert "bit/s of simulated time" in show_keys.distilled_text(done)


def test_error_rates_by_basis(made):
    summary = show_keys.keys_status_dict(keys_status(made))
    blocks = read_keys(made).blocks
    for basis, rate in (("z", 0.005), ("x", 0.025)):
        errors, tested = int(blocks[f"errors_{basis}"].sum()), int(blocks[f"tested_{basis}"].sum())
        assert summary[f"qber_{basis}"] == errors / tested
        assert (
            abs(errors / tested - rate) < 4.9 * (rate * (1 - rate) / tested) ** 0.5
        )  # false alarm 1e-6
    assert blocks["tested_z"].sum() + blocks["tested_x"].sum() == blocks["tested"].sum()


def test_efficiency_of_every_frame(made):
    keys = read_keys(made)
    frames = keys.frames
    assert len(frames) == keys.blocks["frames"].sum() > 20
    assert frames["corrected"].sum() == keys.hidden["corrected"].sum()
    assert (frames["agreed"] == 0).sum() == keys.blocks["failed_frames"].sum()
    for index, block in enumerate(keys.blocks):
        own = frames[frames["block"] == index]
        assert own["bits"].sum() == block["reconciled_bits"]
        if not block["failed_frames"]:
            assert own["leak_bits"].sum() + block["tag_bits"] + len(own) == block["leak_bits"]
    good = frames[frames["agreed"] == 1]
    rate = good["corrected"] / good["bits"]
    entropy = -rate * np.log2(rate) - (1 - rate) * np.log2(1 - rate)
    np.testing.assert_allclose(good["efficiency"], good["leak_bits"] / (good["bits"] * entropy))
    assert 1 < good["efficiency"].mean() < 1.3
    summary = show_keys.keys_status_dict(keys_status(made))
    assert 1 < summary["efficiency_min"] < summary["efficiency"] < summary["efficiency_max"]
    assert f"reconciliation f = {summary['efficiency']:.4f}" in show_keys.keys_status_text(
        keys_status(made)
    )


def test_a_transfer_is_one_frame(tmp_path):
    generate(
        run_config(pairs=60_000, engine={"name": "noise", "link": {"fidelity": 0.9985}}),
        tmp_path / "run.h5",
    )
    rot = caligo_mpi.parse_protocol(
        {"mode": "rot", "seed": 5, "storage_r": 0.75, "storage_rate": 0.002}
    )
    keys = distill(prepare(tmp_path / "run.h5", rot), tmp_path / "keys.h5").keys
    (frame,) = keys.frames
    assert frame["bits"] == keys.blocks["sifted"][0]
    assert 2 * frame["leak_bits"] + keys.blocks["tag_bits"][0] == keys.blocks["leak_bits"][0]
    assert keys.per_emission == keys.key_bits / 60_000


def test_without_a_key_there_is_a_rate_of_0_and_no_efficiency(tmp_path):
    generate(
        run_config(pairs=2000, engine={"name": "noise", "link": {"fidelity": 0.5}}),
        tmp_path / "run.h5",
    )
    done = distill(
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(PROTOCOL)), tmp_path / "keys.h5"
    )
    summary = json.loads(json.dumps(show_keys.distilled_dict(done), allow_nan=False))
    assert (summary["key_per_emission"], summary["efficiency"], summary["key_per_second"]) == (
        0,
        None,
        None,
    )
    assert summary["qber_z"] > 0.2
    assert verify_keys(tmp_path / "keys.h5").ok


def test_a_file_that_lacks_them_is_read(made, tmp_path):
    keys = read_keys(made)
    old = [name for name in keys.blocks.dtype.names if not name.endswith(("_z", "_x"))]
    info = replace(keys.info, emissions=0, duration_ns=0.0)
    write_file(
        tmp_path / "old.h5",
        replace(keys, info=info, blocks=repack_fields(keys.blocks[old]), frames=None),
    )
    again = read_keys(tmp_path / "old.h5")
    assert (again.digest, again.frames, again.per_emission) == (keys.digest, None, None)
    assert verify_keys(tmp_path / "old.h5").ok
    text = show_keys.keys_status_text(keys_status(tmp_path / "old.h5"))
    assert "key: " in text
    assert not any(word in text for word in ("disclosed", "reconciliation f", "per emission"))
    json.dumps(show_keys.keys_status_dict(keys_status(tmp_path / "old.h5")), allow_nan=False)
