"""Fetching what a lock wants, many at a time; each file is held to its hashes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crane_cli.fetching.gate import PARALLEL, Gate
from crane_cli.fetching.plan import Elsewhere
from crane_cli.fetching.selection import files_of, missing_names
from crane_core.errors import CraneError, FileChanged, NotFound, UsageError
from crane_core.index.page import core_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from crane_cli.fetching.plan import Target
    from crane_cli.fetching.selection import Selection
    from crane_core.clients.in_process import Way
    from crane_core.config.model import Index
    from crane_core.index.page import ProjectPage

# Those of a fixed length, and of them what lock files have.
ALGORITHMS = frozenset({"sha256", "sha224", "sha384", "sha512", "sha1", "md5", "blake2b"})
# As PEP 503 normalises them: a lock is somebody else's word, and this goes into a URL.
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
DO_NOT = "do not install it; ask the index's administrators what has happened"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that came through, and is what the lock says."""

    project: str
    file: str
    index: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be had."""

    project: str
    file: str
    error: CraneError


@dataclass
class Harvest:
    """What has come of it; `pages` are the pages that tools will ask for, by index."""

    fetched: list[Fetched] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    pages: set[tuple[Index, str, bool]] = field(default_factory=set)


class Fetcher:
    """Fetches targets by two ways: of indexes by themselves, and of indexes with their fallback."""

    def __init__(
        self,
        ways: Mapping[bool, Way],
        selection: Selection,
        advance: Callable[[int], None],
        done: Callable[[], None],
    ) -> None:
        """`advance` is told of bytes that came, `done` of each target that is finished."""
        self.harvest = Harvest()
        self._ways = ways
        self._selection = selection
        self._advance = advance
        self._done = done
        self._gates: dict[bool, Gate] = {}

    async def run(self, targets: Iterable[Target]) -> None:
        """Fetch all of them; what fails is in the harvest, and stops no other."""
        turns = asyncio.Semaphore(PARALLEL)
        async with contextlib.AsyncExitStack() as stack:
            for with_fallback, way in self._ways.items():
                gate = await stack.enter_async_context(Gate(way, turns))
                self._gates[with_fallback] = gate
            async with asyncio.TaskGroup() as group:
                for target in targets:
                    group.create_task(self._take(target))

    async def _take(self, target: Target) -> None:
        try:
            await self._fetch(target)
        except CraneError as error:
            self.harvest.failures.append(Failure(target.wanted.project, "", error))
        self._done()

    async def _fetch(self, target: Target) -> None:
        wanted = target.wanted
        if not NAME.fullmatch(wanted.project):
            raise UsageError(
                f"{wanted.project[:80]!r} is no project's name", hint="correct that line"
            )
        if not wanted.version and not wanted.files:
            raise UsageError(
                f"{wanted.project} is not pinned to one version",
                hint="write ==VERSION, or lock with your tool; crane pip download fills the cache "
                "as well",
            )
        index, page = await self._page(target)
        if any(file.url for file in wanted.files):
            await self._fetch_named(target, page)
        elif page is None:
            self._not_there(target)
        else:
            await self._fetch_listed(target, index, page)

    async def _page(self, target: Target) -> tuple[Index, ProjectPage | None]:
        project, gate = target.wanted.project, self._gates[target.with_fallback]
        index = target.indexes[0]
        for index in target.indexes:
            page = await gate.page(index.url, project)
            if page is not None:
                if not page.files or any(index.covers(file["url"]) for file in page.files):
                    self.harvest.pages.add((index, project, target.wanted.asks_page))
                return index, page
        return index, None

    def _not_there(self, target: Target) -> None:
        wanted, names = target.wanted, ", ".join(index.name for index in target.indexes)
        if len(wanted.sources) > len(target.indexes) or not wanted.sources:
            # An index of the same command that is none of ours may have it.
            self.harvest.elsewhere.append(Elsewhere(wanted.project, f"not at {names}"))
        else:
            raise NotFound(f"{names} has no {wanted.project}", hint="is the lock file out of date?")

    async def _fetch_named(self, target: Target, page: ProjectPage | None) -> None:
        """Fetch the files whose URLs the lock has."""
        wanted = target.wanted
        entries = {file["url"]: file for file in page.files} if page else {}
        chosen = set(self._selection.of(file.name for file in wanted.files))
        async with asyncio.TaskGroup() as group:
            for file in wanted.files:
                if file.url is None or file.name not in chosen:
                    continue
                index = next((i for i in target.indexes if i.covers(file.url or "")), None)
                if index is None:
                    self.harvest.elsewhere.append(Elsewhere(wanted.project, f"{file.name}: a URL"))
                    continue
                entry = entries.get(file.url, {"filename": file.name, "url": file.url})
                allowed = frozenset(file.hashes.items())
                group.create_task(self._file(wanted.project, index, entry, allowed))

    async def _fetch_listed(self, target: Target, index: Index, page: ProjectPage) -> None:
        """Fetch the files that the index's page has of what the lock wants."""
        wanted = target.wanted
        entries = files_of(page, wanted, self._selection)
        own = [file for file in entries if index.covers(file["url"])]
        if entries and not own:
            self.harvest.elsewhere.append(Elsewhere(wanted.project, "files at another host"))
            return
        names = [file["filename"] for file in entries]
        hashes = {file.name: frozenset(file.hashes.items()) for file in wanted.files}
        missing = missing_names(wanted, names, self._selection)
        if missing or not own:
            what = ", ".join(missing) or f"file of {wanted.project} {wanted.version} that fits"
            raise NotFound(f"{index.name} has no {what}", hint="is the lock file out of date?")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._file(
                        wanted.project, index, file, hashes.get(file["filename"], wanted.hashes),
                        quiet=not wanted.files,
                    )
                )
                for file in own
            ]  # fmt: skip
        if wanted.hashes and not any(task.result() for task in tasks):
            raise FileChanged(
                f"no file of {wanted.project} {wanted.version} at {index.name} has a hash of the "
                "lock",
                hint=DO_NOT,
            )

    async def _file(
        self,
        project: str,
        index: Index,
        entry: Mapping[str, Any],
        allowed: frozenset[tuple[str, str]],
        *,
        quiet: bool = False,
    ) -> bool:
        """Fetch a file and compare it; `quiet` leaves it to the caller that none was right."""
        name, url = entry["filename"], entry["url"]
        stated = frozenset((a, str(d).lower()) for a, d in entry.get("hashes", {}).items())
        algorithms = {a for a, _ in allowed | stated if a in ALGORITHMS} | {"sha256"}
        try:
            digests = await self._gates[False].digests(url, algorithms, self._advance)
            got = digests.by_algorithm
            if _differs(got, stated):
                raise FileChanged(f"{name} is not what the page of {index.name} says", hint=DO_NOT)
            if allowed and _differs(got, allowed):
                if quiet:
                    return False
                raise FileChanged(f"{name} at {index.name} is not what the lock says", hint=DO_NOT)
            if core_metadata(dict(entry)):
                await self._gates[False].pass_by(f"{url}.metadata")
        except CraneError as error:
            self.harvest.failures.append(Failure(project, name, error))
            return quiet  # said already
        self.harvest.fetched.append(Fetched(project, name, index.name, got["sha256"], digests.size))
        return True


def _differs(got: Mapping[str, str], allowed: frozenset[tuple[str, str]]) -> bool:
    """Whether none of the digests that we can compute is among those that are allowed."""
    known = {(a, d) for a, d in allowed if a in got}
    return bool(known) and not any((a, d) in known for a, d in got.items())
