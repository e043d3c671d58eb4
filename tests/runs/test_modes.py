"""Each mode of the protocol is one entry, one section, one module of steps and one of what surrounds them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from typing import get_args

import pytest
from helpers import ROOT, environment

from caligo_mpi import parse_config
from caligo_mpi.config.modes import DEFAULT_MODE, MODES, has_strings
from caligo_mpi.config.protocol import ProtocolConfig, protocol_schema
from caligo_mpi.runs.modes import Mode, Rates, mode_of

RUN = {"pairs": 4000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.99}}}


def test_the_table_has_what_the_sections_have():
    """Names in the same order: the table is what the command line lists, the sections are what it reads."""
    named = [
        get_args(section.model_fields["mode"].annotation) for section in get_args(ProtocolConfig)
    ]
    assert [name for (name,) in named] == list(MODES)
    assert DEFAULT_MODE in MODES
    assert set(protocol_schema()["discriminator"]["mapping"]) == set(MODES)


@pytest.mark.parametrize("name", MODES)
def test_a_mode_answers_all_that_is_asked(name):
    mode = mode_of(name)
    assert isinstance(mode, Mode)
    assert mode.block_bytes > 0
    assert callable(import_module(f"caligo_mpi.protocol.{name}").make_block)
    run = parse_config(RUN)
    mode.require_devices(run, source="run.h5")
    assert mode.assumptions(run)
    assert mode.premises(run).quality == 1


def test_a_file_of_a_mode_that_nobody_knows_has_one_key():
    assert has_strings("rot")
    assert not has_strings("bbm92")
    assert not has_strings("of the future")


def test_rates_of_both_bases_together():
    """Weighted by how many pairs each basis has; a guess where there are none."""
    assert Rates(0.3, 0.1, 0.02, 0.06).qber == pytest.approx(0.03)
    assert Rates(0.0, 0.0, 0.5, 0.5).qber == 0.5


def test_listing_the_modes_loads_no_configuration():
    """The command line lists modes in a verb's help, which has to answer at once."""
    code = (
        "import sys; from caligo_mpi.config.modes import MODES; "
        "heavy = {'pydantic', 'yaml', 'numpy', 'dataclasses'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_mode_of_the_documentation_touches_four_modules(tmp_path):
    """A copy of the package with the page's code in it makes, checks and describes keys of the new mode."""
    page = (ROOT / "docs/protocol-mode.md").read_text("utf-8")
    entry, section, steps, around = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    package = tmp_path / "caligo_mpi"
    shutil.copytree(ROOT / "caligo_mpi", package, ignore=shutil.ignore_patterns("__pycache__"))
    put_before("}", entry, package / "config/modes.py")
    put_before("#: A section for each of", f"{section}\n\n", package / "config/protocol.py")
    put_before("\n\n\ndef _mode_of", " | SiftedConfig", package / "config/protocol.py")
    (package / "protocol/sifted.py").write_text(steps, "utf-8")
    (package / "runs/modes/sifted.py").write_text(around, "utf-8")
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "output": "run.h5"}))

    def run(*arguments):
        command = [sys.executable, "-m", "caligo_mpi", *arguments]
        found = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(tmp_path)),
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    run("generate", "run.json", "-q", "--set", "engine.link.fidelity=1.0")
    made = json.loads(run("distill", "run.h5", "--mode", "sifted", "-q", "--json"))
    assert made["mode"] == "sifted"
    assert made["key_bits"] == made["sifted"] > 1500
    assert "all is well" in run("verify", "run.keys.h5")
    assert "sifted for sifted bits" in " ".join(run("distill", "--help").split())


def put_before(mark, text, path):
    """Insert ``text`` before the first ``mark`` that a file has."""
    old = path.read_text("utf-8")
    assert mark in old
    path.write_text(old.replace(mark, text + mark, 1), "utf-8")
