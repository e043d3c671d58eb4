"""Stand-in for netsquid.components.component, for tests only: ports that pass messages on at once."""

from __future__ import annotations

from typing import Any

from pydynaa import TIMELINE, Entity


class Message:
    def __init__(self, items: Any) -> None:
        self.items = items if isinstance(items, list) else [items]


class Port(Entity):
    def __init__(self, component: Component, name: str) -> None:
        self.component, self.name = component, name
        self._peer: Port | None = None
        self._output_to: Port | None = None
        self._input_to: Port | None = None
        self._received: list[Message] = []
        self._sent: list[Message] = []

    def connect(self, other: Port) -> None:
        self._peer, other._peer = other, self

    def forward_output(self, port: Port) -> None:
        self._output_to = port

    def forward_input(self, port: Port) -> None:
        self._input_to = port

    def tx_output(self, message: Any) -> None:
        message = message if isinstance(message, Message) else Message(message)
        if self._output_to is not None:
            self._output_to.tx_output(message)
        elif self._peer is not None:
            self._peer.tx_input(message)
        else:
            self._sent.append(message)
            TIMELINE.fire(self, "output")

    def tx_input(self, message: Any) -> None:
        message = message if isinstance(message, Message) else Message(message)
        if self._input_to is not None:
            self._input_to.tx_input(message)
        else:
            self._received.append(message)
            TIMELINE.fire(self, "input")

    def rx_input(self) -> Message | None:
        return self._received.pop(0) if self._received else None

    def rx_output(self) -> Message | None:
        return self._sent.pop(0) if self._sent else None


class Component(Entity):
    def __init__(self, name: str) -> None:
        self.name = name
        self.ports: dict[str, Port] = {}
        self.subcomponents: dict[str, Component] = {}
        self.supercomponent: Component | None = None

    def add_ports(self, names: list[str]) -> None:
        for name in names:
            self.ports[name] = Port(self, name)

    def add_subcomponent(self, component: Component, name: str) -> None:
        self.subcomponents[name] = component
        component.supercomponent = self
