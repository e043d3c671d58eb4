"""Who writes the columns of a run: rank 0, or each rank its own."""

from __future__ import annotations

from .. import store
from ..config import RunConfig
from ..errors import StoreError
from ..launch import mpirun

#: File systems on which a host sees at once what another one has written.
COHERENT = ("lustre", "gpfs", "beegfs", "ceph")
#: Those on which it may not.
_INCOHERENT = ("nfs", "cifs", "smb", "fuse.sshfs")

#: Bytes of a chunk's columns from which writing them takes its rank no longer than sending them.
_LARGE = 128 << 10


def places(config: RunConfig, pair_store: store.PairStore) -> store.Places | None:
    """Where ranks write their chunks themselves; None where rank 0 writes them.

    Raises `StoreError` where that is asked for and hosts may not see each other's bytes.
    """
    asked = config.output.writers
    info = pair_store.info
    if asked == "gather" or not info.has_columns:
        return None
    one_host = mpirun.is_on_one_host()
    kind = store.file_system(pair_store.path.parent)
    if not may_be_direct(asked, kind, one_host=one_host):
        return None
    if asked == "auto" and not _are_large(info):
        return None
    # What another host has written is on its way until it says that it is not.
    return pair_store.places(sync=not one_host)


def may_be_direct(asked: str, kind: str, *, one_host: bool) -> bool:
    """Whether ranks can write into one file of this file system."""
    if one_host:
        return True
    if asked == "direct" and kind.startswith(_INCOHERENT):
        raise StoreError(
            f"output.writers=direct: the output is on {kind}, where a host may not see what another one "
            "has written, and the ranks are on several hosts; ask for gather or auto, or put it elsewhere"
        )
    return asked == "direct" or kind.startswith(COHERENT)


def _are_large(info: store.RunInfo) -> bool:
    """Whether the columns of a chunk are worth a write of their own."""
    row_bytes = 0.0
    for column in info.stored:
        row_bytes += 1 / 8 if column.is_bit else column.kind.itemsize
    return info.chunk_size * info.coincidence * row_bytes >= _LARGE
