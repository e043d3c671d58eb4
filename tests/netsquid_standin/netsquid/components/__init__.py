"""Stand-in for netsquid.components, for tests only."""

from .component import Component, Port
from .qprocessor import QuantumProcessor

__all__ = ["Component", "Port", "QuantumProcessor"]
