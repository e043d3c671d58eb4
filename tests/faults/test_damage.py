"""A small campaign of damaged files; the long one runs by ``python -m tests.faults --flips 5000 --cuts 200``."""

from __future__ import annotations

import subprocess
import sys

from helpers import ROOT, environment

from tests.faults.damage import campaign

#: Where a flipped bit changes nothing that anybody is told: between the parts of a file, in rows of tables that are not
#: used yet, and in what a partial file says about launches; the finished file puts all of it under a checksum.
HARMLESS = {
    "pairs file": {"gaps"},
    "partial file": {"gaps", "/runs", "/faults", "/metrics", "/overflow", "/chunks"},
    "keys file": {"gaps"},
    "partial keys file": set(),
}


def test_no_flipped_bit_and_no_cut_hangs_crashes_or_lies(tmp_path):
    found = campaign(tmp_path, flip=50, cut=10, seed=2, say=lambda line: None)
    assert [kind.name for kind in found] == list(HARMLESS)
    for kind in found:
        assert kind.tried == 60
        assert [*kind.wrong, *kind.hangs, *kind.crashes] == []
        assert set(kind.silent) <= HARMLESS[kind.name]
        assert kind.refused > 30


def test_the_campaign_starts_as_its_page_says():
    told = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--flips", "1", "--seed", "1"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "| pairs file | 1 |" in told.stdout
