"""How a run would go on many more ranks than are here: a model of rank 0, the workers and the file system.

`predict` plays a run with the rules of `caligo_mpi.parallel` on a clock of its own, fed with `Costs`
that were measured (``jobs/scaling.py measure``); `bounds` and `finite_source` are closed forms
for what has one.  ``docs/scaling.md`` says what the model leaves out and how well it meets real runs.
"""

from __future__ import annotations

from .costs import Costs, Workload
from .predict import Prediction, predict
from .queue import Bounds, bounds, finite_source

__all__ = [
    "Bounds",
    "Costs",
    "Prediction",
    "Workload",
    "bounds",
    "finite_source",
    "predict",
]
