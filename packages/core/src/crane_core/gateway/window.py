"""The end of a growing body that is kept in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crane_core.responses import Piece


class Window:
    """Pieces of a body in their order, from offset `start` up to and without `end`."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._pieces: deque[Piece] = deque()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self.end - self.start

    def append(self, piece: Piece) -> None:
        """Add what comes next; not empty."""
        self._pieces.append(piece)
        self.end += len(piece)

    def drop(self, limit: int) -> bool:
        """Forget the pieces that end at `limit` or before. Returns whether there was one."""
        before = self.start
        while self._pieces and self.start + len(self._pieces[0]) <= limit:
            self.start += len(self._pieces.popleft())
        return self.start > before

    def piece(self, offset: int, limit: int) -> Piece:
        """Return what is there from `offset` on, up to the end of its piece or to `limit`."""
        begin = self.start
        for piece in self._pieces:
            if offset < begin + len(piece):
                is_whole = offset == begin and begin + len(piece) <= limit
                return piece if is_whole else piece[offset - begin : limit - begin]
            begin += len(piece)
        raise IndexError(offset)
