"""The pages on an engine and a column of one's own: their code is a package that runs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from helpers import ROOT, environment


def blocks(page, language):
    """The blocks of a language on a page of the documentation."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with both pages' engines, found as installed ones are, and their runs."""
    folder = tmp_path_factory.mktemp("own")
    engine, tests = blocks("own-engine.md", "python")
    column, reading = blocks("own-column.md", "python")
    files = {
        "turned_engine.py": engine,
        "test_turned.py": tests,
        "heralded_engine.py": column,
        "reading.py": reading,
    }
    (entry,) = re.findall(r'"caligo_mpi.engines"\]\n(.*?)\n', blocks("own-engine.md", "toml")[0])
    entries = entry.replace('"', "") + "\nheralded_turned = heralded_engine:Heralded\n"
    (run,) = blocks("own-engine.md", "yaml")
    files["turned.yaml"] = run
    files["heralded.yaml"] = run.replace("turned", "heralded_turned", 1).replace(
        "turned.h5", "heralded.h5"
    )
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    known = folder / "turned_engine-1.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: turned-engine\nVersion: 1\n")
    (known / "entry_points.txt").write_text(f"[caligo_mpi.engines]\n{entries}")
    return folder


def run(folder, *command):
    """What a command in the folder says; it has to succeed."""
    env = environment()
    env["PYTHONPATH"] = f"{folder}:{env['PYTHONPATH']}"
    found = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=env, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def commands(page):
    """The commands of a page, as arguments of ``python -m``."""
    lines = "".join(blocks(page, "console")).splitlines()
    found = [line.removeprefix("$ ").replace("caligo-mpi", "caligo_mpi").split() for line in lines]
    assert found
    return found


@pytest.mark.mpi
def test_an_engine_of_the_page_makes_a_file_that_is_sound_and_a_key(place, mpirun):
    mpirun(2)
    said = [run(place, *command) for command in commands("own-engine.md")]
    assert "closed form 3.9470 %" in said[0]  # sin²(0.2)
    assert "turned" in run(place, "caligo_mpi", "engines")
    assert (place / "turned.keys.h5").exists()


def test_an_engine_of_the_page_keeps_the_contract(place):
    assert "passed" in run(place, "pytest", "-q", "-p", "no:cacheprovider", "test_turned.py")


def test_columns_of_the_page_are_stored_read_and_exported(place):
    run(place, "caligo_mpi", "generate", "heralded.yaml", "-q")
    source = (place / "reading.py").read_text("utf-8")
    said = run(place, "reading").split()
    assert "import h5py" in source
    assert 0.4 < float(said[0]) < 0.6
    assert 80 < float(said[1]) < 120
    assert said[-5:] == ["ns", "time", "in", "Alice's", "memory"]
    for command in commands("own-column.md"):
        run(place, *command)
    few = (place / "few.csv").read_text("utf-8").splitlines()
    assert few[0] == "herald,stored"
    assert len(few) == 6


def test_pairs_are_the_same_with_columns_of_their_own(place):
    run(place, "caligo_mpi", "generate", "turned.yaml", "-q", "--set", "output=plain.h5")
    run(place, "caligo_mpi", "generate", "heralded.yaml", "-q", "--set", "output=more.h5")
    code = "import caligo_mpi as c\n" + "\n".join(
        f"{name} = c.open_pairs('{name}.h5').packed('bob_outcome')" for name in ("plain", "more")
    )
    (place / "same.py").write_text(f"{code}\nassert (plain == more).all()\n")
    run(place, "same")
