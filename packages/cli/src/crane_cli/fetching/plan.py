"""Which registered index each project of a lock is fetched from, and which are nobody's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.errors import InvalidURL
from crane_core.urls import origin_of, without_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crane_cli.locks.model import Wanted
    from crane_core.config.model import Configuration, Index


@dataclass(frozen=True, slots=True)
class Target:
    """A project, and the indexes to ask for it in their order.

    `with_fallback` says that its tool asks the one index, and lets that say where else it is.
    """

    wanted: Wanted
    indexes: tuple[Index, ...]
    with_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is not at a registered index, and where it is."""

    project: str
    why: str


def plan(
    wanted: Iterable[Wanted], configuration: Configuration, chosen: Callable[[], Index]
) -> tuple[list[Target], list[Elsewhere]]:
    """Return what to fetch and what not; `chosen` is the index of those that name none.

    Raises `NotRegistered` if that is needed and there is none.
    """
    targets: list[Target] = []
    elsewhere: list[Elsewhere] = []
    for one in wanted:
        if one.elsewhere:
            elsewhere.append(Elsewhere(one.project, one.elsewhere))
        elif indexes := _named(one, configuration):
            targets.append(Target(one, indexes))
        elif places := [*(file.url for file in one.files if file.url), *one.sources]:
            elsewhere.append(Elsewhere(one.project, f"at {_host(places[0])}"))
        else:
            targets.append(Target(one, (chosen(),), with_fallback=one.asks_page))
    return targets, elsewhere


def _named(wanted: Wanted, configuration: Configuration) -> tuple[Index, ...]:
    urls = [file.url for file in wanted.files if file.url]
    if urls:
        return tuple(i for i in configuration if any(i.covers(url) for url in urls))
    return tuple(configuration.named_by([without_login(source) for source in wanted.sources]))


def _host(url: str) -> str:
    try:
        return origin_of(without_login(url)).host
    except InvalidURL:
        return "a place that is no URL"
