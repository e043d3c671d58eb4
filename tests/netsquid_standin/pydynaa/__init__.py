"""Stand-in for pydynaa, for tests only: a small discrete-event timeline under the names squidasm imports."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Timeline:
    """Actions in order of simulated time (ns), then of scheduling; and who waits for which event."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: dict[tuple[Any, Any], list[Callable[[Event], None]]] = {}

    def after(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def fire(self, source: Any, event_type: Any, delay: float = 0.0) -> None:
        self.after(delay, lambda: self.trigger(source, event_type))

    def trigger(self, source: Any, event_type: Any) -> None:
        event = Event(source, event_type)
        for resume in self._waiting.pop((source, event_type), ()):
            resume(event)

    def wait(self, source: Any, event_type: Any, resume: Callable[[Event], None]) -> None:
        self._waiting.setdefault((source, event_type), []).append(resume)

    def forget(self, source: Any, event_type: Any, resume: Callable[[Event], None]) -> None:
        waiting = self._waiting.get((source, event_type), [])
        if resume in waiting:
            waiting.remove(resume)

    def run(self) -> None:
        while self._queue:
            self.now, _, action = heapq.heappop(self._queue)
            action()


TIMELINE = Timeline()


class EventType:
    def __init__(self, name: str, description: str = "") -> None:
        self.name, self.description = name, description


class Event:
    def __init__(self, source: Any, type: Any) -> None:
        self.source, self.type = source, type


class Entity:
    def _schedule_after(self, delay: float, event_type: Any) -> None:
        TIMELINE.fire(self, event_type, delay)


class EventExpression:
    """Any one of its events; a protocol that yields it is resumed once, when the first of them fires."""

    def __init__(self, source: Any = None, event_type: Any = None) -> None:
        self._events = [(source, event_type)]
        self.triggered_events: list[Event] = []

    def __or__(self, other: EventExpression) -> EventExpression:
        either = EventExpression()
        either._events = self._events + other._events
        return either

    def resume_once(self, resume: Callable[[], None]) -> None:
        def fired(event: Event) -> None:
            for source, event_type in self._events:
                TIMELINE.forget(source, event_type, fired)
            self.triggered_events = [event]
            resume()

        for source, event_type in self._events:
            TIMELINE.wait(source, event_type, fired)
