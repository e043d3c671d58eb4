"""Stand-in for netsquid.protocols, for tests only: generators resumed by events."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from pydynaa import TIMELINE, Entity, EventExpression

from netsquid.components.component import Port
from netsquid.nodes import Node


class Protocol(Entity):
    _running: Generator[EventExpression, None, None] | None
    _results: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Protocol:
        """Set up here, because squidasm's subclasses do not all call ``__init__``."""
        self = super().__new__(cls)
        self._running, self._results = None, {}
        return self

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def run(self) -> Generator[EventExpression, None, None] | None:
        return None

    def start(self) -> None:
        self._running = self.run()
        self._step()

    def stop(self) -> None:
        self._running = None

    def _step(self) -> None:
        if self._running is None:
            return
        expression = next(self._running, None)
        if expression is None:
            self._running = None
        else:
            expression.resume_once(self._step)

    def add_signal(self, label: str) -> None:
        self._results[label] = None

    def send_signal(self, label: str, result: Any = None) -> None:
        def send() -> None:
            self._results[label] = result
            TIMELINE.trigger(self, label)

        TIMELINE.after(0.0, send)

    def get_signal_result(self, label: str, receiver: Any = None) -> Any:
        return self._results[label]

    def await_signal(self, sender: Protocol, signal_label: str) -> EventExpression:
        return EventExpression(sender, signal_label)

    def await_port_input(self, port: Port) -> EventExpression:
        return EventExpression(port, "input")

    def await_port_output(self, port: Port) -> EventExpression:
        return EventExpression(port, "output")


class ServiceProtocol(Protocol):
    def __init__(self, node: Node, name: str | None = None) -> None:
        super().__init__(name)
        self.node = node
        self._handlers: dict[type, Callable[[Any], None]] = {}

    def register_request(self, request_type: type, handler: Callable[[Any], None]) -> None:
        self._handlers[request_type] = handler

    def put(self, request: Any) -> None:
        self._handlers[type(request)](request)
