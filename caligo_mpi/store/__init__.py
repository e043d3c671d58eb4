"""Pairs files: the writer `PairStore`, the readers `open_pairs` and `read_pairs`, and what checks a file.

The format is specified in docs/file-format.md.
"""

from __future__ import annotations

from ..errors import StoreError
from .again import Simulate, Simulator, require_bits
from .attributes import FORMAT, FORMAT_VERSION
from .check import Status, Verification, completed, status, verify_file
from .column import Column
from .direct import ColumnWriter, Places
from .export import Kind, export
from .files import file_system
from .info import LABEL, RunInfo
from .layout import file_size, full_size
from .metrics import METRICS_DTYPE
from .names import AlreadyComplete, final_path, input_name, output_name, part_path
from .output import require_directory, working_files
from .prepare import grown, preflight, room
from .publish import Stopped
from .reader import PairsFile, open_pairs, pairs_hash, read_pairs
from .writer import PairStore

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "LABEL",
    "METRICS_DTYPE",
    "AlreadyComplete",
    "Column",
    "ColumnWriter",
    "Kind",
    "PairStore",
    "PairsFile",
    "Places",
    "RunInfo",
    "Simulate",
    "Simulator",
    "Status",
    "Stopped",
    "StoreError",
    "Verification",
    "completed",
    "export",
    "file_size",
    "file_system",
    "final_path",
    "full_size",
    "grown",
    "input_name",
    "open_pairs",
    "output_name",
    "pairs_hash",
    "part_path",
    "preflight",
    "read_pairs",
    "require_bits",
    "require_directory",
    "room",
    "status",
    "verify_file",
    "working_files",
]
