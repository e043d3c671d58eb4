"""Looking at keys files without touching them: how far they are, and whether all is as it was written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from . import lock as locks
from .keys_data import FORMAT, KeysInfo, KeysReport
from .keys_file import opened_keys, read_checked, read_report
from .keys_journal import is_partial, read_journal
from .metadata import open_file, read_metadata
from .names import existing, final_path, input_name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeysStatus:
    """How far the distilling of a file is; ``keys`` is None while blocks are missing."""

    path: Path
    info: KeysInfo
    blocks_done: int
    keys: KeysReport | None
    owner: str


@dataclass(frozen=True, slots=True)
class KeysVerification:
    """What `verify_keys` found; a partial file has neither digest nor keys yet, but ``torn`` bytes at its end."""

    path: Path
    complete: bool
    blocks: int
    checksum_fits: bool | None = None
    digest_fits: bool | None = None
    agree: bool | None = None
    torn: int = 0

    @property
    def ok(self) -> bool:
        """Whether all is as it was written, and both parties have what they should."""
        answers = (self.checksum_fits, self.digest_fits, self.agree)
        return not self.torn and False not in answers


def is_keys_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``path``, or else its partial file, is a keys file; what cannot be read is not."""
    found = existing(input_name(path))
    if is_partial(found):
        return True
    try:
        fd = open_file(found)
    except StoreError:
        return False
    try:
        return read_metadata(fd, found).attributes["format"] == FORMAT
    except (StoreError, ValueError, LookupError):
        return False  # the reader of pairs files says what is wrong
    finally:
        os.close(fd)


def keys_configs(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The configurations (JSON) of the run and of the protocol that a keys file is of; nothing else is read."""
    found = existing(input_name(path))
    if is_partial(found):
        info = read_journal(found).info
        return info.source_config, info.config
    with opened_keys(found) as (_, metadata):
        return metadata.text("source_config"), metadata.text("config")


def keys_status(path: str | os.PathLike[str]) -> KeysStatus:
    """How far a keys file is; ``path`` may be the final name while only the partial file exists."""
    found = existing(input_name(path))
    owner = locks.owner(final_path(found))
    keys: KeysReport | None = None
    if is_partial(found):
        journal = read_journal(found)
        info = journal.info
        blocks = len(journal.places)
    else:
        keys = read_report(found)
        info = keys.info
        blocks = info.blocks
    return KeysStatus(
        path=found,
        info=info,
        blocks_done=blocks,
        keys=keys,
        owner=owner,
    )


def verify_keys(path: str | os.PathLike[str]) -> KeysVerification:
    """Compute checksum and digest of a keys file again, and compare the two parties' keys."""
    found = existing(input_name(path))
    if is_partial(found):
        journal = read_journal(found)
        return KeysVerification(
            path=found,
            complete=False,
            blocks=len(journal.places),
            torn=found.stat().st_size - journal.end,
        )
    keys, digest_fits, checksum_fits = read_checked(found)
    return KeysVerification(
        path=found,
        complete=True,
        blocks=keys.info.blocks,
        checksum_fits=checksum_fits,
        digest_fits=digest_fits,
        agree=keys.agree,
    )
