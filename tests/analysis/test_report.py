"""Figures and the report: values that are drawn, pages that open, in a real browser where there is one."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT, environment

import caligo_mpi
from caligo_mpi.analysis import analyze
from caligo_mpi.analysis.glance import glance
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.default_protocol import choose_protocol
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate

pytest.importorskip("matplotlib", reason="matplotlib (extra report) is not installed")
from caligo_mpi.analysis import figures
from caligo_mpi.analysis.figures import keys
from caligo_mpi.analysis.report import html, of_benches, of_launches, report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
LOSS = {"alice": {"detector_efficiency": 0.6}, "bob": {"detector_efficiency": 0.3}}


def run_config(**engine):
    link = {"name": "noise", "link": {"fidelity": 0.97}, "bob": {"basis_bias": 0.4}, **engine}
    return caligo_mpi.parse_config(
        {"pairs": 400_000, "seed": 5, "chunk_size": 1 << 15, "engine": link}
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pairs file, one with losses, and keys of the first."""
    folder = tmp_path_factory.mktemp("report")
    generate(run_config(), folder / "run.h5")
    generate(run_config(loss=LOSS), folder / "lossy.h5")
    choice = choose_protocol(folder / "run.h5")
    task = prepare(folder / "run.h5", choice.config, chosen=choice.sentence)
    distill(task, folder / "run.keys.h5")
    return folder


@pytest.fixture(scope="module")
def page(made):
    """The page about all three, with the files of its figures."""
    files = [made / name for name in ("run.h5", "lossy.h5", "run.keys.h5")]
    return report(files, made / "report.html", figures=made / "figures")


# ── what is drawn ────────────────────────────────────────────────────────────────────────────────


def test_a_glance_has_the_sums_of_the_rows(made):
    seen = glance(made / "lossy.h5")
    with caligo_mpi.open_pairs(made / "lossy.h5") as file:
        assert seen.tally == file.tally()
        assert seen.total("rows") == file.rows
    assert seen.total("count") == seen.info.pairs == 400_000
    assert seen.work["chunks"].sum() == len(seen.segments) == seen.chunks == 13
    assert seen.expected.qber_z == pytest.approx(0.02)


def test_the_waterfall_ends_with_the_key_and_leaves_no_bit_out(made):
    keys = caligo_mpi.read_keys(made / "run.keys.h5")
    first, *taken, last = figures.where_bits_went(keys)
    assert (first.name, first.bits) == ("pairs", 400_000)
    assert (last.name, last.bits) == ("key", keys.key_bits)
    assert first.bits - sum(step.bits for step in taken) == last.bits > 0
    assert min(step.bits for step in taken) > 0
    named = {step.name: step.bits for step in taken}
    assert named["leaked by correction"] + named["tags"] == keys.blocks["leak_bits"].sum()


def test_qber_is_drawn_where_it_is_measured_and_expected(made):
    ax = figures.plot_qber(made / "run.h5")
    tally = glance(made / "run.h5").tally
    rates = [tally.errors_z / tally.sifted_z, tally.errors_x / tally.sifted_x]
    drawn = [float(bar.lines[0].get_ydata()[0]) for bar in ax.containers]
    assert drawn == pytest.approx([100 * rate for rate in rates])
    dashed = [lines for lines in ax.collections if lines.get_linestyle()[0][1]]
    heights = [lines.get_segments()[0][0][1] for lines in dashed]
    assert heights == pytest.approx([2.0, 2.0])
    assert ax.get_ylabel().endswith("%")


def test_every_figure_names_its_axes_and_units(made):
    keys = caligo_mpi.read_keys(made / "run.keys.h5")
    judged = analyze(made / "run.h5")
    with caligo_mpi.open_pairs(made / "lossy.h5") as lossy:
        of_pairs = ("course", "timeline", "ranks", "losses", "gaps")
        drawn = [getattr(figures, f"plot_{name}")(lossy) for name in of_pairs]
    of_keys = ("waterfall", "efficiency", "finite_key")
    drawn += [getattr(figures, f"plot_{name}")(keys) for name in of_keys]
    drawn += [figures.plot_outcomes(judged), figures.plot_lags(judged)]
    for ax in drawn:
        assert ax.get_title(loc="left")
        assert ax.get_xlabel()
    assert len({ax.get_title(loc="left") for ax in drawn}) == len(drawn)


def test_a_figure_is_drawn_into_given_axes(made):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert figures.plot_course(made / "run.h5", ax) is ax
    assert len(ax.lines) >= 2


def test_what_a_file_lacks_for_a_figure_is_said(made):
    seen = glance(made / "run.h5")
    empty = dataclasses.replace(seen, metrics=seen.metrics[:0], work=seen.work[:0])
    with pytest.raises(ValueError, match=r"needs the metrics of a launch; .*run.h5 has none"):
        figures.plot_ranks(empty)
    with pytest.raises(ValueError, match=r"needs chunks that a rank has made; .*run.h5 has none"):
        figures.plot_timeline(empty)


def test_outcomes_that_cannot_be_are_called_so():
    law = (0.0, *np.full(15, 1 / 15))
    seen = SimpleNamespace(outcomes=(3, *[100] * 15), expected=law)
    told = [text.get_text() for text in figures.plot_outcomes(seen).texts]
    assert [words.splitlines()[1] for words in told[:16]].count("impossible") == 1
    seen.outcomes = (0, *[100] * 15)
    assert figures.plot_outcomes(seen).texts[0].get_text() == "0.000 %\n+0.0 σ"


def test_correlations_are_drawn_at_their_lags_on_what_the_strongest_of_so_many_may_be(made):
    judged = analyze(made / "run.h5")
    ax = figures.plot_lags(judged)
    dots = np.concatenate([line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 2])
    short = [(lag.lag, lag.correlation / lag.sigma) for lag in judged.lags]
    octaves = [(lag.lag, lag.score) for lag in judged.long_lags]
    assert len(octaves) == 5 * 12
    assert np.sort(dots, axis=0) == pytest.approx(np.sort(short + octaves, axis=0))
    (band,) = ax.collections
    heights = {round(y, 2) for x, y in band.get_paths()[0].vertices if y > 0}
    # √(2·ln n) is about what the strongest of n has; few have much more.
    assert 3.0 in heights
    assert len(heights) == 13
    assert 1.1 < max(heights) / np.sqrt(2 * np.log(1 << 16)) < 1.4
    assert {"● alice basis", "◆ errors"} <= {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    ("low", "high", "at"), [(0.1, 0.4, 0.4), (0.7, 1.0, 0.7), (0.0, 1.0, 0.0), (0.45, 0.75, 0.45)]
)
def test_a_number_stands_where_a_bar_leaves_room(low, high, at):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    keys._name_bar(ax, 0, (low, high), 1_000_000)
    (text,) = ax.texts
    assert text.xy[0] == pytest.approx(at / 1.02)


def test_simulated_times_are_drawn(made):
    with caligo_mpi.open_pairs(made / "run.h5") as file:
        timed = _Timed(file.rows, np.cumsum(np.full(file.rows, 2500.0)))
        ax = figures.plot_times(timed)
    assert ax.get_xlabel().endswith("µs")


class _Timed:
    """What `plot_times` asks of an open file."""

    def __init__(self, rows, time):
        self.rows, self.time = rows, time


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


def test_letters_of_a_cell_are_those_that_are_seen():
    link = html.Marked('<a href="#file-0">&lt;one&gt; &amp; another file</a>')
    assert '<td class="short">' in html.table(("file",), [(link,)])
    assert '<td class="long">' in html.table(("file",), [(link + " of some length",)])


def test_a_unit_stays_with_its_name():
    assert "95\xa0% interval\xa0/\xa0%</th>" in html.table(("95 % interval / %",), [])


def test_tables_that_are_cut_say_so(made):
    seen = glance(made / "run.h5")
    many = {name: np.repeat(getattr(seen, name)[:1], 51) for name in ("runs", "metrics")}
    text = "".join(of_launches.background(dataclasses.replace(seen, **many)))
    assert "The first 50 of 51 launches." in text
    assert "The last 50 of 51 rows" in text
    assert " of " not in "".join(of_launches.background(seen)).split("<h3>Configuration")[0]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def test_the_page_says_what_was_run_and_what_came_of_it(page, made):
    text = page.read_text()
    assert len(text) < 3_000_000
    for words in (
        "Report on 3 files",
        "fidelity: 0.97",
        "numpy",
        "sound: ",
        "basis balance",
        "bits, both have the same key",
    ):
        assert words in text
    assert caligo_mpi.status(made / "run.h5").data_digest in text
    assert text.count("<svg") == text.count("<figure") == 15
    assert not re.findall(r"<script|https?://(?!www\.w3\.org)|@import|<link|<img", text)
    names = re.findall(r'id="([^"]+)"', text)
    assert len(names) == len(set(names))


def test_figures_are_files_of_three_kinds(page, made):
    found = {path.name for path in (made / "figures").iterdir()}
    assert {"1-run-qber.png", "2-lossy-gaps.svg", "3-run.keys-waterfall.pdf"} <= found
    assert len(found) == 45


def test_only_a_report_is_replaced(page, made, tmp_path):
    other = tmp_path / "other.html"
    other.write_text("<p>mine</p>")
    with pytest.raises(StoreError, match="no report of this program"):
        report([made / "run.h5"], other)
    with pytest.raises(StoreError, match="is not empty"):
        report([made / "run.h5"], tmp_path / "x.html", figures=made / "figures")
    with pytest.raises(StoreError, match=r"other.html/in: writing the figures failed"):
        report([made / "run.keys.h5"], tmp_path / "x.html", figures=other / "in")
    assert other.read_text() == "<p>mine</p>"
    again = shutil.copy(page, tmp_path / "again.html")
    report([made / "run.keys.h5"], again)
    assert "Report: run.keys.h5" in again.read_text()


def test_unfinished_files_are_reported_as_far_as_they_are(tmp_path):
    def some(setup, items):
        return serial_map(setup, items[:5])

    generate(run_config(), tmp_path / "run.h5", map=some)
    text = report([tmp_path / "run.h5"], tmp_path / "r.html").read_text()
    assert "not finished, 41.0 %" in text
    assert '<span class="bad">not finished</span>, <span class="good">sound: ' in text
    generate(
        run_config(), tmp_path / "none.h5", map=lambda setup, items: serial_map(setup, items[:0])
    )
    with pytest.raises(ConfigError, match="no chunk yet"):
        report([tmp_path / "none.h5"], tmp_path / "n.html")


@pytest.mark.parametrize(("keep", "figures_"), [("records", 5), ("counts", 3)])
def test_files_without_bits_have_a_page_too(tmp_path, keep, figures_):
    config = run_config()
    output = config.output.model_copy(update={"keep": keep})
    generate(config.model_copy(update={"output": output}), tmp_path / "run.h5")
    text = report([tmp_path / "run.h5"], tmp_path / "r.html").read_text()
    assert text.count("<svg") == figures_
    assert "The 16 outcomes" in text


def test_the_command_writes_a_page_and_names_what_it_cannot_read(caligo, made, tmp_path):
    result = caligo("report", made / "run.keys.h5", "-o", "r.html")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("r.html written, ")
    result = caligo("report", made / "run.h5", "nothing.h5")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "nothing.h5" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_names_from_files_are_text_in_the_page(made, tmp_path):
    evil = shutil.copy(made / "run.keys.h5", tmp_path / "<b>&.h5")
    text = report([evil], tmp_path / "r.html").read_text()
    assert "<b>&" not in text
    assert "&lt;b&gt;&amp;.h5" in text


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_it_without_an_error_and_nothing_is_too_wide(page, tmp_path, width, scheme):
    copy = tmp_path / "page.html"
    ask = "<script>document.title = [innerWidth, document.documentElement.scrollWidth, "
    ask += "getComputedStyle(document.body).backgroundColor, "
    ask += "Math.min(...[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height))].join('|')"
    copy.write_text(page.read_text().replace("</body>", f"{ask}</script></body>"))
    setting = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        setting,
    ]
    command += [
        f"--window-size={width},900",
        f"--user-data-dir={tmp_path}/profile",
        "--dump-dom",
        f"file://{copy}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    seen, wide, ground, least = re.search("<title>(.*?)</title>", done.stdout)[1].split("|")
    assert int(wide) <= int(seen)
    assert int(seen) <= max(width, 500)
    assert float(least) > 150
    light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 380
    assert light == (scheme == "light")
    assert done.stdout.count("<svg") == 15


def test_the_snippet_of_the_page_on_reports_runs(made, tmp_path, monkeypatch):
    shutil.copy(made / "run.h5", tmp_path / "small.h5")
    shutil.copy(made / "run.keys.h5", tmp_path / "small.keys.h5")
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/report.md").read_text(), re.DOTALL
    )
    exec(snippet, {})


# ── sweeps ───────────────────────────────────────────────────────────────────────────────────────


def sweep_of(folder, protocol):
    """The results of a small sweep over two parameters."""
    axes = [
        {"path": "engine.link.fidelity", "values": [0.9, 0.97, 1.0], "name": "F"},
        {"path": "pairs", "values": [3000, 60_000, 120_000], "name": "N"},
    ]
    base = {"seed": 1, "pairs": 1000, "engine": {"name": "noise", "link": {}}}
    config = {"base": base, "axes": axes, **protocol}
    (folder / "sweep.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "caligo_mpi", "sweep", "sweep.yaml", "-o", "out", "-q"]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return sweep_of(tmp_path_factory.mktemp("sweep"), {"protocol": {"mode": "bbm92"}})


def test_a_sweep_is_drawn_on_its_closed_forms_and_where_it_has_no_key(swept):
    sweep = caligo_mpi.read_sweep(swept)
    assert figures.varying(sweep) == ["F", "N"]
    curves = figures.plot_sweep_key(sweep)
    made = [line for line in curves.lines if line.get_linestyle() == "None"]
    assert len(made) == 2
    assert "no key at N 3000" in " ".join(text.get_text() for text in curves.texts)
    at_most = np.array(sweep["key_per_sifted"], float)[np.array(sweep["N"]) == 120_000]
    assert made[-1].get_ydata() == pytest.approx(at_most)
    drawn = figures.plot_map(sweep)
    zero = int((np.nan_to_num(np.array(sweep["key_per_sifted"], float)) <= 0).sum())
    assert len(drawn.patches) == zero > 0
    rates = figures.plot_sweep_qber(sweep)
    dashed = [line for line in rates.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata() == pytest.approx([100 * 0.2 / 3, 2.0, 0.0])


class Words:
    """A sweep over a word and a number, as its reader gives it."""

    axes, units = ("method", "F"), {}
    columns = ("method", "F", "qber_z", "key_per_sifted", "finite_per_sifted")

    def __init__(self, fidelities):
        methods = np.array(["cascade", "ldpc"], object)
        self.values = {"method": np.repeat(methods, len(fidelities)), "F": np.tile(fidelities, 2)}

    def __getitem__(self, name):
        return self.values.get(name, np.linspace(0.01, 0.4, len(self.values["F"])))


def test_many_points_are_a_line_and_few_have_a_mark_each():
    few = figures.plot_sweep_qber(Numbers(40))
    assert len(few.containers) == 1
    many = figures.plot_sweep_qber(Numbers(41))
    assert not many.containers
    assert len(many.collections) == 1


class Numbers:
    """A sweep over one number, as its reader gives it."""

    axes, units = ("F",), {}
    columns = ("F", "qber_z", "qber_z_low", "qber_z_high")

    def __init__(self, points):
        self.points = points

    def __getitem__(self, name):
        return np.linspace(0.01, 0.4, self.points)


@pytest.mark.parametrize(
    ("values", "scale"), [([1, 2, 3], "linear"), ([1e-9, 1e-8, 1e-7], "log"), ([0, 2, 3], "linear")]
)
def test_a_map_has_the_scale_that_makes_its_cells_even(values, scale):
    ax = figures.plot_map(Grid(np.array(values)))
    assert (ax.get_xscale(), ax.get_yscale()) == (scale, "linear")
    assert ax.get_xlabel() == "A"


class Grid:
    """A sweep over two numbers, as its reader gives it."""

    axes, units = ("A", "B"), {}
    columns = ("A", "B", "qber")

    def __init__(self, values):
        self.values = {"A": np.tile(values, 3), "B": np.repeat([1, 2, 3], len(values))}

    def __getitem__(self, name):
        return self.values.get(name, np.linspace(0.01, 0.4, len(self.values["A"])))


def test_parameters_that_follow_each_other_have_no_map():
    zipped = Grid(np.array([1, 2, 3]))
    zipped.values["B"] = 10 * zipped.values["A"]
    assert figures.varying(zipped) == ["A", "B"]
    assert figures.crossed(zipped) == ["A"]
    with pytest.raises(ValueError, match="apart from each other; this sweep has 1"):
        figures.plot_map(zipped)


def test_a_map_is_blank_where_no_point_is():
    sweep = Grid(np.array([1, 2, 3]))
    sweep.columns = ("A", "B", "key_per_sifted")
    keys = sweep.values["key_per_sifted"] = np.full(9, 0.2)
    keys[:2] = 0.0
    keys[5] = np.nan
    ax = figures.plot_map(sweep)
    assert len(ax.patches) == 2
    assert "hatched: no key; blank: no result" in " ".join(text.get_text() for text in ax.texts)


def test_each_curve_of_keys_has_its_limit():
    few = figures.plot_sweep_key(Words([0.95, 0.97]))
    dashed = [line.get_color() for line in few.lines if line.get_linestyle() == "--"]
    made = [line.get_color() for line in few.lines if line.get_linestyle() == "None"]
    assert dashed == made
    assert len(set(dashed)) == 2


def test_words_stand_beside_each_other_and_numbers_have_a_curve_for_each_word():
    ax = figures.plot_sweep_key(Words([0.95]))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["cascade", "ldpc"]
    assert ax.lines[0].get_xdata().tolist() == [0, 1]
    ax = figures.plot_sweep_key(Words([0.95, 0.97]))
    assert ax.get_xlabel() == "F"
    names = [text.get_text() for text in ax.texts]
    assert {"cascade", "ldpc"} <= set(names)
    assert figures.plot_sweep_qber(Words([0.95])).get_xlabel() == "method"


def test_a_sweep_has_a_page(swept, tmp_path):
    text = report([swept], tmp_path / "sweep.html").read_text()
    assert "complete: 9 points" in text
    assert text.count("<svg") == 3
    for header in ("QBER Z / %", "95 % interval X / %", "closed form Z / %", "key / bits"):
        unbroken = header.replace(" / ", "\xa0/\xa0").replace(" %", "\xa0%")
        assert f">{unbroken}</th>" in text
    reasons = [text.count(words) for words in ("no secret bits are left", "too few pairs")]
    assert max(reasons) == 1  # each once, however many points it has
    assert "no key: " in text


def test_a_sweep_without_a_protocol_has_a_page_without_keys(tmp_path):
    text = report([sweep_of(tmp_path, {})], tmp_path / "sweep.html").read_text()
    assert "complete: 9 points" in text
    assert text.count("<svg") == 2  # error rates, and their map


# ── benches ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """The results of a small bench: two engines, two sizes."""
    folder = tmp_path_factory.mktemp("bench")
    options = [
        "--engines",
        "noise,plain",
        "--pairs",
        "1e4,2e4",
        "--repeats",
        "1",
        "-q",
        "-o",
        "results",
    ]
    command = [sys.executable, "-m", "caligo_mpi", "bench", "peers", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "results" / "latest"


def test_a_bench_has_a_page_with_its_speeds(benched, tmp_path):
    summary = json.loads((benched / "summary.json").read_text())
    assert len(figures.good_cases(summary)) == 4
    drawn = figures.plot_speeds(summary)
    assert [label.get_text() for label in drawn.get_yticklabels()] == [
        "noise, 10 k pairs", "plain, 10 k pairs", "noise, 20 k pairs", "plain, 20 k pairs"
    ]  # fmt: skip
    speeds = [case["pairs_per_second"]["value"] for case in summary["cases"]]
    assert [bar.lines[0].get_xdata()[0] for bar in drawn.containers] == speeds
    text = report([benched], tmp_path / "bench.html").read_text()
    assert "4 cases measured" in text
    began = summary["started"]
    assert f"<td>{began[:10]} {began[11:19]} UTC</td>" in text
    assert began not in text
    assert text.count("<svg") == 1
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(StoreError, match="no summary of a bench"):
        report([tmp_path], tmp_path / "x.html")


def test_scaling_is_drawn_on_its_fit():
    parameters = {"pairs": 1000, "weak": False}
    cases = []
    for ranks, speed in ((1, 100.0), (2, 160.0), (4, 228.0)):
        case = {"engine": "noise", "state": "ok", "speeds": [speed], "ranks": ranks}
        case["pairs_per_second"] = {"value": speed, "low": speed, "high": speed}
        cases.append({**case, "parameters": {**parameters, "ranks": ranks}})
    fit = {"law": "Amdahl", "engine": "noise", "serial_fraction": {"value": 0.25}}
    fit["parameters"] = {**parameters, "ranks": [1, 2, 4]}
    ax = figures.plot_scaling({"cases": cases, "fits": [fit]})
    points, law, ideal = ax.lines
    assert points.get_ydata() == pytest.approx([1, 1.6, 2.28])
    assert (law.get_ydata()[0], law.get_ydata()[-1]) == pytest.approx((1, 4 / (1 + 3 * 0.25)))
    assert list(ideal.get_ydata()) == [1, 4]


def test_more_ranks_that_were_slower_have_no_serial_share():
    share = {"value": 4.0, "low": 3.0, "high": 5.0}
    fit = {"law": "Amdahl", "engine": "noise", "serial_fraction": share}
    fit["parameters"] = {"weak": False, "ranks": [1, 2]}
    told = "more ranks were slower: 2 ranks had 0.4 of the speed of one"
    assert of_benches._share(fit) == ("strong scaling of noise (Amdahl)", told)
    fit["serial_fraction"] = {"value": 0.25, "low": 0.2, "high": 0.3}
    assert of_benches._share(fit)[1] == "serial share 25 % (20 to 30 %)"


def test_a_sweep_is_watched_by_its_points(swept):
    from caligo_mpi.analysis.watch import files_of, look

    assert files_of([swept]) == [swept]
    seen = look(swept)
    assert (seen.state, seen.done, seen.total, seen.noun) == ("complete", 9, 9, "point")
