"""What a bench is before anything is run, and the arithmetic of its results."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from helpers import ROOT

from caligo_mpi.bench import bench, compare, plan, session, statistics, summary
from caligo_mpi.bench.estimate import forecast
from caligo_mpi.config.bench import PRESETS, BenchConfig, bench_document, bench_schema, parse_bench
from caligo_mpi.errors import ConfigError, StoreError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_benches_whose_cases_can_be_run(name: str) -> None:
    jsonschema.validate(bench_document(name), bench_schema())
    found = bench.plan(name, {})
    assert found.bench.title
    assert len(found.cases) > 2
    assert len({case.id for case in found.cases}) == len(found.cases)
    for one in bench.outlook(found, None):
        assert one.problem is None or one.problem[0] == plan.MISSING
        assert 0 < one.forecast.seconds < 600


def test_schemas_are_schemas() -> None:
    for found in (bench_schema(), summary.schema()):
        jsonschema.Draft202012Validator.check_schema(found)


def test_the_page_names_every_key_preset_and_state() -> None:
    page = (ROOT / "docs" / "bench.md").read_text("utf-8")
    names = [*BenchConfig.model_fields, *PRESETS, *plan.STATES]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_options_replace_keys_and_keep_the_sections_of_engines() -> None:
    found = bench.plan("batching", {"engines": ["plain", "noise"], "pairs": ["1e3", "2e3"]})
    assert [case.engine for case in found.cases[:3]] == [
        "plain batch=1",
        "plain batch=16",
        "plain batch=256",
    ]
    of_their_own = [case for case in found.cases if case.pairs == 1 << 24]
    assert [case.engine for case in of_their_own][-1] == "noise"
    assert of_their_own[0].values["run"]["engine"] == {
        "name": "plain",
        "batch": 65536,
        "link": {"fidelity": 0.95},
    }
    assert len(found.cases) == 2 * 6 + 4
    found = bench.plan("peers", {"noise": ["0.01", "0.05"], "engines": ["noise"]})
    links = [case.values["run"]["engine"]["link"] for case in found.cases]
    assert links == [{"prob_max_mixed": 0.02}, {"prob_max_mixed": 0.1}]


def test_weak_scaling_has_as_many_pairs_for_each_rank() -> None:
    found = plan.cases(parse_bench({"pairs": 1000, "ranks": "auto", "weak": [False, True]}), 3)
    sizes = [(case.ranks, case.parameters["weak"], case.pairs) for case in found]
    assert sizes == [
        (1, False, 1000),
        (1, True, 1000),
        (2, False, 1000),
        (2, True, 2000),
        (3, False, 1000),
        (3, True, 3000),
    ]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"work": "distill"}, "protocol: missing"),
        ({"protocol": {"mode": "bbm92"}}, "only with work: distill"),
        ({"work": "sample", "ranks": [1, 2]}, "only with other work than sample"),
        ({"work": "sample", "measure": "simulate"}, "only with work: generate"),
        ({"engines": []}, "is empty"),
        ({"engines": [3]}, "must be a section of keys"),
        ({"engines": [{"batch": 3}]}, "must be the name of an engine"),
        ({"engines": [{"name": "plain", "pairs": -1}]}, "must be a whole number"),
        ({"pairs": ["many"]}, "must be a whole number"),
        ({"pairs": 0}, "must be a whole number"),
        ({"noise": 0.7}, "must be a number from 0 to 0.5"),
        ({"repeat": 3}, "did you mean repeats"),
        ({"timeout_s": -1}, "must be a number"),
        ({"chunk_size": 12}, "must be a multiple of 8"),
        (None, "must be a mapping"),
        ([], "must be a mapping"),
    ],
)
def test_what_is_wrong_is_said(keys: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_bench(keys)


def test_command_lines_that_say_nothing_or_too_much(caligo: Any, tmp_path: Path) -> None:
    for arguments, sentence in (
        ((), "bench needs one of"),
        (("peers", "--compare", "a", "b"), "bench needs one of"),
        (("nothing.yaml",), "name a preset"),
        (("--compare", "here", "there"), "is not a folder of a bench"),
        (("--rerun-failed", "."), "is not a folder of a bench"),
        (("peers", "--pairs", "1e3,,1e4"), "has an empty value"),
        (("peers", "-o", "/proc/none"), "cannot be written"),
    ):
        said = caligo("bench", *arguments)
        assert said.returncode == 2, said
        assert sentence in said.stderr
        assert said.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_plan_is_printed_and_nothing_is_run(caligo: Any, tmp_path: Path) -> None:
    said = caligo(
        "bench", "peers", "--plan", "--engines", "noise,loop,absent", "--pairs", "1e3,1e5"
    )
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["engine", "pairs", "a", "run", "memory", "estimate"]
    assert "engine 'absent' is not installed" in said.stdout
    assert "24 runs (1 + 5 of each)" in lines[-1]
    assert not list(tmp_path.iterdir())
    values = json.loads(caligo("bench", "store", "--plan", "--json").stdout)
    assert {one["state"] for one in values} == {"ok"}


def test_estimates_are_those_of_earlier_sessions() -> None:
    (case,) = bench.plan("peers", {"engines": ["loop"], "pairs": ["1e6"]}).cases
    assert forecast(case, []).source == "rough"
    line = {"cases": {case.key: {"speeds": [1e4, 3e4, 2e4]}}}
    assert forecast(case, [line]).source == "as before"
    assert forecast(case, [line]).seconds == pytest.approx(50.5)


# --- statistics -----------------------------------------------------------------------------


def test_bootstrap_intervals_cover_the_median() -> None:
    """Of 200 samples of 9, some 92 % are due; 150 is 9σ below."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        found = statistics.median(list(rng.lognormal(0, 0.1, 9)))
        covered += found.low <= 1 <= found.high
    assert covered > 150


def test_fractions_of_known_laws_are_found() -> None:
    rng = np.random.default_rng(2)

    def noisy(value: float) -> list[float]:
        return list(value * rng.normal(1, 0.01, 7))

    strong = statistics.amdahl({n: noisy(0.1 + 0.9 / n) for n in (1, 2, 4, 8)})
    weak = statistics.gustafson({n: noisy(n / (n - 0.05 * (n - 1))) for n in (1, 2, 4, 8)})
    assert strong is not None
    assert weak is not None
    assert 0.08 < strong.low <= strong.value <= strong.high < 0.12
    assert 0.02 < weak.low < 0.05 < weak.high < 0.08
    assert statistics.amdahl({1: [1.0]}) is None
    assert statistics.amdahl({2: [1.0], 4: [0.5]}) is None


def _summary(speeds: list[float], state: str = "ok", measure: str = "run") -> dict[str, Any]:
    case = {"key": "k", "engine": "e", "parameters": {}, "state": state, "speeds": speeds}
    return {"measure": measure, "cases": [case]}


def test_verdicts_of_a_comparison() -> None:
    before = _summary([100.0, 101.0, 99.0, 100.0])

    def verdict(after: dict[str, Any]) -> list[str]:
        return [one.verdict for one in compare.compare(before, after, 0.05)]

    assert verdict(_summary([80.0, 81.0, 79.0, 80.0])) == [compare.SLOWER]
    assert verdict(_summary([97.0, 98.0, 96.5, 97.0])) == [compare.SAME]  # within the tolerance
    assert verdict(_summary([80.0, 120.0, 60.0, 101.0])) == [compare.SAME]
    assert verdict(_summary([120.0, 121.0, 119.0, 120.0])) == [compare.FASTER]
    assert verdict(_summary([100.0, 100.0])) == [compare.UNKNOWN]
    assert verdict(_summary([100.0] * 4, "wrong")) == [compare.BROKEN]
    assert verdict(_summary([], "missing")) == [compare.UNKNOWN]
    assert verdict(_summary([1.0] * 4, measure="process")) == []


# --- files ----------------------------------------------------------------------------------


def test_a_history_keeps_the_lines_of_writers_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with ThreadPoolExecutor(8) as pool:
        entries = [{"number": number, "text": "x" * 10_000} for number in range(40)]
        list(pool.map(lambda entry: session.add_to_history(path, entry), entries))
    with path.open("a") as file:
        file.write('{"number": 40, "te')  # cut by a power failure
    assert {line["number"] for line in session.history(path)} == set(range(40))
    assert session.history(tmp_path / "none") == []


def test_a_record_that_was_cut_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "plan.json").write_text("{}")
    one = session.Session(tmp_path)
    record = {"case": "a", "round": 0, "started": "2026"}
    one.record(record)
    (tmp_path / "runs" / "b-0000.json").write_text('{"case": "b", "ro')
    assert one.records() == [record]


def test_a_damaged_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(StoreError, match="it is not JSON"):
        session.find(tmp_path)


def test_a_preset_can_be_copied_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**bench_document("chunks"), "repeats": 9}))
    found = bench.plan(str(path), {})
    assert (found.name, found.bench.repeats, len(found.cases)) == ("mine", 9, 16)
