"""Benches of real processes, some of which crash, hang, are killed, eat memory or are wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from helpers import environment

from caligo_mpi.bench import summary
from caligo_mpi.bench.child import MARK
from caligo_mpi.launch import processes

#: The first is right; each of the others has one fault.
TROUBLED: dict[str, Any] = {
    "noise": "noise",
    "absent": "absent",
    "crashing": {"name": "trouble", "fail_at": 0},
    "killed": {"name": "trouble", "die_at": 0},
    "hanging": {"name": "trouble", "seconds": 1000.0},
    "eating": {"name": "trouble", "leak": 1 << 29},
    "wrong": "wrong",
    "unable": {"name": "plain", "alice": {"T1_ns": 5.0, "T2_ns": 5.0}},
}
STATES = {
    "noise": "ok",
    "absent": "missing",
    "crashing": "failed",
    "killed": "killed",
    "hanging": "timeout",
    "eating": "memory",
    "wrong": "wrong",
    "unable": "refused",
}


@pytest.fixture
def write_bench(tmp_path: Path) -> Any:
    def write(**keys: Any) -> Path:
        path = tmp_path / "b.yaml"
        small = {"work": "sample", "pairs": 20_000, "warmup": 0, "repeats": 2}
        path.write_text(yaml.safe_dump({**small, **keys}))
        return path

    return write


def results(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and comparison of the latest session."""
    latest = root / "latest"
    found = [
        json.loads((latest / name).read_text()) for name in ("summary.json", "comparison.json")
    ]
    return found[0], found[1]


def records(root: Path) -> dict[str, str]:
    """Every run's file and what stands in it; nothing before the first."""
    return {path.name: path.read_text() for path in (root / "latest" / "runs").glob("*.json")}


def test_troubled_engines_are_recorded_and_the_rest_go_on(
    caligo: Any, write_bench: Any, tmp_path: Path
) -> None:
    path = write_bench(engines=[*TROUBLED.values()], timeout_s=3, memory_mib=400)
    done = caligo("bench", path, "-o", "out")
    assert done.returncode == 1, done.stderr  # one is wrong
    found, comparison = results(tmp_path / "out")
    jsonschema.validate(found, summary.schema())
    states = dict(zip(TROUBLED, (case["state"] for case in found["cases"]), strict=True))
    assert states == STATES
    sentences = dict(zip(TROUBLED, (case["problem"] for case in found["cases"]), strict=True))
    assert "engine 'absent' is not installed" in sentences["absent"]
    assert "boom in chunk 0" in sentences["crashing"]
    assert "ended by SIGKILL" in sentences["killed"]
    assert "longer than timeout_s=3" in sentences["hanging"]
    assert "more than memory_mib=400" in sentences["eating"]
    assert "by the closed form" in sentences["wrong"]
    assert "engine plain cannot express it" in sentences["unable"]
    for state in STATES.values():
        assert state in done.stdout
    (point,) = comparison["points"]
    assert [row["rank"] for row in point["engines"]] == [1, *[None] * 7]
    assert point["engines"][0]["over_reference"] == {"value": 1, "low": 1, "high": 1}
    assert list((tmp_path / "out" / "latest" / "work").iterdir()) == []
    assert not list(processes.marked(MARK, ""))


def test_only_failed_cases_are_run_again(caligo: Any, write_bench: Any, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    engines = ["noise", {"name": "trouble", "fails_without": str(mended)}]
    path = write_bench(engines=engines, retries=1)
    assert caligo("bench", path, "-o", "out").returncode == 0
    before = records(tmp_path / "out")
    assert results(tmp_path / "out")[0]["states"] == {"ok": 1, "failed": 1}
    (failed,) = (json.loads(text) for name, text in before.items() if name.startswith("trouble"))
    assert (failed["attempts"], failed["state"]) == (2, "failed")
    mended.touch()
    again = caligo("bench", "--rerun-failed", "out")
    assert again.returncode == 0, again.stderr
    assert results(tmp_path / "out")[0]["states"] == {"ok": 2}
    after = records(tmp_path / "out")
    noise = {name for name in before if name.startswith("noise")}
    assert {name: after[name] for name in noise} == {name: before[name] for name in noise}
    assert "noise" not in again.stderr
    assert len(after) == 4
    history = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in history] == 2 * [
        str((tmp_path / "out" / "latest").readlink())
    ]


def test_a_runner_that_ends_loses_at_most_the_running_case(
    write_bench: Any, tmp_path: Path
) -> None:
    """Killed, killed and stopped at moments that chance chooses, after one run more each time."""
    engines = ["noise", {"name": "trouble", "seconds": 0.2}]
    path = write_bench(engines=engines, pairs=1000, repeats=3)
    command = [sys.executable, "-m", "caligo_mpi", "bench", str(path), "-o", "out", "-q"]
    rng = random.Random(5)
    kept: dict[str, str] = {}
    for stop, code in ((signal.SIGKILL, -9), (signal.SIGKILL, -9), (signal.SIGTERM, 75)):
        runner = subprocess.Popen(command, cwd=tmp_path, env=environment())
        while not len(records(tmp_path / "out")) > len(kept):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        runner.send_signal(stop)
        assert runner.wait() == code
        now = records(tmp_path / "out")
        assert {name: now[name] for name in kept} == kept, "a run that was recorded is gone"
        kept = now
    assert subprocess.run(command, cwd=tmp_path, env=environment(), check=False).returncode == 0
    now = records(tmp_path / "out")
    assert {name: now[name] for name in kept} == kept
    assert len(now) == 6
    assert results(tmp_path / "out")[0]["states"] == {"ok": 2}
    assert len(list((tmp_path / "out").glob("2*"))) == 1


def test_several_run_at_once_as_far_as_there_are_cores(
    caligo: Any, write_bench: Any, tmp_path: Path
) -> None:
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        pytest.skip("one core: nothing can run beside anything")
    engines = [{"name": "trouble", "seconds": 0.5 + number / 100} for number in range(3)]
    path = write_bench(engines=engines, max_parallel=2, repeats=1)
    assert caligo("bench", path, "-o", "out", "-q").returncode == 0
    spans = []
    for record in map(json.loads, records(tmp_path / "out").values()):
        start = datetime.fromisoformat(record["started"]).timestamp()
        spans.append((start, start + record["seconds"]["process"]))
    beside = [
        sum(a < start < b for a, b in spans if (a, b) != (start, end)) for start, end in spans
    ]
    assert max(beside) == 1, "two at a time, no more"


def test_processes_of_a_killed_runner_end_with_it(write_bench: Any, tmp_path: Path) -> None:
    path = write_bench(engines=[{"name": "trouble", "seconds": 1000.0}])
    command = [sys.executable, "-m", "caligo_mpi", "bench", str(path), "-o", "out", "-q"]
    runner = subprocess.Popen(command, cwd=tmp_path, env=environment())
    deadline = time.monotonic() + 30
    while not (children := _children(runner.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children
    runner.kill()
    runner.wait()
    while any(map(_is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_is_alive, children))


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_slower_session_is_a_regression(caligo: Any, write_bench: Any, tmp_path: Path) -> None:
    seconds = tmp_path / "seconds"
    engines = [{"name": "trouble", "seconds_file": str(seconds)}]
    path = write_bench(engines=engines, repeats=3, pairs=1000)
    for name, value in (("a", "0.1"), ("b", "0.3")):
        seconds.write_text(value)
        assert caligo("bench", path, "-o", name, "-q").returncode == 0
    slower = caligo("bench", "--compare", "a", "b")
    assert slower.returncode == 1, slower.stdout + slower.stderr
    assert "slower" in slower.stdout
    faster = caligo("bench", "--compare", "b", "a", "--json")
    assert faster.returncode == 0
    (one,) = json.loads(faster.stdout)
    assert one["verdict"] == "faster"
    assert one["ratio"]["low"] > 1
    same = caligo("bench", "--compare", "a", "a/latest")
    assert same.returncode == 0
    assert "not significant" in same.stdout
    path = write_bench(engines=["plain"], repeats=1, pairs=1000)
    assert caligo("bench", path, "-o", "d", "-q").returncode == 0
    nothing = caligo("bench", "--compare", "a", "d")
    assert nothing.returncode == 3
    assert "nothing could be compared" in nothing.stderr


@pytest.mark.mpi
def test_ranks_files_and_keys(caligo: Any, write_bench: Any, tmp_path: Path, mpirun: Any) -> None:
    mpirun(2)
    path = write_bench(work="generate", pairs=200_000, ranks=[1, 2], repeats=1, measure="process")
    done = caligo("bench", path, "-o", "out")
    assert done.returncode == 0, done.stderr
    found, _ = results(tmp_path / "out")
    assert [case["state"] for case in found["cases"]] == ["ok", "ok"]
    assert [fit["law"] for fit in found["fits"]] == ["Amdahl"]
    one, two = found["cases"]
    assert one["rates"]["errors_z"] == two["rates"]["errors_z"]
    assert two["peak_bytes"] > 1.2 * one["peak_bytes"]
    assert one["file_bytes"] > 100_000
    assert "serial fraction" in done.stdout
    protocol = {"mode": "bbm92", "seed": 1, "reconciliation": "cascade", "block_size": 200_000}
    path = write_bench(work="distill", pairs=200_000, repeats=1, protocol=protocol)
    assert caligo("bench", path, "-o", "keys").returncode == 0
    (case,) = results(tmp_path / "keys")[0]["cases"]
    assert case["state"] == "ok", case["problem"]
    assert case["key_bits"] > 1000


def test_one_bench_at_a_time(write_bench: Any, caligo: Any, tmp_path: Path) -> None:
    path = write_bench(engines=[{"name": "trouble", "seconds": 1000.0}], timeout_s=100)
    command = [sys.executable, "-m", "caligo_mpi", "bench", str(path), "-o", "out", "-q"]
    runner = subprocess.Popen(command, cwd=tmp_path, env=environment())
    try:
        while not (tmp_path / "out" / "latest").exists():
            time.sleep(0.05)
        second = caligo("bench", path, "-o", "out")
        assert second.returncode == 2
        assert "in use by another bench" in second.stderr
    finally:
        runner.kill()
        runner.wait()
