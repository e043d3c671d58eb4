"""The benchmark's switch leaves protection out, and nothing else: else the cost it shows would be another one's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers import ROOT, environment

from caligo_mpi import store


@pytest.mark.parametrize("options", [[], pytest.param(["-n", "1"], marks=pytest.mark.mpi)])
def test_unprotected_run_has_the_same_rows_and_no_checksum(
    write_config, caligo, tmp_path, mpirun, options
):
    config = write_config()
    assert caligo("generate", config, "-q", *options).returncode == 0
    (tmp_path / "run.h5").rename(tmp_path / "protected.h5")
    command = [
        sys.executable,
        str(ROOT / "jobs/unprotected.py"),
        "generate",
        str(config),
        "-q",
        *options,
    ]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, stdout=subprocess.DEVNULL)
    assert store.pairs_hash(tmp_path / "run.h5") == store.pairs_hash(tmp_path / "protected.h5")
    with store.open_pairs(tmp_path / "protected.h5") as file:
        assert file.chunks["checksum"].all()
        assert file.chunks["record_checksum"].all()
    with store.open_pairs(tmp_path / "run.h5") as file:
        assert not file.chunks["checksum"].any()
        assert not file.chunks["record_checksum"].any()
        assert file.data_digest == "0" * 64
    assert caligo("verify", "run.h5").returncode == 1
