"""Closed forms of heralded links; both engines have these links.

Two nodes send photons to a beam splitter with two detectors halfway.  The formulas are derived
here from the optics, not taken from NetSquid: threshold detectors with dark counts, photons of
Hong–Ou–Mandel visibility V (their overlap squared), and pure loss.  The acceptance run compares
NetSquid with them; until it has, `NetsquidEngine.expected` says nothing about these links.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from ..config import HeraldedLinkConfig
from .link import transmission

#: Population of the bright state with ``heralded-single-click``: squidasm 0.13.6 asks for a
#: fidelity of 0.99, whatever a program says, and the link layer takes 1 − 0.99 of it.
BRIGHT = 1 - 0.99


class Heralded(NamedTuple):
    """One attempt's probability of success, and error rates of the pairs after Bob's correction.

    ``dark`` is how many more of the pairs are in the separable state |00⟩, before the correction,
    than in |11⟩: the rest has mixed halves.
    """

    success: float
    qber_z: float
    qber_x: float
    dark: float = 0.0


def heralded(link: HeraldedLinkConfig) -> Heralded:
    """Success and error rates of a configured link; all 0 where no attempt succeeds."""
    fiber = transmission(link.length_km / 2, link.attenuation_db_per_km)
    arm = (1 - link.p_loss_init) * fiber * link.detector_efficiency
    if link.type == "heralded-double-click":
        return double_click(arm, link.dark_count_probability, link.visibility)
    bright = getattr(link, "bright_population", None) or BRIGHT
    return single_click(arm, link.dark_count_probability, link.visibility, bright)


def single_click(
    arm: float,
    dark: float,
    visibility: float,
    bright: float = BRIGHT,
) -> Heralded:
    """Each node emits with probability ``bright``, and exactly one click heralds.

    ``arm`` is the probability that an emitted photon is detected, ``dark`` that of a dark count
    of one detector.
    After Cabrillo et al., Phys. Rev. A 59, 1025 (1999).
    """
    none, one = _one_click(dark)
    lost = 1 - arm
    dim = 1 - bright
    neither = dim * dim * none
    either = 2 * bright * dim
    seen = either * arm * one
    guessed = either * lost * none
    bunched = arm * arm * (1 + visibility) / 2
    at_one = 2 * arm * lost + bunched
    clicked = at_one * one + lost * lost * none
    both = bright * bright * clicked
    total = neither + seen + guessed + both
    if not total:
        return Heralded(0.0, 0.0, 0.0)
    dephased = seen * (1 - sqrt(visibility)) / 2
    at_random = (total - seen) / 2
    wrong_phase = dephased + at_random
    wrong_bit = neither + both
    dark = neither - both
    return Heralded(
        total,
        wrong_bit / total,
        wrong_phase / total,
        dark / total,
    )


def double_click(arm: float, dark: float, visibility: float) -> Heralded:
    """Each node emits a photon early or late, and one click in each half heralds.

    Arguments as for `single_click`.  After Barrett and Kok, Phys. Rev. A 71, 060310 (2005).
    """
    none, one = _one_click(dark)
    lost = 1 - arm
    both_arrive = arm * arm / 2
    seen = both_arrive * one * one
    same = both_arrive * (1 + visibility) / 2 * one * none
    one_dark = 2 * arm * lost * one * none
    two_dark = lost * lost * none * none
    noise = one_dark + two_dark
    total = seen + same + noise
    if not total:
        return Heralded(0.0, 0.0, 0.0)
    wrong_bit = same + noise / 2
    dephased = seen * (1 - visibility) / 2
    wrong_phase = dephased + same / 2 + noise / 2
    return Heralded(
        success=total,
        qber_z=wrong_bit / total,
        qber_x=wrong_phase / total,
    )


def _one_click(dark: float) -> tuple[float, float]:
    """Probability that exactly one of two detectors clicks.

    First where no photon arrives, then where all that arrive are at one detector.
    """
    silent = 1 - dark
    return 2 * dark * silent, silent
