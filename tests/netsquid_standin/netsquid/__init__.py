"""Stand-in for NetSquid, for tests only: see README.md beside these packages."""

from __future__ import annotations

import enum

import numpy as np
from pydynaa import TIMELINE

#: What the engine looks for: results made with this package are never called "netsquid".
STAND_IN = True


class QFormalism(enum.Enum):
    KET = enum.auto()
    DM = enum.auto()
    STAB = enum.auto()


_random_state = np.random.RandomState()
_formalism = QFormalism.KET


def set_qstate_formalism(formalism: QFormalism) -> None:
    global _formalism
    _formalism = formalism


def get_qstate_formalism() -> QFormalism:
    return _formalism


def set_random_state(seed: int | None = None) -> None:
    global _random_state
    _random_state = np.random.RandomState(seed)


def get_random_state() -> np.random.RandomState:
    return _random_state


def sim_time() -> float:
    return TIMELINE.now


def sim_reset() -> None:
    TIMELINE.reset()


def sim_run() -> None:
    TIMELINE.run()
