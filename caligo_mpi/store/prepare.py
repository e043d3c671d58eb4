"""Before a run writes: what is at its names already, and the partial file it goes on with."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..errors import StoreError
from ..terminal.wording import counted
from . import layout as layouts
from .differences import differences
from .files import move_new, require_space, set_aside, sync_directory, sync_file
from .layout import LABEL, Layout, RunInfo
from .lock import lock_path
from .metadata import Damaged
from .names import (
    AlreadyComplete,
    aside_path,
    final_path,
    not_overwritten,
    output_name,
    part_path,
    remove_leftover,
    require_ours,
)
from .records import damaged_chunks, mark_for_redoing, scan
from .rows import copy_rows, copy_tables


def working_files(path: Path) -> tuple[Path, ...]:
    """What may stand beside ``path`` while its run goes on; one of them changes at every commit."""
    part = part_path(path)
    return part, aside_path(part), aside_path(path), lock_path(path)


def prepare(path: Path, info: RunInfo, *, force: bool, messages: list[str]) -> Layout:
    """Leave a partial file of ``info``'s run and size under its name; the lock is held."""
    part = part_path(path)
    for leftover in (aside_path(part), aside_path(path)):
        remove_leftover(leftover)
    if part.exists() and path.exists() and part.samefile(path):
        # A kill came between the link and the unlink of publishing.
        part.unlink()
    final = _inspect_final(path, info, force=force, messages=messages)
    found = _inspect_part(part, info, force=force, messages=messages)
    if found is not None and found.info.pairs == info.pairs:
        _require_rest(part, found)
        return found
    if found is not None:
        return extend(part, found, info, messages)
    if final is not None:
        return extend(path, final, info, messages)
    require_space(path.parent, _space(info), f"{path} (pairs={info.pairs})")
    layout = layouts.create(aside_path(part), info, capacity=info.capacity)
    sync_file(aside_path(part))
    move_new(aside_path(part), part)
    sync_directory(path.parent)
    return layout


def preflight(path: str | os.PathLike[str], info: RunInfo, *, force: bool = False) -> None:
    """Raise now, having touched nothing, what opening the file for writing would raise."""
    path = output_name(path)
    require_directory(path)
    if force:
        if os.path.lexists(path):
            require_ours(path)
        return
    if os.path.lexists(path):
        _require_extendable(path, _read_final(path), info)
    part = part_path(path)
    if os.path.lexists(part):
        with suppress(Damaged):
            _require_resumable(part, layouts.read(part).info, info)
    elif not os.path.lexists(path):
        require_space(path.parent, _space(info), f"{path} (pairs={info.pairs})")


def room(path: str | os.PathLike[str], info: RunInfo, *, least: int) -> int:
    """Emissions to lay out a partial file for, of a run that may stop before its ``info.pairs``.

    Those that the partial file of the run has, if there is one; else ``least``, or twice as many as
    the finished file has.  A file that ends within a chunk is to be extended.
    """
    path = output_name(path)
    for name in (part_path(path), path):
        with suppress(StoreError):
            found = layouts.read(name).info
            if found.config_digest == info.config_digest:
                is_whole = not found.pairs % info.chunk_size or found.pairs == info.pairs
                if name != path and is_whole:
                    return found.pairs
                return grown(found.pairs, info, least=least)
    return min(least, info.pairs)


def grown(pairs: int, info: RunInfo, *, least: int) -> int:
    """The next size of a partial file: at least ``least``, at least twice as large, of whole chunks."""
    chunks = -(-pairs // info.chunk_size)
    return min(info.pairs, max(least, 2 * chunks * info.chunk_size))


def require_directory(path: Path) -> None:
    """The output's directory must be there and writable."""
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent} is not a directory; create it or choose another output")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"{path.parent} is not writable; choose another output directory")


def _inspect_final(path: Path, info: RunInfo, *, force: bool, messages: list[str]) -> Layout | None:
    """The finished file to extend, if there is one; `StoreError` where the name is taken by something else."""
    if not os.path.lexists(path):
        return None
    if force:
        require_ours(path)
        messages.append(f"{path} is set aside as {set_aside(path, 'old').name}")
        return None
    final = _read_final(path)
    _require_extendable(path, final, info)
    if final.info.pairs >= info.pairs:
        raise AlreadyComplete(
            f"{path} is complete already (pairs={final.info.pairs}); --force sets it aside"
        )
    return final


def _require_extendable(path: Path, final: Layout, info: RunInfo) -> None:
    """A finished file of the same run, laid out as we do it, or with all the pairs that are asked for."""
    _require_same_run(path, final.info, info)
    if not final.data_digest:
        raise StoreError(
            f"{path} is a partial file under a finished one's name; "
            f"rename it to {part_path(path).name} and run the same command again to go on with it"
        )
    if final.info.pairs < info.pairs or info.has_columns:
        _require_same_keep(path, final.info, info)
    if final.moved and final.info.pairs < info.pairs:
        raise StoreError(
            f"{path} was rewritten by another tool, which laid it out otherwise than we do: it is read, but cannot be "
            f"extended from pairs={final.info.pairs} to {info.pairs}; "
            "choose another output or set it aside with --force"
        )


def _read_final(path: Path) -> Layout:
    try:
        return layouts.read(path)
    except StoreError as error:
        raise StoreError(f"{error}; {not_overwritten(path)}") from error


def _inspect_part(part: Path, info: RunInfo, *, force: bool, messages: list[str]) -> Layout | None:
    """The partial file to go on with, if there is one."""
    if not os.path.lexists(part):
        return None
    try:
        found = layouts.read(part)
    except Damaged as error:
        messages.append(
            f"{error}; it is set aside as {set_aside(part, 'damaged').name} and the run starts again"
        )
        return None
    try:
        _require_resumable(part, found.info, info)
    except StoreError:
        if not force:
            raise
        messages.append(f"{part} is set aside as {set_aside(part, 'old').name}")
        return None
    return found


def _require_resumable(part: Path, found: RunInfo, asked: RunInfo) -> None:
    _require_same_run(part, found, asked)
    _require_same_keep(part, found, asked)
    if found.pairs > asked.pairs:
        raise StoreError(
            f"{part} was started with pairs={found.pairs}, more than pairs={asked.pairs}: pairs can be raised, "
            "not lowered; ask for as many, choose another output or set it aside with --force"
        )


def _require_same_run(path: Path, found: RunInfo, asked: RunInfo) -> None:
    if found.config_digest != asked.config_digest:
        raise StoreError(
            f"{path} belongs to another run ({_other_run(found, asked)}); "
            "choose another output or set it aside with --force"
        )


def _require_same_keep(path: Path, found: RunInfo, asked: RunInfo) -> None:
    """A file with columns is none without, though both are of one run."""
    if found.keep != asked.keep:
        raise StoreError(
            f"{path} holds the same run with output.keep={found.keep}, and output.keep={asked.keep} is asked for; "
            f"ask for output.keep={found.keep}, choose another output or set it aside with --force"
        )


def _other_run(found: RunInfo, asked: RunInfo) -> str:
    """What makes them two runs."""
    if found.stream_version != asked.stream_version and found.engine == asked.engine:
        versions = f"{found.stream_version} there and {asked.stream_version} here"
        return f"random stream {versions}: other releases of {asked.engine} made them"
    if found.is_law != asked.is_law:
        there, here = (LABEL if info.is_law else "bits" for info in (found, asked))
        return f"{there} there and {here} here: output.keep={found.keep} and {asked.keep}"
    decisive = ["seed", "chunk_size", "engine", *(["pairs"] if found.is_law else [])]
    told = differences(found.config, asked.config, only=decisive)
    return (
        told or f"config_digest={found.config_digest[:12]}, this one is {asked.config_digest[:12]}"
    )


def _space(info: RunInfo) -> int:
    """Bytes a run needs; one with lost pairs is copied to its exact size when it is complete."""
    is_copied = info.has_index and info.has_columns
    return layouts.file_size(info, info.capacity) * (2 if is_copied else 1)


def _require_rest(part: Path, layout: Layout) -> None:
    """A resumed run needs only what is not yet allocated."""
    missing = _space(layout.info) - part.stat().st_blocks * 512
    require_space(part.parent, max(0, missing), f"the rest of {part}")


def extend(source: Path, old: Layout, info: RunInfo, messages: list[str]) -> Layout:
    """Copy the whole chunks of a shorter file of the same run, partial or not, into a larger partial file.

    Row offsets stay, since every whole chunk does; a last, short chunk is left out and done anew.
    """
    part = part_path(final_path(source))
    require_space(part.parent, _space(info), f"{part} (pairs={info.pairs})")
    # Bits are decided by the thresholds the run began with, and its rows have the columns it began with.
    info = replace(info, thresholds=old.info.thresholds, declared=old.info.declared)
    aside = aside_path(part)
    new = layouts.create(aside, info, capacity=info.capacity)
    read_fd, write_fd = os.open(source, os.O_RDONLY), os.open(aside, os.O_RDWR)
    try:
        kept = _copy_whole_chunks(read_fd, old, write_fd, new)
        os.fsync(write_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)
    aside.replace(part)
    sync_directory(part.parent)
    messages.append(
        f"{source} is extended from pairs={old.info.pairs} to {info.pairs}: {counted(kept, 'whole chunk')} kept"
    )
    return new


def _copy_whole_chunks(source: int, old: Layout, target: int, new: Layout) -> int:
    """Copy, then check every copied chunk; damaged ones are left to be redone."""
    state = scan(source, old, old.info.pairs // old.info.chunk_size)
    copy_rows(source, old, target, new, state.rows)
    copy_tables(source, old, target, new, state.next)
    bad = list(damaged_chunks(target, new, range(state.next)))
    for index in bad:
        mark_for_redoing(target, new, index)
    return state.next - len(state.holes) - len(bad)
