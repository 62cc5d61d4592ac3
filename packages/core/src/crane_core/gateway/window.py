"""The end of a growing body that is kept in memory."""

from __future__ import annotations

from collections import deque


class Window:
    """Pieces of a body in their order, from offset `start` up to and without `end`."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._pieces: deque[bytes] = deque()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self.end - self.start

    def append(self, piece: bytes) -> None:
        """Add what comes next; not empty."""
        self._pieces.append(piece)
        self.end += len(piece)

    def drop(self, limit: int) -> bool:
        """Forget the pieces that end at `limit` or before. Returns whether there was one."""
        before = self.start
        while self._pieces and self.start + len(self._pieces[0]) <= limit:
            self.start += len(self._pieces.popleft())
        return self.start > before

    def piece(self, offset: int) -> bytes:
        """Return what is there from `offset` on, up to the end of its piece."""
        begin = self.start
        for piece in self._pieces:
            if offset < begin + len(piece):
                return piece[offset - begin :] if offset > begin else piece
            begin += len(piece)
        raise IndexError(offset)
