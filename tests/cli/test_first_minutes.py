"""The first ten minutes: a first file, a first key, help that helps."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT, environment, one_sentence

from caligo_mpi import load_config, load_protocol, parse_config, read_keys
from caligo_mpi.cli import main
from caligo_mpi.cli.catalog import EXAMPLES, GROUPS
from caligo_mpi.cli.parsing import parser
from caligo_mpi.cli.starters import names, text
from caligo_mpi.runs.generate import generate

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory as README's reader has it: ``configs/``, and what the examples make."""
    path = tmp_path_factory.mktemp("minutes")
    (path / "configs").symlink_to(ROOT / "configs")
    return path


def verbs():
    """Every verb with its own parser."""
    return parser()._subparsers._group_actions[0].choices


# ── a first key ──────────────────────────────────────────────────────────────────────────────────


def make_run(folder, *, pairs=120_000, **changes):
    """A small pairs file run.h5 of a good link, changed as told."""
    engine = {"name": "noise", "link": {"fidelity": 0.99}, **changes}
    generate(parse_config({"pairs": pairs, "seed": 3, "engine": engine}), folder / "run.h5")


def test_the_file_of_the_first_command_gives_a_key_without_any_option(caligo, tmp_path):
    assert caligo("generate", ROOT / "configs/small.yaml", "-q").returncode == 0
    result = caligo("distill", "small.h5", "-q")
    assert result.returncode == 0, result.stderr
    sentence = "protocol: bbm92 with test=X, seed=1; bases were not chosen evenly: 300,350 Z and"
    assert sentence in result.stderr
    keys = read_keys(tmp_path / "small.keys.h5")
    assert keys.agree
    assert keys.key_bits > 100_000
    assert keys.info.software["chosen"].startswith(sentence)
    assert json.loads(keys.info.config)["test"] == "X"


@pytest.mark.parametrize(
    ("bias", "test"), [({}, "random"), ({"alice": {"basis_bias": 0.8}}, "Z"), ({"bob": {"basis_bias": 0.3}}, "X")]
)  # fmt: skip
def test_the_bases_choose_the_test(caligo, tmp_path, bias, test):
    make_run(tmp_path, **bias)
    result = caligo("distill", "run.h5", "-q", "--json")
    assert f"test={test}, " in result.stderr
    assert json.loads(result.stdout)["config"]["test"] == test
    assert read_keys(tmp_path / "run.keys.h5").key_bits > 10_000


def test_what_is_set_is_not_chosen(caligo, tmp_path):
    make_run(tmp_path)
    result = caligo("distill", "run.h5", "-q", "--set", "test=Z", "--set", "seed=9", "--json")
    assert "test=Z, seed=9; as it was set" in result.stderr
    assert json.loads(result.stdout)["config"]["seed"] == 9


def test_a_transfer_needs_no_configuration_either(caligo, tmp_path):
    make_run(tmp_path, pairs=200_000, link={"fidelity": 0.998})
    result = caligo("distill", "run.h5", "--mode", "rot", "-q", "--json")
    assert "storage_r=0.75, storage_rate=0.002" in result.stderr
    assert json.loads(result.stdout)["key_bits"] > 0


@pytest.mark.mpi
def test_ranks_choose_the_same_and_one_of_them_says_it(caligo, tmp_path, mpirun):
    mpirun(1)
    make_run(tmp_path)
    assert caligo("distill", "run.h5", "-q", "-o", "alone.h5").returncode == 0
    result = caligo("distill", "run.h5", "-q", "--ranks", "2")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("protocol: bbm92") == 1
    alone, ranks = (read_keys(tmp_path / name) for name in ("alone.h5", "run.keys.h5"))
    assert alone.digest == ranks.digest


def test_counts_without_pairs_are_refused_in_one_sentence(caligo):
    config = ROOT / "configs/small.yaml"
    caligo("generate", config, "-q", "-o", "law.h5", "--set", "output.keep=counts")
    one_sentence(caligo("distill", "law.h5"), "not bits", "output.keep")


def test_a_mode_and_a_configuration_exclude_each_other(caligo):
    result = caligo("distill", "run.h5", "--mode", "rot", "--config", "p.yaml")
    assert result.returncode == 2
    assert "exclude each other" in result.stderr


@pytest.mark.parametrize(
    ("changes", "option", "remedy"),
    [
        ({"link": {"fidelity": 0.8}}, "seed=1", "higher engine.link.fidelity"),
        ({"alice": {"basis_bias": 0.3}}, "test=random", "without --config"),
        ({"pairs": 3000}, "seed=1", "raise pairs of the run"),
    ],
)
def test_an_abort_says_what_helps(caligo, tmp_path, changes, option, remedy):
    make_run(tmp_path, **changes)
    result = caligo("distill", "run.h5", "-q", "--set", option)
    assert result.returncode == 0
    assert "key: none" in result.stdout
    (said, *_) = re.findall(r"what helps: (.*)", result.stdout)
    assert remedy in said


# ── starters ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", names())
def test_every_starter_is_written_and_read(tmp_path, monkeypatch, capfd, name):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--like", name]) == 0
    said = capfd.readouterr().out
    assert f"{name}.yaml written; look at it, then: caligo-mpi" in said
    path = tmp_path / f"{name}.yaml"
    verb = re.search(r"then: caligo-mpi ([a-z]+)", said)[1]
    if verb in ("generate", "distill"):
        (load_protocol if verb == "distill" else load_config)(path)
    assert path.read_text() == text(name)
    assert "yaml-language-server" not in text(name)


def test_an_unknown_starter_lists_those_that_there_are(caligo, tmp_path):
    result = caligo("init", "--like", "teleport")
    assert result.returncode == 2
    assert "'lossy-fiber'" in result.stderr
    assert list(tmp_path.iterdir()) == []


# ── help ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_verb_has_a_group_and_two_examples(caligo):
    grouped = [name for group in GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(verbs()) == sorted(EXAMPLES)
    shown = caligo("--help").stdout
    assert all(len(line) <= 88 for line in shown.splitlines())
    assert [line for line in shown.splitlines() if re.match(r"\w+:$", line) and "usage" not in line] == [
        f"{group}:" for group in GROUPS
    ]  # fmt: skip
    for verb, examples in EXAMPLES.items():
        assert len(examples) == 2
        assert all(example.startswith(f"caligo-mpi {verb}") for example in examples)
        told = verbs()[verb].format_help()
        assert told.endswith("\n  ".join(["examples:", *examples]) + "\n")


@pytest.mark.parametrize("example", [one for two in EXAMPLES.values() for one in two])
def test_the_examples_run(folder, monkeypatch, capfd, mpirun, example):
    """In the order of the catalog, in one directory: later ones use what earlier ones made."""
    monkeypatch.chdir(folder)
    arguments = shlex.split(example)[1:]
    if "--ranks" in arguments and arguments[0] != "slurm":
        mpirun(1)
        command = [sys.executable, "-m", "caligo_mpi", *arguments]
        code = subprocess.run(command, env=environment(), timeout=120, check=False).returncode
    else:
        code = main(arguments)
    said = capfd.readouterr()
    if code == 2 and "needs netsquid" in said.err:
        pytest.skip("NetSquid, which this example needs, is not installed")
    assert code == 0, said.err


# ── completion, engines ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_are_read_by_their_shells(caligo, tmp_path, shell):
    pytest.importorskip("shtab", reason="shtab (extra complete) is not installed")
    result = caligo("completion", shell)
    assert result.returncode == 0, result.stderr
    (tmp_path / "script").write_text(result.stdout)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    asked = {
        "bash": "source ./script; COMP_WORDS=(caligo-mpi dist); COMP_CWORD=1; "
        "$(complete -p caligo-mpi | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}",
        "fish": "source ./script; complete -C 'caligo-mpi dist'",
        "zsh": "zsh -n ./script && grep -o 'distill' ./script",
    }[shell]
    done = subprocess.run(
        [shell, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split()[0] == "distill"


def test_engines_fit_a_terminal_of_80_columns(caligo):
    lines = caligo("engines").stdout.splitlines()
    assert lines[0].split() == ["engine", "state"]
    assert max(map(len, lines)) <= 80
    assert os.linesep.join(lines).count("usable") >= 2
