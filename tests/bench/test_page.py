"""docs/benchmarks.md is what its command makes of the committed results."""

from __future__ import annotations

import json

import jsonschema
import pytest
from helpers import ROOT

from caligo_mpi.bench import summary
from jobs import benchmarks_page

SUMMARIES = sorted(benchmarks_page.RESULTS.glob("*/summary.json"))


def test_the_page_is_current() -> None:
    assert SUMMARIES
    made = benchmarks_page.page(benchmarks_page.RESULTS)
    assert benchmarks_page.PAGE.read_text("utf-8") == made, "run: python jobs/benchmarks_page.py"


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.parent.name)
def test_committed_results_are_finished_benches(path) -> None:
    found = json.loads(path.read_text())
    jsonschema.validate(found, summary.schema())
    assert found["finished"]
    assert {one["state"] for one in found["cases"]} <= {"ok", "missing"}


def test_every_plot_of_the_page_is_there() -> None:
    page = benchmarks_page.PAGE.read_text("utf-8")
    for name in benchmarks_page._PLOTS:
        if (benchmarks_page.RESULTS / name).exists():
            assert f"(benchmarks/{name}.svg)" in page
            assert "<svg" in (benchmarks_page.RESULTS / f"{name}.svg").read_text("utf-8")
    assert (ROOT / "docs" / "bench.md").exists()
