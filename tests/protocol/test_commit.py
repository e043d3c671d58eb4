from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from caligo_mpi.protocol.commit import Rows, commit, open_rows, opens
from caligo_mpi.protocol.draw import BOB, stream

SESSION = b"sixteen bytes ok"


def make(count, seed=1):
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(10 * count, count, replace=False)).astype(np.uint64)
    rows = Rows(index, rng.integers(0, 2, count, np.uint8), rng.integers(0, 2, count, np.uint8))
    return rows, commit(rows, session=SESSION, source=stream(seed, 0, BOB))


def test_root_is_the_published_construction():
    rows, made = make(3)
    leaf = [
        sha256(
            b"\x00" + SESSION + int(rows.index[i]).to_bytes(8, "little") + made.nonces[i].tobytes()
            + bytes([rows.basis[i], rows.bit[i]])
        ).digest()
        for i in range(3)
    ]  # fmt: skip
    left = sha256(b"\x01" + leaf[0] + leaf[1]).digest()
    assert made.root == sha256(b"\x01" + left + leaf[2]).digest()


@pytest.mark.parametrize("count", [*range(1, 20), 31, 32, 33, 1000])
def test_any_subset_opens(count):
    rows, made = make(count)
    rng = np.random.default_rng(count)
    for size in {1, (count + 1) // 2, count}:
        positions = np.sort(rng.choice(count, size, replace=False)).astype(np.int64)
        opening = open_rows(made, rows, positions)
        assert opens(made.root, opening, count=count, session=SESSION)
        assert opening.rows.bit.tolist() == rows.bit[positions].tolist()


def test_trees_beyond_one_batch_open():
    rows, made = make(70_001)
    positions = np.array([0, 32_767, 32_768, 65_536, 70_000])
    assert opens(made.root, open_rows(made, rows, positions), count=70_001, session=SESSION)


@pytest.fixture
def opened():
    rows, made = make(21)
    return made.root, open_rows(made, rows, np.array([2, 3, 11, 20]))


@pytest.mark.parametrize("field", ["index", "basis", "bit"])
def test_changed_rows_are_caught(opened, field):
    root, opening = opened
    for row in range(4):
        values = getattr(opening.rows, field).copy()
        values[row] ^= np.array(1, values.dtype)
        changed = replace(opening, rows=replace(opening.rows, **{field: values}))
        assert not opens(root, changed, count=21, session=SESSION)


def test_changed_nonces_and_siblings_are_caught(opened):
    root, opening = opened
    nonces = opening.nonces.copy()
    nonces[2, 7] ^= 1
    assert not opens(root, replace(opening, nonces=nonces), count=21, session=SESSION)
    for level in range(len(opening.siblings)):
        if len(opening.siblings[level]):
            siblings = [s.copy() for s in opening.siblings]
            siblings[level][-1, 0] ^= 1
            assert not opens(
                root, replace(opening, siblings=tuple(siblings)), count=21, session=SESSION
            )


def test_rows_cannot_be_opened_at_another_place(opened):
    root, opening = opened
    for positions in (
        [2, 3, 11, 19],
        [3, 2, 11, 20],
        [2, 2, 11, 20],
        [2, 3, 11, 21],
        [-1, 3, 11, 20],
    ):
        moved = replace(opening, positions=np.array(positions))
        assert not opens(root, moved, count=21, session=SESSION)


def test_another_root_session_or_count_is_caught(opened):
    root, opening = opened
    assert opens(root, opening, count=21, session=SESSION)
    assert not opens(root[::-1], opening, count=21, session=SESSION)
    assert not opens(root, opening, count=21, session=SESSION[::-1])
    for count in (1, 2, 20, 22, 32, 33):
        assert not opens(root, opening, count=count, session=SESSION)


def test_misshapen_openings_are_caught(opened):
    root, opening = opened
    for broken in (
        replace(opening, nonces=opening.nonces[:-1]),
        replace(opening, siblings=opening.siblings[:-1]),
        replace(opening, siblings=(opening.siblings[0][:-1], *opening.siblings[1:])),
        replace(opening, rows=opening.rows.at(np.array([0, 1, 2]))),
    ):
        assert not opens(root, broken, count=21, session=SESSION)


@pytest.mark.parametrize("field", ["basis", "bit"])
def test_values_that_are_no_bits_are_caught_even_if_committed_to(field):
    rows, _ = make(5)
    third = {field: np.array([0, 1, 2, 1, 0], np.uint8)}
    made = commit(replace(rows, **third), session=SESSION, source=stream(1, 0, BOB))
    for row, fine in enumerate((True, True, False, True, True)):
        opening = open_rows(made, replace(rows, **third), np.array([row]))
        assert opens(made.root, opening, count=5, session=SESSION) == fine


def test_a_node_cannot_pass_for_a_leaf():
    # Second preimage by shifting levels: the inner nodes of a tree of 4 as the leaves of a tree of 2.
    rows, made = make(4)
    opening = open_rows(made, rows, np.array([0]))
    shifted = replace(opening, siblings=opening.siblings[1:])
    assert not opens(made.root, shifted, count=2, session=SESSION)


def test_nonces_hide_equal_rows():
    rows = Rows(np.zeros(64, np.uint64), np.zeros(64, np.uint8), np.zeros(64, np.uint8))
    made = commit(rows, session=SESSION, source=stream(1, 0, BOB))
    assert len({leaf.tobytes() for leaf in made.levels[0]}) == 64
    assert made.nonces.shape == (64, 32)


def test_message_length_counts_rows_and_siblings(opened):
    _, opening = opened
    siblings = sum(len(level) for level in opening.siblings)
    assert siblings == 6  # 10; 0, 4; 1, 3, 4 on their levels
    assert opening.bits == 4 * (2 + 256) + 256 * siblings


def test_nothing_cannot_be_committed_to():
    empty = np.zeros(0, np.uint8)
    with pytest.raises(ValueError, match="no rows"):
        commit(
            Rows(empty.astype(np.uint64), empty, empty), session=SESSION, source=stream(1, 0, BOB)
        )


def test_session_has_its_length():
    rows, _ = make(2)
    with pytest.raises(ValueError, match="session of 3 bytes; it has 16"):
        commit(rows, session=b"abc", source=stream(1, 0, BOB))
