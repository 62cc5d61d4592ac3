"""When an agent leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crane_core.agent.registry import Registry
    from crane_core.clock import Clock

IDLE_VARIABLE = "CRANE_AGENT_IDLE"
IDLE_SECONDS = 15 * 60.0


def idle_seconds(environ: Mapping[str, str]) -> float:
    """Return after how long an agent leaves that nobody needs. Raises `UsageError`."""
    from crane_core.errors import UsageError

    text = environ.get(IDLE_VARIABLE)
    if not text:
        return IDLE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{IDLE_VARIABLE}: {text!r} is no number of seconds", hint="try 900")
    return seconds


class Life:
    """Decides, at each tick, whether an agent is needed still.

    `is_current` says whether others would find this agent: its configuration is that of the file,
    and the runtime file is its own.
    """

    def __init__(
        self,
        clock: Clock,
        registry: Registry,
        last_request: Callable[[], float],
        is_current: Callable[[], bool],
        idle: float,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._last_request = last_request
        self._is_current = is_current
        self._idle = idle
        self.started_at = clock.now()
        self._stopping = ""

    def stop(self, reason: str) -> None:
        """Leave at the next tick."""
        self._stopping = self._stopping or reason

    @property
    def idle_since(self) -> float:
        """When it was last of use, in seconds since the epoch."""
        return max(self.started_at, self._registry.last_used, self._last_request())

    def reason_to_leave(self) -> str | None:
        """Return why to leave now, None to stay."""
        if self._stopping:
            return self._stopping
        if self._registry.held:
            return None
        if not self._is_current():
            return "another agent has taken over"
        if self._clock.now() - self.idle_since >= self._idle:
            return "nobody has needed it for a while"
        return None
