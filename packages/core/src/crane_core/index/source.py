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
from crane_core.index.root import LIFETIME, RootPage, no_access, read_root

if TYPE_CHECKING:
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.index.page import ProjectPage
    from crane_core.index.provenance import Provenance

MAX_PAGE_BYTES = 128 << 20


class PageFetcher(Protocol):
    """Fetches a page of one index, with that index's login if it has one."""

    async def __call__(self, url: str, limit: int) -> PageAnswer:
        """Return the answer, at most `limit` bytes of it. Raises a `SourceError`."""
        ...


@dataclass(frozen=True, slots=True)
class SourcedPage:
    """A project page and the index it came from; `index` is None for a public one."""

    page: ProjectPage
    index: Index | None


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
        return page if isinstance(page, Missing) else SourcedPage(page, None)


class PrivateIndex:
    """A registered index, without regard to any other."""

    def __init__(self, index: Index, fetch: PageFetcher, clock: Clock) -> None:
        self.index = index
        self._fetch = fetch
        self._clock = clock
        self._base: str | None = None
        self._root: RootPage | None = None
        self._root_until = 0.0
        # A resolver asks for many projects at once; one of them asks for the root page.
        self._asking_root = asyncio.Lock()

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the project's page, also where its folder is spelled in another way.

        Raises `IndexRefused` where *not found* may mean *no access*.
        """
        base = await self._base_url()
        page = await self._page_at(f"{base}/{project}/", project)
        if isinstance(page, Missing):
            page = await self._look_in_root(base, project)
        return page if isinstance(page, Missing) else SourcedPage(page, self.index)

    async def _page_at(self, url: str, project: str) -> ProjectPage | Missing:
        return read_project_answer(await self._fetch(url, MAX_PAGE_BYTES), project)

    async def _look_in_root(self, base: str, project: str) -> ProjectPage | Missing:
        root = await self._root_page(base)
        if root is None:
            if self.index.root_required:
                raise no_access(base, self.index.name)
            return Missing()
        if (url := root.projects.get(project)) is None:
            return Missing()
        page = await self._page_at(url, project)
        if isinstance(page, Missing):
            raise IndexRefused(
                f"{self.index.name} lists {project} but answers 'not found' for its page",
                hint="ask the index's administrators for access to that project",
            )
        return page

    async def _base_url(self) -> str:
        """Find out once whether project pages lie below `/simple` where the URL does not say."""
        async with self._asking_root:
            if self._base is None:
                base = self.index.url
                if not base.endswith("/simple"):
                    root = await read_root(self._fetch, f"{base}/simple")
                    if root is not None:
                        base = f"{base}/simple"
                        self._keep(root)
                self._base = base
            return self._base

    async def root(self) -> RootPage | None:
        """Return the index's root page, at most five minutes old; None if it has none."""
        return await self._root_page(await self._base_url())

    async def _root_page(self, base: str) -> RootPage | None:
        async with self._asking_root:
            if self._root is None or self._clock.now() >= self._root_until:
                self._keep(await read_root(self._fetch, base))
            return self._root

    def _keep(self, root: RootPage | None) -> None:
        self._root = root
        self._root_until = self._clock.now() + LIFETIME


@dataclass(frozen=True, slots=True)
class PrivateFirst:
    """Absolutely prevents that another index answers for a name of the private one.

    The private index answers: only it is used, whatever versions others have. It says a true
    *not found*: the fallback is asked, unless the name matches a `private` pattern or the
    private index has served it before. Any other answer is an error, and the error is the
    answer.
    """

    private: PrivateIndex
    fallback: Source | None
    provenance: Provenance

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the page from the one source that may answer for the project."""
        index = self.private.index
        found = await self.private.page(project)
        if not isinstance(found, Missing):
            self.provenance.record_project(index.url, project)
            return found
        if index.is_private_name(project):
            raise ProjectBlocked(
                f"{index.name} has no {project}, and its name is private (pattern in 'private')",
                hint=f"check the name, or: crane index set {index.name} --private PATTERN …",
            )
        if self.provenance.served(index.url, project):
            raise ProjectBlocked(
                f"{index.name} served {project} before and now answers 'not found'",
                hint=f"if it has really moved away: crane index release {index.name} {project}",
            )
        return await self.fallback.page(project) if self.fallback else found
