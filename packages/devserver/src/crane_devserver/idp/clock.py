"""Time that tests can move."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns the seconds since the epoch, as ``time.time`` does."""


class ManualClock:
    """A clock that runs with the real one, plus whatever it was advanced by."""

    def __init__(self) -> None:
        self._offset = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._offset += seconds
