"""``output.writers``: who writes the columns changes no bit, and is chosen where it can work."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import pytest
import yaml
from helpers import identity, one_sentence, stopping_after, wait_for_chunks

from caligo_mpi import load_config, status, store
from caligo_mpi.pairs.chunks import Where
from caligo_mpi.parallel.job import Placing
from caligo_mpi.runs import writers
from caligo_mpi.runs.generate import generate
from caligo_mpi.store import verify_file

ARM = {"detector_efficiency": 0.5}
NOISE = {"name": "noise", "link": {"fidelity": 0.95}}
LINK = {"type": "heralded-single-click", "length_km": 2, "bright_population": 0.2}
HERALDED = {"name": "noise", "link": LINK, "device": {"T1_ns": 1e9, "T2_ns": 1e8}, "hold": 1}
ENGINES = {
    "lossless": {"engine": NOISE},
    "lossy": {"engine": {**NOISE, "loss": {"alice": ARM, "bob": ARM}}},
    "declared": {"engine": {"name": "trouble", "efficiency": 0.5, "declares": True}},
    "heralded": {"engine": HERALDED, "pairs": 20_000, "chunk_size": 1000},
}


def config_of(kind, writers, write_config, **changes):
    values = {**ENGINES[kind], "output": {"writers": writers}, **changes}
    return load_config(write_config(f"{kind}-{writers}.yaml", **values))


def scattered(setup, items):
    """A map whose ranks simulate and finish all items in any order, before the first one is taken."""
    rng = random.Random(3)
    work = setup()
    results = {item: work(item, None) for item in rng.sample(list(items), len(items))}
    before = 0
    for item in items:
        if isinstance(work, Placing):
            size = work.size(results[item])
            results[item] = work.place(results[item], before)
            before += size
        yield 1, results[item]


@pytest.mark.parametrize("kind", ENGINES)
def test_columns_are_written_where_they_are_made(tmp_path, write_config, kind):
    where = []

    def watched(setup, items):
        for rank, result in scattered(setup, items):
            where.append(result.where)
            yield rank, result

    generate(config_of(kind, "gather", write_config), tmp_path / "gather.h5", map=watched)
    assert set(where) == {Where.CARRIED}
    where.clear()
    generate(config_of(kind, "direct", write_config), tmp_path / "direct.h5", map=watched)
    assert set(where) == {Where.WRITTEN}
    assert identity(tmp_path / "direct.h5") == identity(tmp_path / "gather.h5")
    assert status(tmp_path / "direct.h5").digest == status(tmp_path / "gather.h5").digest


@pytest.mark.parametrize("pairs", [40 * 8192, 40 * 8192 + 5])
def test_compiled_code_writes_while_it_simulates(tmp_path, write_config, monkeypatch, pairs):
    pytest.importorskip("numba", reason="numba is not installed")
    changes = {"pairs": pairs, "chunk_size": 3 * 8192}
    generate(config_of("lossless", "gather", write_config, **changes), tmp_path / "gather.h5")
    monkeypatch.setenv("CALIGO_COMPILE", "on")
    generate(
        config_of("lossless", "direct", write_config, **changes),
        tmp_path / "direct.h5",
        map=scattered,
    )
    assert identity(tmp_path / "direct.h5") == identity(tmp_path / "gather.h5")
    assert verify_file(tmp_path / "direct.h5").ok


def test_a_stop_in_the_middle_of_a_chunk_leaves_nothing_to_be_written(
    tmp_path, write_config, monkeypatch
):
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setenv("CALIGO_COMPILE", "on")
    changes = {"pairs": 1 << 23, "chunk_size": 1 << 22}
    direct = config_of("lossless", "direct", write_config, **changes)
    generate(config_of("lossless", "gather", write_config, **changes), tmp_path / "whole.h5")

    def broken_off(setup, items):
        work, ticks = setup(), iter(range(1))
        with pytest.raises(RuntimeError):
            work(items[0], lambda: next(ticks))
        yield from ()

    for _ in range(2):
        generate(direct, tmp_path / "run.h5", map=broken_off)
    generate(direct, tmp_path / "run.h5")
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "whole.h5")


@pytest.mark.parametrize("kind", ENGINES)
def test_each_may_go_on_where_the_other_stopped(tmp_path, write_config, kind):
    direct, gather = (config_of(kind, name, write_config) for name in ("direct", "gather"))
    generate(gather, tmp_path / "whole.h5")
    for number, config in enumerate((direct, gather, direct, gather)):
        generate(config, tmp_path / "run.h5", map=stopping_after(3 + number))
    generate(direct, tmp_path / "run.h5", map=scattered)
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "whole.h5")


def test_runs_that_stop_at_a_goal_write_directly_too(tmp_path, write_config):
    goal = {"relative_error": 0.1, "max_pairs": 2_000_000}
    found = []
    for name in ("gather", "direct"):
        text = {"seed": 7, "chunk_size": 8192, **ENGINES["lossy"], "until": goal}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**text, "output": {"writers": name}}))
        generate(load_config(path), tmp_path / f"{name}.h5", map=scattered)
        found.append(identity(tmp_path / f"{name}.h5"))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "survive"), [("lossless", False), ("declared", False), ("declared", True)]
)
@pytest.mark.mpi
def test_real_ranks_make_the_same_file(tmp_path, write_config, caligo, mpirun, kind, survive):
    mpirun(2)
    generate(config_of(kind, "gather", write_config), tmp_path / "alone.h5")
    config_of(kind, "direct", write_config)
    options = ["--survive"] if survive else []
    done = caligo("generate", f"{kind}-direct.yaml", "-q", "-o", "run.h5", "--ranks", 3, *options)
    assert done.returncode == 0, done.stderr
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "alone.h5")
    assert verify_file(tmp_path / "run.h5").ok


@pytest.mark.mpi
def test_a_chunk_that_fails_where_others_wait_for_its_size(tmp_path, write_config, caligo, mpirun):
    mpirun(2)
    engine = {"name": "trouble", "efficiency": 0.5, "fail_rank": 1}
    write_config(
        engine=engine, schedule="static", output={"writers": "direct"}, faults={"retries": 5}
    )
    done = caligo("generate", "run.yaml", "-q", "-o", "run.h5", "--ranks", 3)
    assert done.returncode == 0, done.stderr
    assert verify_file(tmp_path / "run.h5").ok


@pytest.mark.mpi
def test_a_stop_keeps_what_is_in_and_the_run_goes_on(tmp_path, write_config, mpirun):
    line, env = mpirun(3)
    changes = {"pairs": 100_000_000, "chunk_size": 1 << 18}
    generate(config_of("lossy", "gather", write_config, **changes), tmp_path / "alone.h5")
    config_of("lossy", "direct", write_config, **changes)
    command = [sys.executable, "-m", "caligo_mpi", "generate", "lossy-direct.yaml", "-o", "run.h5"]
    process = subprocess.Popen(
        [*line, *command], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    )
    wait_for_chunks(tmp_path / "run.h5", 5, process)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert 5 <= status(tmp_path / "run.h5").chunks_done < 382
    assert verify_file(tmp_path / "run.h5.part").ok
    again = subprocess.run([*line, *command], cwd=tmp_path, env=env, check=False, timeout=60)
    assert again.returncode == 0
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "alone.h5")


@pytest.mark.parametrize("asked", ["auto", "direct"])
@pytest.mark.parametrize(
    ("kind", "one_host", "chosen"),
    [
        ("ext4", True, {"auto", "direct"}),
        ("nfs4", True, {"auto", "direct"}),
        ("lustre", False, {"auto", "direct"}),
        ("gpfs", False, {"auto", "direct"}),
        ("beegfs", False, {"auto", "direct"}),
        ("ceph", False, {"auto", "direct"}),
        ("an unknown file system", False, {"direct"}),
        ("ext4", False, {"direct"}),
        ("nfs4", False, set()),
    ],
)
def test_where_ranks_may_write_into_one_file(asked, kind, one_host, chosen):
    if asked == "direct" and asked not in chosen:
        with pytest.raises(
            store.StoreError, match=r"output\.writers=direct: the output is on nfs4"
        ):
            writers.may_be_direct(asked, kind, one_host=one_host)
        return
    assert writers.may_be_direct(asked, kind, one_host=one_host) == (asked in chosen)


def test_a_wrong_choice_is_refused_in_one_sentence(caligo, write_config):
    write_config(output={"path": "run.h5", "writers": "all"})
    one_sentence(
        caligo("generate", "run.yaml"), "output.writers", "all", "auto", "gather", "direct"
    )
