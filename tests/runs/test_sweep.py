"""Sweeps: their points are single runs, on any ranks, after any kill; their tables are exact."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from faults.sweeps import campaign, untimed
from helpers import Recorder, stopping_after

import caligo_mpi
from caligo_mpi.config.protocol import parse_protocol
from caligo_mpi.config.sweep import parse_sweep
from caligo_mpi.errors import EngineError, StoreError
from caligo_mpi.pairs.intervals import clopper_pearson
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.protocol.run import plan_blocks, run_block, run_protocol
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.sweeps.job import SweepJob
from caligo_mpi.runs.sweeps.merge import merge
from caligo_mpi.store.keys_journal import append, record_at, whole_records
from caligo_mpi.store.sweep_journal import MAGIC, is_partial_sweep, read_sweep_journal

BASE = {"pairs": 20_000, "seed": 3, "chunk_size": 8192, "engine": {"name": "noise", "link": {}}}
FIDELITIES = {"path": "engine.link.fidelity", "values": [0.98, 0.95, 1.0], "name": "F"}
LOSS = {"alice": {"detector_efficiency": 0.5}, "bob": {"detector_efficiency": 0.25}}


class Heard(Recorder):
    """An observer that keeps how the launch ended, too."""

    def result(self, summary):
        self.summary = summary


@pytest.fixture
def compute(tmp_path):
    """Run a sweep in this process, into a directory; what was said and how it ended."""

    def run(folder="out", *, point=None, force=False, fail_fast=False, **changes):
        sweep = parse_sweep({"base": BASE, "axes": [FIDELITIES], **changes})
        points = sweep.points if point is None else (sweep.points[point],)
        job = SweepJob(sweep, points, tmp_path / folder, [], forced=force, fail_fast=fail_fast)
        heard = Heard()
        try:
            job.run(serial_map, {"ranks": 1}, heard, force=force)
        except EngineError as error:
            heard.said.append(str(error))
        heard.text = "\n".join(heard.said)
        return heard

    return run


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("loss", [None, LOSS])
def test_a_point_is_the_single_run_and_its_keys_are_those_of_its_file(compute, tmp_path, loss):
    engine = {"name": "noise", "link": {}, **({"loss": loss} if loss else {})}
    base = {**BASE, "pairs": 300_000, "chunk_size": 65_536, "engine": engine}
    if not loss:
        base["pairs"] = 100_000
    protocol = {"mode": "bbm92", "block_size": 30_000}
    axes = [{**FIDELITIES, "values": [0.99, 0.97]}]
    compute(base=base, axes=axes, protocol=protocol)
    row = caligo_mpi.read_sweep(tmp_path / "out").rows()[1]
    config = parse_sweep({"base": base, "axes": axes, "protocol": protocol}).points[1].config
    summary = generate(config, tmp_path / "one.h5")
    assert summary.status.data_digest == row["data_digest"]
    tally = summary.status.tally
    assert (tally.sifted_z, tally.errors_x) == (row["sifted_z"], row["errors_x"])
    seeded = parse_protocol({**protocol, "seed": config.seed})
    keys = distill(prepare(tmp_path / "one.h5", seeded), tmp_path / "keys.h5").keys
    assert keys is not None
    assert keys.key_bits == row["key_bits"] > 0
    assert int(keys.blocks["leak_bits"].sum()) == row["leak_bits"]
    assert row["keys_agree"] is True


def test_ranks_and_kills_leave_the_same_table(tmp_path, mpirun):
    mpirun(2)
    launches, equal = campaign(tmp_path, kills=2, seed=4)
    assert equal
    assert launches >= 2


def test_added_points_change_no_other_and_only_they_are_computed(compute, tmp_path):
    compute()
    before = {row["F"]: row for row in table(tmp_path / "out")}
    heard = compute(axes=[{**FIDELITIES, "values": [0.9, 0.98, 0.95, 1.0]}])
    assert heard.summary.launched == BASE["pairs"]
    assert "3 of 4 points are done" in heard.text
    assert "by hand" not in heard.text
    after = {row["F"]: row for row in table(tmp_path / "out")}
    assert [row["point"] for row in after.values()] == ["0", "1", "2", "3"]
    for fidelity, row in before.items():
        assert {**after[fidelity], "point": row["point"]} == row
    # Fewer points: the table has those that are named, the file keeps the others.
    heard = compute(axes=[{**FIDELITIES, "values": [0.95, 1.0]}])
    assert heard.summary.launched == 0
    assert "by hand" not in heard.text
    assert [row["F"] for row in table(tmp_path / "out")] == ["0.95", "1.0"]
    heard = compute()
    assert heard.summary.launched == 0
    assert "by hand" not in heard.text


def test_the_command_prints_the_run_of_a_point_and_resumes_on_ranks(caligo, tmp_path):
    sweep = {"base": BASE, "axes": [FIDELITIES], "protocol": {"mode": "bbm92"}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    printed = caligo("sweep", "sweep.yaml", "--point", 1, "--config").stdout
    point = parse_sweep(sweep).points[1]
    assert caligo_mpi.parse_config(yaml.safe_load(printed)) == point.config
    assert "#   mode: bbm92" in printed.replace("# mode", "#   mode")
    assert caligo("sweep", "sweep.yaml", "-o", "out", "-q", "--point", 1).returncode == 0
    result = caligo("sweep", "sweep.yaml", "-o", "out", "-q", "--json", "--ranks", 2)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["launched"] == 2 * BASE["pairs"]
    assert "out: complete, 3 points (3 done)" in caligo("status", "out").stdout


def test_counts_are_drawn_from_their_law_and_are_those_of_the_single_run(compute, tmp_path):
    base = {**BASE, "pairs": 10**12, "chunk_size": 1 << 24}
    base["engine"] = {"name": "noise", "link": {}, "loss": LOSS}
    axes = [{"path": "engine.link.fidelity", "linspace": [0.9, 1, 5]}]
    compute(base=base, axes=axes, keep="counts", protocol={"mode": "bbm92", "block_size": 10**12})
    rows = caligo_mpi.read_sweep(tmp_path / "out").rows()
    config = parse_sweep({"base": base, "axes": axes, "keep": "counts"}).points[1].config
    status = generate(config, tmp_path / "one.h5").status
    assert status.data_digest == rows[1]["data_digest"]
    assert status.tally.errors_z == rows[1]["errors_z"]
    for row in rows:
        assert row["law"] == "law, not bits"
        assert abs(row["z_score_x"]) < 5  # of ten scores: false alarm 6e-6
        assert row["key_bits"] is None
        assert "counts" in row["abort"]
        # Of so many pairs a tenth is tested, as the default is, where a vanishing share would do.
        untested = 0.9 * row["asymptotic_per_sifted"]
        assert row["finite_per_sifted"] == pytest.approx(untested, rel=3e-3)


def goal_base(relative_error: float, most: int = 10**6) -> dict:
    """The base with a goal in place of its pairs."""
    goal = {"relative_error": relative_error, "of": "qber", "max_pairs": most}
    return {**{key: value for key, value in BASE.items() if key != "pairs"}, "until": goal}


def timeless(rows: list[dict]) -> list[dict]:
    """Rows without what may differ."""
    times = [name for name in rows[0] if "second" in name or name == "figure_of_merit"]
    return [{**row, **dict.fromkeys(times)} for row in rows]


@pytest.mark.parametrize("keep", ["records", "pairs"])
def test_points_stop_by_their_goal_where_their_single_runs_do(compute, tmp_path, keep):
    base = goal_base(0.1)
    axes = [{**FIDELITIES, "values": [0.8, 0.95, 1.0]}]
    protocol = {"mode": "bbm92", "block_size": 30_000}
    compute(base=base, axes=axes, protocol=protocol, keep=keep)
    rows = caligo_mpi.read_sweep(tmp_path / "out").rows()
    assert [row["stopped"] for row in rows] == ["relative_error", "relative_error", "max_pairs"]
    assert rows[0]["pairs"] < rows[1]["pairs"] < rows[2]["pairs"] == 10**6
    for point in parse_sweep({"base": base, "axes": axes, "keep": keep}).points[:2]:
        status = generate(point.config, tmp_path / f"{point.index}.h5").status
        assert status.data_digest == rows[point.index]["data_digest"]
        assert status.pairs_done == rows[point.index]["pairs"]
        errors = status.tally.errors_z + status.tally.errors_x
        assert errors == rows[point.index]["errors_z"] + rows[point.index]["errors_x"]
        if keep == "pairs":
            file = tmp_path / "out" / f"{point.key}.h5"
            assert caligo_mpi.status(file).data_digest == status.data_digest
            with caligo_mpi.open_pairs(file) as opened:
                assert opened.until["met"] == rows[point.index]["stopped"]
    assert rows[1]["key_bits"] > 0


@pytest.mark.parametrize("keep", ["records", "pairs", "counts"])
def test_a_raised_goal_goes_on_and_a_lowered_one_keeps_what_is_there(compute, tmp_path, keep):
    def rows(relative_error: float, most: int = 10**6) -> list[dict]:
        base = goal_base(relative_error, most)
        compute(base=base, axes=axes, protocol=protocol, keep=keep)
        return caligo_mpi.read_sweep(tmp_path / "out").rows()

    axes = [{**FIDELITIES, "values": [0.8, 0.9, 1.0]}]
    protocol = {"mode": "bbm92", "block_size": 30_000}
    first, raised = rows(0.2), rows(0.05)
    assert all(a["pairs"] < b["pairs"] for a, b in zip(first[:2], raised[:2], strict=True))
    assert rows(0.2) == raised  # what is there is more than enough
    further = rows(0.05, 1_100_000)
    assert further[:2] == raised[:2]
    assert (raised[2]["pairs"], further[2]["pairs"]) == (10**6, 1_100_000)
    (tmp_path / "out").rename(tmp_path / "before")
    assert timeless(further) == timeless(rows(0.05, 1_100_000))


def test_drawn_counts_stop_where_those_of_their_single_runs_do(compute, tmp_path):
    base = goal_base(0.02, 10**7)
    axes = [{**FIDELITIES, "values": [0.8, 0.95, 1.0]}]
    sweep = {"base": base, "axes": axes, "keep": "counts"}
    compute(**sweep)
    rows = caligo_mpi.read_sweep(tmp_path / "out").rows()
    assert [row["stopped"] for row in rows] == ["relative_error", "relative_error", "max_pairs"]
    assert rows[0]["pairs"] < rows[1]["pairs"] < rows[2]["pairs"] == 10**7
    for point in parse_sweep(sweep).points:
        status = generate(point.config, tmp_path / f"{point.index}.h5").status
        assert status.data_digest == rows[point.index]["data_digest"]
        assert status.pairs_done == rows[point.index]["pairs"]


def test_a_file_of_pairs_that_was_cut_short_goes_on_to_its_goal(compute, tmp_path):
    """Chunks of an earlier launch, by a lower goal and without one, are the first of a higher goal's file."""
    axes = [{**FIDELITIES, "values": [0.95]}]
    sweep = {"base": goal_base(0.05), "axes": axes, "keep": "pairs"}
    point = parse_sweep(sweep).points[0]
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / f"{point.key}.h5"
    begun = point.config.model_copy(update={"until": None, "pairs": 3 * point.config.chunk_size})
    generate(begun, file)
    compute(**sweep)
    row = caligo_mpi.read_sweep(tmp_path / "out").rows()[0]
    status = generate(point.config, tmp_path / "one.h5").status
    assert status.data_digest == row["data_digest"] == caligo_mpi.status(file).data_digest
    file.unlink()
    assert "is missing: it is made again" in compute(**sweep).text
    file.unlink()
    lower = compute(**{**sweep, "base": goal_base(0.2)})  # no other file than it was promised
    assert "is missing: it is made again" in lower.text
    assert caligo_mpi.read_sweep(tmp_path / "out").rows()[0]["pairs"] < row["pairs"]


@pytest.mark.parametrize("keep", ["pairs", "counts"])
def test_goals_are_met_alike_on_any_ranks_and_after_kills(tmp_path, mpirun, keep):
    mpirun(2)
    axes = [{"path": "engine.link.fidelity", "values": [0.8, 0.95, 1.0]}]
    base = {**goal_base(0.03, 400_000), "chunk_size": 4096}
    _, equal = campaign(tmp_path, kills=1, seed=6, sweep={"base": base, "axes": axes, "keep": keep})
    assert equal


def test_intervals_z_scores_and_figures_of_merit(compute, tmp_path):
    compute(base={**BASE, "pairs": 200_000})
    sweep = caligo_mpi.read_sweep(tmp_path / "out")
    for row in sweep.rows():
        low, high = clopper_pearson(row["errors_z"], row["sifted_z"], 0.95)
        assert (row["qber_z_low"], row["qber_z_high"]) == (low, high)
        assert row["expected_qber_z"] == pytest.approx(2 * (1 - row["F"]) / 3, abs=1e-15)
        assert abs(row["z_score_z"]) < 6
        assert row["state"] == "done"
    first = sweep.rows()[0]
    errors = first["errors_z"] + first["errors_x"]
    relative = (1 - first["qber"]) / errors
    assert first["figure_of_merit"] == pytest.approx(1 / (relative * first["core_seconds"]))
    assert first["seconds_to_1_percent"] == pytest.approx(first["core_seconds"] * relative * 1e4)
    assert sweep.rows()[2]["figure_of_merit"] is None  # no error was ever seen


def test_z_scores_of_two_hundred_points_are_normal():
    """A chi² of 400 scores, of which at most one fails in 10,000; none is beyond 5 (false alarm 2e-4, seeds fixed)."""
    from scipy import stats

    from caligo_mpi.engines import make_engine
    from caligo_mpi.pairs import Partition
    from caligo_mpi.pairs.intervals import z_score
    from caligo_mpi.runs.chunks import run_chunk

    axis = {"path": "engine.link.fidelity", "linspace": [0.8, 0.999, 200]}
    base = {**BASE, "pairs": 100_000, "chunk_size": 131_072}
    scores = []
    for point in parse_sweep({"base": base, "axes": [axis]}).points:
        engine = make_engine(point.config.engine)
        chunk = Partition(point.config.pairs, point.config.chunk_size)[0]
        record = run_chunk(engine, chunk, point.config.seed).record[0]
        for basis in "zx":
            counts = int(record[f"errors_{basis}"]), int(record[f"sifted_{basis}"])
            scores.append(z_score(*counts, getattr(engine.expected, f"qber_{basis}")))
    assert max(map(abs, scores)) < 5
    p = stats.chi2.sf(sum(score**2 for score in scores), len(scores))
    assert 1e-4 < p < 1 - 1e-4


def test_pandas_and_xarray(compute, tmp_path):
    pytest.importorskip("pandas")
    xarray = pytest.importorskip("xarray")
    storage = {"path": "engine.alice.storage_time_ns", "values": [0, 1000]}
    memory = {"path": "engine.alice.T2_ns", "values": [1e6, 1e5]}
    compute(axes=[FIDELITIES, {"zip": [storage, memory]}])
    sweep = caligo_mpi.read_sweep(tmp_path / "out")
    frame = sweep.to_pandas()
    assert list(frame["F"]) == [0.98, 0.98, 0.95, 0.95, 1.0, 1.0]
    assert sweep.units["T2_ns"] == "ns"
    cube = sweep.to_xarray()
    assert isinstance(cube, xarray.Dataset)
    assert dict(cube.sizes) == {"F": 3, "storage_time_ns_T2_ns": 2}
    assert cube.F.values.tolist() == [0.95, 0.98, 1.0]
    chosen = cube.sel(F=0.98).qber_z.values.tolist()
    assert chosen == frame[frame["F"] == 0.98]["qber_z"].tolist()


def test_parquet_has_the_table(compute, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    compute()
    found = parquet.read_table(tmp_path / "out/results.parquet").to_pydict()
    assert [str(value) for value in found["qber_z"]] == [
        row["qber_z"] for row in table(tmp_path / "out")
    ]


# ── misuse ───────────────────────────────────────────────────────────────────────────────────────


def test_a_directory_of_another_sweep_is_refused_by_its_difference(caligo, compute, tmp_path):
    compute()
    before = (tmp_path / "out/results.csv").read_bytes()
    sweep = {"base": {**BASE, "seed": 4}, "axes": [FIDELITIES]}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    for ranks in ([], ["--ranks", "2"]):
        result = caligo("sweep", "sweep.yaml", "-o", "out", "-q", *ranks)
        assert result.returncode == 2
        assert "out belongs to another sweep (seed=3 there and 4 here)" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "out/results.csv").read_bytes() == before
    compute(base={**BASE, "seed": 4}, force=True)
    assert (tmp_path / "out/sweep.h5.old-1").exists()


def test_a_table_changed_by_hand_is_written_again_and_said(compute, tmp_path):
    compute()
    path = tmp_path / "out/results.csv"
    right = path.read_bytes()
    path.write_bytes(right.replace(b"done", b"DONE"))
    assert "results.csv was changed by hand: it is written again" in compute().text
    assert path.read_bytes() == right
    path.unlink()
    assert "by hand" not in compute().text
    assert path.read_bytes() == right


def test_a_missing_pairs_file_is_made_again_and_said(compute, tmp_path):
    compute(keep="pairs")
    point = parse_sweep({"base": BASE, "axes": [FIDELITIES]}).points[1]
    file = tmp_path / "out" / f"{point.key}.h5"
    digest = caligo_mpi.status(file).data_digest
    before = untimed(tmp_path / "out/results.csv")
    file.unlink()
    said = compute(keep="pairs").text
    assert f"{file} of point 1 is missing: it is made again" in said
    assert "by hand" not in said
    assert caligo_mpi.status(file).data_digest == digest
    assert untimed(tmp_path / "out/results.csv") == before


def test_a_failing_point_is_said_twice_and_the_others_are_kept(compute, caligo, tmp_path):
    base = {**BASE, "pairs": 32_768, "engine": {"name": "trouble"}}
    axes = [{"path": "engine.fail_at", "values": [-1, 2, 9], "name": "fails"}]
    heard = compute(base=base, axes=axes)
    assert heard.text.count("point 1: chunk 2 failed") == 2
    assert "1 of 3 points failed (1)" in heard.text
    assert [row["state"] for row in table(tmp_path / "out")] == ["done", "failed", "done"]
    assert "2 done, 1 failed" in caligo("status", "out").stdout
    compute("fast", base=base, axes=axes, fail_fast=True)
    assert [row["state"] for row in table(tmp_path / "fast")] == ["done", "failed", "waiting"]


def test_merge_joins_equal_bases_and_refuses_others(compute, tmp_path):
    compute("whole")
    parts = [tmp_path / f"part-{number}" for number in range(3)]
    for number, part in enumerate(parts):
        compute(part.name, point=number)
    merge(parts, tmp_path / "all")
    assert untimed(tmp_path / "all/results.csv") == untimed(tmp_path / "whole/results.csv")
    assert compute("all").summary.launched == 0
    compute("other", base={**BASE, "pairs": 10_000})
    with pytest.raises(StoreError, match=r"base\.pairs=10000 there and 20000 here"):
        merge([tmp_path / "whole", tmp_path / "other"], tmp_path / "both")
    with pytest.raises(StoreError, match="nowhere is not a directory; create it"):
        merge(parts, tmp_path / "nowhere/all")
    with pytest.raises(StoreError, match=r"results.csv is not a directory; name another one"):
        merge(parts, tmp_path / "all/results.csv")


def test_blocks_of_a_point_are_all_made_with_the_codes_of_the_first(tmp_path):
    base = {**BASE, "pairs": 2_000_000, "chunk_size": 500_000}
    protocol = {"mode": "bbm92", "reconciliation": "ldpc", "block_size": 1_000_000}
    axes = [{**FIDELITIES, "values": [0.97]}]
    sweep = parse_sweep({"base": base, "axes": axes, "protocol": protocol})
    (point,) = sweep.points
    job = SweepJob(sweep, sweep.points, tmp_path / "out", [])
    job.run(stopping_after(7), {"ranks": 1}, Heard(), force=False)  # 4 chunks, 2 tests
    path = next(file for file in (tmp_path / "out").rglob("*") if is_partial_sweep(file))
    found, _ = read_sweep_journal(path)
    assert (found.partial[point.key].blocks, found.partial[point.key].keys_version) == (1, 6)
    # As a release had begun it that knew no long codes, and wrote no version.
    pairs = caligo_mpi.generate_pairs(point.config).packed()
    plan = plan_blocks(pairs.count, point.protocol)
    made = [
        run_block(pairs.part(b.start, b.start + b.count), point.protocol, block=b, blocks=2)
        for b in plan
    ]
    with path.open("r+b") as file:
        places, _ = whole_records(file.fileno(), MAGIC)
        records = [record_at(file.fileno(), place) for place in places]
        at = next(i for i, one in enumerate(records) if one.startswith(b'{"blocks"'))
        record = json.loads(records[at])
        del record["version"]
        record["sums"] |= {"leak_bits": made[0].leak_bits}
        file.truncate(sum(places[at - 1]))
        append(file.fileno(), json.dumps(record).encode())
    job.run(serial_map, {"ranks": 1}, Heard(), force=False)
    (row,) = caligo_mpi.read_sweep(tmp_path / "out").rows()
    assert row["leak_bits"] == sum(result.leak_bits for result in made)
    assert made[0].frames > 1  # words of short codes; a long one has the whole block


def test_a_point_of_several_long_blocks_has_the_key_of_its_run(tmp_path):
    base = {**BASE, "pairs": 2_000_000, "chunk_size": 1_000_000}
    protocol = {"mode": "bbm92", "reconciliation": "ldpc", "block_size": 1_000_000}
    axes = [{**FIDELITIES, "values": [0.97]}]
    sweep = parse_sweep({"base": base, "axes": axes, "protocol": protocol})
    (point,) = sweep.points
    job = SweepJob(sweep, sweep.points, tmp_path / "out", [])
    for _ in range(2):  # after 2 chunks and a test; after both tests and a block
        assert not job.run(stopping_after(3), {"ranks": 1}, Heard(), force=False)
    assert job.run(serial_map, {"ranks": 1}, Heard(), force=False)
    (row,) = caligo_mpi.read_sweep(tmp_path / "out").rows()
    keys = run_protocol(caligo_mpi.generate_pairs(point.config), point.protocol)
    assert row["leak_bits"] == sum(block.leak_bits for block in keys.blocks)
    assert row["key_bits"] == keys.key_bits > 0
