"""The modes of the protocol: one entry each.  Whoever deals with all modes reads this table.

A mode ``NAME`` is an entry of `MODES`, a section of `caligo_mpi.config.protocol.ProtocolConfig`, ``protocol/NAME.py``
with ``make_block``, and ``runs/modes/NAME.py`` with ``MODE``.  This module imports nothing, so that the command line
can list the modes at once.
"""

from __future__ import annotations


class ModeEntry:
    """What is known of a mode without loading it.

    ``gives`` says in a few words what the parties have in the end.  ``strings`` is how many strings Alice ends with:
    a mode with more than one makes them of the whole run in one block, and Bob ends with the one of his choice.
    """

    __slots__ = ("gives", "strings")

    def __init__(self, gives: str, *, strings: int = 1) -> None:
        self.gives = gives
        self.strings = strings


MODES = {
    "bbm92": ModeEntry("a shared key"),
    "rot": ModeEntry("oblivious transfer", strings=2),
}

#: The mode that is taken where none is named.
DEFAULT_MODE = "bbm92"


def has_strings(mode: str) -> bool:
    """Whether Alice ends with several strings, of which Bob has one; False for a mode that nobody knows here."""
    entry = MODES.get(mode)
    return entry is not None and entry.strings > 1
