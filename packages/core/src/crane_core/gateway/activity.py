"""Whether a gateway is still of use to anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crane_core.clock import Clock


class Activity:
    """When the gateway was last of use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = 0
        self._last = clock.now()

    def touch(self) -> None:
        """Take note of a request."""
        self._last = self._clock.now()

    def begin(self) -> None:
        """Take note of a connection that opens on a child's behalf."""
        self._open += 1

    def end(self) -> None:
        """Take note of its end."""
        self._open -= 1
        self.touch()

    def idle_since(self) -> float:
        """Return when it was last of use, in seconds since the epoch; now, while one is open."""
        return self._clock.now() if self._open else self._last
