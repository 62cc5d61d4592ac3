"""How far long work is, where a person may look at it; nothing anywhere else."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def is_shown() -> bool:
    """Whether a person sees what is written on standard error."""
    return sys.stderr.isatty()


def _bar(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), transient=True)
