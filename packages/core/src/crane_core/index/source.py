"""Who may answer for a project: the private index first, the fallback only where that is safe.

This is the rule that protects people from dependency confusion; the reasons stand in
docs/decisions/0003-order-of-sources.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from crane_core.errors import IndexBroken, IndexRefused, IndexUnreachable, ProjectBlocked
from crane_core.index.answer import Missing, PageAnswer
from crane_core.index.parsed import ParsedPages
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
MOST_GUESSES = 24


class PageFetcher(Protocol):
    """Fetches a page of one index, with that index's login if it has one."""

    async def __call__(self, url: str, limit: int) -> PageAnswer:
        """Return the answer, at most `limit` bytes of it. Raises a `SourceError`."""
        ...


@dataclass(frozen=True, slots=True)
class SourcedPage:
    """A project page and the index it came from; `index` is None for a public one.

    `place` names the index for people. Until `fresh_until`, in seconds since the epoch, it may be
    given again without asking anybody. `stale` says that the index could not be asked,
    `from_cache` that it was not.
    `recording` ends once it is on the disk that the index owns the name; None if it was before.
    """

    page: ProjectPage
    index: Index | None
    place: str
    url: str
    fresh_until: float = 0.0
    stale: bool = False
    from_cache: bool = False
    recording: asyncio.Future[None] | None = None

    async def recorded(self) -> None:
        """Wait until no other index can ever answer for the name: before a tool gets the page.

        Raises a `StorageError`.
        """
        if self.recording is not None:
            await asyncio.shield(self.recording)


class Source(Protocol):
    """Something that can be asked for a project's page."""

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the page of a normalised name. Raises a `SourceError`."""
        ...

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return the page if a private index owns the name, without naming it to a public one.

        It may not be `recorded` yet. Raises a `SourceError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class PublicIndex:
    """An index without a login."""

    url: str
    fetch: PageFetcher
    pages: ParsedPages = field(default_factory=ParsedPages)

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the project's page."""
        answer = await self.fetch(f"{self.url}/{project}/", MAX_PAGE_BYTES)
        page = await self.pages.read(answer, project)
        if isinstance(page, Missing):
            return page
        place = origin_of(self.url).host
        return _sourced(page, None, place, self.url, answer)

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return nothing: no name is private here."""
        return None


def _sourced(
    page: ProjectPage, index: Index | None, place: str, url: str, answer: PageAnswer
) -> SourcedPage:
    said = answer.fresh_until, answer.stale, answer.from_cache
    return SourcedPage(page, index, place, url, *said)


class PrivateIndex:
    """A registered index, without regard to any other.

    Where the registered URL does not end in `/simple`, project pages may lie below that or
    directly below the URL. Both places count: a project is missing only if neither lists it, so
    that a folder that happens to be called `simple` hides nothing.
    """

    def __init__(
        self, index: Index, fetch: PageFetcher, clock: Clock, pages: ParsedPages | None = None
    ) -> None:
        self.index = index
        self._fetch = fetch
        self._clock = clock
        self._pages = pages or ParsedPages()
        url = index.url
        self._bases = (url,) if url.endswith("/simple") else (f"{url}/simple", url)
        self._roots: dict[str, tuple[float, RootPage | None]] = {}
        self._guesses = 0
        # A resolver asks for many projects at once; one of them asks for the root page.
        self._asking = {base: asyncio.Lock() for base in self._bases}

    @property
    def is_located(self) -> bool:
        """Whether it was asked before where its pages are."""
        return bool(self._roots)

    async def locate(self) -> None:
        """Ask where its pages are. Raises a `SourceError`."""
        await self._home()

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the project's page, also where its folder is spelled in another way.

        Raises `IndexRefused` where *not found* may mean *no access*.
        """
        guess = self._guess(project)
        try:
            home = await self._home()
        except IndexUnreachable:
            if (before := await self._from_before(project)) is not None:
                return before
            raise
        else:
            if guess is not None and home == self._bases[0]:
                page = await guess
            else:
                page = await self._page_at(f"{home}/{project}/", project)
        finally:
            if guess is not None:
                guess.cancel()
        return await self._look_in_roots(home, project) if isinstance(page, Missing) else page

    def _guess(self, project: str) -> asyncio.Task[SourcedPage | Missing] | None:
        """Ask where pages most likely are, at the same time as whether they are there.

        Else the first pages of a run would wait for one round trip more.
        """
        first = self._bases[0]
        if len(self._bases) == 1 or first in self._roots or self._guesses >= MOST_GUESSES:
            return None
        self._guesses += 1
        guess = asyncio.create_task(self._page_at(f"{first}/{project}/", project))
        # Nobody may need it; asyncio complains about an error that nobody looks at.
        guess.add_done_callback(lambda task: task.cancelled() or task.exception())
        return guess

    async def _from_before(self, project: str) -> SourcedPage | None:
        """Return what the cache has of an index that cannot be asked where its pages are."""
        for base in self._bases:
            with contextlib.suppress(IndexUnreachable):
                page = await self._page_at(f"{base}/{project}/", project)
                if not isinstance(page, Missing):
                    return page
        return None

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return the page, None if there is none."""
        page = await self.page(project)
        return None if isinstance(page, Missing) else page

    async def folder_of(self, project: str) -> str:
        """Return the URL of a project's folder, with a slash, where its page is or will be.

        A second folder beside one that is spelled otherwise would hide what is in that. Where the
        index shows no list of projects, it is the usual one. Raises `IndexUnreachable`.
        """
        try:
            home = await self._home()
            root = await self._root(home, ROOT_LIFETIME)
        except (IndexRefused, IndexBroken):
            return f"{self._bases[-1]}/{project}/"
        spellings = root.projects.get(project, ()) if root else ()
        if project in spellings or not spellings:
            return f"{home}/{project}/"
        return folder_url(home, spellings[0])

    def forget(self, project: str) -> list[str]:
        """Forget what was said of a project; returns the pages that say it."""
        spelled = {s for _, root in self._roots.values() if root
                   for s in root.projects.get(project, ())}  # fmt: skip
        self._roots.clear()
        folders = ["", f"{project}/"]
        urls = [f"{base}/{folder}" for base in self._bases for folder in folders]
        return urls + [folder_url(base, s) for base in self._bases for s in spelled]

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

    async def _page_at(self, url: str, project: str) -> SourcedPage | Missing:
        answer = await self._fetch(url, MAX_PAGE_BYTES)
        page = await self._pages.read(answer, project)
        if isinstance(page, Missing):
            return page
        index = self.index
        return _sourced(page, index, index.name, index.url, answer)

    async def _look_in_roots(self, home: str, project: str) -> SourcedPage | Missing:
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
        self,
        private: PrivateIndex,
        fallback: Source | None,
        provenance: Provenance,
        clock: Clock,
        *,
        offline: bool = False,
    ) -> None:
        """With `offline`, no source asks anybody: the pages are those of before."""
        self._offline = offline
        self.private = private
        self.fallback = fallback
        self._provenance = provenance
        self._clock = clock
        self._decided: dict[str, tuple[float, bool]] = {}
        # Names that were looked for ahead of the tool and are not owned: it need not look again.
        self._looked_for: dict[str, float] = {}

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the page from the one source that may answer for the project."""
        looked = self._looked_for.pop(project, float("-inf"))
        if self._clock.now() - looked >= ROOT_FRESH:
            try:
                owned = await self._owned_page(project)
            except IndexUnreachable as error:
                return await self._from_before(project, error)
            if owned is not None:
                await owned.recorded()
                return owned
        if self.fallback is None:
            return Missing()
        found = await self.fallback.page(project)
        # A later upload to the private index counts at once: not to be given again unasked.
        return found if isinstance(found, Missing) else replace(found, fresh_until=0.0)

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return the page if the private index owns the project; the fallback is not asked."""
        owned = await self._owned_page(project)
        if owned is None:
            self._looked_for[project] = self._clock.now()
        return owned

    async def _from_before(self, project: str, error: IndexUnreachable) -> SourcedPage:
        """Return the fallback's page offline, if the private index let it be asked for before.

        That there is one says so: it came here only after a true *not found*.
        """
        if not self._offline or self.fallback is None:
            raise error
        with contextlib.suppress(IndexUnreachable, ProjectBlocked):
            await self._refuse_private_names(project)
            found = await self.fallback.page(project)
            if not isinstance(found, Missing):
                return found
        raise error

    def forget(self, project: str) -> None:
        """Forget whose name this is: there is something new at the private index."""
        self._decided.pop(project, None)
        self._looked_for.pop(project, None)

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
        elif not self._provenance.served(self._prefix, project):
            recording = asyncio.wrap_future(self._provenance.record_project(self._prefix, project))
            # Nobody may wait for it; asyncio complains about an error that nobody looks at.
            recording.add_done_callback(lambda done: done.cancelled() or done.exception())
            found = replace(found, recording=recording)
        self._decided[project] = (self._clock.now(), not isinstance(found, Missing))
        return None if isinstance(found, Missing) else found

    async def _refuse_private_names(self, project: str) -> None:
        index = self.private.index
        if index.is_private_name(project):
            raise ProjectBlocked(
                f"{index.name} has no {project}, and its name is private (pattern in 'private')",
                hint=f"check the name, or: crane index set {index.name} --private PATTERN …",
            )
        if self._provenance.served(self._prefix, project):
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

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return the other index's page if that one is private and none before it owns the name."""
        for index in self.private:
            if await index.owns(project):
                return None
        return await self.other.owned_page(project)
