"""Closed forms of a down-conversion source: rates per pulse, in the terms of `link`."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import NamedTuple

from .link import DECIMAL


class Pdc(NamedTuple):
    """Rates of a down-conversion source per pulse.

    Coincidences Q, clicks per side, and E = 1 − 2·(error rate of the coincidences).
    """

    coincidence: float
    alice_click: float
    bob_click: float
    correlation: float


def pdc(
    mu: float,
    alice: tuple[float, float],
    bob: tuple[float, float],
    *,
    misalignment: float = 0.0,
) -> Pdc:
    """Entangled pairs by down-conversion, after Ma, Fung and Lo, Phys. Rev. A 76, 012307 (2007).

    Sides are (efficiency η, background probability Y0); ``mu`` is the mean number of pairs per
    pulse, 2λ in the paper.  The paper takes √((1−Y0A)(1−Y0B)) for 1, which matters from
    Y0 ≈ 1e-3 on.

    >>> from caligo_mpi.engines.link import qber
    >>> dark = 6.02e-6
    >>> rates = pdc(0.053, (0.145, dark), (0.145, dark), misalignment=0.015)
    >>> f"{rates.coincidence:.5e} {qber(rates.correlation):.5f}"
    '1.17725e-03 0.03567'
    """
    with decimal.localcontext(DECIMAL):
        lam = Decimal(mu) / 2
        eta_a = Decimal(alice[0])
        eta_b = Decimal(bob[0])
        none_a = 1 - Decimal(alice[1])
        none_b = 1 - Decimal(bob[1])
        none = none_a * none_b
        empty_a = 1 + eta_a * lam
        empty_b = 1 + eta_b * lam
        empty = empty_a + eta_b * lam - eta_a * eta_b * lam
        silent_a = none_a / empty_a**2
        silent_b = none_b / empty_b**2
        silent = none / empty**2
        detected = eta_a * eta_b * lam * (1 + lam)
        signal = detected / (empty_a * empty_b * empty)
        kept = 1 - 2 * Decimal(misalignment)
        both = none.sqrt() * 2 * kept * signal
        return _rates(silent_a, silent_b, silent, both)


def pdc_poisson(
    mu: float,
    alice: tuple[float, float],
    bob: tuple[float, float],
    *,
    misalignment: float = 0.0,
) -> Pdc:
    """The same where the number of pairs in a pulse is Poissonian, as with many temporal modes.

    In either basis the pairs of bit 0 and those of bit 1 are then independent Poisson numbers of
    mean μ/2.  A detector is silent with probability √(1−Y0)·exp(−ημ/2), two of different bit values
    independently, one of each side and of equal bit with probability
    √((1−Y0A)(1−Y0B))·exp(−(η_A + η_B − η_Aη_B)μ/2).  The sign of a side's bit is the difference of
    its two silences, so E·Q is twice the difference of these products.  With thermal
    numbers of mean λ, 1/(1 + ηλ) in place of the exponentials, this is the formula of `pdc`.

    >>> from caligo_mpi.engines.link import qber
    >>> dark = 6.02e-6
    >>> rates = pdc_poisson(0.053, (0.145, dark), (0.145, dark), misalignment=0.015)
    >>> f"{rates.coincidence:.5e} {qber(rates.correlation):.5f}"
    '1.15663e-03 0.03619'
    """
    with decimal.localcontext(DECIMAL):
        mean = Decimal(mu)
        eta_a = Decimal(alice[0])
        eta_b = Decimal(bob[0])
        none_a = 1 - Decimal(alice[1])
        none_b = 1 - Decimal(bob[1])
        none = none_a * none_b
        union = eta_a + eta_b - eta_a * eta_b
        silent_a = none_a * (-mean * eta_a).exp()
        silent_b = none_b * (-mean * eta_b).exp()
        silent = none * (-mean * union).exp()
        equal = (-mean * union / 2).exp()
        unequal = (-mean * (eta_a + eta_b) / 2).exp()
        kept = 1 - 2 * Decimal(misalignment)
        difference = equal - unequal
        both = none.sqrt() * 2 * kept * difference
        return _rates(silent_a, silent_b, silent, both)


def _rates(
    alice: Decimal,
    bob: Decimal,
    silent: Decimal,
    both: Decimal,
) -> Pdc:
    """Rates from the probabilities that Alice, Bob, and both see nothing, and from E·Q, ``both``."""
    gain = 1 - alice - bob + silent
    return Pdc(
        coincidence=float(gain),
        alice_click=float(1 - alice),
        bob_click=float(1 - bob),
        correlation=float(both / gain) if gain else 0.0,
    )
