"""What a gateway has done so far: counts, and the last requests."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crane_core.clock import Clock
    from crane_core.gateway.events import Event, Observer

LAST = 50
# Names of sources come from configuration; a bound all the same, since each is a time series.
MOST_SERIES = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, and when it was, in seconds since the epoch."""

    at: float
    event: Event


class Monitor:
    """Counts events and passes them on. It keeps names of projects and files, and no secret."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self.started_at = clock.now()
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()
        self.last: deque[Seen] = deque(maxlen=LAST)

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        source = event.source or "none"
        if len(self.requests) < MOST_SERIES or (event.kind, source, event.outcome) in self.requests:
            self.requests[event.kind, source, event.outcome] += 1
            self.bytes[event.kind, source] += event.size
        self.last.appendleft(Seen(self._clock.now(), event))
        self._observer(event)
