"""Reconciliation by syndromes: one message, or blind, where Alice tells more until Bob's words decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...pairs.bits import U8, require_bits
from ..draw import random_bits
from ..types import Reconciled
from .adapt import Layout, choose_layout
from .choice import SHORTEST, Expected, choose_cheapest, choose_range, choose_safe, lift_for
from .code import I64, Flags, syndrome
from .decoder import Exempt, decode

#: Parts in which blind reconciliation tells the punctured bits.
_STEPS = 8
#: Iterations spent on a short word while more can be told: going on to 100 takes twice the time for half a per cent.
_PATIENCE = 40


@dataclass(frozen=True, slots=True, eq=False)
class OneWay:
    """A code for keys of one size: a syndrome from Alice is all Bob needs."""

    layout: Layout
    qber: float

    def syndrome(self, key: U8) -> U8:
        """Alice's message about ``key`` (size,): ``layout.leak_bits`` bits."""
        words = self.layout.spread(key[None])
        return syndrome(self.layout.code, words).ravel()

    def decode(self, received: U8, syndrome: U8) -> Reconciled:
        """What Bob makes of his ``received`` key (size,) and Alice's message about hers."""
        return self.decode_all(received[None], syndrome)[0]

    def decode_all(self, received: U8, syndromes: U8) -> list[Reconciled]:
        """The same for several keys (keys, size), their words side by side."""
        layout = self.layout
        told = syndromes.reshape(-1, layout.code.m)
        words, ok, _ = decode(
            layout.code,
            layout.spread(received),
            told,
            qber=self.qber,
            exempt=Exempt(known=layout.shortened),
        )
        met = ok.reshape(-1, layout.words)
        out = []
        for key, each in zip(layout.gather(words), met, strict=True):
            is_met = bool(each.all())
            out.append(
                Reconciled(
                    key,
                    layout.leak_bits,
                    1,
                    is_met,
                )
            )
        return out


def choose_code(size: int, qber: float, *, target: float = 1e-3) -> OneWay:
    """The least telling code for keys of ``size`` bits that fail with a probability of ``target`` at most.

    >>> code = choose_code(4000, 0.02)
    >>> key = np.arange(4000, dtype=np.uint8) % 7 % 2
    >>> received = key.copy(); received[::60] ^= 1
    >>> bool((code.decode(received, code.syndrome(key)).bits == key).all())
    True
    """
    return OneWay(choose_layout(size, qber, target=target), qber)


def reconcile(
    alice: U8,
    bob: U8,
    *,
    qber: float,
    target: float = 1e-3,
) -> list[Reconciled]:
    """Both sides of one-way reconciliation of frames (frames, size): what Bob holds afterwards."""
    require_bits(alice=alice, bob=bob)
    code = choose_code(bob.shape[1], qber, target=target)
    return _one_way(code, alice, bob)


def _one_way(code: OneWay, alice: U8, bob: U8) -> list[Reconciled]:
    layout = code.layout
    told = syndrome(layout.code, layout.spread(alice))
    return code.decode_all(bob, told)


def choose_long_code(size: int, expected: Expected, *, target: float = 1e-3) -> OneWay | None:
    """The long code that tells least of those whose words, all together, fail no more often than ``target``.

    ``None`` where none is fit.

    >>> choose_long_code(1_800_000, Expected(0.02, 0.0002), target=0.01).layout.words
    2
    """
    layout = choose_safe(size, expected, target) if size >= SHORTEST else None
    return None if layout is None else OneWay(layout, expected.qber)


def choose_first_long_code(size: int, qber: float, *, target: float = 1e-3) -> OneWay:
    """`choose_code` among the long codes as they were first, where one of them is fit; else among the others.

    For keys that were begun then.
    """
    layout = None
    if size >= SHORTEST:
        layout = choose_safe(size, Expected(qber), target, as_first=True)
    if layout is None:
        return choose_code(size, qber, target=target)
    return OneWay(layout, qber)


def reconcile_long(
    alice: U8,
    bob: U8,
    *,
    expected: Expected,
    as_first: bool = False,
) -> list[Reconciled] | None:
    """`reconcile` by the long code that costs least, lost frames included; ``None`` where none is fit.

    Codes are taken ``as_first`` measured for keys that were begun then.
    """
    require_bits(alice=alice, bob=bob)
    layout = choose_cheapest(bob.shape[1], expected, as_first=as_first)
    if layout is None:
        return None
    return _one_way(OneWay(layout, expected.qber), alice, bob)


def reconcile_nested(
    alice: U8,
    bob: U8,
    *,
    expected: Expected,
    as_first: bool = False,
) -> list[Reconciled] | None:
    """Blind reconciliation by long codes; ``None`` where none is fit.  ``as_first`` is as for `reconcile_long`.

    Alice begins with a syndrome that is likely to be too short.  About words that Bob cannot decode she tells one
    half of some checks at a time; what she told of the whole ones tells the other half.  All that is told is the
    syndrome of the code as it is in the end.
    """
    require_bits(alice=alice, bob=bob)
    size = bob.shape[1]
    chosen = choose_range(size, expected, as_first=as_first)
    if chosen is None:
        return None
    family, first = chosen
    lift = lift_for(family, size)
    layout = Layout(family.code(lift, first), size, 1)
    sent = layout.spread(alice)
    words = _Words(layout, layout.spread(bob))
    at_once = max(1, len(family.base) // 100)
    steps = [*range(first, family.splits, at_once), family.splits]
    for step, splits in enumerate(steps):
        open_ = words.open
        if not len(open_):
            break
        code = family.code(lift, splits)
        found, met, _ = decode(
            code,
            words.bits[open_],
            syndrome(code, sent[open_]),
            qber=expected.qber,
            exempt=Exempt(known=layout.shortened),
        )
        words.note(open_, leak=code.m, asked=step)
        words.keep(found, met, open_)
    return words.keys()


def reconcile_blind(
    alice: U8, bob: U8, *, qber: float, source: np.random.PCG64, target: float = 1e-3
) -> list[Reconciled]:
    """Both sides of blind reconciliation of frames (frames, size): what Bob holds afterwards.

    Alice punctures a tenth of every word with bits from her own ``source``; of words that Bob cannot
    decode she tells an eighth of these at a time.  With p bits still punctured the syndrome of m bits
    and what was told of the others say m − p bits about the key (the p columns are independent).
    Martinez-Mateo, Elkouss and Martin, Quantum Inf. Comput. 12:791 (2012).
    """
    require_bits(alice=alice, bob=bob)
    layout = choose_layout(bob.shape[1], qber, target=target, blind=True)
    code = layout.code
    hidden = layout.erased
    sent = layout.spread(alice)
    private = random_bits(source, len(sent) * len(hidden))
    sent[:, hidden] = private.reshape(len(sent), -1)
    wanted = syndrome(code, sent)
    words = _Words(layout, layout.spread(bob))
    for step in range(_STEPS + 1):
        count = len(hidden) * (_STEPS - step) // _STEPS
        open_ = words.open
        told = hidden[count:]
        words.learn(told, sent)
        known = np.concatenate([layout.shortened, told])
        found, met, _ = decode(
            code,
            words.bits[open_],
            wanted[open_],
            qber=qber,
            exempt=Exempt(hidden[:count], known),
            max_iterations=_PATIENCE if count else 100,
        )
        words.note(open_, leak=code.m - count, asked=step)
        words.keep(found, met, open_)
    return words.keys()


class _Words:
    """Bob's words in blind reconciliation: what was told about each, in how many questions, and whether it is right."""

    def __init__(self, layout: Layout, bits: U8) -> None:
        self.layout = layout
        self.bits = bits
        self.ok = np.zeros(len(bits), bool)
        self.leak = np.zeros(len(bits), np.int64)
        self.asked = np.zeros(len(bits), np.int64)

    @property
    def open(self) -> I64:
        """Those that are not right yet."""
        return np.flatnonzero(~self.ok)

    def note(self, open_: I64, *, leak: int, asked: int) -> None:
        """So much has been told now, after so many questions, about these words."""
        self.leak[open_] = leak
        self.asked[open_] = asked

    def learn(self, told: I64, sent: U8) -> None:
        """Alice ``told`` these bits of what she ``sent``, about words that are not right yet."""
        places = np.ix_(self.open, told)
        self.bits[places] = sent[places]

    def keep(
        self,
        found: U8,
        met: Flags,
        open_: I64,
    ) -> None:
        """What was ``found`` for the ``open_`` words, of those that met their syndrome."""
        self.bits[open_[met]] = found[met]
        self.ok[open_] = met

    def keys(self) -> list[Reconciled]:
        """The keys the words hold."""
        shape = (-1, self.layout.words)
        ok = np.logical_and.reduce(self.ok.reshape(shape), axis=1)
        leak = self.leak.reshape(shape).sum(axis=1)
        asked = self.asked.reshape(shape).max(axis=1)
        keys = self.layout.gather(self.bits)
        return [
            Reconciled(
                key,
                int(leak[i]),
                1 + 2 * int(asked[i]),
                bool(ok[i]),
            )
            for i, key in enumerate(keys)
        ]
