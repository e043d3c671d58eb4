"""The coordinator's rules on workers in memory; `test_ranks` has the same on real ranks."""

from __future__ import annotations

import numpy as np
import pytest
from scripted import Network, Numbers

from caligo_mpi.errors import EngineError
from caligo_mpi.parallel import grants
from caligo_mpi.parallel.coordinator import Coordinator
from caligo_mpi.parallel.inbox import Inbox
from caligo_mpi.parallel.job import Rules
from caligo_mpi.parallel.limits import FLIGHT_BYTES, HELD_BYTES, IN_FLIGHT
from caligo_mpi.parallel.messages import (
    Announcement,
    done,
    failed,
    granted,
    of_done,
    of_failed,
    of_grant,
)

POLICIES = ["static", "dynamic", "guided", "adaptive"]


def setup():
    """What rank 0 itself would do; here it only coordinates unless a test says otherwise."""

    def work(item, tick=None):
        return np.full(8, item % 251, np.uint8)

    return work


def run(network, count, rules=None, **changes):
    rules = rules or Rules(rank0_computes="no", **changes)
    coordinator = Coordinator(network, Numbers, rules)
    results = [(rank, int(result[0])) for rank, result in coordinator.map(setup, range(count))]
    return coordinator, results


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("computes", ["auto", "no"])
def test_results_leave_in_order_whatever_the_speeds(policy, size, computes):
    network = Network(size, pauses=lambda worker, item: 1 + 3 * (worker == 1) + item % 5)
    rules = Rules(policy, rank0_computes=computes)
    _, results = run(network, 200, rules)
    assert [value for _, value in results] == [item % 251 for item in range(200)]
    ranks = {rank for rank, _ in results}
    assert ranks <= set(range(size))
    assert computes == "auto" or 0 not in ranks


def test_static_gives_item_i_to_rank_i_mod_n():
    network = Network(4, pauses=lambda worker, item: 1 + item % 7)
    _, results = run(network, 60, policy="static")
    assert [rank for rank, _ in results] == [1 + item % 3 for item in range(60)]
    for worker in (1, 2, 3):
        positions = [p for target, grant in network.granted if target == worker for p in grant]
        assert positions == list(range(worker - 1, 60, 3))


def test_dynamic_grants_positions_in_order_once_each():
    network = Network(3)
    run(network, 100, policy="dynamic")
    assert [p for _, grant in network.granted for p in grant] == list(range(100))


def test_guided_grants_shrink():
    network = Network(3)
    run(network, 400, policy="guided")
    sizes = [len(grant) for _, grant in network.granted]
    assert sum(sizes) == 400
    # The room for results allows few items per grant; towards the end grants are single items.
    assert max(sizes) > 1
    assert sizes[-1] == 1


def test_adaptive_gives_a_slow_rank_less():
    network = Network(3, pauses=lambda worker, item: 9 if worker == 1 else 1)
    _, results = run(network, 300, policy="adaptive")
    slow = sum(rank == 1 for rank, _ in results)
    assert 10 <= slow <= 60  # a tenth of the rate is 30 of 300


@pytest.mark.parametrize("policy", POLICIES)
def test_small_results_behind_a_slow_one_do_not_pile_up(policy, monkeypatch):
    """Item 3 takes for ever, and all others nothing: they wait in rank 0's memory."""
    monkeypatch.setattr(grants, "HELD_ITEMS", 64)
    network = Network(3, pauses=lambda worker, item: 2000 if item == 3 else 1)
    rules = Rules(policy, rank0_computes="no")
    coordinator = Coordinator(network, Numbers, rules)
    most, results = 0, []
    pause = network.pause

    def watched(seconds):
        nonlocal most
        most = max(most, len(coordinator.inbox.ready))
        pause(seconds)

    monkeypatch.setattr(network, "pause", watched)
    for _, result in coordinator.map(setup, range(1000)):
        results.append(int(result[0]))
    assert results == [item % 251 for item in range(1000)]
    assert 20 < most < 64 + IN_FLIGHT * 3


def test_nobody_holds_more_grants_than_allowed():
    network = Network(3, pauses=lambda worker, item: 50)
    run(network, 200, policy="dynamic")
    assert network.most_outstanding <= IN_FLIGHT


def test_large_results_bound_what_is_in_flight_and_held():
    size = FLIGHT_BYTES // 4
    network = Network(3, nbytes=lambda item: size, pauses=lambda w, item: 40 if item == 0 else 1)
    coordinator = Coordinator(network, Numbers, Rules(rank0_computes="no"))
    held = []
    for _ in coordinator.map(setup, range(40)):
        held.append(coordinator.inbox.held)
    assert len(held) == 40
    assert max(held) <= HELD_BYTES + size  # the next one is always received
    assert network.most_outstanding <= 4 + IN_FLIGHT  # four at a time once the size is known


def test_a_failing_item_is_tried_elsewhere_then_ends_the_map():
    network = Network(3, fails=lambda worker, item: item == 4 and worker == 1)
    _, results = run(network, 20, policy="static", retries=1)
    assert len(results) == 20
    assert results[4] == (2, 4)

    network = Network(3, fails=lambda worker, item: item == 4)
    with pytest.raises(EngineError, match="item 4 failed on"):
        run(network, 20, policy="static", retries=1)
    tried = [worker for worker, grant in network.granted if 4 in grant]
    assert tried == [1, 2]
    assert all(player.ended for player in network.players.values())


def test_without_retries_one_failure_is_the_end():
    network = Network(2, fails=lambda worker, item: item == 3)
    with pytest.raises(EngineError, match="item 3"):
        run(network, 10)


def test_the_first_stop_finishes_what_is_running():
    level = [0]
    network = Network(3, pauses=lambda worker, item: 3)
    coordinator = Coordinator(network, Numbers, Rules(rank0_computes="no", stop=lambda: level[0]))
    seen = []
    for _, result in coordinator.map(setup, range(1000)):
        seen.append(int(result[0]))
        if len(seen) == 5:
            level[0] = 1
    assert seen == list(range(len(seen)))
    # What was running on the two workers is still taken in; nothing new is granted.
    assert 5 <= len(seen) <= 9
    recalls = [index for index, (_, tag) in enumerate(network.sent) if tag.name == "RECALL"]
    later = [tag.name for _, tag in network.sent[recalls[0] :]]
    assert len(recalls) == 2
    assert "GRANT" not in later


def test_the_second_stop_ends_at_once():
    level = [0]
    network = Network(3, pauses=lambda worker, item: 1 if item < 5 else 10**9)
    coordinator = Coordinator(network, Numbers, Rules(rank0_computes="no", stop=lambda: level[0]))
    seen = []
    for _, result in coordinator.map(setup, range(1000)):
        seen.append(int(result[0]))
        if len(seen) == 5:
            level[0] = 2
    assert seen == list(range(5))
    assert all(player.ended for player in network.players.values())


def test_closing_the_iterator_releases_the_workers():
    network = Network(3)
    results = Coordinator(network, Numbers, Rules(rank0_computes="no")).map(setup, range(100))
    next(results)
    results.close()
    assert all(player.ended for player in network.players.values())


def test_a_late_answer_is_received_and_dropped():
    network = Network(2, nbytes=lambda item: 1 << 12)
    coordinator = Coordinator(network, Numbers, Rules(rank0_computes="no"))
    results = coordinator.map(setup, range(50))
    next(results)
    network.withheld = True
    for _ in range(5):
        network.pause(0)
    waited = []

    def answer_late(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            network.withheld = False

    network.pause = answer_late
    results.close()
    assert len(waited) >= 3
    assert coordinator.inbox.is_empty
    assert not coordinator.inbox.ready


def broken():
    def work(item, tick=None):
        raise KeyboardInterrupt

    return work


def test_a_bug_of_rank_0_is_not_waited_for():
    network = Network(2, pauses=lambda worker, item: 10**9)
    with pytest.raises(KeyboardInterrupt):
        list(Coordinator(network, Numbers, Rules()).map(broken, range(10)))
    assert not any(player.ended for player in network.players.values())


def test_messages_are_what_was_put_in():
    assert granted(of_grant([3, 9], range(100, 200))) == [(3, 103), (9, 109)]
    inline = np.arange(5, dtype=np.uint8)
    found = done(of_done(Announcement([1, 2], [3, 2], [], 0.25, inline)))
    assert (found.positions, found.sizes, found.pieces) == ([1, 2], [3, 2], [])
    assert found.seconds == 0.25
    assert found.inline.tolist() == inline.tolist()
    assert failed(of_failed(7, "no", "where")) == (7, "no", "where")


def test_the_inbox_takes_the_next_position_even_when_it_is_full():
    network = Network(3)
    inbox = Inbox(network, Numbers)
    big = HELD_BYTES
    for worker, position in ((1, 4), (2, 0)):
        network.data[worker].append(np.zeros(big, np.uint8))
        empty = np.empty(0, np.uint8)
        inbox.announce(worker, Announcement([position], [big], [big], 1.0, empty))
    assert inbox.take(0) == [big]
    assert inbox.collect() == [(2, 1)]
    assert inbox.take(0) == []  # position 4 stays with its worker
    inbox.ready.pop(0)
    inbox.held -= big
    assert inbox.take(1) == [big]
