"""Long lags: the strongest of each octave against sums over single rows."""

from __future__ import annotations

import numpy as np
import planted
import pytest

from caligo_mpi import analyze, read_pairs

ROWS = 1 << 13


def streams_of(path):
    rows = read_pairs(path)
    errors = (rows.alice_outcome ^ rows.bob_outcome) & (rows.alice_basis == rows.bob_basis)
    names = ("alice_basis", "alice_outcome", "bob_basis", "bob_outcome")
    return {"errors": errors, **{name: getattr(rows, name) for name in names}}


def products_of(bits):
    """Correlations of a stream with itself, turned by each lag up to half of it."""
    deviations = bits - bits.mean()
    last = len(bits) // 2
    found = np.array([deviations @ np.roll(deviations, -lag) for lag in range(1, last + 1)])
    found[-1] /= np.sqrt(2)
    return found / (len(bits) * bits.var())


def test_of_each_octave_the_strongest_is_told(tmp_path):
    planted.write(tmp_path / "run.h5", planted.config_of(ROWS, ROWS, qber=0.2))
    found = analyze(tmp_path / "run.h5").long_lags
    of_file = streams_of(tmp_path / "run.h5")
    octaves = [(33, 64), (65, 128), (129, 256), (257, 512), (513, 1024), (1025, 2048), (2049, 4096)]
    assert {lag.stream for lag in found} == set(of_file)
    for stream, bits in of_file.items():
        direct = products_of(bits)
        told = [lag for lag in found if lag.stream == stream]
        assert [(lag.first, lag.last) for lag in told] == octaves
        for lag in told:
            # Counts of single rows: several lags may have the same.
            strongest = max(abs(direct[lag.first - 1 : lag.last]))
            assert lag.first <= lag.lag <= lag.last
            assert lag.correlation == pytest.approx(direct[lag.lag - 1], abs=1e-5)
            assert abs(lag.correlation) == pytest.approx(strongest, abs=1e-5)
            assert lag.score == pytest.approx(lag.correlation * np.sqrt(ROWS), rel=1e-4)


def test_coincidences_of_rare_ones_are_no_further_off_than_normal_values(tmp_path):
    # One row in 200 is an error, two coincide 0.2 times: a single coincidence is 1.8 of "their" σ off.
    planted.write(tmp_path / "run.h5", planted.config_of(ROWS, ROWS, qber=0.01))
    found = [lag for lag in analyze(tmp_path / "run.h5").long_lags if lag.stream == "errors"]
    assert len(found) == 7
    assert max(lag.correlation for lag in found) * np.sqrt(ROWS) > 4.5
    assert 1 < max(lag.score for lag in found) < 4.5


def test_an_echo_far_behind_is_told_with_its_lag(tmp_path):
    def change(pairs, chunk, rng, size):
        bits = pairs.alice_basis.copy()
        taken = rng.random(len(bits) - 777) < 0.3
        bits[777:][taken] = pairs.alice_basis[:-777][taken]
        return pairs._replace(alice_basis=bits)

    planted.write(tmp_path / "run.h5", planted.config_of(ROWS, ROWS), change=change)
    found = analyze(tmp_path / "run.h5").long_lags
    far = [(lag.stream, lag.lag) for lag in found if abs(lag.score) > 15]
    assert far == [("alice_basis", 777)]
