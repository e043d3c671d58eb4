"""Stand-in for netsquid_netbuilder.network, for tests only."""

from __future__ import annotations

from typing import Any

from netsquid.components import Component, QuantumProcessor
from netsquid.nodes import Node


class Driver(Component):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.services: dict[Any, Any] = {}
        self.network: Any = None

    def add_service(self, service_type: Any, service: Any) -> None:
        self.services[service_type] = service


class QDeviceNode(Node):
    def __init__(
        self, name: str, qdevice: QuantumProcessor, qdevice_type: str, node_id: int | None = None
    ) -> None:
        super().__init__(name, ID=node_id, qmemory=qdevice)
        self.qmemory_typ = qdevice_type
        self.add_subcomponent(Driver(f"{name}_driver"), "driver")

    @property
    def qdevice(self) -> QuantumProcessor:
        return self.qmemory

    @property
    def driver(self) -> Driver:
        return self.subcomponents["driver"]
