"""Checks of how often outcomes occur, wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, isnan, sqrt

import numpy as np
from numpy.typing import NDArray

from ..engines.compare import chi2_tail
from .evidence import (
    A_BASIS,
    A_BIT,
    B_BASIS,
    B_BIT,
    ERRORS_X,
    ERRORS_Z,
    SIFTED_X,
    SIFTED_Z,
    Evidence,
)
from .probability import at_most_one, chi2, deviance, normal, two_sided
from .verdicts import Check

Mask = NDArray[np.bool_]

# Where the rarest combination is expected at least so often, a table of two by two is normal.
_MANY = 200
_NO_LAW = "no closed form of the outcomes"


def check_rows(evidence: Evidence) -> Iterator[Check]:
    """All of them."""
    yield _outcomes(evidence)
    yield _marginals(evidence)
    yield _signaling(evidence)
    yield _bases(evidence)
    yield _independence(evidence)
    yield _qber(evidence)
    yield _losses(evidence)
    yield _records(evidence)


def name_of(number: int) -> str:
    """An outcome in words.

    >>> name_of(0b1001)
    'A=X a=0 B=Z b=1'
    """
    a_basis = "ZX"[number >> 3 & 1]
    a_bit = number >> 2 & 1
    b_basis = "ZX"[number >> 1 & 1]
    b_bit = number & 1
    return f"A={a_basis} a={a_bit} B={b_basis} b={b_bit}"


def _outcomes(evidence: Evidence) -> Check:
    """The 16 counts against the closed form: χ², and the worst one."""
    law = evidence.law.outcomes
    if law is None:
        return Check("outcomes", None, _NO_LAW)
    rows = evidence.plan.rows
    counts = evidence.outcomes
    statistic, degrees = chi2(counts.astype(float), rows * np.array(law))
    p_table = chi2_tail(statistic, degrees) if degrees > 0 else 1.0
    each = []
    for count, due in zip(counts.tolist(), law, strict=True):
        p = two_sided(count, rows, min(due, 1.0))
        each.append(p)
    worst = int(np.argmin(each))
    p_worst = at_most_one(each[worst], 16)
    share = counts[worst] / max(rows, 1)
    name = name_of(worst)
    found = f"χ² {statistic:.4g} on {degrees}; worst {name}: {share:.6f} for {law[worst]:.6f}"
    p = at_most_one(min(p_table, p_worst), 2)
    return Check("outcomes", p, found)


def _marginals(evidence: Evidence) -> Check:
    """Each side's bit in each of its bases, against the closed form."""
    law = evidence.law.outcomes
    if law is None:
        return Check("marginals", None, _NO_LAW)
    expected = np.array(law)
    tests = []
    sides = (
        ("a", A_BASIS, A_BIT),
        ("b", B_BASIS, B_BIT),
    )
    for side, basis, bit in sides:
        for letter, chosen in (("Z", ~basis), ("X", basis)):
            ones = chosen & bit
            trials = evidence.count(chosen)
            count = evidence.count(ones)
            chance = max(expected[chosen].sum(), 1e-300)
            due = expected[ones].sum() / chance
            name = f"P({side}=1 | {letter})"
            p = two_sided(count, trials, min(due, 1.0))
            tests.append(
                (
                    p,
                    name,
                    count,
                    trials,
                    due,
                )
            )
    p, name, count, trials, due = min(tests)
    share = count / max(trials, 1)
    found = f"worst {name} = {share:.6f} for {due:.6f}"
    return Check(
        "marginals",
        at_most_one(p, len(tests)),
        found,
    )


def _signaling(evidence: Evidence) -> Check:
    """Whether a side's bits tell the other side's basis, which no state allows."""
    tests = []
    sides = (
        ("a", A_BASIS, A_BIT, B_BASIS),
        ("b", B_BASIS, B_BIT, A_BASIS),
    )
    for side, basis, bit, other in sides:
        for letter, chosen in (("Z", ~basis), ("X", basis)):
            p, z = _contingency(
                evidence,
                chosen,
                bit,
                other,
            )
            tests.append((p, z, f"{side} in {letter}"))
    p, z, name = min(tests)
    found = f"bits against the other side's basis: worst {name}, {z:+.2f} σ"
    return Check(
        "no signaling",
        at_most_one(p, len(tests)),
        found,
    )


def _contingency(
    evidence: Evidence,
    chosen: Mask,
    one: Mask,
    other: Mask,
) -> tuple[float, float]:
    """A p-value for the independence of two properties of the chosen rows, and standard deviations from it."""
    n = evidence.count(chosen)
    both = evidence.count(chosen & one & other)
    with_one = evidence.count(chosen & one)
    with_other = evidence.count(chosen & other)
    without_one = n - with_one
    without_other = n - with_other
    products = with_one * without_one * with_other * without_other
    if not products:
        return 1.0, 0.0
    spread = sqrt(float(products) / n**3)
    due = with_one * with_other / n
    z = (both - due) / spread
    fewer_one = min(with_one, without_one)
    fewer_other = min(with_other, without_other)
    if fewer_one * fewer_other / n >= _MANY:
        return normal(z), z
    # The hypergeometric law is within the binomial one's bound (Hoeffding 1963).
    off = float(deviance(both, with_one, with_other / n))
    return min(1.0, 2 * exp(-off)), z


def _bases(evidence: Evidence) -> Check:
    """How often each side measured in X."""
    biases = evidence.law.bases
    if biases is None:
        return Check("basis balance", None, "the configuration's choice of bases is not known")
    rows = evidence.plan.rows
    of_alice, of_bob = biases
    sides = (
        ("alice_basis", A_BASIS, of_alice),
        ("bob_basis", B_BASIS, of_bob),
    )
    tests = []
    for name, which, due in sides:
        count = evidence.count(which)
        p = two_sided(count, rows, due)
        tests.append(
            (
                p,
                name,
                count,
                due,
            )
        )
    p, name, count, due = min(tests)
    share = count / max(rows, 1)
    found = f"worst {name}: P(X) = {share:.6f} for {due:.6f}"
    return Check("basis balance", at_most_one(p, 2), found)


def _independence(evidence: Evidence) -> Check:
    """Whether the two sides choose their bases independently."""
    p, z = _contingency(
        evidence,
        np.ones(16, bool),
        A_BASIS,
        B_BASIS,
    )
    rows = max(evidence.plan.rows, 1)
    size = z / sqrt(rows)
    found = f"bases of Alice and Bob correlate by {size:+.2e}, {z:+.2f} σ"
    return Check("independent bases", p, found)


def _qber(evidence: Evidence) -> Check:
    """The error rate of each basis, against the closed form."""
    expected = evidence.law.expected
    if expected is None or isnan(expected.qber_z):
        return Check("QBER", None, "no closed form of the error rates")
    tests = []
    bases = (
        ("Z", SIFTED_Z, ERRORS_Z, expected.qber_z),
        ("X", SIFTED_X, ERRORS_X, expected.qber_x),
    )
    for basis, sifted, errors, due in bases:
        count = evidence.count(errors)
        trials = evidence.count(sifted)
        p = two_sided(count, trials, due)
        tests.append(
            (
                p,
                basis,
                count,
                trials,
                due,
            )
        )
    p, basis, count, trials, due = min(tests)
    percent = 100 * count / max(trials, 1)
    found = f"worst in {basis}: {percent:.4f} % for {100 * due:.4f} %"
    return Check("QBER", at_most_one(p, 2), found)


def _losses(evidence: Evidence) -> Check:
    """Rows and clicks per emission."""
    law = evidence.law
    totals = evidence.table.totals
    if law.expected is None or not law.losses or not evidence.has_index:
        return Check("losses", None, "no pair can be lost, or no closed form")
    rates = law.expected
    emissions = totals["count"]
    tests = []
    counted = (
        ("rows", rates.coincidence),
        ("alice_clicks", rates.alice_click),
        ("bob_clicks", rates.bob_click),
    )
    for name, due in counted:
        count = totals[name]
        p = two_sided(count, emissions, due)
        tests.append(
            (
                p,
                name,
                count,
                due,
            )
        )
    p, name, count, due = min(tests)
    share = count / max(emissions, 1)
    found = f"worst {name} per emission: {share:.6g} for {due:.6g}"
    return Check("losses", at_most_one(p, 3), found)


def _records(evidence: Evidence) -> Check:
    """Whether the chunks' records count what the rows are."""
    totals = evidence.table.totals
    counts = {
        "rows": evidence.plan.rows,
        "sifted_z": evidence.count(SIFTED_Z),
        "errors_z": evidence.count(ERRORS_Z),
        "sifted_x": evidence.count(SIFTED_X),
        "errors_x": evidence.count(ERRORS_X),
    }
    for name, count in counts.items():
        recorded = totals[name]
        if recorded != count:
            found = f"records differ from rows: {name} {recorded:,} for {count:,}"
            return Check("records", 0.0, found)
    return Check("records", 1.0, "records and rows agree")
