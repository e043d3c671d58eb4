"""The command as a user runs it: verbs, exit codes, one sentence per mistake."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from helpers import ROOT, environment, one_sentence

import caligo_mpi
from caligo_mpi import status, store
from caligo_mpi.cli import catalog, parsing


@pytest.fixture
def small(tmp_path, caligo, write_config):
    """A finished run.h5 and its configuration."""
    config = write_config()
    assert caligo("generate", config, "-q").returncode == 0
    return config


def test_the_main_job_prints_the_qber_beside_its_closed_form(caligo, tmp_path):
    result = caligo("generate", ROOT / "configs/small.yaml", "-q", "-o", "small.h5")
    assert result.returncode == 0
    head, z, x, digest = result.stdout.splitlines()
    assert head.startswith("small.h5: complete, 1,000,000 pairs simulated, 1,000,000 rows")
    assert "closed form 3.4304 %" in z
    assert "closed form 3.4304 %" in x
    # Golden: what README shows, on every machine and every version of numpy.
    assert digest.split()[-1] == "2a3c69770356cf39ba367e0aac0f2e92cfddbd48318371bf7a0bf3d73255f8a3"
    assert digest.split()[-1] in (ROOT / "README.md").read_text()


def test_the_machine_readable_summary_is_one_json_object(caligo, write_config):
    summary = json.loads(caligo("generate", write_config(), "--json").stdout)
    assert summary["complete"]
    assert summary["rows"] == summary["pairs_done"] == 163_840
    assert summary["expected_qber_z"] == pytest.approx(1 / 30)
    assert abs(summary["sigma_z"]) < 4.9  # false alarm 1e-6
    assert summary["sifted_z"] + summary["sifted_x"] == pytest.approx(81_920, abs=4.9 * 202.4)


def test_output_can_come_from_the_configuration_or_the_command_line(caligo, write_config, tmp_path):
    assert caligo("generate", write_config(), "-q").returncode == 0
    assert caligo("generate", write_config(), "-q", "-o", "other.h5").returncode == 0
    assert status(tmp_path / "run.h5").data_digest == status(tmp_path / "other.h5").data_digest
    one_sentence(caligo("generate", write_config(output={}), "-q"), "-o FILE")


def test_a_complete_file_is_left_alone_and_is_no_error(caligo, small, tmp_path):
    before = (tmp_path / "run.h5").stat()
    result = caligo("generate", small)
    assert result.returncode == 0
    assert "already complete" in result.stderr
    assert (tmp_path / "run.h5").stat().st_mtime_ns == before.st_mtime_ns


def test_more_pairs_extend_the_file_and_give_the_same_as_at_once(caligo, small, tmp_path):
    assert caligo("generate", small, "-q", "--set", "pairs=200_001").returncode == 0
    assert (
        caligo("generate", small, "-q", "--set", "pairs=200_001", "-o", "once.h5").returncode == 0
    )
    assert store.pairs_hash(tmp_path / "run.h5") == store.pairs_hash(tmp_path / "once.h5")
    assert status(tmp_path / "run.h5.old-1").pairs == 163_840


def test_a_finished_file_with_more_pairs_than_asked_for_says_so(caligo, small, tmp_path):
    before = (tmp_path / "run.h5").read_bytes()
    result = caligo("generate", small, "--set", "pairs=1000")
    assert result.returncode == 0
    assert "already complete: pairs=163840, more than the 1000 asked for" in result.stderr
    assert (tmp_path / "run.h5").read_bytes() == before


def test_a_partial_file_with_more_pairs_than_asked_for_says_so(caligo, write_config, tmp_path):
    config = write_config()
    stop_early(config, tmp_path)
    before = (tmp_path / "run.h5.part").read_bytes()
    one_sentence(
        caligo("generate", config, "--set", "pairs=1000"),
        "run.h5.part was started with pairs=163840, more than pairs=1000",
        "raised, not lowered",
    )
    assert (tmp_path / "run.h5.part").read_bytes() == before


def test_numbers_agree_with_their_nouns(caligo, small):
    text = caligo("status", "run.h5").stdout
    assert "  1 launch, 0 faults, last commit" in text
    assert caligo("generate", small, "-q", "--set", "pairs=200_001").returncode == 0
    assert "  2 launches, 0 faults, last commit" in caligo("status", "run.h5").stdout


@pytest.mark.parametrize("option", ["--out", "--outp", "--forc", "--quie"])
def test_options_are_written_out_in_full(caligo, write_config, tmp_path, option):
    result = caligo("generate", write_config(), option, "x.h5")
    assert result.returncode == 2
    assert f"unrecognized arguments: {option}" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize("value", ["-x", "--force", "-1"])
def test_a_value_with_a_leading_dash_is_a_value_after_an_equals_sign(caligo, write_config, value):
    one_sentence(caligo("generate", write_config(), f"--set={value}"), f"--set {value}: must be")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("pairs=0", ["pairs=0", "from 1 to"]),
        ("pairs=-1", ["pairs=-1"]),
        ("pairs=1e30", ["pairs=1e+30"]),
        ("chunk_size=7", ["chunk_size=7", "multiple of 8"]),
        ("engine.link.fidelity=1.2", ["engine.link.fidelity=1.2", "0.25 to 1"]),
        ("engine.link.fidelity=.nan", ["engine.link.fidelity"]),
        ("engine.alice={T1_ns: 10, T2_ns: 30}", ["engine.alice.T2_ns=30", "2·T1"]),
        ("engine.name=qubits", ["qubits", "noise"]),
        ("num_workers=4", ["num_workers", "--ranks"]),
        ("engine.link.prob_max_mixed=0.1", ["fidelity", "prob_max_mixed", "exclude each other"]),
    ],
)
def test_a_wrong_value_is_one_sentence(caligo, write_config, tmp_path, override, words):
    one_sentence(caligo("generate", write_config(), "--set", override), *words)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "pairs: 1\npairs: 2\n", "", "{", "\x00", "pairs: [1\n"]
)
def test_a_file_that_is_no_configuration_is_one_sentence(caligo, tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    one_sentence(caligo("generate", "bad.yaml", "-o", "x.h5"), "bad.yaml")


def test_a_missing_output_directory_is_one_sentence(caligo, write_config):
    one_sentence(caligo("generate", write_config(), "-o", "nowhere/x.h5"), "nowhere", "create it")


@pytest.mark.parametrize("name", ["run.h5", "run.h5.part"])
def test_a_file_of_another_configuration_is_refused_and_kept(caligo, write_config, tmp_path, name):
    config = write_config(engine={"name": "noise", "link": {"fidelity": 0.95}})
    stop_early(config, tmp_path, finish=name == "run.h5")
    before = (tmp_path / name).read_bytes()
    changes = ["--set", "seed=8", "--set", "engine.link.fidelity=0.9"]
    one_sentence(
        caligo("generate", config, *changes),
        "belongs to another run",
        "engine.link.fidelity=0.95 there and 0.9 here",
        "seed=7 there and 8 here",
        "--force",
    )
    assert (tmp_path / name).read_bytes() == before
    assert caligo("generate", config, "--set", "seed=8", "--force", "-q").returncode == 0
    assert (tmp_path / f"{name}.old-1").read_bytes() == before


def stop_early(config, folder, *, finish=False):
    """Leave a partial (or finished) run.h5 behind, as a stopped run does."""
    from caligo_mpi.parallel.serial import serial_map
    from caligo_mpi.runs.generate import generate

    chunks = 20 if finish else 9
    generate(
        caligo_mpi.load_config(config),
        folder / "run.h5",
        map=lambda setup, items: serial_map(setup, items[:chunks]),
    )


def test_destroyed_metadata_of_a_partial_file_is_set_aside_and_the_run_starts_again(
    caligo, write_config, tmp_path
):
    config = write_config()
    stop_early(config, tmp_path)
    part = tmp_path / "run.h5.part"
    with part.open("r+b") as file:
        file.write(bytes(512))
    result = caligo("generate", config, "-q")
    assert result.returncode == 0
    assert "set aside as run.h5.part.damaged-1 and the run starts again" in result.stderr
    assert (tmp_path / "run.h5.part.damaged-1").exists()


def test_flipped_bytes_in_committed_chunks_are_redone_and_said(caligo, write_config, tmp_path):
    config = write_config()
    assert caligo("generate", config, "-q", "-o", "good.h5").returncode == 0
    stop_early(config, tmp_path)
    assert status(tmp_path / "run.h5").chunks_done == 9
    verified = caligo("verify", "run.h5", "--resample", 1)
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith("run.h5.part: partial file, 9 chunks, all is well")
    refused = caligo("export", "run.h5", "--to", "npz")
    assert refused.returncode == 2
    assert "run.h5 does not exist, but run.h5.part does: its run is not finished" in refused.stderr
    with h5py.File(tmp_path / "run.h5.part") as file:
        offset = file["pairs/bob_outcome"].id.get_offset()
    with (tmp_path / "run.h5.part").open("r+b") as file:
        file.seek(offset + 3 * 1024 + 5)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    assert caligo("verify", "run.h5.part").returncode == 1
    result = caligo("generate", config, "-q")
    assert result.returncode == 0
    assert "1 damaged chunk is redone: 3" in result.stderr
    assert store.pairs_hash(tmp_path / "run.h5") == store.pairs_hash(tmp_path / "good.h5")
    assert len(status(tmp_path / "run.h5").faults) == 1


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
@pytest.mark.parametrize("verb", [["status"], ["verify"], ["export", "--to", "npz"]])
def test_a_file_that_is_not_ours_is_one_sentence(caligo, tmp_path, content, verb):
    (tmp_path / "x.h5").write_bytes(content)
    one_sentence(caligo(verb[0], "x.h5", *verb[1:]), "x.h5")
    one_sentence(caligo(verb[0], "none.h5", *verb[1:]), "none.h5 does not exist")


def test_an_output_that_is_not_ours_is_not_overwritten(caligo, write_config, tmp_path):
    (tmp_path / "run.h5").write_bytes(b"my thesis")
    one_sentence(caligo("generate", write_config()), "not overwritten")
    assert (tmp_path / "run.h5").read_bytes() == b"my thesis"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_a_single_process_cleanly(write_config, tmp_path, number):
    config = write_config(pairs=4_000_000_000, chunk_size=1 << 20)
    process = subprocess.Popen(
        [sys.executable, "-m", "caligo_mpi", "generate", str(config)],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Under nohup the tests, and with them this process, would begin with the signal ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    while not (tmp_path / "run.h5.part").exists():
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 75, err
    assert "run the same command again" in out
    assert status(tmp_path / "run.h5").chunks_done > 0


def test_status_of_a_stopped_run_says_how_far_it_is(caligo, write_config, tmp_path):
    stop_early(write_config(), tmp_path)
    found = json.loads(caligo("status", "run.h5", "--json").stdout)
    assert (found["chunks_done"], found["chunks"], found["complete"], found["owner"]) == (
        9,
        20,
        False,
        "",
    )
    text = caligo("status", "run.h5").stdout
    assert "73,728 of 163,840 pairs (45.0 %)" in text


def test_verify_compares_with_a_new_simulation(caligo, small, tmp_path):
    found = json.loads(caligo("verify", "run.h5", "--resample", "5", "--json").stdout)
    assert found["ok"]
    assert len(found["resampled"]) == 5


def test_export_gives_the_columns_that_the_reader_gives(caligo, small, tmp_path):
    assert caligo("export", "run.h5", "--to", "npz", "-o", "out.npz").returncode == 0
    arrays = caligo_mpi.read_pairs(tmp_path / "run.h5")
    with np.load(tmp_path / "out.npz") as out:
        assert (out["bob_outcome"] == arrays.bob_outcome).all()
    one_sentence(caligo("export", "run.h5", "--to", "npz", "-o", "out.npz"), "out.npz")


def test_validate_says_what_a_run_will_need(caligo, write_config):
    plan = json.loads(caligo("validate", write_config(pairs="1e9"), "--json").stdout)
    assert plan["rows"] == 1e9
    assert plan["file_bytes"] == pytest.approx(5e8, rel=0.05)
    assert plan["config"]["engine"]["link"]["fidelity"] == 0.95
    text = caligo("validate", write_config()).stdout
    assert "QBER_Z 3.3333 %" in text


def test_init_writes_a_configuration_that_runs(caligo, tmp_path):
    assert caligo("init", "my.yaml").returncode == 0
    result = caligo("generate", "my.yaml", "--set", "pairs=1000", "-o", "my.h5", "-q")
    assert result.returncode == 0, result.stderr
    one_sentence(caligo("init", "my.yaml"), "my.yaml exists already")


def test_engines_says_what_is_missing(caligo):
    engines = json.loads(caligo("engines", "--json").stdout)
    assert engines["noise"] is None
    assert engines["trouble"] is None
    assert "netsquid" in engines["netsquid"]


def test_schema_prints_the_committed_schema(caligo):
    committed = json.loads((ROOT / "caligo_mpi/config/schema.json").read_text())
    assert json.loads(caligo("schema").stdout) == committed


def test_help_imports_neither_numpy_nor_mpi():
    code = "import sys; from caligo_mpi.cli.command import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print({'numpy', 'mpi4py', 'h5py', 'pydantic', 'rich'} & set(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-1] == "set()"


def test_the_help_that_needs_no_parser_is_the_parsers(caligo):
    """The command's own help is made without argparse; in an unusual place, argparse prints the same."""
    usage = argparse.ArgumentParser.format_usage(parsing.parser())
    quick = caligo("--help")
    assert quick.stdout.startswith(usage)
    assert caligo("--version", "--help").stdout == caligo("--version").stdout
    assert parsing.parser().format_help() == quick.stdout
    assert set(parsing.parser("status")._subparsers._group_actions[0].choices) < set(catalog.VERBS)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["distill", "--help"]])
def test_help_makes_no_parser_that_nobody_asked_for(arguments):
    code = (
        f"import sys; sys.argv[1:] = {arguments}\n"
        "from caligo_mpi.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "watched = {'argparse', 'shutil', 'caligo_mpi.cli.looking', 'caligo_mpi.cli.making'}\n"
        "print(sorted(watched & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    made = ["argparse", "caligo_mpi.cli.making", "shutil"] if len(arguments) > 1 else []
    assert out.stdout.splitlines()[-1] == str(made)


def test_generate_pairs_in_memory_equals_the_file(small, tmp_path):
    pairs = caligo_mpi.generate_pairs(caligo_mpi.load_config(small))
    file = caligo_mpi.read_pairs(tmp_path / "run.h5")
    assert all((a == b).all() for a, b in zip(pairs[:4], file[:4], strict=True))
    assert pairs.index is None
    assert pairs.time is None


def test_public_names_are_exactly_these():
    assert sorted(caligo_mpi.__all__) == caligo_mpi.__all__ or set(caligo_mpi.__all__) <= set(
        dir(caligo_mpi)
    )
    for name in caligo_mpi.__all__:
        assert getattr(caligo_mpi, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = caligo_mpi.nothing
