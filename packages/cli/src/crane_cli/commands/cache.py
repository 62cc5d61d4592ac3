"""`crane cache`: where it is, what it holds, and how to clear it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command, command_group
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from crane_cli.context import Context
    from crane_core.cache.maintenance import Report
    from crane_core.cache.store import Cache


PURGE_EXAMPLES = """
crane cache purge                 all of it
crane cache purge --older 30d     what was not used for a month
crane cache purge --index firm    what came from one index
"""
EXAMPLES = """
crane cache info
crane cache purge --older 30d
"""


def add_parser(commands: Any) -> None:
    """Add the command and its own commands."""
    actions = command_group(commands, "cache", "show and clear the cache", EXAMPLES)
    summary = "show where the cache is"
    add_json(command(actions, "dir", run_dir, summary, "crane cache dir", group="cache"))
    summary = "show what the cache holds, and of which index"
    add_json(command(actions, "info", run_info, summary, "crane cache info --json", group="cache"))
    summary = "remove what the cache holds"
    purge = command(actions, "purge", run_purge, summary, PURGE_EXAMPLES, group="cache")
    purge.add_argument("--index", metavar="INDEX", help="name or URL; only what came from it")
    purge.add_argument("--older", metavar="AGE", help="only what was not used for as long: 30d")
    add_json(purge)


def run_dir(args: argparse.Namespace, here: Context) -> Result:
    """Show the folder."""
    folder = str(here.paths.cache)
    return Result(folder, {"folder": folder})


def run_info(args: argparse.Namespace, here: Context) -> Result:
    """Show how much is there, and of which index."""
    from crane_core.cache.maintenance import report

    with _cache(here) as cache:
        found = report(cache, here.config.load())
    data = {"folder": str(cache.folder), "limit": cache.limit, **asdict(found)}
    return Result(_described(cache, found), data)


def run_purge(args: argparse.Namespace, here: Context) -> Result:
    """Remove pages and files, and say how much that was."""
    from crane_cli.progress import steps_done
    from crane_core.cache.maintenance import purge
    from crane_core.cache.settings import show_size
    from crane_core.config.durations import parse_duration

    prefix = here.config.load().find(args.index).token_prefix if args.index else None
    since = None
    if args.older is not None:
        since = here.clock.now() - parse_duration(args.older, "--older")
    with _cache(here) as cache, steps_done("purge") as told:
        purged = purge(cache, prefix=prefix, unused_since=since, progress=told)
    text = f"removed {_counted(purged.files, purged.pages)}, {show_size(purged.size)}"
    return Result(text, asdict(purged))


@contextlib.contextmanager
def _cache(here: Context) -> Iterator[Cache]:
    from crane_core.cache.settings import read_settings
    from crane_core.cache.store import open_cache

    size = read_settings(here.environ).size
    cache = open_cache(here.paths.cache, here.clock, size, here.prompt.notice)
    try:
        yield cache
    finally:
        cache.close()


def _described(cache: Cache, found: Report) -> str:
    from crane_core.cache.settings import show_size

    limit = f"of {show_size(cache.limit)}" if cache.limit else "(the cache is off)"
    lines = [
        f"folder  {cache.folder}",
        f"size    {show_size(found.file_bytes + found.page_bytes)} {limit}",
        f"files   {found.files}, {show_size(found.file_bytes)}",
        f"pages   {found.pages}, {show_size(found.page_bytes)}",
    ]
    width = max((len(share.index) for share in found.shares), default=0)
    lines += [
        f"  {s.index:{width}}  {_counted(s.files, s.pages)}, {show_size(s.size)}"
        for s in found.shares
    ]
    return "\n".join(lines)


def _counted(files: int, pages: int) -> str:
    return f"{files} file{'s' * (files != 1)} and {pages} page{'s' * (pages != 1)}"
