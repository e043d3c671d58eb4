"""Whether a file is what its configuration says: statistics of every row, with probabilities of false alarm.

`analyze` reads a pairs file once, in bounded memory, and judges what was counted.
"""

from __future__ import annotations

from .job import analyze
from .verdicts import Analysis, Check, Lag, LongLag, Qber, Stage

__all__ = ["Analysis", "Check", "Lag", "LongLag", "Qber", "Stage", "analyze"]
