"""Acceptance runs: lines, words, and the one file to send back, whatever the engine."""

from __future__ import annotations

import json

import pytest
from helpers import one_sentence

from caligo_mpi.engines.acceptance import Acceptance, Finding, sigmas
from caligo_mpi.errors import ConfigError


def good() -> Finding:
    return Finding(True, "as it should be", {"qber_z": 0.01})


def bad() -> Finding:
    return Finding(False, "off by one")


def broken() -> Finding:
    raise KeyError("gone")


def missing() -> Finding:
    raise NotImplementedError("it has no T1")


CHECKS = [("first", good), ("second", bad), ("third", broken), ("fourth", missing)]


def test_lines_and_report_say_the_same(tmp_path):
    lines: list[str] = []
    run = Acceptance("toy", {"toy": "1.0"}, lines.append, tmp_path / "report.json", may_lack=True)
    assert not run.run(CHECKS, pairs=7)
    assert lines[0].startswith("engine toy on Python ")
    assert lines[1:] == [
        "PASS  first: as it should be",
        "FAIL  second: off by one",
        "FAIL  third: KeyError: 'gone'",
        "SKIP  fourth: it has no T1",
        "NOT ACCEPTED: 1 checks passed, 1 skipped, 2 failed",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["accepted"] is False
    assert (report["pairs"], report["versions"]) == (7, {"toy": "1.0"})
    assert [one["word"] for one in report["checks"]] == ["PASS", "FAIL", "FAIL", "SKIP"]
    assert report["checks"][0]["numbers"] == {"qber_z": 0.01}
    assert "in broken" in report["checks"][2]["traceback"]


def test_what_a_stopped_run_found_is_there(tmp_path):
    def stopped() -> Finding:
        raise KeyboardInterrupt

    run = Acceptance("toy", {}, lambda line: None, tmp_path / "report.json")
    with pytest.raises(KeyboardInterrupt):
        run.run([("first", good), ("second", stopped)], pairs=7)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["accepted"] is None
    assert [one["title"] for one in report["checks"]] == ["first"]


def test_a_report_that_is_there_is_kept(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="it is there already; choose another file or remove it"):
        Acceptance("toy", {}, print, path).run(CHECKS, pairs=7)
    assert path.read_text() == "mine"
    with pytest.raises(ConfigError, match="cannot be written"):
        Acceptance("toy", {}, print, tmp_path / "no" / "report.json").run(CHECKS, pairs=7)


def test_a_report_needs_an_acceptance_run(caligo):
    one_sentence(caligo("engines", "--report", "r.json"), "--report goes with --accept")


def test_rates_that_cannot_vary_are_met_exactly():
    assert sigmas(0.0, 0.0, 100) == 0
    assert sigmas(0.01, 0.0, 100) == float("inf")
    assert sigmas(0.6, 0.5, 100) == pytest.approx(2.0)
