"""Pairs files as outputs: whose they are, and the partial file that a run goes on with."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import StoreError
from ..machine.wording import counted
from . import layout as layouts
from . import output
from .differences import differences
from .files import require_space
from .info import LABEL, RunInfo
from .layout import Layout
from .names import final_path, not_overwritten, output_name, part_path
from .output import Finished, Output
from .records import damaged_chunks, mark_for_redoing, scan
from .rows import copy_rows, copy_tables


@dataclass(frozen=True, slots=True)
class PairsKind:
    """Pairs files of one run: the `Kind` of their outputs."""

    info: RunInfo

    def finished(self, path: Path) -> Finished:
        """A finished file of the same run, laid out as we do it, or with all the pairs that are asked for."""
        try:
            final = layouts.read(path)
        except StoreError as error:
            raise StoreError(f"{error}; {not_overwritten(path)}") from error
        _require_extendable(path, final, self.info)
        has_all = final.info.pairs >= self.info.pairs
        return Finished(final.data_digest, f"pairs={final.info.pairs}", has_all)

    def require_part(self, part: Path) -> None:
        """The partial file must be of the same run, and of no more pairs."""
        _require_resumable(part, layouts.read(part).info, self.info)

    def require_room(self, path: Path) -> None:
        """The disk must have room for the run."""
        what = f"{path} (pairs={self.info.pairs})"
        require_space(path.parent, _space(self.info), what)

    def is_leftover(self, part: Path) -> bool:
        """A partial file that holds nothing which the finished one has not."""
        final = layouts.read(final_path(part)).info
        fd, layout = layouts.read_open(part)
        found = layout.info
        try:
            if found.config_digest != final.config_digest:
                return False
            if found.pairs == final.pairs:
                return True
            if not final.until:
                return False
            return scan(fd, layout).next <= len(final.partition)
        finally:
            os.close(fd)


def preflight(path: str | os.PathLike[str], info: RunInfo, *, force: bool = False) -> None:
    """Raise now, having touched nothing, what opening the file for writing would raise."""
    output.preflight(path, PairsKind(info), force=force)


def room(path: str | os.PathLike[str], info: RunInfo, *, least: int) -> int:
    """Emissions to lay out a partial file for, of a run that may stop before its ``info.pairs``.

    Those that the partial file of the run has, if there is one; else ``least``, or twice as many as
    the finished file has.  A file that ends within a chunk is to be extended.
    """
    path = output_name(path)
    part = _info_of(part_path(path), info)
    if part is not None:
        ends_within_chunk = part.pairs % info.chunk_size and part.pairs != info.pairs
        if not ends_within_chunk:
            return part.pairs
    found = part or _info_of(path, info)
    if found is not None:
        return grown(found.pairs, info, least=least)
    return min(least, info.pairs)


def _info_of(path: Path, info: RunInfo) -> RunInfo | None:
    """What a file of the same run says of it; None where there is none that can be read."""
    try:
        found = layouts.read(path).info
    except StoreError:
        return None
    if found.config_digest != info.config_digest:
        return None
    return found


def grown(pairs: int, info: RunInfo, *, least: int) -> int:
    """The next size of a partial file: at least ``least``, at least twice as large, of whole chunks."""
    chunks = -(-pairs // info.chunk_size)
    twice = 2 * chunks * info.chunk_size
    return min(info.pairs, max(least, twice))


def prepare(claimed: Output, info: RunInfo) -> Layout:
    """Leave a partial file of ``info``'s run and size under its name."""
    if claimed.resumes:
        found = layouts.read(claimed.part)
        if found.info.pairs < info.pairs:
            return _extended(claimed, claimed.part, found, info)
        _require_rest(claimed.part, found)
        return found
    if claimed.extends:
        found = layouts.read(claimed.path)
        return _extended(claimed, claimed.path, found, info)
    PairsKind(info).require_room(claimed.path)
    layout = layouts.create(claimed.making, info, capacity=info.capacity)
    claimed.begin()
    return layout


def _require_extendable(path: Path, final: Layout, info: RunInfo) -> None:
    """A finished file of the same run, laid out as we do it, or with all the pairs that are asked for."""
    _require_same_run(path, final.info, info)
    if not final.data_digest:
        raise StoreError(
            f"{path} is a partial file under a finished one's name; "
            f"rename it to {part_path(path).name} and run the same command again to go on with it"
        )
    is_to_grow = final.info.pairs < info.pairs
    if is_to_grow or info.has_columns:
        _require_same_keep(path, final.info, info)
    if is_to_grow and final.moved:
        raise StoreError(
            f"{path} was rewritten by another tool, which laid it out otherwise than we do: it is read, but cannot be "
            f"extended from pairs={final.info.pairs} to {info.pairs}; "
            "choose another output or set it aside with --force"
        )


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
    """What tells the two runs apart, in words."""
    engine = asked.engine
    if found.stream_version != asked.stream_version and found.engine == engine:
        versions = f"{found.stream_version} there and {asked.stream_version} here"
        return f"random stream {versions}: other releases of {engine} made them"
    if found.is_law != asked.is_law:
        kinds = f"{_holds(found)} there and {_holds(asked)} here"
        return f"{kinds}: output.keep={found.keep} and {asked.keep}"
    decisive = ["seed", "chunk_size", "engine"]
    if found.is_law:
        decisive.append("pairs")
    told = differences(found.config, asked.config, only=decisive)
    if told:
        return told
    theirs = found.config_digest[:12]
    ours = asked.config_digest[:12]
    return f"config_digest={theirs}, this one is {ours}"


def _holds(info: RunInfo) -> str:
    return LABEL if info.is_law else "bits"


def _space(info: RunInfo) -> int:
    """Bytes a run needs; one with lost pairs is copied to its exact size when it is complete."""
    size = layouts.file_size(info, info.capacity)
    is_copied = info.has_index and info.has_columns
    return 2 * size if is_copied else size


def _require_rest(part: Path, layout: Layout) -> None:
    """A resumed run needs only what is not yet allocated."""
    allocated = part.stat().st_blocks * 512
    missing = _space(layout.info) - allocated
    require_space(part.parent, max(0, missing), f"the rest of {part}")


def _extended(
    claimed: Output,
    source: Path,
    old: Layout,
    info: RunInfo,
) -> Layout:
    new, kept = extend(claimed, source, old, info)
    sizes = f"from pairs={old.info.pairs} to {info.pairs}"
    whole = counted(kept, "whole chunk")
    claimed.messages.append(f"{source} is extended {sizes}: {whole} kept")
    return new


def extend(
    claimed: Output,
    source: Path,
    old: Layout,
    info: RunInfo,
) -> tuple[Layout, int]:
    """Copy the whole chunks of a shorter file of the same run, partial or not, into a larger partial file.

    Row offsets stay, since every whole chunk does; a last, short chunk is left out and done anew.
    """
    PairsKind(info).require_room(claimed.part)
    # Bits are decided by the thresholds the run began with, and its rows have the columns it began with.
    info = replace(info, thresholds=old.info.thresholds, declared=old.info.declared)
    new = layouts.create(claimed.making, info, capacity=info.capacity)
    read_fd = os.open(source, os.O_RDONLY)
    write_fd = os.open(claimed.making, os.O_RDWR)
    try:
        kept = _copy_whole_chunks(read_fd, old, write_fd, new)
    finally:
        os.close(read_fd)
        os.close(write_fd)
    claimed.begin()
    return new, kept


def _copy_whole_chunks(
    source: int,
    old: Layout,
    target: int,
    new: Layout,
) -> int:
    """Copy, then check every copied chunk; damaged ones are left to be redone."""
    whole = old.info.pairs // old.info.chunk_size
    state = scan(source, old, whole)
    copy_rows(source, old, target, new, state.rows)
    copy_tables(source, old, target, new, state.next)
    copied = range(state.next)
    bad = list(damaged_chunks(target, new, copied))
    for index in bad:
        mark_for_redoing(target, new, index)
    return state.next - len(state.holes) - len(bad)
