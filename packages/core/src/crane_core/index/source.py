"""Who may answer for a project: the private index first, the fallback only where that is safe.

This is the rule that protects people from dependency confusion; the reasons stand in
docs/decisions/0003-order-of-sources.md.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crane_core.errors import IndexRefused, ProjectBlocked
from crane_core.index.answer import Missing, PageAnswer, read_project_answer
from crane_core.index.root import RootPage, folder_url, no_access, read_root
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.index.page import ProjectPage
    from crane_core.index.provenance import Provenance

MAX_PAGE_BYTES = 64 << 20
# Seconds. A root may go on saying where pages are, but *not listed* must be news: a project may
# have been uploaded since.
ROOT_LIFETIME = 300.0
ROOT_FRESH = 10.0


class PageFetcher(Protocol):
    """Fetches a page of one index, with that index's login if it has one."""

    async def __call__(self, url: str, limit: int) -> PageAnswer:
        """Return the answer, at most `limit` bytes of it. Raises a `SourceError`."""
        ...


@dataclass(frozen=True, slots=True)
class SourcedPage:
    """A project page and the index it came from; `index` is None for a public one.

    `place` names the index for people.
    """

    page: ProjectPage
    index: Index | None
    place: str
    url: str


class Source(Protocol):
    """Something that can be asked for a project's page."""

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the page of a normalised name. Raises a `SourceError`."""
        ...


@dataclass(frozen=True, slots=True)
class PublicIndex:
    """An index without a login."""

    url: str
    fetch: PageFetcher

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the project's page."""
        answer = await self.fetch(f"{self.url}/{project}/", MAX_PAGE_BYTES)
        page = read_project_answer(answer, project)
        return (
            page
            if isinstance(page, Missing)
            else SourcedPage(page, None, origin_of(self.url).host, self.url)
        )


class PrivateIndex:
    """A registered index, without regard to any other.

    Where the registered URL does not end in `/simple`, project pages may lie below that or
    directly below the URL. Both places count: a project is missing only if neither lists it, so
    that a folder that happens to be called `simple` hides nothing.
    """

    def __init__(self, index: Index, fetch: PageFetcher, clock: Clock) -> None:
        self.index = index
        self._fetch = fetch
        self._clock = clock
        url = index.url
        self._bases = (url,) if url.endswith("/simple") else (f"{url}/simple", url)
        self._roots: dict[str, tuple[float, RootPage | None]] = {}
        # A resolver asks for many projects at once; one of them asks for the root page.
        self._asking = {base: asyncio.Lock() for base in self._bases}

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the project's page, also where its folder is spelled in another way.

        Raises `IndexRefused` where *not found* may mean *no access*.
        """
        home = await self._home()
        page = await self._page_at(f"{home}/{project}/", project)
        if isinstance(page, Missing):
            page = await self._look_in_roots(home, project)
        if isinstance(page, Missing):
            return page
        return SourcedPage(page, self.index, self.index.name, self.index.url)

    async def root(self) -> RootPage | None:
        """Return the root page of the place where project pages are; None if it has none."""
        return await self._root(await self._home(), ROOT_LIFETIME)

    async def _home(self) -> str:
        """Return where project pages are. Only a root that was seen is remembered."""
        for base in self._bases[:-1]:
            root = await self._root(base, ROOT_LIFETIME)
            if root is not None and not root.is_project:
                return base
        return self._bases[-1]

    async def _page_at(self, url: str, project: str) -> ProjectPage | Missing:
        return read_project_answer(await self._fetch(url, MAX_PAGE_BYTES), project)

    async def _look_in_roots(self, home: str, project: str) -> ProjectPage | Missing:
        roots = {base: await self._root(base, ROOT_FRESH) for base in self._bases}
        if self.index.root_required and all(root is None for root in roots.values()):
            raise no_access(self._bases[-1], self.index.name)
        listed = False
        for base, root in roots.items():
            for spelling in root.projects.get(project, ()) if root else ():
                if base != home and spelling == "simple":
                    continue  # the folder that holds the project pages
                listed = True
                page = await self._page_at(folder_url(base, spelling), project)
                if not isinstance(page, Missing):
                    return page
        if listed:
            raise IndexRefused(
                f"{self.index.name} lists {project} but answers 'not found' for its page",
                hint="ask the index's administrators for access to that project",
            )
        return Missing()

    async def _root(self, base: str, lifetime: float) -> RootPage | None:
        async with self._asking[base]:
            fetched, root = self._roots.get(base, (float("-inf"), None))
            if self._clock.now() - fetched >= (lifetime if root else ROOT_FRESH):
                root = await read_root(self._fetch, base)
                self._roots[base] = (self._clock.now(), root)
            return root


class PrivateFirst:
    """Absolutely prevents that another index answers for a name of the private one.

    The private index answers: only it is used, whatever versions others have. It says a true
    *not found*: the fallback is asked, unless the name matches a `private` pattern or the
    private index has served it before. Any other answer is an error, and the error is the
    answer.
    """

    def __init__(
        self, private: PrivateIndex, fallback: Source | None, provenance: Provenance, clock: Clock
    ) -> None:
        self.private = private
        self.fallback = fallback
        self._provenance = provenance
        self._clock = clock
        self._decided: dict[str, tuple[float, bool]] = {}

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the page from the one source that may answer for the project."""
        owned = await self._owned_page(project)
        if owned is not None:
            return owned
        return await self.fallback.page(project) if self.fallback else Missing()

    async def owns(self, project: str) -> bool:
        """Whether only the private index may answer for the project; recent answers count.

        Raises a `SourceError` where that cannot be known, or must not be left to another.
        """
        decided, owned = self._decided.get(project, (float("-inf"), False))
        if self._clock.now() - decided < ROOT_FRESH:
            return owned
        return await self._owned_page(project) is not None

    async def _owned_page(self, project: str) -> SourcedPage | None:
        found = await self.private.page(project)
        if isinstance(found, Missing):
            await self._refuse_private_names(project)
        else:
            # In a thread: another process may hold the database for a moment.
            await asyncio.to_thread(self._provenance.record_project, self._prefix, project)
        self._decided[project] = (self._clock.now(), not isinstance(found, Missing))
        return None if isinstance(found, Missing) else found

    async def _refuse_private_names(self, project: str) -> None:
        index = self.private.index
        if index.is_private_name(project):
            raise ProjectBlocked(
                f"{index.name} has no {project}, and its name is private (pattern in 'private')",
                hint=f"check the name, or: crane index set {index.name} --private PATTERN …",
            )
        if await asyncio.to_thread(self._provenance.served, self._prefix, project):
            raise ProjectBlocked(
                f"{index.name} served {project} before and now answers 'not found'",
                hint=f"if it has really moved away: crane index release {index.name} {project}",
            )

    @property
    def _prefix(self) -> str:
        return self.private.index.token_prefix


@dataclass(frozen=True, slots=True)
class BesidePrivate:
    """Another index beside private ones: it answers only for names that none of them owns.

    So a tool that takes the highest version of all its indexes, as pip does, never sees a private
    name anywhere else.
    """

    private: Sequence[PrivateFirst]
    other: Source

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the other index's page, or that it has none for us."""
        for index in self.private:
            if await index.owns(project):
                return Missing()
        return await self.other.page(project)
