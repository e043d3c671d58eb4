"""Stand-in for netsquid_driver.connectionless_socket_service, for tests only."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from netsquid.nodes import Node
from pydynaa import TIMELINE, EventExpression

from .classical_socket_service import ClassicalSocket, ClassicalSocketService


class ConnectionlessSocket(ClassicalSocket):
    def __init__(self, service: ConnectionlessSocketService) -> None:
        self._service = service
        self._received: list[Any] = []

    def bind(self, port_name: str, remote_node_name: str) -> None:
        self._service.sockets[remote_node_name, port_name] = self

    def connect(self, remote_port_name: str, remote_node_name: str) -> None:
        self._remote = remote_node_name, remote_port_name

    def send(self, message: Any) -> None:
        node, (name, port) = self._service.node, self._remote
        network = node.driver.network

        def arrive() -> None:
            socket = (
                network.end_nodes[name]
                .driver.services[ClassicalSocketService]
                .sockets[node.name, port]
            )
            socket._received.append(message)
            TIMELINE.trigger(socket, "received")

        TIMELINE.after(network.classical_delay(node.name, name), arrive)

    def recv(self) -> Generator[EventExpression, None, Any]:
        while not self._received:
            yield EventExpression(self, "received")
        return self._received.pop(0)

    def start(self) -> None:
        pass


class ConnectionlessSocketService(ClassicalSocketService):
    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.sockets: dict[tuple[str, str], ConnectionlessSocket] = {}

    def create_socket(self) -> ConnectionlessSocket:
        return ConnectionlessSocket(self)
