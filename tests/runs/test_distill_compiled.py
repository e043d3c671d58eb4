"""Keys of blocks large enough for compiled code: the same with and without it, on any number of ranks, after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from helpers import environment

import caligo_mpi
from caligo_mpi.runs.generate import generate
from caligo_mpi.store.keys import keys_status, read_keys

pytest.importorskip("numba", reason="numba is not installed: there is no compiled code")

#: Three blocks; each is sifted, reconciled and amplified by compiled code where that is not turned off.
PAIRS = 2_400_000
PROTOCOL = {"mode": "bbm92", "seed": 5, "block_size": 800_000}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "run.h5"
    engine = {"name": "noise", "link": {"fidelity": 0.97}}
    generate(caligo_mpi.parse_config({"pairs": PAIRS, "seed": 3, "engine": engine}), path)
    path.with_name("p.yaml").write_text(json.dumps(PROTOCOL))
    return path


@pytest.fixture(scope="module")
def plain(run):
    """The digest of the keys by numpy alone."""
    return digest_of(run, "plain.h5", "off")


def command(run, name, *more):
    config = run.with_name("p.yaml")
    arguments = ["distill", run, "--config", config, "-o", run.with_name(name), *more]
    return [sys.executable, "-m", "caligo_mpi", *map(str, arguments)]


def digest_of(run, name, choice, *more):
    subprocess.run(command(run, name, *more), env=environment(CALIGO_COMPILE=choice), check=True)
    return read_keys(run.with_name(name)).digest


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_compiled_keys_are_those_of_numpy_on_any_number_of_ranks(run, plain, ranks):
    assert digest_of(run, f"{ranks}.h5", "on", "--ranks", ranks) == plain


def test_keys_begun_with_compiled_code_are_finished_without_it(run, plain):
    begun = subprocess.Popen(command(run, "killed.h5"), env=environment(CALIGO_COMPILE="on"))
    part = run.with_name("killed.h5.part")
    while begun.poll() is None and not (part.exists() and blocks_in(part)):
        time.sleep(0.002)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    assert digest_of(run, "killed.h5", "off") == plain


def blocks_in(part):
    try:
        return keys_status(part).blocks_done
    except (caligo_mpi.StoreError, OSError):  # not yet a file
        return 0
