"""Fetching ahead: what a resolver will ask for next is under way before it asks.

A resolver reads one project's page, one candidate's metadata, then the pages of its dependencies.
We read the same from the page that we have just handed out, and go on from there. It is a guess
at what the tool does, so it is bounded, given up when the tool leaves, and its waste is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from crane_core.errors import CraneError
from crane_core.flight import SingleFlight, Turns
from crane_core.index.answer import Missing
from crane_core.index.candidates import best_of, requirements_for, versions_of
from crane_core.index.environment import environment_of, is_installer
from crane_core.index.source import SourcedPage
from crane_core.index.wheel_metadata import dependencies_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from packaging.requirements import Requirement

    from crane_core.clock import Clock
    from crane_core.gateway.connection import Connection
    from crane_core.gateway.metadata import WheelMetadata
    from crane_core.index.candidates import Versions
    from crane_core.index.environment import ToolEnvironment
    from crane_core.index.page import ProjectPage
    from crane_core.index.source import Source
    from crane_core.index.wheel_metadata import Dependencies

MANY_FILES = 1000
LEISURE = 0.5  # seconds; uv is done by then if it finds all in the cache
Key = tuple[str, str]  # the source's name, the project


@dataclass(frozen=True, slots=True)
class Limits:
    """How far one tool's needs are guessed; times in seconds.

    `hold` is how long a page that nobody has asked for yet is good. It is shorter than the time
    for which a name may be left to another index (see `crane_core.index.source.ROOT_FRESH`).
    """

    projects: int = 600
    at_once: int = 24
    depth: int = 24
    hold: float = 9.0
    patience: float = 2.0
    page_seconds: float = 10.0


@dataclass(slots=True)
class Statistics:
    """What fetching ahead was good for, since the gateway began."""

    pages: int = 0
    used: int = 0
    wasted: int = 0


@dataclass(slots=True)
class _Page:
    """A page that is fetched ahead, or has been."""

    task: asyncio.Task[SourcedPage | Missing | None]
    fetched_at: float | None = None


@dataclass(slots=True)
class _Wanted:
    """What is wanted of a project, as far as has been read."""

    specifier: SpecifierSet
    extras: frozenset[str]
    depth: int


@dataclass(eq=False)
class Tool:
    """A tool at work: all connections with one User-Agent."""

    environment: asyncio.Future[ToolEnvironment | None]
    connections: int = 0
    wanted: dict[Key, _Wanted] = field(default_factory=dict)
    pages: dict[Key, SourcedPage] = field(default_factory=dict)
    versions: dict[Key, tuple[ProjectPage, Versions]] = field(default_factory=dict)
    followed: set[tuple[Key, str, frozenset[str]]] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    keys: set[Key] = field(default_factory=set)

    def begin_anew(self) -> None:
        """Forget what was guessed for the run before.

        The next one has nothing, and what was fetched ahead of the other may be too old for it.
        """
        self.wanted.clear()
        self.pages.clear()
        self.followed.clear()


class Ahead:
    """Hands out pages, and fetches those that follow from them.

    A dependency's name that stands in a private project's metadata is asked for at private
    indexes alone: the tool may choose another candidate, and then no public index is to have
    heard of it.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        metadata: WheelMetadata,
        clock: Clock,
        *,
        enabled: bool = True,
        limits: Limits = Limits(),
        together: Callable[[str], tuple[str, ...]] = lambda name: (name,),
    ) -> None:
        self._sources = sources
        self._metadata = metadata
        self._clock = clock
        self._enabled = enabled
        self._limits = limits
        # The sources that a tool asks together, as pip asks all its indexes for each name.
        self._together = together
        self._turns: Turns[Key] = Turns(limits.at_once)
        self._tools: dict[str, Tool] = {}
        self._pages: dict[Key, _Page] = {}
        self._asking: SingleFlight[Key, SourcedPage | Missing] = SingleFlight()
        self.statistics = Statistics()

    def tool(self, user_agent: str, connection: Connection) -> Tool | None:
        """Return the tool behind a connection; what is done for it ends when it leaves."""
        if not self._enabled or not is_installer(user_agent):
            return None
        tool = self._tools.get(user_agent)
        if tool is None:
            # Meanwhile, since nothing of it is needed before the first page has come.
            environment = asyncio.ensure_future(asyncio.to_thread(environment_of, user_agent))
            tool = self._tools[user_agent] = Tool(environment)
        if connection.tool is not tool:
            if tool.connections == 0:
                tool.begin_anew()
            connection.tool = tool
            tool.connections += 1
            connection.when_closed.append(lambda: self._left(user_agent, tool))
        return tool

    async def page(self, name: str, project: str, tool: Tool | None) -> SourcedPage | Missing:
        """Return the page that a tool asks for: the one under way, if there is one.

        Raises a `SourceError`.
        """
        key = name, project
        found = await self._fetched_ahead(key)
        if found is None:
            # Tools that ask for the same page at the same time share the answer.
            found = await self._asking.run(key, lambda: self._sources[name].page(project))
        if tool is not None and not isinstance(found, Missing):
            tool.pages[key] = found
            tool.wanted.setdefault(key, _Wanted(SpecifierSet(), frozenset(), 0))
            self._start(tool, self._in_time(tool, key, found))
        return found

    def announce(self, tool: Tool, name: str, project: Dependencies) -> None:
        """Fetch what a tool has said that its project requires of a source."""
        self._start(tool, self._announced(tool, name, project))

    def forget(self, project: str) -> None:
        """Hand out nothing of a project that was fetched before now."""
        for key in [key for key in self._pages if key[1] == project]:
            del self._pages[key]

    async def close(self) -> None:
        """Give up all that is under way."""
        for tool in self._tools.values():
            self._give_up(tool)
        await self._asking.cancel()
        tasks = [page.task for page in self._pages.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetched_ahead(self, key: Key) -> SourcedPage | Missing | None:
        page = self._pages.pop(key, None)
        if page is None or self._is_old(page):
            self.statistics.wasted += page is not None
            return None
        self.statistics.used += 1
        self._turns.hurry(key)
        try:
            found = await asyncio.shield(page.task)
            if isinstance(found, SourcedPage):
                await found.recorded()
        except CraneError:
            return None  # the tool's own question may fare better, and its answer is the one shown
        except asyncio.CancelledError:
            if page.task.cancelled():
                return None
            raise
        return found

    def _is_old(self, page: _Page) -> bool:
        done = page.fetched_at
        return done is not None and self._clock.now() - done > self._limits.hold

    async def _announced(self, tool: Tool, name: str, project: Dependencies) -> None:
        environment = await asyncio.shield(tool.environment)
        for requirement in requirements_for(project, environment, frozenset()):
            self._want(tool, name, requirement, 0, public=False)

    async def _in_time(self, tool: Tool, key: Key, found: SourcedPage) -> None:
        """Follow a page; one that the cache had only once the tool turns out to take its time.

        What it needs next is in the cache, too, as a rule, but may be too old by then.
        """
        if found.from_cache:
            await asyncio.sleep(LEISURE)
            if not tool.connections:
                return
        await self._follow(tool, key, found)

    async def _follow(self, tool: Tool, key: Key, found: SourcedPage) -> None:
        """Read the metadata of the likely candidate and fetch the pages of what it needs."""
        environment = await asyncio.shield(tool.environment)
        wanted = tool.wanted.get(key)
        if wanted is None:  # by a run that has left
            return
        step = key, str(wanted.specifier), wanted.extras
        if environment is None or wanted.depth >= self._limits.depth or step in tool.followed:
            return
        tool.followed.add(step)
        candidate = await self._candidate(tool, key, found, environment, wanted)
        if candidate is None:
            return
        async with self._turns.turn(key):
            metadata = await self._metadata.of(candidate, found.index)
        if metadata is None:
            return
        needs = requirements_for(dependencies_of(metadata), environment, wanted.extras)
        for requirement in needs:
            for name in self._together(key[0]):
                self._want(tool, name, requirement, wanted.depth + 1, public=found.index is None)

    async def _candidate(
        self,
        tool: Tool,
        key: Key,
        found: SourcedPage,
        environment: ToolEnvironment,
        wanted: _Wanted,
    ) -> dict[str, Any] | None:
        page, known = found.page, tool.versions.get(key)
        versions = known[1] if known is not None and known[0] is page else None

        def choose() -> tuple[Versions, dict[str, Any] | None]:
            read = versions_of(page) if versions is None else versions
            return read, best_of(read, environment, wanted.specifier)

        if len(page.files) < MANY_FILES:
            read, best = choose()
        else:
            # In a thread: of tens of thousands of files it takes longer than others should wait.
            read, best = await asyncio.to_thread(choose)
        tool.versions[key] = page, read
        return best

    def _want(
        self, tool: Tool, name: str, requirement: Requirement, depth: int, *, public: bool
    ) -> None:
        key = name, canonicalize_name(requirement.name)
        extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
        known = tool.wanted.get(key)
        if known is None:
            wanted = _Wanted(requirement.specifier, extras, depth)
            if len(tool.wanted) >= self._limits.projects:
                return
        else:
            both = known.specifier & requirement.specifier
            wanted = _Wanted(both, known.extras | extras, known.depth)
        tool.wanted[key] = wanted
        if found := tool.pages.get(key):
            self._start(tool, self._follow(tool, key, found))
        elif known is None:
            self._start(tool, self._fetch(tool, key, public=public))

    async def _fetch(self, tool: Tool, key: Key, *, public: bool) -> None:
        if key in self._asking or key in self._pages:
            return
        page = _Page(asyncio.create_task(self._limited(key, public=public)))
        self._pages[key] = page
        tool.keys.add(key)
        self.statistics.pages += 1
        try:
            found = await page.task
        except BaseException:
            if self._pages.get(key) is page:
                del self._pages[key]
            raise
        page.fetched_at = self._clock.now()
        if found is None:
            # No private index owns it. The tool's own question goes on from there.
            self._pages.pop(key, None)
            self.statistics.used += 1
        elif not isinstance(found, Missing):
            tool.pages[key] = found
            await self._follow(tool, key, found)

    async def _limited(self, key: Key, *, public: bool) -> SourcedPage | Missing | None:
        async with self._turns.turn(key), asyncio.timeout(self._limits.page_seconds):
            source = self._sources[key[0]]
            return await (source.page(key[1]) if public else source.owned_page(key[1]))

    def _start(self, tool: Tool, work: Coroutine[None, None, None]) -> None:
        async def quietly() -> None:
            # The tool will ask by itself, and hear of it.
            with contextlib.suppress(CraneError, TimeoutError):
                await work

        task = asyncio.create_task(quietly())
        tool.tasks.add(task)
        task.add_done_callback(tool.tasks.discard)

    def _left(self, user_agent: str, tool: Tool) -> None:
        tool.connections -= 1
        if tool.connections == 0:
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.patience, self._end, user_agent, tool)

    def _end(self, user_agent: str, tool: Tool) -> None:
        if tool.connections == 0 and self._tools.get(user_agent) is tool:
            del self._tools[user_agent]
            self._give_up(tool)

    def _give_up(self, tool: Tool) -> None:
        for task in list(tool.tasks):
            task.cancel()
        for key in tool.keys:
            if page := self._pages.pop(key, None):
                page.task.cancel()
                self.statistics.wasted += 1
