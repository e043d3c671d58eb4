"""What README shows, run as it stands."""

import re
import subprocess

import pytest
from helpers import ROOT, environment

README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_python_snippets_run(number, caligo, tmp_path):
    import sys

    caligo("generate", ROOT / "configs/small.yaml", "-q", "-o", "small.h5")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SNIPPETS[number]],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_every_verb_in_readme_exists_and_every_verb_is_in_readme(caligo):
    listed = set(re.findall(r"^caligo-mpi ([a-z]+)", README, re.MULTILINE))
    offered = set(re.findall(r"^    ([a-z]+) ", caligo("--help").stdout, re.MULTILINE))
    assert listed <= offered
    assert offered - {"schema", "help"} <= listed | set(re.findall(r"caligo-mpi ([a-z]+)", README))


def test_every_key_of_the_noise_engine_is_in_readme():
    from caligo_mpi.config import ArmConfig, LinkConfig, PdcSource, SideConfig

    keys = {
        key
        for model in (ArmConfig, LinkConfig, PdcSource, SideConfig)
        for key in model.model_fields
    }
    assert {key for key in keys if key not in README} == set()
