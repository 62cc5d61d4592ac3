"""Work for a disk: done by one thread, in order, all that is there at a time."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Batches(Generic[T]):
    """Hands pieces of work to a thread of its own, which begins with the first of them.

    `linger` is for how many seconds the first piece of a batch waits for others, unless somebody
    waits for it.
    """

    def __init__(self, work: Callable[[Sequence[T]], None], *, linger: float = 0.0) -> None:
        self._work = work
        self._linger = linger
        self._changed = threading.Condition()
        self._pieces: list[tuple[T | None, Future[None] | None]] = []
        self._hurried = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, piece: T) -> None:
        """Have it done some time soon; nobody hears whether it was."""
        self._add(piece, None)

    def do(self, piece: T) -> Future[None]:
        """Have it done now; the future ends with what the work raised for its batch."""
        done: Future[None] = Future()
        self._add(piece, done)
        return done

    def flush(self) -> None:
        """Wait until all that was put before is done."""
        if self._thread is None:
            return
        done: Future[None] = Future()
        self._add(None, done)
        done.exception()

    def close(self) -> None:
        """Do what is left, and end the thread; what comes later begins another."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._closing = True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _add(self, piece: T | None, done: Future[None] | None) -> None:
        with self._changed:
            self._pieces.append((piece, done))
            self._hurried = self._hurried or done is not None
            if self._thread is None:
                self._closing = False
                # A daemon, so that a disk that hangs does not keep the process.
                self._thread = threading.Thread(target=self._run, name="crane-disk", daemon=True)
                self._thread.start()
            elif self._hurried or len(self._pieces) == 1:
                self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            pieces = [piece for piece, _ in batch if piece is not None]
            error: BaseException | None = None
            try:
                if pieces:
                    self._work(pieces)
            except Exception as raised:  # noqa: BLE001 - it is whoever waits that has to know
                error = raised
            for _, done in batch:
                if done is not None:
                    done.set_exception(error) if error else done.set_result(None)

    def _next(self) -> list[tuple[T | None, Future[None] | None]]:
        with self._changed:
            while not self._pieces and not self._closing:
                self._changed.wait()
            if self._pieces and self._linger:
                self._changed.wait_for(lambda: self._hurried or self._closing, self._linger)
            batch, self._pieces, self._hurried = self._pieces, [], False
            return batch
