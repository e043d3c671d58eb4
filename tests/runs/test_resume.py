"""``caligo-mpi resume FILE``: goes on with a file by the configuration that stands in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from helpers import names, one_sentence, stopping_after

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs import resume
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.identity import engine_for, run_info
from caligo_mpi.runs.job import Observer
from caligo_mpi.store.keys import read_keys

ENGINE = {"name": "noise", "link": {"fidelity": 0.985}}
PROTOCOL = {"mode": "bbm92", "seed": 5, "block_size": 50_000, "test_fraction": 0.2}


def config(keep="pairs", **changes):
    values = {"pairs": 200_001, "seed": 3, "chunk_size": 1 << 14, "engine": ENGINE}
    output = {"path": "elsewhere.h5", "keep": keep, "durability": "fsync"}
    return caligo_mpi.parse_config({**values, "output": output, **changes})


@pytest.fixture
def stopped(tmp_path):
    """A run stopped after five chunks, whose configuration is nowhere but in its file."""

    def make(keep="pairs", name="run.h5"):
        generate(config(keep), tmp_path / name, map=stopping_after(5))
        assert not store.status(tmp_path / name).complete
        return tmp_path / name

    return make


@pytest.fixture
def digest(tmp_path):
    generate(config("records"), tmp_path / "reference.h5")
    found = store.status(tmp_path / "reference.h5").data_digest
    (tmp_path / "reference.h5").unlink()
    return found


def go_on(job):
    return job.run(serial_map, {}, Observer(), force=False)


@pytest.mark.parametrize("keep", ["pairs", "records"])
@pytest.mark.parametrize("ending", ["", ".part"])
def test_it_goes_on_under_either_name(stopped, digest, keep, ending):
    path = stopped(keep)
    job = resume.generate_job(f"{path}{ending}", ["resume"])
    assert (job.path, job.config.output.keep, job.config.output.durability) == (path, keep, "fsync")
    assert go_on(job)
    status = store.status(path)
    assert (status.data_digest, status.info.keep, len(status.runs)) == (digest, keep, 2)
    assert names(path.parent) == ["run.h5"]


@pytest.mark.mpi
def test_ranks_go_on(stopped, digest, caligo):
    path = stopped()
    done = caligo("resume", "run.h5.part", "--ranks", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert json.loads(done.stdout)["data_digest"] == digest
    done = caligo("resume", path)
    assert done.returncode == 0
    assert "is already complete" in done.stderr


def test_a_file_that_is_being_extended_goes_on_to_its_new_length(tmp_path):
    path = tmp_path / "run.h5"
    generate(config(pairs=1 << 15), path)
    generate(config(), path, map=stopping_after(2))
    job = resume.generate_job(path, [])
    assert job.config.pairs == 200_001
    assert go_on(job)
    assert store.status(path).pairs == 200_001


def _stopped_keys(path, keys):
    protocol = caligo_mpi.parse_protocol(PROTOCOL)
    distill(prepare(path, protocol, chosen="somebody chose"), keys, map=stopping_after(1))
    assert not keys.exists()


def test_keys_go_on(tmp_path, caligo):
    path, keys = tmp_path / "run.h5", tmp_path / "keys.h5"
    generate(config(), path)
    _stopped_keys(path, keys)
    assert resume.holds_keys(keys)
    assert go_on(resume.distill_job(keys, [], yes=False))
    whole = tmp_path / "whole.h5"
    distill(prepare(path, caligo_mpi.parse_protocol(PROTOCOL)), whole)
    assert read_keys(keys).digest == read_keys(whole).digest
    assert read_keys(keys).info.software["chosen"] == "somebody chose"
    keys.unlink()
    _stopped_keys(path, keys)
    done = caligo("resume", "keys.h5", "-q", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["key_bits"] == read_keys(whole).key_bits


def test_keys_need_their_own_pairs_beside_them(tmp_path):
    path, keys = tmp_path / "run.h5", tmp_path / "keys.h5"
    generate(config("records"), path)
    _stopped_keys(path, keys)
    path.unlink()
    with pytest.raises(StoreError, match=r"is made of run\.h5, which is not beside it"):
        resume.distill_job(keys, [], yes=False)
    generate(config("records", seed=4), path)
    with pytest.raises(StoreError, match=r"another run\.h5 than the one beside it"):
        resume.distill_job(keys, [], yes=False)


def test_what_cannot_be_gone_on_with_is_one_sentence(tmp_path, caligo):
    (tmp_path / "text.h5").write_text("no pairs")
    (tmp_path / "folder").mkdir()
    for name, words in (("none.h5", "does not exist"), ("text.h5", "not an HDF5"), ("folder", "")):
        one_sentence(caligo("resume", name), name, words)
    info = run_info(config(), engine_for(config(), None))
    info = replace(info, engine="netsquid 1.2, sequential")
    store.PairStore.open(tmp_path / "seq.h5", info, launch={}).close()
    with pytest.raises(ConfigError, match="one sequential simulation"):
        resume.generate_job(tmp_path / "seq.h5", [])
    shutil.rmtree(tmp_path / "folder")
    assert names(tmp_path) == ["seq.h5.part", "text.h5"]
