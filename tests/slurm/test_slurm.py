"""Jobs in a real Slurm: whatever happens to them, the file is the undisturbed one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from caligo_mpi import read_sweep, status

pytestmark = [pytest.mark.slurm, pytest.mark.mpi]

#: For env.sh: chunks are slow in the first launches of a job, and take no time in later ones.
SLOW_LAUNCHES = '[ "${{SLURM_RESTART_COUNT:-0}}" -ge {} ] || export CALIGO_TEST_SECONDS=0.5'
SLOW, FIRST_SLOW = "export CALIGO_TEST_SECONDS=0.5", SLOW_LAUNCHES.format(1)


def require_pmix(slurm):
    if "pmix" not in slurm.run("sh", "-c", "srun --mpi=list 2>&1"):
        pytest.skip("this Slurm has no PMIx plug-in")


def warn(slurm, job):
    """What Slurm does before the time limit because of ``--signal=B:USR1``."""
    slurm.run("scancel", "--batch", "--signal=USR1", job)


@pytest.fixture(scope="module", autouse=True)
def long_jobs(slurm, tmp_path_factory, make_runs):
    """Jobs that run into Slurm's clock, which ticks twice a minute; they wait while the other tests run."""
    warned, srun, late = (
        make_runs(tmp_path_factory.mktemp(name)) for name in ("warned", "srun", "late")
    )
    for runs in (warned, srun):
        runs.set_site(SLOW_LAUNCHES.format(3).replace("0.5", "3"))
    late.set_site(FIRST_SLOW.replace("0.5", "5"))
    script = late.scripts / "generate.sbatch"
    script.write_text(re.sub("#SBATCH --signal=.*", "", script.read_text()))
    return {
        "generate.sbatch": (warned, warned.submit("--time=1", "--signal=B:USR1@20")),
        "generate-srun.sbatch": (
            srun,
            srun.submit("--time=1", "--signal=B:USR1@20", script="generate-srun.sbatch"),
        ),
        "late": (late, late.submit("--time=1")),
    }


def test_sbatch_gives_a_finished_file_from_any_directory(runs, slurm, undisturbed):
    elsewhere = runs.folder / "else where"
    elsewhere.mkdir()
    job = slurm.submit(
        "-n", 2, runs.scripts / "generate.sbatch", runs.config, "my file.h5", cwd=elsewhere
    )
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert (elsewhere / f"caligo-generate-{job}.log").exists()
    assert runs.identity("else where/my file.h5") == undisturbed
    found = status(elsewhere / "my file.h5").runs
    assert found["job"].tolist() == [job.encode()]
    assert found["ranks"].tolist() == [2]


def test_srun_gives_the_same_file(runs, slurm, undisturbed):
    require_pmix(slurm)
    job = runs.submit(script="generate-srun.sbatch")
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert runs.identity() == undisturbed
    assert status(runs.folder / "run.h5").runs["ranks"].tolist() == [2]


def test_the_printed_script_runs_as_it_is(runs, slurm, undisturbed):
    arguments = ["-o", runs.folder / "its file.h5", "--ranks", 2, "--time", "0:20:00"]
    text = slurm.run("caligo-mpi", "slurm", runs.config, *arguments, cwd=runs.folder)
    script = runs.folder / "run.sbatch"
    script.write_text(text)
    job = slurm.submit(script, cwd="/")
    try:
        assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    finally:
        Path("/", f"caligo-its_file-{job}.log").unlink(missing_ok=True)
    assert runs.identity("its file.h5") == undisturbed


def test_a_wrong_configuration_is_not_queued_again(runs, slurm):
    job = runs.submit(more=["--set", "engine.name=nosuch"])
    assert slurm.finish(job) == "FAILED 2:0"
    assert "nosuch" in runs.log(job)


def test_success_is_judged_by_the_file(runs, slurm):
    (runs.folder / "bin").mkdir()
    (runs.folder / "bin" / "srun").symlink_to("/bin/true")
    runs.set_site(f"PATH='{runs.folder}/bin':\"$PATH\"")
    job = runs.submit(script="generate-srun.sbatch")
    assert slurm.finish(job) == "FAILED 1:0"
    assert "run.h5 is not there" in runs.log(job)


def test_a_warned_job_queues_itself_again_and_completes_the_file(runs, slurm, undisturbed):
    runs.set_site(FIRST_SLOW)
    job = runs.submit()
    runs.wait_for_chunks(3)
    warn(slurm, job)
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert slurm.show(job)["Restarts"] == "1"
    assert runs.log(job).count("run the same command again") == 1
    assert status(runs.folder / "run.h5").runs["job"].tolist() == [job.encode()] * 2
    assert runs.identity() == undisturbed


def test_requeue_by_hand(runs, slurm, undisturbed):
    runs.set_site(FIRST_SLOW)
    job = runs.submit()
    runs.wait_for_chunks(3)
    slurm.run("scontrol", "requeue", job)
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert slurm.show(job)["Restarts"] == "1"
    assert runs.identity() == undisturbed


@pytest.mark.parametrize("script", ["generate.sbatch", "generate-srun.sbatch"])
def test_a_cancelled_job_stays_away_and_another_goes_on(runs, slurm, undisturbed, script):
    if "srun" in script:
        require_pmix(slurm)
    runs.set_site(SLOW)
    job = runs.submit(script=script)
    runs.wait_for_chunks(3)
    slurm.run("scancel", job)
    assert slurm.finish(job).startswith("CANCELLED"), runs.log(job)
    assert 3 <= status(runs.folder / "run.h5").chunks_done < 80
    runs.set_site("")
    again = runs.submit(script=script)
    assert slurm.finish(again) == "COMPLETED 0:0", runs.log(again)
    assert status(runs.folder / "run.h5").runs["job"].tolist() == [job.encode(), again.encode()]
    assert runs.identity() == undisturbed


def test_only_the_warned_task_of_an_array_is_queued_again(runs, slurm):
    runs.set_site(FIRST_SLOW)
    changes = ["seed=1", "seed=2", "seed=3"]
    array = runs.submit("--array=0-2", script="sweep.sbatch", file="points", more=changes)
    runs.wait_for_chunks(2, "points/seed=3.h5")
    warn(slurm, f"{array}_2")
    slurm.wait_for_restart(f"{array}_2")
    runs.set_site("")
    assert slurm.finish(f"{array}_2") == "COMPLETED 0:0"
    assert [slurm.show(f"{array}_{task}")["Restarts"] for task in range(3)] == ["0", "0", "1"]
    slurm.run("scancel", array)
    found = status(runs.folder / "points" / "seed=3.h5")
    assert (found.complete, found.seed) == (True, 3)
    assert status(runs.folder / "points" / "seed=1.h5").seed == 1


def test_an_array_computes_the_points_of_a_sweep_and_they_are_joined(runs, slurm, caligo):
    base = {"pairs": 20_000, "seed": 1, "engine": {"name": "noise", "link": {}}}
    axes = [{"path": "engine.link.fidelity", "values": [0.9, 0.95, 1.0], "name": "F"}]
    runs.config.write_text(json.dumps({"base": base, "axes": axes}))
    array = runs.submit("--array=0-2", script="sweep.sbatch", file="points")
    for task in range(3):
        assert slurm.finish(f"{array}_{task}") == "COMPLETED 0:0"
    points = [runs.folder / "points" / f"point-{task}" for task in range(3)]
    merged = caligo("merge", *points, "-o", runs.folder / "all", "--json")
    assert merged.returncode == 0, merged.stderr
    alone = caligo("sweep", runs.config, "-o", runs.folder / "alone", "-q")
    assert alone.returncode == 0, alone.stderr
    found, expected = (read_sweep(runs.folder / name) for name in ("all", "alone"))
    assert list(found["F"]) == [0.9, 0.95, 1.0]
    assert list(found["data_digest"]) == list(expected["data_digest"])


def test_a_job_without_progress_gives_up(runs, slurm):
    runs.set_site("export CALIGO_TEST_SECONDS=60 CALIGO_HURRY=1")
    job = runs.submit()
    for _ in range(2):
        slurm.wait(lambda: (runs.folder / "run.h5.lock").exists(), "start of the run")
        warn(slurm, job)
        slurm.wait(lambda: not (runs.folder / "run.h5.lock").exists(), "end of the run")
    assert slurm.finish(job) == "FAILED 75:0"
    assert "two launches without one finished chunk" in runs.log(job)


def test_scratch_is_copied_back_when_a_run_stops_and_when_it_ends(runs, slurm, undisturbed):
    scratch = runs.folder / "local disk"
    runs.set_site(f"{FIRST_SLOW}\nexport CALIGO_SCRATCH='{scratch}'")
    job = runs.submit()
    runs.wait_for_chunks(3, f"local disk/caligo-{job}/run.h5")
    assert not (runs.folder / "run.h5.part").exists()
    warn(slurm, job)
    slurm.wait_for_restart(job)
    assert status(runs.folder / "run.h5").chunks_done >= 3
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert len(status(runs.folder / "run.h5").runs) == 2
    assert runs.identity() == undisturbed
    assert sorted(path.name for path in runs.folder.glob("run.h5*")) == ["run.h5"]
    assert list(scratch.iterdir()) == []


def test_a_copy_that_went_wrong_does_not_get_the_name(runs, slurm, undisturbed):
    (runs.folder / "bin").mkdir()
    damaging = runs.folder / "bin" / "cp"
    damaging.write_text(
        '#!/bin/bash\n/bin/cp "$@"\ncopy=${@: -1}\n'
        'printf X | dd of="$copy" bs=1 seek=$(($(stat -c %s "$copy") - 100)) conv=notrunc\n'
    )
    damaging.chmod(0o755)
    runs.set_site(
        f"export CALIGO_SCRATCH='{runs.folder}/scratch' PATH='{runs.folder}/bin':\"$PATH\""
    )
    job = runs.submit()
    assert slurm.finish(job) == "FAILED 1:0"
    assert "could not be copied" in runs.log(job)
    assert not (runs.folder / "run.h5").exists()
    assert runs.identity(f"scratch/caligo-{job}/run.h5") == undisturbed


def test_a_file_that_another_job_writes_is_left_alone(runs, slurm):
    runs.set_site(SLOW)
    job = runs.submit()
    runs.wait_for_chunks(1)
    runs.set_site(f"export CALIGO_SCRATCH='{runs.folder}/scratch'")
    second = runs.submit()
    assert slurm.finish(second) == "FAILED 2:0"
    assert f'"job": "{job}"' in runs.log(second)
    slurm.run("scancel", job)


@pytest.mark.parametrize("script", ["generate.sbatch", "generate-srun.sbatch"])
def test_three_warnings_of_the_clock_in_one_run(long_jobs, slurm, undisturbed, script):
    runs, job = long_jobs[script]
    if "srun" in script:
        require_pmix(slurm)
    assert slurm.finish(job, timeout=180) == "COMPLETED 0:0", runs.log(job)
    assert slurm.show(job)["Restarts"] == "3"
    assert runs.log(job).count("run the same command again") == 3
    assert runs.identity() == undisturbed


def test_the_limit_itself_without_a_warning(long_jobs, slurm, undisturbed):
    runs, job = long_jobs["late"]
    assert slurm.finish(job, timeout=180) == "COMPLETED 0:0", runs.log(job)
    assert "DUE TO TIME LIMIT" in runs.log(job)
    assert slurm.show(job)["Restarts"] == "1"
    assert runs.identity() == undisturbed


def test_a_node_that_dies_and_comes_back(runs, slurm, undisturbed):
    """Last: every job on the node goes with it."""
    runs.set_site(FIRST_SLOW)
    job = runs.submit()
    runs.wait_for_chunks(3)
    slurm.kill_node()
    slurm.wait(lambda: slurm.show(job)["JobState"] == "PENDING", "requeue", timeout=60)
    slurm.start_node()
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert slurm.show(job)["Restarts"] == "1"
    assert runs.identity() == undisturbed


def test_keys_are_distilled_by_a_job(runs, slurm):
    from helpers import ROOT

    from caligo_mpi.store.keys import verify_keys

    job = runs.submit()
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    protocol = ROOT / "configs" / "bbm92.yaml"
    line = ["-n", 2, runs.scripts / "distill.sbatch", "run.h5", protocol, "my keys.h5"]
    job = slurm.submit(*line, cwd=runs.folder)
    assert slurm.finish(job) == "COMPLETED 0:0", runs.log(job)
    assert verify_keys(runs.folder / "my keys.h5").ok
