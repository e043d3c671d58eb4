"""The SeQUeNCe engine: memories and a station halfway, or photons of a source; one timeline per chunk.

SeQUeNCe (https://github.com/sequence-toolbox/SeQUeNCe) is free and on the public index; it asks for so
much that it is installed in an environment of its own; `probe` says what is missing.
"""

from .engine import SequenceEngine
from .environment import probe

__all__ = ["SequenceEngine", "probe"]
