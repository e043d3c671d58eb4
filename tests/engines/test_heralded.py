"""Closed forms of heralded links against photons in Fock space: creation operators through loss and a beam splitter."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from math import factorial, prod, sqrt

import numpy as np
import pytest

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.heralded import BRIGHT, double_click, heralded, single_click

XX = np.fliplr(np.eye(4))


def photon(side, time, arm, visibility):
    """One photon as a sum of modes: (detector, time, shape), or one that is lost."""
    shapes = [(1.0, 0)] if side == "A" else [(sqrt(visibility), 0), (sqrt(1 - visibility), 1)]
    sign = 1 if side == "A" else -1
    for weight, shape in shapes:
        yield weight * sqrt(arm / 2), ("c", time, shape)
        yield weight * sqrt(arm / 2) * sign, ("d", time, shape)
        yield weight * sqrt(1 - arm), (f"lost from {side}", time, shape)


def states(terms, arm, visibility):
    """``terms``: amplitude, memory state, photons.  Memory vectors by where all photons are in the end."""
    vectors = defaultdict(lambda: np.zeros(4))
    for amplitude, memory, photons in terms:
        for modes in itertools.product(*(list(photon(*one, arm, visibility)) for one in photons)):
            place = tuple(sorted(mode for _, mode in modes))
            vectors[place][memory] += amplitude * prod(weight for weight, _ in modes)
    return {
        place: vector * sqrt(prod(map(factorial, Counter(place).values())))
        for place, vector in vectors.items()
    }


def observed(terms, times, arm, dark, visibility):
    """Success and error rates: one click at each time; the same detector heralds Psi+, different ones Psi-."""
    success = z = x = dark_state = 0.0
    for place, vector in states(terms, arm, visibility).items():
        lit = {mode[:2] for mode in place if mode[0] in "cd"}
        for detectors in itertools.product("cd", repeat=len(times)):
            pattern = set(zip(detectors, times, strict=True))
            if not lit <= pattern:
                continue
            every = {(detector, time) for detector in "cd" for time in times}
            chance = dark ** len(pattern - lit) * (1 - dark) ** len(every - pattern)
            sign = 1 if detectors.count("d") % 2 == 0 else -1
            norm = vector @ vector
            success += chance * norm
            z += chance * (vector[0] ** 2 + vector[3] ** 2)
            dark_state += chance * (vector[0] ** 2 - vector[3] ** 2)
            x += chance * (norm - sign * vector @ XX @ vector) / 2
    return success, z / success, x / success, dark_state / success


SINGLE = [
    (1 - BRIGHT, 0, []),
    (sqrt(BRIGHT * (1 - BRIGHT)), 1, [("B", 0)]),
    (sqrt(BRIGHT * (1 - BRIGHT)), 2, [("A", 0)]),
    (BRIGHT, 3, [("A", 0), ("B", 0)]),
]
DOUBLE = [(0.5, 2 * a + b, [("A", a), ("B", b)]) for a in (0, 1) for b in (0, 1)]

OPTICS = list(itertools.product([1.0, 0.5, 0.01], [0.0, 1e-4, 0.05], [1.0, 0.7, 0.0]))


@pytest.mark.parametrize(("arm", "dark", "visibility"), OPTICS)
def test_single_click_is_what_the_optics_give(arm, dark, visibility):
    expected = observed(SINGLE, [0], arm, dark, visibility)
    assert single_click(arm, dark, visibility) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("arm", "dark", "visibility"), OPTICS)
def test_double_click_is_what_the_optics_give(arm, dark, visibility):
    expected = observed(DOUBLE, [0, 1], arm, dark, visibility)
    assert double_click(arm, dark, visibility) == pytest.approx(expected, abs=1e-12)


def test_the_textbook_limits():
    weak = single_click(0.01, 0.0, 1.0)
    assert weak.success == pytest.approx(2 * BRIGHT * 0.01, rel=0.02)
    assert weak.qber_z == pytest.approx(BRIGHT, rel=0.02)  # F = 1 - bright
    ideal = double_click(0.3, 0.0, 1.0)
    assert ideal == pytest.approx((0.3**2 / 2, 0.0, 0.0, 0.0))
    assert double_click(0.3, 0.0, 0.6).qber_x == pytest.approx(0.2)
    dark = double_click(0.0, 0.01, 1.0)
    assert (dark.qber_z, dark.qber_x) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("clicks", ["single", "double"])
def test_the_numbers_of_a_configuration_enter(clicks):
    """Half of 3 km at 2 dB/km is 3 dB, so half of 0.9 x 0.8 is detected."""
    link = {
        "type": f"heralded-{clicks}-click", "length_km": 3.0, "attenuation_db_per_km": 2.0, "p_loss_init": 0.1,
        "detector_efficiency": 0.8, "dark_count_probability": 0.01, "visibility": 0.9,
    }  # fmt: skip
    config = NetsquidConfig.model_validate({"name": "netsquid", "link": link})
    model = single_click if clicks == "single" else double_click
    assert heralded(config.link) == pytest.approx(model(0.9 * 0.8 * 10**-0.3, 0.01, 0.9))
