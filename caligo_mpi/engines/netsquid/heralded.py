"""Closed forms of heralded links: two nodes send photons to a beam splitter with two detectors halfway.

Derived here from the optics, not taken from NetSquid: threshold detectors with dark counts, photons of Hong–Ou–Mandel
visibility V (their overlap squared), pure loss.  The acceptance run holds NetSquid against them; until it has,
`NetsquidEngine.expected` says nothing about these links.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from ...config.netsquid import HeraldedLinkConfig
from ..link import transmission

#: Population of the bright state with ``heralded-single-click``: squidasm 0.13.6 asks for a fidelity of 0.99, whatever
#: a program says, and the link layer takes 1 − 0.99 of it.
BRIGHT = 1 - 0.99


class Heralded(NamedTuple):
    """One attempt's probability of success, and error rates of the pairs after Bob's correction."""

    success: float
    qber_z: float
    qber_x: float


def heralded(link: HeraldedLinkConfig) -> Heralded:
    """What the link delivers."""
    arm = (1 - link.p_loss_init) * transmission(link.length_km / 2, link.attenuation_db_per_km)
    model = single_click if link.type == "heralded-single-click" else double_click
    return model(arm * link.detector_efficiency, link.dark_count_probability, link.visibility)


def single_click(arm: float, dark: float, visibility: float, bright: float = BRIGHT) -> Heralded:
    """Each node emits with probability ``bright``; exactly one click heralds (Cabrillo et al., PRA 59:1025, 1999).

    ``arm`` is the probability that an emitted photon is detected.
    """
    none, one = (
        2 * dark * (1 - dark),
        1 - dark,
    )  # that one detector clicks where no photon, or photons at one, arrive
    neither = (1 - bright) ** 2 * none
    seen = 2 * bright * (1 - bright) * arm * one
    guessed = 2 * bright * (1 - bright) * (1 - arm) * none
    bunched = arm**2 * (1 + visibility) / 2
    both = bright**2 * ((2 * arm * (1 - arm) + bunched) * one + (1 - arm) ** 2 * none)
    total = neither + seen + guessed + both
    wrong_phase = seen * (1 - sqrt(visibility)) / 2 + (total - seen) / 2
    return Heralded(total, (neither + both) / total, wrong_phase / total)


def double_click(arm: float, dark: float, visibility: float) -> Heralded:
    """Each node emits a photon early or late; one click in each half heralds (Barrett and Kok, PRA 71:060310, 2005)."""
    none, one = 2 * dark * (1 - dark), 1 - dark
    seen = arm**2 / 2 * one**2
    same = arm**2 / 2 * (1 + visibility) / 2 * one * none
    noise = 2 * arm * (1 - arm) * one * none + (1 - arm) ** 2 * none**2
    total = seen + same + noise
    wrong_phase = seen * (1 - visibility) / 2 + same / 2 + noise / 2
    return Heralded(total, (same + noise / 2) / total, wrong_phase / total)
