"""Stand-in for netsquid_driver.classical_routing_service, for tests only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netsquid.protocols import ServiceProtocol
from pydynaa import TIMELINE


@dataclass
class RemoteServiceRequest:
    request: Any
    service: Any
    origin: str
    targets: list[str]


class ClassicalRoutingService(ServiceProtocol):
    """Hands a request to a service of another node after the classical link's delay."""

    def put(self, request: RemoteServiceRequest) -> None:
        network = self.node.driver.network
        for name in request.targets:
            service = network.end_nodes[name].driver.services[request.service]
            delay = network.classical_delay(self.node.name, name)
            TIMELINE.after(delay, lambda service=service: service.put(request.request))
