"""Low-density parity-check codes: rate-adaptive reconciliation with few messages."""

from __future__ import annotations

from .adapt import Layout, choose_layout, fit
from .code import Code, available_codes, load_code, syndrome
from .decoder import decode
from .exchange import OneWay, choose_code, reconcile, reconcile_blind

__all__ = [
    "Code",
    "Layout",
    "OneWay",
    "available_codes",
    "choose_code",
    "choose_layout",
    "decode",
    "fit",
    "load_code",
    "reconcile",
    "reconcile_blind",
    "syndrome",
]
