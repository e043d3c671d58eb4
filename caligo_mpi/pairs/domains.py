"""Who draws from a seed.  Every consumer has a domain of its own, so that equal seeds share no random stream.

A stream is numpy's ``SeedSequence(seed, spawn_key=KEY)`` with one of these keys:

=====================================  ===========================================
``(chunk,)``, ``(chunk, 0 to 3)``      the noise engine
``(chunk, NETSQUID, number)``          the NetSquid engine and the sequential mode
``(chunk, SEQUENCE, number)``          the SeQUeNCe engine
``(chunk, PEERS, block)``              other simulators, and programs written by hand
``(PROTOCOL, block, party)``           the classical protocol
``(LAW,)``                             counts that are drawn from their law
=====================================  ===========================================

Numpy cuts a key into words of 32 bits.  Chunks fill one word and domains two, so that no two of
these are the same words.  Stream version 1 of the NetSquid engine and of the protocol had no
domain; it remains for files that were begun with it.
"""

from __future__ import annotations


def _domain(word: bytes) -> int:
    """Eight letters as a number of 64 bits."""
    return int.from_bytes(word, "little")


NETSQUID = _domain(b"netsquid")
SEQUENCE = _domain(b"sequence")
PEERS = _domain(b"peer-sim")
PROTOCOL = _domain(b"protocol")
LAW = _domain(b"pairslaw")
