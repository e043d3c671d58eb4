"""Engine ``noise``: the experiment as a random stream and integer comparisons, with numpy."""

from .engine import NoiseEngine

__all__ = ["NoiseEngine"]
