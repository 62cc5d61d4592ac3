"""What does the index give with the token: a list, pages, files, metadata, parts of files?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crane_cli.findings import Finding, failed, good, warning
from crane_cli.stored_tokens import StoredTokens
from crane_core.errors import CraneError, IndexRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crane_core.auth.broker import Broker
    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Index
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.page import ProjectPage
    from crane_core.index.source import PrivateIndex

MOST_PROJECTS = 3  # that are looked at for one with a wheel


async def look(parts: AuthContext, broker: Broker, index: Index) -> AsyncIterator[Finding]:
    """Yield the findings."""
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.source import PrivateIndex

    upstream = Upstream(parts.clients, StoredTokens(broker), parts.clock)
    source = PrivateIndex(index, partial(upstream.page, index=index), parts.clock)
    try:
        root = await source.root()
    except CraneError as error:
        yield failed("with the token", error)
        return
    if root is None:
        if index.root_required:
            yield Finding(
                "bad",
                "with the token: the index answers 'not found', which is also what it says to "
                "somebody without rights",
                f"compare the URL {index.url} with that of your firm, and ask its administrators "
                "for access",
                IndexRefused.exit_code,
            )
            return
        yield warning("with the token: the index has no list of its projects")
        return
    count = len(root.projects)
    yield good(f"with the token: the index lists {count} project{'s' * (count != 1)}")
    async for finding in _files(source, upstream, index, sorted(root.projects)[:MOST_PROJECTS]):
        yield finding


async def _files(
    source: PrivateIndex, upstream: Upstream, index: Index, projects: list[str]
) -> AsyncIterator[Finding]:
    wheel: dict[str, Any] | None = None
    for project in projects:
        try:
            page = await source.owned_page(project)
        except CraneError as error:
            yield failed(f"the page of {project}", error)
            return
        if page is None:
            yield warning(f"the page of {project}: listed, but not there")
            continue
        yield _page(project, page.page)
        wheel = next((f for f in page.page.files if f["filename"].endswith(".whl")), None)
        if wheel is not None:
            break
    if wheel is not None:
        async for finding in _wheel(upstream, index, wheel):
            yield finding


def _page(project: str, page: ProjectPage) -> Finding:
    files = page.files
    text = f"the page of {project} is read: {len(files)} file{'s' * (len(files) != 1)}"
    if files and not any(file["hashes"] for file in files):
        return warning(f"{text}, without hashes; crane adds those of files that it has seen")
    return good(text)


async def _wheel(upstream: Upstream, index: Index, wheel: dict[str, Any]) -> AsyncIterator[Finding]:
    from crane_core.http import StreamError
    from crane_core.index.page_markup import core_metadata
    from crane_core.urls import within

    if core_metadata(wheel):
        yield good("metadata: the index has its own (PEP 658)")
    url = wheel["url"]
    if not within(url, index.token_prefix):
        yield good("files lie elsewhere, and are fetched without the token")
        return
    headers = {"range": "bytes=0-0", "accept-encoding": "identity"}
    try:
        async with upstream.open("GET", url, index=index, headers=headers) as response:
            status = response.status_code
    except CraneError as error:
        yield failed(f"the file {wheel['filename']}", error)
        return
    except StreamError as error:
        yield warning(f"the file {wheel['filename']} broke off ({error})")
        return
    if status == 206:
        yield good("ranges: the index gives parts of files, so crane can make metadata")
    elif status == 200:
        made = "" if core_metadata(wheel) else "; crane makes metadata of wheels that it has seen"
        yield warning(f"ranges: the index gives whole files only{made}")
    else:
        yield Finding(
            "bad",
            f"the file {wheel['filename']}: HTTP {status}",
            "ask the index's administrators for access to its files",
            IndexRefused.exit_code,
        )
