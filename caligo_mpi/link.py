"""Noise parameters to error and coincidence probabilities: closed forms only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """Closed-form rates of a configuration, against which every engine is tested.

    Probabilities are per emission for ``coincidence`` and the clicks, per sifted pair for the
    QBERs, per registered pair for ``sifted_z`` and ``sifted_x``.
    """

    qber_z: float
    qber_x: float
    sifted_z: float = 0.25
    sifted_x: float = 0.25
    coincidence: float = 1.0
    alice_click: float = 1.0
    bob_click: float = 1.0
