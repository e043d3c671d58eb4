"""Entangled-pair experiments on MPI: one YAML in, one HDF5 file of measured pairs out.

The public names are loaded on first use, so importing the package costs nothing
and needs neither MPI nor a simulator.
"""

from __future__ import annotations

__version__ = "0.1.0"
