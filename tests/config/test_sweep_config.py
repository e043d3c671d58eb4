"""Sweeps as YAML: axes, points and seeds; everything that is wrong in one message."""

from __future__ import annotations

import pytest

from caligo_mpi.config.sweep import load_sweep, parse_sweep
from caligo_mpi.errors import ConfigError

BASE = {"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {}}}
FIDELITY = "engine.link.fidelity"


def sweep(*axes, **more):
    return parse_sweep({"base": BASE, "axes": list(axes), **more})


def refused(*axes, **more) -> str:
    with pytest.raises(ConfigError) as caught:
        sweep(*axes, **more)
    return str(caught.value)


def values(*axes, **more):
    return [list(point.parameters.values()) for point in sweep(*axes, **more).points]


def test_axes_and_their_products():
    assert values({"path": FIDELITY, "linspace": [0.9, 1, 3]}) == [[0.9], [0.95], [1.0]]
    flips = {"path": "engine.bob.readout_flip", "values": [0, 0.01]}
    fidelity = {"path": FIDELITY, "values": [0.9, "1"]}
    assert values(fidelity, flips) == [[0.9, 0], [0.9, 0.01], [1.0, 0], [1.0, 0.01]]
    assert values({"zip": [fidelity, flips]}) == [[0.9, 0], [1.0, 0.01]]


def test_spaces_have_their_ends_and_short_numbers():
    base = {**BASE, "engine": {"name": "noise", "link": {"fidelity": 0.9}}}
    axis = {"path": "pairs", "logspace": [1e4, 1e10, 7]}
    assert values(axis, base=base) == [[10**n] for n in range(4, 11)]
    axis = {"path": "pairs", "linspace": [1, 10, 4], "whole": True}
    assert values(axis, base=base) == [[1], [4], [7], [10]]
    found = values({"path": FIDELITY, "linspace": [0.8, 1.0, 21]})
    assert [number for (number,) in found] == [round(0.8 + 0.01 * i, 2) for i in range(21)]


def test_a_latin_hypercube_fills_every_part_once_and_is_the_same_everywhere():
    cube = {
        "points": 20,
        "seed": 3,
        "axes": [
            {"path": FIDELITY, "range": [0.8, 1]},
            {"path": "engine.alice.T2_ns", "range": [1e3, 1e7], "scale": "log"},
        ],
    }
    found = values({"latin": cube})
    parts = sorted(int((fidelity - 0.8) / 0.01 + 1e-9) for fidelity, _ in found)
    assert parts == list(range(20))
    assert found[0] == values({"latin": cube})[0]
    assert found != values({"latin": {**cube, "seed": 4}})


def test_seeds_follow_from_the_parameters_alone():
    few = sweep({"path": FIDELITY, "values": [0.9, 1]}).points
    more = sweep({"path": FIDELITY, "values": ["0.95", "1.0", "0.90"]}).points
    assert [point.key for point in few] == [more[2].key, more[1].key]
    assert [point.config.seed for point in few] == [more[2].config.seed, more[1].config.seed]
    assert few[0].config.seed == 2807550887345314739
    assert len({point.config.seed for point in (*few, *more)}) == 3
    other = sweep({"path": FIDELITY, "values": [0.9]}, seed=2).points[0]
    assert other.config.seed != few[0].config.seed
    repeated = sweep(
        {"path": "seed", "values": [1, 2, 3]},
        base={**BASE, "engine": {"name": "noise", "link": {"fidelity": 1}}},
    )
    assert len({point.config.seed for point in repeated.points}) == 3


def test_protocols_are_part_of_points(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "pairs: 1e3\nseed: 1\nengine: {name: noise, link: {fidelity: 1}}"
    )
    (tmp_path / "protocol.yaml").write_text("mode: bbm92\nseed: 9")
    (tmp_path / "sweep.yaml").write_text(
        "base: base.yaml\nprotocol: protocol.yaml\n"
        "axes: [{path: protocol.block_size, values: [1e3, 1e4], name: n, unit: pairs}]"
    )
    found = load_sweep(tmp_path / "sweep.yaml")
    assert [point.protocol.block_size for point in found.points] == [1000, 10_000]
    assert {point.protocol.seed for point in found.points} == {9}
    assert found.points[0].parameters == {"protocol.block_size": 1000}
    assert (found.axes[0].name, found.axes[0].unit) == ("n", "pairs")


def test_units_come_from_the_keys():
    (axis,) = sweep(
        {"path": "engine.alice.T2_ns", "values": [0]},
        base={**BASE, "engine": {"name": "noise", "link": {"fidelity": 1}}},
    ).axes
    assert (axis.name, axis.unit) == ("T2_ns", "ns")


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        ([{"path": "engine.lnk.fidelity", "values": [1]}], "did you mean engine.link.fidelity?"),
        ([{"path": FIDELITY, "values": []}], "an empty axis"),
        ([{"path": FIDELITY}], "an axis without values"),
        ([{"path": FIDELITY, "values": [1], "linspace": [0, 1, 2]}], "exclude each other"),
        ([{"path": FIDELITY, "values": [1]}] * 2, "axes.0 has this path, too"),
        ([{"path": FIDELITY, "values": [1]}, {"path": "engine.link", "values": [{}]}], "inside"),
        ([{"path": FIDELITY, "linspace": [0.9, 1, 1e9]}], "1,000,000,000 points"),
        ([{"path": FIDELITY, "values": [0.9, "0.90"]}], "points 0 and 1 are the same"),
        ([{"path": FIDELITY, "linspace": [0.9, 1]}], "must be [first, last, how many]"),
        ([{"path": FIDELITY, "logspace": [0, 1, 3]}], "ends above 0"),
        ([{"path": "output.path", "values": ["a"]}], "output changes no result"),
        ([{"path": "protocol.seed", "values": [1]}], "there is no protocol section"),
        ([{"path": "pairs.x", "values": [1]}], "unknown key"),
        ([3], "must be a section with the path of a key"),
        ([], "must be a list of axes"),
        ([{"zip": []}], "must be a list of axes, alone"),
        ([{"latin": {"points": 3, "seed": 1, "axes": []}}], "a hypercube without axes"),
        ([{"path": FIDELITY, "values": [1], "name": "state"}], "a column of results has it"),
    ],
)
def test_wrong_axes_are_told_in_a_sentence(axes, sentence):
    told = refused(*axes)
    assert sentence in told
    assert "Traceback" not in told


def test_all_points_out_of_range_are_in_one_message():
    told = refused({"path": FIDELITY, "linspace": [0.1, 1.1, 21]})
    assert told.splitlines()[0] == "sweep: 5 of 21 points are wrong (0-2, 19-20)"
    assert "point 19: engine.link.fidelity=1.05: must be a number from 0.25 to 1" in told
    told = refused({"path": FIDELITY, "values": [*[0.5 + i / 100 for i in range(17)], 7]})
    assert told == "sweep: point 17: engine.link.fidelity=7: must be a number from 0.25 to 1"
    told = refused({"path": FIDELITY, "values": [0.9, 1]}, base={"engine": {"name": "noise"}})
    assert "every point: pairs: missing" in told


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"faults": {"mode": "survive"}}, "launched again"),
        ({"faults": {"retries": 3}}, "tries points that failed again"),
        ({"engine": {"name": "auto", "link": {"fidelity": 0.9, "cycle_time_ns": 10}}}, "names its engine"),
    ],
)  # fmt: skip
def test_what_only_single_runs_know_is_refused(change, word):
    base = {"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.9}}}
    axes = [{"path": "pairs", "values": [1000, 2000]}]
    with pytest.raises(ConfigError, match=word):
        parse_sweep({"base": {**base, **change}, "axes": axes})
