"""A file at an index that may still be on its way there, by somebody else's upload."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crane_core.gateway.uploads.courier import Found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crane_core.clock import Clock

# Seconds between two looks at what has not grown; after the last it counts as left by an upload
# that broke off. Each look is a request and reads what is there, so there are few.
WAITS = (1.0, 2.0, 4.0)
MOST_SECONDS = 300.0


async def settled(
    look: Callable[[], Awaitable[Found | str]], size: int, clock: Clock
) -> Found | str:
    """Return what is there once it is `size` bytes long, is another file, or stands still.

    Another process may be uploading the same file. What still grows in the end `is_growing`. A
    text, which says why nothing can be seen, is returned at once.
    """
    found, quiet, until = await look(), 0, clock.now() + MOST_SECONDS
    while isinstance(found, Found) and found.is_beginning and found.size < size:
        if quiet == len(WAITS):
            return found
        if clock.now() > until:
            return replace(found, is_growing=True)
        await clock.sleep(WAITS[quiet])
        before, found = found.size, await look()
        quiet = quiet + 1 if isinstance(found, Found) and found.size == before else 0
    return found
