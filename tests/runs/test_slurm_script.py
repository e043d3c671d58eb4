"""``caligo-mpi slurm`` and the shell it prints, without Slurm; tests/slurm runs the scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import environment

from caligo_mpi.engines.link import Expected
from caligo_mpi.errors import ConfigError
from caligo_mpi.runs import slurm as batch
from caligo_mpi.runs.forecast import Forecast

ROOT = Path(__file__).parents[2]
SHELL = [
    *sorted((ROOT / "slurm").glob("*.sbatch")),
    ROOT / "slurm" / "env.sh",
    ROOT / "caligo_mpi" / "runs" / "job.sh",
]


def forecast(seconds, *, chunks=1000, rank_bytes=8 << 20):
    expected = Expected(qber_z=0.1, qber_x=0.1, coincidence=1.0, alice_click=1.0, bob_click=1.0)
    return Forecast(10**9, 1e9, chunks, 2_000_000_000, rank_bytes, seconds, expected, 2_000_000_000)


def plan(seconds, *, cores=32, ranks=None, limit=None, **changes):
    return batch.plan(
        forecast(seconds, **changes), cores=cores, resident=100 << 20, ranks=ranks, limit=limit
    )


def test_a_short_run_gets_one_rank_and_little_time():
    chosen = plan(30)
    assert (chosen.ranks, chosen.nodes, chosen.limit, chosen.launches) == (1, 1, 5, 1)


def test_a_long_run_gets_ranks_for_half_an_hour():
    chosen = plan(36_000)  # 10 h on one rank
    assert (chosen.ranks, chosen.nodes) == (31, 1)  # 10 s of start and 10 of writing are in it
    assert chosen.seconds == 10 + 36_000 / 31 + 10
    assert chosen.limit == 35  # 1.5 × 1181 s and 3 min for the warning, in steps of 5 min


def test_no_more_than_a_node_and_no_more_than_a_rank_per_chunk_unless_asked():
    assert plan(1e6).ranks == 32
    assert plan(1e6, chunks=5).ranks == 5
    assert (plan(1e6, ranks=100).ranks, plan(1e6, ranks=100).nodes) == (100, 4)


def test_a_run_beyond_the_longest_limit_is_told_how_often_it_starts():
    chosen = plan(32 * 7 * 86_400, chunks=1_000_000)
    assert chosen.limit == 24 * 60
    assert chosen.launches == 11  # 7 days and half as much again, in pieces of a day less 3 min


def test_ranks_follow_from_a_given_limit():
    chosen = plan(36_000, cores=128, limit=13)
    assert (chosen.ranks, chosen.limit) == (106, 13)  # 1.5 × 10 h in the 9 min before the warning


def test_long_chunks_get_a_long_warning():
    chosen = plan(100_000, chunks=1000)  # 100 s each
    assert chosen.warning == 420


def test_a_limit_that_leaves_no_time_is_refused():
    with pytest.raises(ConfigError, match=r"time=4 min is too short.*at least 5 min"):
        plan(3600, limit=4)


def test_memory_is_a_process_and_the_chunks_it_may_hold():
    assert plan(60).memory == 512
    assert plan(60, rank_bytes=100 << 20).memory == 1024  # 100 + 8·100 + 64 = 964 MiB
    no_bits = replace(forecast(60, rank_bytes=100 << 20), carries=False)
    assert batch.plan(no_bits, cores=1, resident=100 << 20).memory == 512  # 100 + 2·100 MiB


@pytest.mark.parametrize("text", ["", "1h", "1:2:3:4", "-1", "1-", "9" * 5000, "٣"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="is no time"):
        batch.minutes(text)


def test_the_script_names_everything_in_full_and_quotes_it(tmp_path, caligo, write_config):
    config = write_config("my run.yaml")
    result = caligo(
        "slurm", config.name, "-o", "its file.h5", "-n", 3, "--time", "2:00:00", "--set", "seed=8"
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {"#SBATCH --ntasks=3", "#SBATCH --time=2:00:00", "#SBATCH --signal=B:USR1@120"} <= set(
        lines
    )
    assert lines[-1] == (
        f"caligo_job '{tmp_path}/its file.h5' caligo-mpi generate '{tmp_path}/my run.yaml' --set seed=8 "
        '--ranks "$SLURM_NTASKS"'
    )
    assert re.findall(r"(?m)^#SBATCH.* .* ", result.stdout) == []


def test_a_script_for_a_mistake_is_not_printed(caligo, write_config):
    result = caligo("slurm", write_config(), "--time", "0:03:00")
    assert (result.returncode, result.stdout) == (2, "")
    assert "time=" in result.stderr


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_the_shell_is_clean(path):
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", path], cwd=ROOT, check=True)


def test_the_printed_shell_is_clean(tmp_path, caligo, write_config):
    script = tmp_path / "run.sbatch"
    script.write_text(caligo("slurm", write_config()).stdout)
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--severity=warning", script], check=True)


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ("a\ntouch pwned\n.yaml", "run.h5"),
        ("run.yaml", "a\ntouch pwned\n.h5"),
        ("a\x1b[2J.yaml", "x"),
    ],
)
def test_no_name_becomes_a_line_of_the_script(tmp_path, caligo, write_config, config, output):
    write_config(config)
    result = caligo("slurm", config, "-o", output)
    assert (result.returncode, result.stdout) == (2, "")
    assert "a batch script cannot hold a name with such characters" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_is_odd_in_a_script_is_quoted(tmp_path, caligo, write_config):
    """A shell runs the script up to the job, which is replaced by one that prints its arguments."""
    config = write_config("$(touch pwned) `touch pwned` '; touch pwned; #.yaml")
    output = "out $(touch pwned).h5"
    override = "output.durability=\n  fsync"
    variables = environment(LOADEDMODULES="gcc/12:$(touch pwned)\ntouch pwned")
    result = caligo("slurm", config.name, "-o", output, "--set", override, env=variables)
    assert result.returncode == 0, result.stderr
    *script, job = re.split(r"(?m)^(?=caligo_job /|caligo_job ')", result.stdout)
    lines = [
        "module() { :; }",
        "scontrol() { :; }",
        *script,
        'caligo_job() { printf "%s\\0" "$@"; }',
        job,
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, check=True
    )
    words = done.stdout.decode().split("\0")[:-1]
    expected = [
        f"{tmp_path}/{output}",
        "caligo-mpi",
        "generate",
        str(config),
        "--set",
        override,
        "--ranks",
        "",
    ]
    assert words == expected
    assert not (tmp_path / "pwned").exists()


def test_a_script_needs_a_configuration_that_lasts(caligo, write_config):
    result = caligo("slurm", "/dev/stdin", "-o", "run.h5", input=write_config().read_text())
    assert (result.returncode, result.stdout) == (2, "")
    assert "no file that the job can read when it starts" in result.stderr


def test_a_sweep_gets_a_script_of_its_own(caligo, tmp_path):
    (tmp_path / "s.yaml").write_text(
        "base: {pairs: 1e6, seed: 1, engine: {name: noise, link: {}}}\n"
        "axes: [{path: engine.link.fidelity, values: [0.9, 1]}]\n"
    )
    result = caligo("slurm", "s.yaml", "-o", "out", "--set", "base.pairs=2e6")
    assert result.returncode == 0, result.stderr
    assert "# The run: 2 points with 4,000,000 pairs" in result.stdout
    words = f"caligo-mpi sweep {tmp_path}/s.yaml --set base.pairs=2e6"
    assert f"caligo_job {tmp_path}/out {words} " in result.stdout
    assert not (tmp_path / "out").exists()
