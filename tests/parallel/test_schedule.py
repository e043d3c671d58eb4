"""Grant sizes, alone: what a whole run does with them is in test_ranks."""

import pytest

from caligo_mpi.parallel import schedule

POLICIES = ["static", "dynamic", "guided", "adaptive"]


@pytest.mark.parametrize("policy", POLICIES)
def test_grants_use_up_exactly_what_is_left(policy):
    left, grants = 1000, []
    while left:
        grants.append(schedule.grant_size(policy, left=left, ranks=3, least=4))
        assert 1 <= grants[-1] <= left
        left -= grants[-1]
    assert sum(grants) == 1000


def test_guided_grants_shrink_to_the_quantum():
    left, grants = 1200, []
    while left:
        grants.append(schedule.grant_size("guided", left=left, ranks=3, least=5))
        left -= grants[-1]
    assert grants[0] == 200
    assert grants == sorted(grants, reverse=True)
    assert grants[-2] == 5


def test_adaptive_grants_follow_the_rates():
    fast = schedule.grant_size("adaptive", left=700, ranks=3, share=3 / 7)
    slow = schedule.grant_size("adaptive", left=700, ranks=3, share=1 / 7)
    assert (fast, slow) == (150, 50)


def test_a_slow_rank_gets_a_smaller_quantum():
    assert schedule.grant_size("adaptive", left=10, ranks=3, least=30, share=1 / 30) == 3


def test_an_empty_rest_gives_an_empty_grant():
    assert [schedule.grant_size(p, left=0, ranks=2, least=3) for p in POLICIES] == [0, 0, 0, 0]


def test_nobody_queues_behind_a_busy_rank_at_the_end():
    assert schedule.looks_ahead("guided", left=8, ranks=4)
    assert not schedule.looks_ahead("guided", left=7, ranks=4)
    assert not schedule.looks_ahead("adaptive", left=100, ranks=4, share=0.01)
    assert schedule.looks_ahead("static", left=1, ranks=4)
