"""How far long work is, where a person may look at it; nothing anywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.progress import Progress, ProgressColumn


@contextlib.contextmanager
def bytes_sent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` bytes are done; yields what is told of each few more."""
    if not is_shown():
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
               TransferSpeedColumn())  # fmt: skip
    with _bar(*columns) as progress:
        task = progress.add_task(what, total=total)
        yield lambda size: progress.advance(task, size)


@contextlib.contextmanager
def things_done(
    what: str, total: int
) -> Iterator[tuple[Callable[[], None], Callable[[int], None]]]:
    """Show how many of `total` things are done, and how many bytes came.

    Yields what is told of each thing that is finished, and of each few bytes more.
    """
    if not is_shown():
        yield (lambda: None), (lambda _: None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    from crane_core.cache.settings import show_size

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[size]}"))  # fmt: skip
    with _bar(*columns) as progress:
        task = progress.add_task(what, total=total, size="")
        came = 0

        def more(size: int) -> None:
            nonlocal came
            came += size
            progress.update(task, size=show_size(came))

        yield (lambda: progress.advance(task)), more


@contextlib.contextmanager
def steps_done(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is of which nobody knows beforehand how much it is.

    Yields what is told how many are done, and of how many.
    """
    if not is_shown():
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    with _bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def is_shown() -> bool:
    """Whether a person sees what moves on standard error."""
    return is_moving(sys.stderr, os.environ)


def is_moving(stream: TextIO, environ: Mapping[str, str], *, system: str = sys.platform) -> bool:
    """Whether a line on this stream can be written over: a terminal that is not a dumb one.

    The old console of Windows is one, for what we write.
    """
    if not stream.isatty() or environ.get("TERM") == "dumb":
        return False
    from crane_cli.colours import understands_codes

    return system != "win32" or understands_codes(environ, system=system)


def _bar(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    from crane_cli.colours import has_colours

    plain = not has_colours(sys.stderr, os.environ)
    return Progress(*columns, console=Console(stderr=True, no_color=plain), transient=True)
