"""What both modes need of SeQUeNCe: names, seeds, and the class attributes that decide what it simulates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sequence.constants import BARRET_KOK, KET_VECTOR_FORMALISM
from sequence.entanglement_management.generation import (
    EntanglementGenerationA,
    EntanglementGenerationB,
)
from sequence.kernel.quantum_manager import QuantumManager

from ..draws import global_generators

ALICE, BOB = "alice", "bob"
MIDDLE = "middle"


@contextmanager
def settled(seed: np.random.SeedSequence) -> Iterator[list[int]]:
    """SeQUeNCe as this engine needs it, and as it was afterwards; gives seeds of six generators.

    Which formalism and which protocol are simulated are class attributes, so the process has one of
    each.  Python's and numpy's global generators are seeded too.
    """
    words = [int(word) for word in seed.generate_state(8)]
    formalism = QuantumManager.get_active_formalism()
    protocols = (EntanglementGenerationA, EntanglementGenerationB)
    types = [protocol._global_type for protocol in protocols]
    try:
        QuantumManager.set_global_manager_formalism(KET_VECTOR_FORMALISM)
        for protocol in protocols:
            protocol.set_global_type(BARRET_KOK)
        with global_generators(words[6], words[7]):
            yield words[:6]
    finally:
        QuantumManager.set_global_manager_formalism(formalism)
        for protocol, kind in zip(protocols, types, strict=True):
            protocol.set_global_type(kind)
