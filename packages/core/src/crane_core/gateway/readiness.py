"""What a tool will need in a moment, begun before it asks: where pages are, connections for files.

Both take round trips in which the tool does something else: it greets us (TLS), or reads pages.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from crane_core.errors import CraneError
from crane_core.gateway.tokens import asking_nobody
from crane_core.http import StreamError
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from crane_core.config.model import Index
    from crane_core.gateway.tokens import TokenSource
    from crane_core.gateway.transports import Transports
    from crane_core.index.source import PrivateIndex
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

# They are enough for a line of a gigabit; a tool that asks for more files opens the others.
CONNECTIONS = 4
# Seconds for which that is not done again; a connection is kept as long without use.
LATELY = 60.0


class Readiness:
    """Begins what can be begun, for nobody in particular; what fails is said when it is needed."""

    def __init__(
        self,
        tokens: TokenSource,
        file_wires: Transports,
        *,
        enabled: bool = True,
    ) -> None:
        self._tokens = tokens
        self._file_wires = file_wires
        self._enabled = enabled
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._connected: dict[tuple[Origin, TLSSettings], float] = {}

    def for_tool(self, private: PrivateIndex) -> None:
        """Ask where an index's pages are, if nobody has yet: a tool has come to its host."""
        if not private.is_located:
            self._begin(("pages", private.index.name), lambda: self._find_pages(private))
        self.for_files(private.index)

    def for_files(self, index: Index) -> None:
        """Open connections for files of an index, if that was not done lately."""
        # Looked at here, since every page that is given asks it.
        last = self._connected.get((origin_of(index.url), index.tls), float("-inf"))
        if asyncio.get_running_loop().time() - last >= LATELY:
            self._begin(("files", index.name), lambda: self._connect(index))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find_pages(self, private: PrivateIndex) -> None:
        await self._tokens.token(private.index)
        await private.locate()

    async def _connect(self, index: Index) -> None:
        await self._tokens.token(index)
        way = origin_of(index.url), index.tls
        self._connected[way] = asyncio.get_running_loop().time()
        await self._file_wires.prepare(*way, CONNECTIONS)

    def _begin(self, key: tuple[str, str], work: Callable[[], Coroutine[None, None, None]]) -> None:
        if not self._enabled or key in self._tasks:
            return

        async def quietly() -> None:
            # A host is no reason to ask a person for a login; the tool's first request is.
            with contextlib.suppress(CraneError, *StreamError), asking_nobody():
                await work()

        task = self._tasks[key] = asyncio.create_task(quietly())
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
