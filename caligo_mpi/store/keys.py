"""Keys files: what distilling a pairs file gave, each party's share in a group of its own.

The format is specified in docs/keys-file.md.
"""

from __future__ import annotations

from .keys_data import (
    FORMAT,
    FORMAT_VERSION,
    Columns,
    Keys,
    KeysInfo,
    KeysReport,
    KeysTables,
    as_arrays,
    stacked,
    table,
)
from .keys_file import read_keys, write_file
from .keys_look import (
    KeysStatus,
    KeysVerification,
    is_keys_file,
    keys_configs,
    keys_status,
    verify_keys,
)
from .keys_store import KeysStore, completed_keys, preflight_keys
from .names import AlreadyComplete

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "AlreadyComplete",
    "Columns",
    "Keys",
    "KeysInfo",
    "KeysReport",
    "KeysStatus",
    "KeysStore",
    "KeysTables",
    "KeysVerification",
    "as_arrays",
    "completed_keys",
    "is_keys_file",
    "keys_configs",
    "keys_status",
    "preflight_keys",
    "read_keys",
    "stacked",
    "table",
    "verify_keys",
    "write_file",
]
