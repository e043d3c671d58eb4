"""``--metrics FILE``: text that Prometheus reads, replaced at once, and never over somebody else's file."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from helpers import environment, one_sentence
from prometheus_client.parser import text_string_to_metric_families

from caligo_mpi import status

STATES = {"busy", "communicating", "writing", "idle"}


def samples(path):
    """Name → list of (labels, value), as Prometheus' own parser reads them."""
    found = {}
    for family in text_string_to_metric_families(path.read_text("utf-8")):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.mpi
@pytest.mark.parametrize("more", [[], ["--survive"]], ids=["restart", "survive"])
def test_what_ranks_did_is_in_the_text_and_in_the_file(caligo, tmp_path, write_config, more):
    done = caligo("generate", write_config(), "--ranks", 3, "--metrics", "run.prom", "-q", *more)
    assert done.returncode == 0, done.stderr
    found = samples(tmp_path / "run.prom")
    assert all(name.startswith("caligo_mpi_") for name in found)
    assert found["caligo_mpi_running"] == [({"file": "run.h5"}, 0)]
    assert found["caligo_mpi_pairs"][0][1] == status(tmp_path / "run.h5").pairs
    rows = status(tmp_path / "run.h5").metrics
    ranks = rows["rank"].tolist()
    # Where ranks outlive others, one that comes late to a short run has nothing to tell.
    assert ranks == [0, 1, 2] or (more and set(ranks) < {0, 1, 2})
    seconds = found["caligo_mpi_rank_seconds_total"]
    assert {(labels["rank"], labels["state"]) for labels, _ in seconds} == {
        (str(rank), state) for rank in ranks for state in STATES
    }
    items = sum(value for _, value in found["caligo_mpi_rank_items_total"])
    assert items == rows["chunks"].sum() == status(tmp_path / "run.h5").chunks_total
    assert (rows["seconds"] > 0).all()
    # What a worker says last of itself is not in its own account yet.
    sent = int(rows["messages"][0]) - int(rows["messages"][1:].sum())
    assert 0 <= sent <= 2 or more
    out = caligo("status", "run.h5").stdout
    assert f"last launch: {len(ranks)} ranks, efficiency" in out
    assert f"rank {ranks[-1]}: " in out


def test_keys_and_sweeps_have_them_too(caligo, tmp_path, write_config):
    engine = {"name": "noise", "link": {"fidelity": 1.0}}
    config = write_config(pairs=20_000, chunk_size=4000, engine=engine)
    assert caligo("generate", config, "-q").returncode == 0
    done = caligo("distill", "run.h5", "--metrics", "keys.prom", "-q")
    assert done.returncode == 0, done.stderr
    assert samples(tmp_path / "keys.prom")["caligo_mpi_rank_items_total"][0][1] >= 1
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "base: {pairs: 800, seed: 1, chunk_size: 400, engine: {name: noise, link: {fidelity: 0.9}}}\n"
        "axes: [{path: engine.link.fidelity, values: [0.9, 1.0]}]\n"
    )
    variables = environment(CALIGO_MPI_METRICS="sweep.prom")
    done = caligo("sweep", "sweep.yaml", "-o", "points", "-q", env=variables)
    assert done.returncode == 0, done.stderr
    assert samples(tmp_path / "sweep.prom")["caligo_mpi_rank_items_total"][0][1] == 4


def test_whoever_reads_meanwhile_finds_whole_text(tmp_path, write_config):
    config = write_config(engine={"name": "trouble", "seconds": 0.05})
    command = [
        sys.executable,
        "-m",
        "caligo_mpi",
        "generate",
        str(config),
        "--metrics",
        "run.prom",
        "-q",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    path, reads, running = tmp_path / "run.prom", 0, set()
    while process.poll() is None:
        if path.exists():
            found = samples(path)
            running.add(found["caligo_mpi_running"][0][1])
            reads += 1
        time.sleep(0.002)
    assert process.returncode == 0
    assert reads > 10
    assert 1 in running
    assert [one.name for one in tmp_path.glob(".run.prom*")] == []


def test_other_files_and_places_are_refused(caligo, tmp_path, write_config):
    (tmp_path / "notes.txt").write_text("dear diary")
    config = write_config()
    for name, word in (
        ("notes.txt", "no metrics of ours"),
        (".", "directory"),
        ("no/m.prom", "directory"),
    ):
        one_sentence(caligo("generate", config, "--metrics", name), "metrics=", word)
    assert (tmp_path / "notes.txt").read_text() == "dear diary"
    assert not (tmp_path / "run.h5").exists()


def test_the_writer_ends_with_the_run():
    assert [one.name for one in threading.enumerate() if one.name == "metrics"] == []
