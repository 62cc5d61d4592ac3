"""The least that a resolution takes: its chain of questions, asked by one who knows the answers.

A page can be asked for once a metadata has named its project, and the metadata once the page is
there. Nothing is parsed, and nothing is asked for in vain: what this takes is the link's.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from benchmarks.closure import WANTED
from benchmarks.site import FILES

CONNECTIONS = 96  # open before the first question; no more are ever in use
TAIL = 32 << 10  # bytes of a wheel's end that hold its METADATA, as crane asks for them
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Project:
    """A project's one wheel, and what its METADATA requires."""

    wheel: str
    requires: tuple[Requirement, ...]


def projects_of(site: Path) -> dict[str, Project]:
    """Return the projects of a closure's folder by their names."""
    found = {}
    for metadata in (site / "files").glob("*.metadata"):
        wheel = metadata.name.removesuffix(".metadata")
        lines = BytesParser().parsebytes(metadata.read_bytes(), headersonly=True)
        requires = tuple(map(Requirement, lines.get_all("Requires-Dist", [])))
        found[str(parse_wheel_filename(wheel)[0])] = Project(wheel, requires)
    return found


def times_of(
    index_url: str, projects: Mapping[str, Project], *, has_metadata: bool
) -> dict[str, float]:
    """Return when each answer of one resolution is there, in seconds, by the path asked for.

    Paths are `/simple/NAME/`, and those of metadata files even where none are.
    """
    chain = _Chain(index_url, projects, has_metadata)
    asyncio.run(chain.run())
    return chain.at


@dataclass
class _Chain:
    index_url: str
    projects: Mapping[str, Project]
    has_metadata: bool
    at: dict[str, float] = field(default_factory=dict)
    start: float = 0.0
    asked: set[tuple[str, str]] = field(default_factory=set)
    pages: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def run(self) -> None:
        """Open connections, which anybody may do beforehand, then ask."""
        address = urlsplit(self.index_url)
        opening = [_connection(address) for _ in range(CONNECTIONS)]
        self.idle = list(await asyncio.gather(*opening))
        self.start = time.perf_counter()
        await self.follow()

    async def follow(self) -> None:
        """Ask for all that is wanted, and what that needs."""
        wanted = [Requirement(line) for line in WANTED.read_text().split()]
        async with asyncio.TaskGroup() as group:
            for requirement in wanted:
                self._want(requirement, group)
        for _, writer in self.idle:
            writer.close()

    def _want(self, requirement: Requirement, group: asyncio.TaskGroup) -> None:
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in self.asked:
                self.asked.add((name, extra))
                group.create_task(self._project(name, extra, group))

    async def _project(self, name: str, extra: str, group: asyncio.TaskGroup) -> None:
        if name not in self.pages:
            self.pages[name] = group.create_task(self._files(name))
        await asyncio.shield(self.pages[name])
        for needed in self.projects[name].requires:
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                self._want(needed, group)

    async def _files(self, name: str) -> None:
        simple = urlsplit(self.index_url).path
        await self._get(f"{simple}{name}/", f"Accept: {JSON_TYPE}")
        self.at[f"/simple/{name}/"] = time.perf_counter() - self.start
        file = f"{FILES}/{self.projects[name].wheel}"
        if self.has_metadata:
            await self._get(f"{file}.metadata")
        else:
            await self._get(file, f"Range: bytes=-{TAIL}")
        self.at[f"{file}.metadata"] = time.perf_counter() - self.start

    async def _get(self, path: str, *fields: str) -> None:
        parts = urlsplit(self.index_url)
        reader, writer = self.idle.pop() if self.idle else await _connection(parts)
        login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: bench", f"Authorization: Basic {login}", *fields]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if not head.startswith(("http/1.1 200 ", "http/1.1 206 ")):
            raise RuntimeError(head)
        await reader.readexactly(int(head.partition("content-length: ")[2].split("\r\n")[0]))
        self.idle.append((reader, writer))


def _connection(
    address: SplitResult,
) -> Coroutine[None, None, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return asyncio.open_connection(address.hostname, address.port)
