"""Low-density parity-check codes: rate-adaptive reconciliation with few messages."""

from __future__ import annotations

from .adapt import Layout, choose_layout, fit
from .choice import LONGER_WORD_BITS, WORD_BITS, Expected, expect
from .code import Code, available_codes, load_code, syndrome
from .decoder import Exempt, decode
from .exchange import (
    OneWay,
    choose_code,
    choose_first_long_code,
    choose_long_code,
    reconcile,
    reconcile_blind,
    reconcile_long,
    reconcile_nested,
)
from .family import Family, available_families, load_family

__all__ = [
    "LONGER_WORD_BITS",
    "WORD_BITS",
    "Code",
    "Exempt",
    "Expected",
    "Family",
    "Layout",
    "OneWay",
    "available_codes",
    "available_families",
    "choose_code",
    "choose_first_long_code",
    "choose_layout",
    "choose_long_code",
    "decode",
    "expect",
    "fit",
    "load_code",
    "load_family",
    "reconcile",
    "reconcile_blind",
    "reconcile_long",
    "reconcile_nested",
    "syndrome",
]
