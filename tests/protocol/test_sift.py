import numpy as np
import pytest

from caligo_mpi.pairs import bits, tally
from caligo_mpi.protocol import sift as module
from caligo_mpi.protocol.sift import Side, as_arrays, rows, select, sides, sift


def test_each_party_keeps_its_own_outcomes_of_equal_bases(pairs):
    p = pairs(3001, qber=0.1, seed=1)
    plain = as_arrays(p)
    same = plain.alice_basis == plain.bob_basis
    alice, bob = sides(p)
    of_alice, of_bob = sift(alice, bob.basis), sift(bob, alice.basis)
    assert of_alice.count == of_bob.count == same.sum()
    assert bits.unpack(of_alice.bits, of_alice.count).tolist() == plain.alice_outcome[same].tolist()
    assert bits.unpack(of_bob.bits, of_bob.count).tolist() == plain.bob_outcome[same].tolist()
    assert bits.unpack(of_alice.basis, of_alice.count).tolist() == plain.alice_basis[same].tolist()
    assert of_bob.basis.tobytes() == of_alice.basis.tobytes()
    assert of_alice.index is None


def test_sifting_counts_as_tally_does(pairs):
    p = pairs(100_003, qber=0.05, seed=2, bias=0.3)
    alice, bob = sides(p)
    of_alice, of_bob = sift(alice, bob.basis), sift(bob, alice.basis)
    expected = tally(p.columns, p.count)
    in_x = bits.count_ones(of_alice.basis)
    differs = of_alice.bits ^ of_bob.bits
    assert (of_alice.count - in_x, in_x) == (expected.sifted_z, expected.sifted_x)
    assert bits.count_ones(differs & of_alice.basis) == expected.errors_x
    assert bits.count_ones(differs) == expected.errors_x + expected.errors_z


def test_sifted_rows_keep_their_emission_number(pairs):
    index = np.array([3, 9, 10, 40, 41, 99], np.uint64)
    p = pairs(6, qber=0, seed=3, index=index)
    alice, bob = sides(p)
    plain = as_arrays(p)
    kept = sift(alice, bob.basis)
    assert kept.index is not None
    assert kept.index.tolist() == index[plain.alice_basis == plain.bob_basis].tolist()
    assert 0 < kept.count < 6


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 127, 1000, 4099, (1 << 20) + 77])
def test_select_equals_the_plain_selection(count, share):
    rng = np.random.default_rng([count, int(100 * share)])
    columns = rng.integers(0, 256, (2, bits.nbytes(count)), np.uint8)
    mask = bits.pack(rng.random(count) < share)
    got, kept = select((columns[0], columns[1]), mask)
    assert kept == bits.count_ones(mask)
    for column, packed in zip(columns, got, strict=True):
        assert packed.tobytes() == bits.select(column, mask, count).tobytes()


@pytest.mark.skipif(module._pext() is None, reason="needs numba and a CPU with BMI2")
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 127, 128, 1000, 4099, (1 << 20) + 77])
def test_compiled_selection_equals_the_plain_one(monkeypatch, count, share):
    monkeypatch.setattr(module, "_COMPILE_BYTES", 0)
    monkeypatch.setattr(module, "_gather", None)
    test_select_equals_the_plain_selection(count, share)


def test_bases_of_another_length_are_refused(pairs):
    alice, bob = sides(pairs(100, qber=0, seed=1))
    with pytest.raises(ValueError, match="12 bytes of bases announced for 100 rows"):
        sift(alice, bob.basis[:-1])


@pytest.mark.parametrize(("start", "count"), [(0, 50), (8, 16), (13, 21), (49, 1), (50, 0)])
def test_rows_cuts_every_column(pairs, start, count):
    p = pairs(50, qber=0.2, seed=4, index=np.arange(50, dtype=np.uint64) * 2, time=np.arange(50.0))
    whole, part = as_arrays(p), rows(p, start, count)
    cut = as_arrays(part)
    for name in ("alice_outcome", "alice_basis", "bob_outcome", "bob_basis", "index"):
        assert getattr(cut, name).tolist() == getattr(whole, name)[start : start + count].tolist()
    assert part.time.tolist() == list(range(start, start + count))


def test_rows_beyond_the_end_are_refused(pairs):
    with pytest.raises(ValueError, match="rows 40 to 51 are not within the 50 rows"):
        rows(pairs(50, qber=0, seed=1), 40, 11)


def test_arrays_have_the_types_other_codes_expect(pairs):
    plain = as_arrays(pairs(9, qber=0, seed=1))
    assert [a.dtype.name for a in (plain.alice_outcome, plain.alice_basis, plain.bob_outcome)] == [
        "uint8"
    ] * 3
    assert plain.index.dtype == np.int64
    assert plain.index.tolist() == list(range(9))


def test_sift_takes_literal_rows():
    own = Side(bits.pack(np.array([0, 1, 1, 0, 0])), bits.pack(np.array([1, 1, 0, 1, 0])), 5)
    kept = sift(own, bits.pack(np.array([0, 1, 0, 1, 0])))
    assert (kept.count, kept.bits.tolist(), kept.basis.tolist()) == (3, [0b011], [0b010])
