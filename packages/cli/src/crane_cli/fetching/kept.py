"""Whether all that offline work needs is in the cache by now."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from crane_cli.fetching.fetcher import Failure
from crane_core.errors import NotKept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crane_cli.context import Context
    from crane_cli.fetching.fetcher import Harvest
    from crane_core.cache.store import Cache
    from crane_core.config.model import Index

T = TypeVar("T")
# Seconds. Agents write pages, and take in files, a moment after they have given them.
PATIENCE = 1.0
PATIENCE_WITH_FILES = 5.0


def require_cache(here: Context) -> None:
    """Raise `NotKept` where nothing can be kept, before anything is fetched."""
    from crane_core.cache.settings import SIZE_VARIABLE, read_settings

    if read_settings(here.environ).size == 0:
        raise NotKept(f"the cache is off ({SIZE_VARIABLE} is 0)", hint=f"set {SIZE_VARIABLE}=10GB")


def note_what_is_not_kept(here: Context, harvest: Harvest) -> None:
    """Add to the failures each file and page that the cache has not taken."""
    with contextlib.closing(_cache(here)) as cache:
        wanted = {file.sha256 for file in harvest.fetched}
        lost = _lost(lambda: wanted - cache.files.held(wanted), PATIENCE_WITH_FILES)
        for file in harvest.fetched:
            if file.sha256 in lost:
                error = NotKept(
                    f"the cache has no room for {file.file}",
                    hint="free some space, or set a larger CRANE_CACHE_SIZE",
                )
                harvest.failures.append(Failure(file.project, file.file, error))
        harvest.failures.extend(_lost_pages(cache, harvest))
        harvest.failures.extend(_unknown(cache, harvest))


def _lost(missing: Callable[[], set[T]], seconds: float = PATIENCE) -> set[T]:
    """Return what is missing still when that time is over."""
    until = time.monotonic() + seconds
    while (lost := missing()) and time.monotonic() < until:
        time.sleep(0.05)
    return lost


def _cache(here: Context) -> Cache:
    from crane_core.cache.settings import read_settings
    from crane_core.cache.store import open_cache

    size = read_settings(here.environ).size
    return open_cache(here.paths.cache, here.clock, size, here.prompt.notice)


def _lost_pages(cache: Cache, harvest: Harvest) -> Iterator[Failure]:
    wanted: dict[Index, set[str]] = {}
    for index, project, asks_page in harvest.pages:
        if asks_page:
            wanted.setdefault(index, set()).add(project)
    for index, projects in wanted.items():
        if lost := _lost(partial(_missing, cache, index, projects)):
            count = f"{len(lost)} page{'s' * (len(lost) != 1)}"
            error = NotKept(
                f"{index.name} does not let its pages be kept (no-store), and the tool of this "
                f"lock asks for {count}",
                hint=f"run: crane index set {index.name} --keep-pages, and this again",
            )
            yield Failure(", ".join(sorted(lost)[:5]), "", error)


def _missing(cache: Cache, index: Index, projects: set[str]) -> set[str]:
    return projects - _projects(cache, index)


def _unknown(cache: Cache, harvest: Harvest) -> Iterator[Failure]:
    from crane_core.cache.maintenance import is_known

    indexes = {index for index, _, _ in harvest.pages}
    for index in _lost(lambda: {one for one in indexes if not is_known(cache, one)}):
        error = NotKept(
            f"the cache would not answer for {index.name} offline: that has refused something "
            "just now, or the cache was cleared meanwhile",
            hint="run this again, without what the index refuses",
        )
        yield Failure("", "", error)


def _projects(cache: Cache, index: Index) -> set[str]:
    from crane_core.cache.maintenance import page_urls

    urls = page_urls(cache, index.token_prefix)
    return {canonicalize_name(unquote(url.rstrip("/").rpartition("/")[2])) for url in urls}
