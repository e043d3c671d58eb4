"""The messages of a map.  All of them are between rank 0 and one worker.

=========  ======  =============================================================================
tag        way     content
=========  ======  =============================================================================
JOB        0 → w   how to make the work function (pickled, once per map)
GRANT      0 → w   positions in the list of items and the items, to be worked on in this order
RECALL     0 → w   finish the running item, forget the rest
END        0 → w   drop everything; the map is over
DONE       w → 0   positions, sizes and seconds of finished items, the worker's account; small
                   results travel inside
DATA       w → 0   the bytes of the results just announced, where they are not small
IDLE       w → 0   answer to RECALL (0) and END (1): nothing more is coming; the worker's account
SIZED      w → 0   position, size, bytes and nanoseconds of a result that waits for its place
PLACE      0 → w   a position and the sizes before it: finish the result, which is DONE then
SETTLE     0 → w   what ranks are bound to; all of them do so together, between maps
FAILED     w → 0   a position whose work raised, the sentence and the traceback (pickled)
=========  ======  =============================================================================

Numbers are int64 in the order of bytes of the machine.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

import numpy as np

from ..pairs.bits import U8
from .account import Sums
from .job import Items

R = TypeVar("R")

_WORD = 8
_HEAD = 3 + len(Sums._fields)  # items, nanoseconds, pieces, and the worker's account

EMPTY: U8 = np.empty(0, np.uint8)
NO_SUMS = Sums()


class Tag(IntEnum):
    """What a message is."""

    JOB = 1
    GRANT = 2
    RECALL = 3
    END = 4
    DONE = 5
    DATA = 6
    IDLE = 7
    FAILED = 8
    PING = 9
    SIZED = 10
    PLACE = 11
    SETTLE = 12


class Codec(Protocol[R]):
    """How a result becomes bytes and back; ``parts`` may be views, nothing is copied twice."""

    def parts(self, result: R) -> list[U8]:
        """The result as consecutive pieces of bytes."""
        ...

    def whole(self, buffer: U8) -> R:
        """The result from its bytes; may keep views of ``buffer``."""
        ...


@dataclass(frozen=True, slots=True)
class Announcement:
    """Finished items of one worker.

    ``positions`` and ``sizes`` (bytes) are one per item; ``pieces`` are the sizes of the DATA
    messages that follow, none where the results stand in ``inline``; ``sums`` is what the worker has
    done so far.
    """

    positions: list[int]
    sizes: list[int]
    pieces: list[int]
    seconds: float
    inline: U8
    sums: Sums = NO_SUMS


def of_grant(positions: Sequence[int], items: Items) -> U8:
    """GRANT: these positions, each with its item."""
    rows = [(position, items[position]) for position in positions]
    numbers = np.array(rows, np.int64)
    return numbers.view(np.uint8).ravel()


def granted(payload: U8) -> list[tuple[int, int]]:
    """(position, item) of a GRANT."""
    rows = np.frombuffer(payload, np.int64).reshape(-1, 2)
    return [(position, item) for position, item in rows.tolist()]


def of_done(found: Announcement) -> U8:
    """DONE: what a worker has finished, with small results inside."""
    nanoseconds = int(found.seconds * 1e9)
    header = of_numbers(
        len(found.positions),
        nanoseconds,
        len(found.pieces),
        *found.sums,
        *found.positions,
        *found.sizes,
        *found.pieces,
    )
    if not len(found.inline):
        return header
    return np.concatenate([header, found.inline])


def done(payload: U8) -> Announcement:
    """What a DONE says; ``inline`` is a view of the payload."""
    head_end = _WORD * _HEAD
    items, nanoseconds, pieces, *sums = numbers_in(payload[:head_end])
    numbers_end = head_end + _WORD * (2 * items + pieces)
    numbers = numbers_in(payload[head_end:numbers_end])
    return Announcement(
        positions=numbers[:items],
        sizes=numbers[items : 2 * items],
        pieces=numbers[2 * items :],
        seconds=nanoseconds * 1e-9,
        inline=payload[numbers_end:],
        sums=Sums(*sums),
    )


def of_numbers(*numbers: int) -> U8:
    """SIZED and PLACE; the numbers of others."""
    return np.array(numbers, np.int64).view(np.uint8)


def numbers_in(payload: U8) -> list[int]:
    """The numbers of a SIZED or a PLACE, or in a part of others."""
    numbers: list[int] = payload.view(np.int64).tolist()
    return numbers


def of_idle(sums: Sums, *, gone: bool) -> U8:
    """IDLE: nothing more is coming, until the next map if ``gone``; what the worker has done so far."""
    return of_numbers(gone, *sums)


def idle(payload: U8) -> tuple[bool, Sums]:
    """(gone, account) of an IDLE."""
    gone, *sums = numbers_in(payload)
    return bool(gone), Sums(*sums)


def of_failed(position: int, sentence: str, where: str) -> U8:
    """FAILED: ``where`` is the traceback."""
    words = pickle.dumps((position, sentence, where))
    return np.frombuffer(words, np.uint8)


def failed(payload: U8) -> tuple[int, str, str]:
    """(position, sentence, traceback) of a FAILED."""
    position, sentence, where = pickle.loads(payload.data)
    return position, sentence, where
