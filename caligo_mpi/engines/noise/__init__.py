"""Engine ``noise``: the experiment as a random stream and integer comparisons, with numpy."""

from .engine import NoiseEngine, expected_of, noise_engine
from .timed_engine import TimedEngine

__all__ = ["NoiseEngine", "TimedEngine", "expected_of", "noise_engine"]
