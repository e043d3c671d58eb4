"""Figures for notebooks and reports: ``plot_*(data, ax=None)`` gives matplotlib's Axes.

Only these modules import matplotlib (extra ``report``), and only when a figure is drawn.

    from caligo_mpi.analysis import figures
    figures.plot_qber("small.h5")
    figures.plot_waterfall(caligo_mpi.read_keys("small.keys.h5"))
"""

from __future__ import annotations

from .benches import good_cases, plot_scaling, plot_speeds, scalings
from .keys import plot_efficiency, plot_finite_key, plot_waterfall, where_bits_went
from .maps import plot_map
from .pairs import plot_course, plot_gaps, plot_losses, plot_qber, plot_times
from .points import changing, crossed, varying
from .ranks import last_launch, plot_ranks
from .style import save, svg
from .sweeps import plot_sweep_key, plot_sweep_qber
from .timeline import plot_timeline
from .verdicts import plot_lags, plot_outcomes

__all__ = [
    "changing",
    "crossed",
    "good_cases",
    "last_launch",
    "plot_course",
    "plot_efficiency",
    "plot_finite_key",
    "plot_gaps",
    "plot_lags",
    "plot_losses",
    "plot_map",
    "plot_outcomes",
    "plot_qber",
    "plot_ranks",
    "plot_scaling",
    "plot_speeds",
    "plot_sweep_key",
    "plot_sweep_qber",
    "plot_timeline",
    "plot_times",
    "plot_waterfall",
    "save",
    "scalings",
    "svg",
    "varying",
    "where_bits_went",
]
