"""`crane prefetch`: fill the cache with what a lock file wants, for work without the index."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result
from crane_core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from crane_cli.context import Context
    from crane_cli.fetching.fetcher import Harvest
    from crane_cli.fetching.plan import Target
    from crane_cli.fetching.selection import Selection
    from crane_core.clients.in_process import InProcess, Way
    from crane_core.config.model import Configuration

DESCRIPTION = """\
Fetches what a lock file wants of your registered indexes, many files at a time: pages, metadata
and files, each held to its hash. Afterwards the tool that made the lock works while the index or
its provider cannot be reached, or with CRANE_OFFLINE=1. What is at other hosts is counted, and
left to your tool's own cache.
"""
EXAMPLES = """
crane prefetch uv.lock                          all files of a lock
crane prefetch -r requirements.txt -r dev.txt   pinned requirements, with or without hashes
crane prefetch poetry.lock --python-version 3.12 --platform manylinux_2_28_x86_64
CRANE_OFFLINE=1 crane pip install -r requirements.txt
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "fill the cache for work without the index"
    parser = command(commands, "prefetch", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="requirements.txt, poetry.lock, pdm.lock, uv.lock or pylock.toml; the one that is "
        "here if left out",
    )
    parser.add_argument(
        "-r", "--requirement", metavar="FILE", action="append", default=[], help="the same"
    )
    parser.add_argument(
        "--index", metavar="INDEX", help="name or URL; for what a file names no index for"
    )
    parser.add_argument("--python-version", metavar="X.Y", help="only wheels for this Python")
    parser.add_argument(
        "--platform",
        metavar="TAG",
        action="append",
        default=[],
        help="only wheels for this platform, as manylinux_2_28_x86_64 (again for more)",
    )
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Fetch; the exit code is that of the first thing that could not be had."""
    from crane_cli.fetching.kept import note_what_is_not_kept, require_cache
    from crane_cli.fetching.plan import plan
    from crane_cli.fetching.selection import Selection
    from crane_cli.gateway import is_offline
    from crane_cli.locks.read import read_lock, usual_file

    selection = Selection(args.python_version, tuple(args.platform))
    if is_offline(here):
        raise UsageError("CRANE_OFFLINE is set", hint="unset it: this is for before")
    require_cache(here)
    names = [*args.files, *args.requirement] or [usual_file()]
    wanted = [one for name in names for one in read_lock(name, here.environ)]
    configuration = here.config.load()
    targets, elsewhere = plan(wanted, configuration, lambda: configuration.chosen(args.index))
    harvest = _fetched(here, configuration, targets, selection) if targets else _nothing()
    harvest.elsewhere[:0] = elsewhere
    if targets:
        note_what_is_not_kept(here, harvest)
    return _told(harvest, ", ".join(names))


def _nothing() -> Harvest:
    from crane_cli.fetching.fetcher import Harvest

    return Harvest()


def _fetched(
    here: Context, configuration: Configuration, targets: Sequence[Target], selection: Selection
) -> Harvest:
    from crane_cli.fetching.fetcher import Fetcher
    from crane_cli.progress import things_done
    from crane_core.clients.in_process import InProcess

    in_process = InProcess(here.paths, here.environ, here.prompt.notice)
    with contextlib.closing(in_process):
        ways = _ways(here, configuration, in_process, targets)
        with things_done("prefetch", len(targets)) as (done, advance):
            fetcher = Fetcher(ways, selection, advance, done)
            asyncio.run(fetcher.run(targets))
    return fetcher.harvest


def _ways(
    here: Context, configuration: Configuration, in_process: InProcess, targets: Sequence[Target]
) -> dict[bool, Way]:
    """Open the ways, and log in where that is needed; the one by itself is always there."""
    from crane_cli.context import ensure_login
    from crane_core.clients.in_process import Needs

    names = {index.name: None for target in targets for index in target.indexes}
    fallback = {i.name: None for t in targets if t.with_fallback for i in t.indexes}
    ways = {False: in_process.way(Needs(tuple(names)))}
    for name in in_process.logins_needed(ways[False]):
        asyncio.run(ensure_login(here, configuration.find(name)))
    if fallback:
        ways[True] = in_process.way(Needs(tuple(fallback), serves_fallback=True))
    return ways


def _told(harvest: Harvest, what: str) -> Result:
    from crane_core.cache.settings import show_size
    from crane_core.text import visible

    size = sum(file.size for file in harvest.fetched)
    count = len(harvest.fetched)
    lines = [f"{what}: {count} file{'s' * (count != 1)}, {show_size(size)}, fetched and compared"]
    if projects := sorted({one.project for one in harvest.elsewhere}):
        shown = visible(", ".join(projects[:8])) + (" …" if len(projects) > 8 else "")
        lines.append(f"{len(projects)} not at a registered index, so not crane's to fetch: {shown}")
    lines += [f"✗ {failure.error.line}" for failure in harvest.failures]
    data = {
        "files": [_file_data(file) for file in harvest.fetched],
        "size": size,
        "pages": len(harvest.pages),
        "elsewhere": [{"project": e.project, "why": e.why} for e in harvest.elsewhere],
        "failed": [
            {
                "project": f.project,
                "file": f.file,
                "code": f.error.code,
                "message": f.error.message,
                "hint": f.error.hint,
            }
            for f in harvest.failures
        ],
    }
    code = harvest.failures[0].error.exit_code if harvest.failures else 0
    return Result("\n".join(lines), data, code)


def _file_data(file: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(file)
