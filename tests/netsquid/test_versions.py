"""Files begun with the first random streams of this engine go on with them, to the data they always had."""

from __future__ import annotations

import functools

import pytest

from caligo_mpi import parse_config, store
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.netsquid import probe
from caligo_mpi.errors import ConfigError
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.chunks import chunk_work
from caligo_mpi.runs.generate import engine_for, generate, is_complete, run_info
from caligo_mpi.runs.sequential import _info, run_sequential
from caligo_mpi.runs.verify import verify

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

LINK = {"fidelity": 0.9, "cycle_time_ns": 1000}
# Golden: what the first version made of these, on the stand-in.
DIGEST = "c7df1fbc2e91ec7ae469e070acc4ea5f7a3dfaa6624108fc54e2aeac4020a26f"
SEQUENTIAL_DIGEST = "d406af165823cb1057d65bf9fcfde0b4b7b54ae5a528be7577420ab77c2c4dea"


def config(**changes):
    engine = {"name": "netsquid", "link": LINK, "alice": {"readout_flip": 0.05}}
    return parse_config({"pairs": 600, "seed": 7, "chunk_size": 200, "engine": engine, **changes})


def begin(path, chunks):
    """The partial file that the first version leaves behind when it is stopped after ``chunks`` of three chunks."""
    old = make_engine(config().engine, stream_version=1)
    with store.PairStore.open(path, run_info(config(), old), launch={}) as pair_store:
        work = functools.partial(chunk_work, config(), pair_store.thresholds, 1)
        for rank, result in serial_map(work, pair_store.todo[:chunks]):
            pair_store.append(result, rank=rank)


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_file_of_version_1_goes_on_to_the_digest_it_always_had(tmp_path, chunks):
    path = tmp_path / "run.h5"
    begin(path, chunks)
    done = generate(config(), path).status
    assert (done.data_digest, done.info.stream_version) == (DIGEST, 1)
    assert is_complete(config(), path)
    assert "already complete" in generate(config(), path).messages[0]
    found = verify(path, resample=3)
    assert (found.ok, found.resampled, found.differing) == (True, (0, 1, 2), ())


def test_a_file_of_version_1_is_extended_with_its_streams(tmp_path):
    path = tmp_path / "run.h5"
    begin(path, 3)
    generate(config(), path)
    longer = generate(config(pairs=1000), path).status
    assert (longer.rows, longer.info.stream_version) == (1000, 1)
    assert verify(path, resample=5).ok


def test_new_files_have_the_new_streams(tmp_path):
    done = generate(config(), tmp_path / "run.h5").status
    assert done.info.stream_version == 2
    assert done.data_digest != DIGEST
    assert engine_for(config(), tmp_path / "run.h5").stream_version == 2


def test_streams_of_another_version_of_the_software_are_refused():
    with pytest.raises(
        ConfigError, match="stream_version=3 of engine netsquid is not made by this installation"
    ):
        make_engine(config().engine, stream_version=3)


def test_a_sequential_run_of_version_1_is_repeated_with_its_streams(tmp_path):
    engine = {"name": "netsquid", "link": LINK}
    run = parse_config({"pairs": 120, "seed": 7, "engine": engine})
    path = tmp_path / "seq.h5"
    with store.PairStore.open(path, _info(run, 1), launch={}):
        pass  # killed before its end
    assert run_sequential(run, path).status.data_digest == SEQUENTIAL_DIGEST
    assert run_sequential(run, tmp_path / "new.h5").status.info.stream_version == 2
