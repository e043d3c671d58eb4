"""What helps where a block gave no key: one sentence for each reason of an abort."""

from __future__ import annotations

_MORE = (
    "raise pairs of the run and generate again (the pairs that are there are kept), "
    "then distill into another file"
)
_FEWER_ERRORS = (
    "generate pairs with fewer errors, by a higher engine.link.fidelity or a smaller readout_flip"
)
_CASCADE = "use reconciliation=cascade-low-leak where the mode allows it"
_HONEST = "the pairs are not those of the configured link: look at loss in the run's configuration"

#: What a reason begins with, or has in it, and what helps then; the first that fits is taken.
_REMEDIES = (
    ("bases were not chosen evenly", "distill with --set test=X or --set test=Z, or without --config"),
    ("no opened row has equal bases", _MORE),
    ("too few pairs", _MORE),
    ("the error rate is over the limit", _FEWER_ERRORS + ", or raise qber_limit where it is lower than allowed"),
    ("no secret bits are left", f"{_MORE}; or {_FEWER_ERRORS}"),
    ("is more than the codes here correct", f"{_CASCADE}, or {_FEWER_ERRORS}"),
    ("what the link explains", _HONEST),
    ("dropped more rows", _HONEST),
)  # fmt: skip


def remedy(reason: str) -> str:
    """What to do about an abort with this ``reason``; empty for one that only a dishonest party causes.

    >>> remedy("too few pairs").partition(" of the run")[0]
    'raise pairs'
    >>> remedy("the opened rows do not fit Bob's commitment")
    ''
    """
    return next((helps for words, helps in _REMEDIES if words in reason), "")
