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
    a_basis, a_bit, b_basis, b_bit = (number >> place & 1 for place in (3, 2, 1, 0))
    return f"A={'ZX'[a_basis]} a={a_bit} B={'ZX'[b_basis]} b={b_bit}"


def _outcomes(evidence: Evidence) -> Check:
    """The 16 counts against the closed form: χ², and the worst one."""
    law = evidence.law.outcomes
    if law is None:
        return Check("outcomes", None, _NO_LAW)
    rows = evidence.plan.rows
    counts = evidence.outcomes
    statistic, degrees = chi2(counts.astype(float), rows * np.array(law))
    p_table = chi2_tail(statistic, degrees) if degrees > 0 else 1.0
    each = [two_sided(int(k), rows, min(p, 1.0)) for k, p in zip(counts, law, strict=True)]
    worst = int(np.argmin(each))
    p_worst = at_most_one(each[worst], 16)
    share, due = counts[worst] / max(rows, 1), law[worst]
    found = f"χ² {statistic:.4g} on {degrees}; worst {name_of(worst)}: {share:.6f} for {due:.6f}"
    return Check("outcomes", at_most_one(min(p_table, p_worst), 2), found)


def _marginals(evidence: Evidence) -> Check:
    """Each side's bit in each of its bases, against the closed form."""
    law = evidence.law.outcomes
    if law is None:
        return Check("marginals", None, _NO_LAW)
    expected = np.array(law)
    tests = []
    for side, basis, bit in (("a", A_BASIS, A_BIT), ("b", B_BASIS, B_BIT)):
        for letter, chosen in (("Z", ~basis), ("X", basis)):
            trials, count = evidence.count(chosen), evidence.count(chosen & bit)
            due = expected[chosen & bit].sum() / max(expected[chosen].sum(), 1e-300)
            name = f"P({side}=1 | {letter})"
            tests.append((two_sided(count, trials, min(due, 1.0)), name, count, trials, due))
    p, name, count, trials, due = min(tests)
    found = f"worst {name} = {count / max(trials, 1):.6f} for {due:.6f}"
    return Check("marginals", at_most_one(p, len(tests)), found)


def _signaling(evidence: Evidence) -> Check:
    """Whether a side's bits tell the other side's basis, which no state allows."""
    tests = []
    for side, basis, bit, other in (("a", A_BASIS, A_BIT, B_BASIS), ("b", B_BASIS, B_BIT, A_BASIS)):
        for letter, chosen in (("Z", ~basis), ("X", basis)):
            tests.append((*_contingency(evidence, chosen, bit, other), f"{side} in {letter}"))
    p, z, name = min(tests)
    found = f"bits against the other side's basis: worst {name}, {z:+.2f} σ"
    return Check("no signaling", at_most_one(p, len(tests)), found)


def _contingency(evidence: Evidence, chosen: Mask, one: Mask, other: Mask) -> tuple[float, float]:
    """A p-value for the independence of two properties of the chosen rows, and standard deviations from it."""
    n = evidence.count(chosen)
    both = evidence.count(chosen & one & other)
    with_one, with_other = evidence.count(chosen & one), evidence.count(chosen & other)
    products = with_one * (n - with_one) * with_other * (n - with_other)
    if not products:
        return 1.0, 0.0
    spread = sqrt(float(products) / n**3)
    z = (both - with_one * with_other / n) / spread
    rarest = min(with_one, n - with_one) * min(with_other, n - with_other) / n
    if rarest >= _MANY:
        return normal(z), z
    # The hypergeometric law is within the binomial one's bound (Hoeffding 1963).
    return min(1.0, 2 * exp(-float(deviance(both, with_one, with_other / n)))), z


def _bases(evidence: Evidence) -> Check:
    """How often each side measured in X."""
    biases = evidence.law.bases
    if biases is None:
        return Check("basis balance", None, "the configuration's choice of bases is not known")
    rows = max(evidence.plan.rows, 1)
    tests = []
    for name, which, due in zip(
        ("alice_basis", "bob_basis"), (A_BASIS, B_BASIS), biases, strict=True
    ):
        count = evidence.count(which)
        tests.append((two_sided(count, evidence.plan.rows, due), name, count, due))
    p, name, count, due = min(tests)
    found = f"worst {name}: P(X) = {count / rows:.6f} for {due:.6f}"
    return Check("basis balance", at_most_one(p, 2), found)


def _independence(evidence: Evidence) -> Check:
    """Whether the two sides choose their bases independently."""
    p, z = _contingency(evidence, np.ones(16, bool), A_BASIS, B_BASIS)
    size = z / sqrt(max(evidence.plan.rows, 1))
    found = f"bases of Alice and Bob correlate by {size:+.2e}, {z:+.2f} σ"
    return Check("independent bases", p, found)


def _qber(evidence: Evidence) -> Check:
    """The error rate of each basis, against the closed form."""
    expected = evidence.law.expected
    if expected is None or isnan(expected.qber_z):
        return Check("QBER", None, "no closed form of the error rates")
    tests = []
    for basis, sifted, errors, due in (
        ("Z", SIFTED_Z, ERRORS_Z, expected.qber_z),
        ("X", SIFTED_X, ERRORS_X, expected.qber_x),
    ):
        count, trials = evidence.count(errors), evidence.count(sifted)
        tests.append((two_sided(count, trials, due), basis, count, trials, due))
    p, basis, count, trials, due = min(tests)
    found = f"worst in {basis}: {100 * count / max(trials, 1):.4f} % for {100 * due:.4f} %"
    return Check("QBER", at_most_one(p, 2), found)


def _losses(evidence: Evidence) -> Check:
    """Rows and clicks per emission."""
    law, totals = evidence.law, evidence.table.totals
    if law.expected is None or not law.losses or not evidence.has_index:
        return Check("losses", None, "no pair can be lost, or no closed form")
    rates = law.expected
    tests = []
    for name, due in (
        ("rows", rates.coincidence),
        ("alice_clicks", rates.alice_click),
        ("bob_clicks", rates.bob_click),
    ):
        tests.append((two_sided(totals[name], totals["count"], due), name, totals[name], due))
    p, name, count, due = min(tests)
    share = count / max(totals["count"], 1)
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
    wrong = [
        f"{name} {totals[name]:,} for {n:,}" for name, n in counts.items() if totals[name] != n
    ]
    found = f"records differ from rows: {wrong[0]}" if wrong else "records and rows agree"
    return Check("records", 0.0 if wrong else 1.0, found)
