"""The scaling model: closed forms, the played run against them, and the script that uses it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from caligo_mpi.analysis.scaling import Costs, Workload, bounds, finite_source, predict
from caligo_mpi.analysis.scaling.processors import speed
from caligo_mpi.errors import ConfigError

FREE = Costs(
    latency=0,
    message=0,
    commit=0,
    tick=0,
    transfer=1e18,
    send=1e18,
    write=1e18,
    file_system=1e18,
    look=0,
)


def with_costs(**changes):
    return Costs(**{name: getattr(FREE, name) for name in Costs.__slots__} | changes | {"start": 0})


def test_ranks_that_never_wait_share_the_work_exactly():
    found = predict(Workload(1000, 0.5, writers="none"), with_costs(), ranks=10)
    assert found.seconds == pytest.approx(50)
    assert (found.efficiency, found.limit) == (pytest.approx(1), "ranks")


@pytest.mark.parametrize("policy", ["static", "dynamic", "guided", "adaptive"])
def test_every_chunk_is_committed_under_every_policy(policy):
    workload = Workload(777, 0.01, 1000, 0.5)
    found = predict(workload, ranks=7, policy=policy)
    assert 0.8 < found.efficiency <= 1
    assert found.seconds >= 777 * 0.01 * 0.9 / 7


def test_rank_0_limits_what_it_must_receive_and_write():
    costs = with_costs(transfer=2e9, write=1e9)
    workload = Workload(2000, 0.01, 4 << 20)
    found = predict(workload, costs, ranks=64)
    most = bounds(workload, costs, 64)
    assert most.name == found.limit == "rank0"
    assert most.rank0 == pytest.approx(1 / ((4 << 20) * 1.5e-9))
    assert 0.95 < 2000 / found.seconds / most.least <= 1.02


def test_a_slow_file_system_limits_those_who_write_themselves():
    costs = with_costs(file_system=1e9, write=1e9)
    workload = Workload(4000, 0.01, 1e6, writers="direct")
    found = predict(workload, costs, ranks=100)
    assert found.limit == "file_system"
    assert found.efficiency < 0.2
    assert found.of_limit > 0.97


def test_writers_that_share_a_disk_are_a_machine_repair_model():
    """Exponential times: the played rate is that of mean value analysis but for statistics.

    20,000 chunks are 20,000 exponential times: their mean is off by 5 σ = 3.6 % with probability 6e-7.
    Writing takes the same time each, where the closed form has it exponential: at this load that is worth 4 %.
    """
    think, service, ranks = 1.0, 0.05, 11
    costs = with_costs(file_system=1 / service, write=1e18)
    workload = Workload(10_000, think, 1.0, 1.0, "direct")
    found = predict(workload, costs, ranks=ranks)
    rate = 10_000 / found.seconds
    assert rate == pytest.approx(finite_source(ranks, think, service), rel=0.08)
    assert rate < ranks / (think + service) * 1.036


def test_the_closed_form_meets_the_markov_chain():
    """Machine repair solved as a birth and death process, for a few sizes."""
    for ranks, think, service in ((1, 3, 1), (4, 2, 0.5), (30, 10, 1)):
        weights = [1.0]
        for waiting in range(1, ranks + 1):
            weights.append(weights[-1] * (ranks - waiting + 1) * service / think)
        idle = weights[0] / np.sum(weights)
        assert finite_source(ranks, think, service) == pytest.approx((1 - idle) / service)


def test_long_runs_go_on_at_the_rate_of_their_second_half():
    short, long = (
        predict(Workload(chunks, 0.01, writers="none"), with_costs(), ranks=8)
        for chunks in (10_000, 1_000_000)
    )
    assert long.seconds == pytest.approx(100 * short.seconds, rel=0.01)


def test_as_many_ranks_as_anybody_has():
    found = predict(Workload(300_000, 60.0, spread=0.1, writers="none"), ranks=3000)
    assert found.efficiency > 0.9


def test_measured_costs_come_from_a_file(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"latency": 1e-6, "write": 5e8}))
    assert Costs.read(path) == Costs(latency=1e-6, write=5e8)
    for text, what in (
        ("{", "cannot be read"),
        ('{"speed": 1}', "speed"),
        ('{"write": 0}', "write=0"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=what):
            Costs.read(path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"chunks": 0}, "chunks=0"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"nbytes": -1.0}, "nbytes=-1.0"),
    ],
)
def test_a_workload_that_cannot_be_is_named(changes, what):
    with pytest.raises(ConfigError, match=what):
        Workload(**{"chunks": 1, "seconds": 1.0} | changes)


def test_ranks_whose_results_were_received_late_are_granted_more():
    costs = Costs(start=0.0, transfer=4e9, write=3e9)
    workload = Workload(480, 0.005, 1 << 20, 0.3)
    rates = [predict(workload, costs, ranks=ranks).rate for ranks in (2, 4, 8)]
    assert rates[1] > 1.7 * rates[0]
    assert rates[2] > 1.5 * rates[1]


def test_ranks_that_share_two_cores_are_held_back_by_all_that_these_must_do():
    """Rank 0 could take in a chunk in 1 ms; sending it takes others 2 ms of the same two cores."""
    costs = with_costs(transfer=1e9, send=0.5e9, cores=2)
    workload = Workload(4000, 0.005, 1e6)
    found = predict(workload, costs, ranks=16)
    most = bounds(workload, costs, 16)
    assert (most.name, most.processors) == ("processors", pytest.approx(2 / 3e-3))
    assert found.limit == "processors"
    assert 0.88 < 4000 / found.seconds / most.processors <= 1.1  # own chunks cross nothing
    apart = predict(workload, with_costs(transfer=1e9, send=0.5e9), ranks=16)
    assert apart.limit == "rank0"
    assert 1.1 * found.rate < apart.rate <= 1.1 * 1000


def test_looks_at_messages_take_processors_from_those_who_send():
    """16 ranks that look for 0.1 ms every 0.9 ms have 1.5 of two cores, rank 0's own looks apart."""
    costs = with_costs(transfer=1e9, send=1e9, cores=2, look=1e-4, tick=9e-4)
    found = predict(Workload(4000, 0.005, 1e6), costs, ranks=16)
    slow = speed(2, 2, 15, 1e-4, 9e-4)
    used = 2 * slow + 15 * 1e-4 / (9e-4 + 1e-4 / slow)
    assert used == pytest.approx(2)
    assert 4000 / found.seconds == pytest.approx(1000 * slow, rel=0.04)


def test_a_chunk_of_rank_0_that_sleeps_goes_on_while_it_receives_and_not_while_it_writes():
    workload = Workload(2000, 0.01, 1e6, spread=0.3)
    alone, receives, writes = (
        predict(workload, with_costs(cores=100, **costs), ranks=2).seconds
        for costs in ({}, {"transfer": 0.4e9}, {"write": 0.4e9})
    )
    assert receives < 1.12 * alone
    assert writes > 1.3 * alone


def test_what_lies_between_two_chunks_takes_longer_on_cores_that_others_use():
    workload = Workload(2000, 0.01, writers="none")
    kinds = [{}, {"turn": 1e-3}, {"turn": 1e-3, "cores": 2, "look": 1e-4, "tick": 1e-3}]
    seconds = [predict(workload, with_costs(**costs), ranks=17).seconds for costs in kinds]
    assert seconds[0] < 0.95 * seconds[1]
    assert seconds[1] < 0.95 * seconds[2]
