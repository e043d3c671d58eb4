"""How many secret bits there are: closed forms with their sources.

Everything is evaluated in 30-digit decimal arithmetic, whose ``ln`` and ``exp`` are correctly
rounded: a length is the same integer on every machine.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal as D
from functools import lru_cache

_CONTEXT = decimal.Context(prec=30, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
Number = int | float | D


def binary_entropy(rate: float) -> float:
    """h(rate) in bits.

    >>> binary_entropy(0.11)
    0.499915958164528
    """
    return float(_entropy(D(rate)))


def asymptotic_fraction(qber: float, *, efficiency: float = 1.0) -> float:
    """Secret bits per sifted bit, 1 − (1 + f)·h(Q), for equal error rates in both bases (Shor and Preskill 2000).

    >>> round(asymptotic_fraction(0.03), 4)
    0.6112
    """
    return float(1 - (1 + D(efficiency)) * _entropy(D(qber)))


def sampling_margin(*, key_bits: int, test_bits: int, epsilon_sec: float) -> float:
    """μ: how far the key's error rate may exceed the test's, except with probability (ε_sec/4)² (Serfling's bound).

    Tomamichel, Lim, Gisin and Renner, Nat. Commun. 3:634 (2012), eq. (2).
    """
    return float(_margin(key_bits, test_bits, D(epsilon_sec)))


def preparation_quality(shift: float) -> float:
    """Quality q = −log2 c of BB84 measurements whose bit then falls to one side with probability s = ``shift``.

    ``c = max ‖√X_a √Z_b‖²`` is reached by the outcomes that gain, ``Z_0 = |0⟩⟨0| + s|1⟩⟨1|`` and X_0 likewise:
    ``c = (1+s)²/4 + √((1+s)⁴/16 − s²)`` (Tomamichel and Renner, PRL 106:110506, 2011, for the relation).

    >>> preparation_quality(0.0), round(preparation_quality(0.05), 3)
    (1.0, 0.871)
    """
    if not shift:
        return 1.0
    with decimal.localcontext(_CONTEXT):
        s = D(shift)
        half = (1 + s) ** 2 / 4
        square = half * half - s * s
        quality = -_log2(half + square.sqrt())
        return float(quality)


def finite_key_length(
    *,
    key_bits: int,
    test_bits: int,
    qber: float,
    leak_bits: Number,
    epsilon_sec: float,
    epsilon_cor: float,
    quality: float = 1.0,
) -> int:
    """Length ℓ of an ε_sec-secret and ε_cor-correct key; 0 where none is left.

    ``ℓ = n[q − h(Q + μ)] − leak − log2(2 / (ε_sec² ε_cor))`` with n key bits, k test bits of error rate Q, and the
    ``quality`` q of Alice's measurements, 1 for BB84 bases (Tomamichel et al. 2012, eqs. 1 and 2).

    >>> finite_key_length(key_bits=980_000, test_bits=20_000, qber=0.0173, leak_bits=87_096,
    ...     epsilon_sec=3.06e-9, epsilon_cor=3.06e-9)
    612038
    """
    if key_bits < 1 or test_bits < 1:
        return 0
    with decimal.localcontext(_CONTEXT):
        e_sec = D(epsilon_sec)
        e_cor = D(epsilon_cor)
        worst = D(qber) + _margin(key_bits, test_bits, e_sec)
        phase_error = min(worst, D("0.5"))
        unknown = key_bits * (D(quality) - _entropy(phase_error))
        overhead = _log2(2 / (e_sec * e_sec * e_cor))
        length = unknown - D(leak_bits) - overhead
        return max(0, int(length))


def hoeffding_margin(count: int, epsilon: float) -> float:
    """ζ = √(ln(1/ε) / (2·count)): a mean of ``count`` bits strays further, to a given side, with probability ≤ ε."""
    with decimal.localcontext(_CONTEXT):
        square = _ln(1 / D(epsilon)) / (2 * count)
        return float(square.sqrt())


def dropped_limit(count: int, epsilon: float) -> float:
    """√(2·count·ln(2/ε)): most rows an honest Bob drops when he cuts his two index sets to one size.

    He drops |equal − different| of ``count`` fair coins, which exceeds this with probability ≤ ε.
    """
    with decimal.localcontext(_CONTEXT):
        square = 2 * count * _ln(2 / D(epsilon))
        return float(square.sqrt())


@dataclass(frozen=True, slots=True)
class TransferLength:
    """Length of each string of a random oblivious transfer, and the quantities on the way to it."""

    bits: int
    coefficient: float  # C(m1), min-entropy per single-pair round
    rate: float  # R, at which the strings would have to pass through the adversary's memory
    exponent: float  # γ(R), the strong-converse exponent
    min_entropy: float  # ν·n·γ(R)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFigures:
    """What was counted in a random oblivious transfer.

    ``rounds`` n were announced, of which ``single`` m1 valid single-pair ones are left after the
    test.  ``dropped`` d rows are in neither set.  Each set costs ``leak_bits`` syndrome bits and
    ``tag_bits`` t verification bits.
    """

    rounds: int
    single: int
    dropped: int
    leak_bits: Number
    tag_bits: int


def transfer_length(
    figures: TransferFigures, *, storage_r: float, storage_rate: float, epsilon: float
) -> TransferLength:
    """Length of S_0 and S_1 against an adversary with noisy storage.

    The memory holds ``storage_rate``·n qubits for the n rounds of the ``figures``.  Each of them is
    depolarized: ρ → rρ + (1 − r)·I/2 with r = ``storage_r``.  ``epsilon`` is the error allowed.

    Uncertainty: Ng, Berta and Wehner (PRA 86:042308, 2012); storage and strong converse: König,
    Wehner and Wullschleger (IEEE Trans. Inf. Theory 58:1962, 2012); as put together by Erven et
    al. (Nat. Commun. 5:3418, 2014).

    >>> figures = TransferFigures(
    ...     rounds=80_000_000, single=1_049_000, dropped=0, leak_bits=0, tag_bits=0)
    >>> transfer_length(figures, storage_r=0.75, storage_rate=0.002, epsilon=2.5e-7).bits
    65815
    """
    single = figures.single
    if single < 1:
        return TransferLength(0, 0.0, 0.0, 0.0, 0.0)
    with decimal.localcontext(_CONTEXT):
        allowed = D(epsilon)
        overhead = _log2(1 / (2 * allowed))
        coefficient = _coefficient(single, allowed)
        uncertain = coefficient * single - figures.dropped
        stored = D(storage_rate) * figures.rounds
        rate = (uncertain / 2 - 1 - overhead) / stored
        exponent = _converse_exponent(rate, D(storage_r))
        min_entropy = stored * exponent
        told = D(figures.leak_bits)
        length = min_entropy / 2 - told - 2 * figures.tag_bits - overhead
    return TransferLength(
        bits=max(0, int(length)),
        coefficient=float(coefficient),
        rate=float(rate),
        exponent=float(exponent),
        min_entropy=float(min_entropy),
    )


def uncertainty_coefficient(single: int, epsilon: float) -> float:
    """C(m1): min-entropy per round that measuring in random BB84 bases leaves, before storage.

    ``max over 0 < s ≤ 1 of (1 + s − log2(1 + 2^s))/s − log2(1/(2ε))/(s·m1)``; tends to ½ for many rounds.
    """
    return float(_coefficient(single, D(epsilon)))


def storage_capacity(storage_r: float) -> float:
    """C_N = 1 − h((1 + r)/2): classical capacity of one depolarizing memory qubit."""
    with decimal.localcontext(_CONTEXT):
        kept = (1 + D(storage_r)) / 2
        return float(1 - _entropy(kept))


def strong_converse_exponent(rate: float, storage_r: float) -> float:
    """γ(R) of the depolarizing channel: success above capacity decays as 2^(−γ) per use (König and Wehner 2009)."""
    return float(_converse_exponent(D(rate), D(storage_r)))


def transfer_entropy_limit(
    *,
    coefficient: float,
    single: int,
    valid: int,
    efficiency: float,
) -> float:
    """Largest h(Q) that can leave a transfer any bits: C·m1 / (2·f·m).  Asymptotically 1/(4f)."""
    return coefficient * single / (2 * efficiency * valid)


def transfer_qber_limit(*, efficiency: float) -> float:
    """Largest QBER at which a random oblivious transfer is possible at all, in the limit of many rounds: h(Q) = 1/(4f).

    >>> [round(100 * transfer_qber_limit(efficiency=f), 2) for f in (1, 1.1, 1.491)]
    [4.17, 3.68, 2.48]
    """
    with decimal.localcontext(_CONTEXT):
        target = 1 / (4 * D(efficiency))

        def excess(qber: D) -> D:
            return _entropy(qber) - target

        limit = _bisect(excess, D(0), D("0.5"))
        return float(limit)


def _entropy(rate: D) -> D:
    with decimal.localcontext(_CONTEXT):
        if rate <= 0 or rate >= 1:
            return D(0)
        of_ones = -rate * _log2(rate)
        of_zeros = -(1 - rate) * _log2(1 - rate)
        return of_ones + of_zeros


def _margin(key_bits: int, test_bits: int, epsilon_sec: D) -> D:
    with decimal.localcontext(_CONTEXT):
        n = D(key_bits)
        k = D(test_bits)
        sizes = (n + k) / (n * k) * (k + 1) / k
        square = sizes * _ln(4 / epsilon_sec)
        return square.sqrt()


@lru_cache(maxsize=64)
def _coefficient(single: int, epsilon: D) -> D:
    with decimal.localcontext(_CONTEXT):
        overhead = _log2(1 / (2 * epsilon)) / single

        def at(log_s: D) -> D:
            s = log_s.exp()
            gain = 1 + s - _log2(1 + _exp2(s))
            return (gain - overhead) / s

        least = _ln(D("1e-4"))
        best = _argmax(at, least, D(0))
        return at(best)


@lru_cache(maxsize=64)
def _converse_exponent(rate: D, storage_r: D) -> D:
    """Over β = 1/α in [0, 1): α → ∞ is β → 0, where the expression tends to R − log2(1 + r)."""
    with decimal.localcontext(_CONTEXT):

        def at(beta: D) -> D:
            if beta == 0:
                return rate - _log2(1 + storage_r)
            alpha = 1 / beta
            powers = (1 + storage_r) ** alpha
            if storage_r < 1:
                powers += (1 - storage_r) ** alpha
            norm = beta * _log2(powers)
            return 1 + (1 - beta) * (rate - 1) - norm

        # log2 of the (1/β)-norm of (1 + r, 1 − r) is convex and rises with β.
        # Thus `at` is concave, and it falls where R ≥ 1.
        limit = at(D(0))
        if rate >= 1:
            return limit
        best = _argmax(at, D("1e-6"), D(1))
        return max(D(0), limit, at(best))


def _argmax(f: Callable[[D], D], low: D, high: D) -> D:
    """Where ``f``, unimodal or monotone, is largest: on a grid, then by ternary search around its best point."""
    steps = 64
    width = high - low
    grid = [low + width * i / steps for i in range(steps + 1)]
    values = [f(x) for x in grid]
    best = values.index(max(values))
    low = grid[max(0, best - 1)]
    high = grid[min(steps, best + 1)]
    for _ in range(80):
        third = (high - low) / 3
        left = low + third
        right = high - third
        if f(left) < f(right):
            low = left
        else:
            high = right
    middle = (low + high) / 2
    return max((low, middle, high), key=f)


def _bisect(f: Callable[[D], D], low: D, high: D) -> D:
    """The root of a rising ``f`` in [low, high]."""
    for _ in range(80):
        middle = (low + high) / 2
        if f(middle) < 0:
            low = middle
        else:
            high = middle
    return low


@lru_cache(maxsize=64)
def _ln2() -> D:
    return _CONTEXT.ln(D(2))


def _ln(x: D) -> D:
    return _CONTEXT.ln(x)


def _log2(x: D) -> D:
    return _CONTEXT.divide(_ln(x), _ln2())


def _exp2(x: D) -> D:
    exponent = _CONTEXT.multiply(x, _ln2())
    return _CONTEXT.exp(exponent)
