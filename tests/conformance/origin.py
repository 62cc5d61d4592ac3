"""Files as an index sends them: with ranges and conditions (RFC 9110), or badly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from gateway.upstream import start

MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
TYPE = "application/x-wheel"


@dataclass
class File:
    """A file on a server that knows single ranges, conditions and HEAD."""

    content: bytes
    etag: str = '"one"'
    last_modified: str = MODIFIED
    ranges: bool = True
    sized: bool = True
    extra: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, body, headers = self._answer(asked)
        self.statuses.append(status)
        if self.sized and status != 304:
            headers["content_length"] = str(len(body))
        await send(start(status, **headers, **self.extra))
        content = b"" if scope["method"] == "HEAD" or status == 304 else body
        await send({"type": "http.response.body", "body": content})

    def _answer(self, asked: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        headers = {"content_type": TYPE}
        headers |= {"etag": self.etag} if self.etag else {}
        headers |= {"last_modified": self.last_modified} if self.last_modified else {}
        if self._is_known(asked):
            del headers["content_type"]
            return 304, b"", headers
        if not self.ranges:
            return 200, self.content, headers
        headers["accept_ranges"] = "bytes"
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.get("range", ""))
        condition = asked.get("if-range", self.etag)
        if match is None or condition not in {self.etag, self.last_modified}:
            return 200, self.content, headers
        first, last, size = match[1], match[2], len(self.content)
        if not first + last or (first and last and int(last) < int(first)):
            return 200, self.content, headers
        begin = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1, size) if first and last else size
        if begin >= size:
            return 416, b"", {"content_range": f"bytes */{size}"}
        headers["content_range"] = f"bytes {begin}-{end - 1}/{size}"
        return 206, self.content[begin:end], headers

    def _is_known(self, asked: dict[str, str]) -> bool:
        if "if-none-match" in asked:
            tags = {tag.strip() for tag in asked["if-none-match"].split(",")}
            return self.etag in tags or "*" in tags
        return asked.get("if-modified-since") == self.last_modified


@dataclass
class Broken:
    """A file that ends before its end: `sized` says how long it would have been."""

    content: bytes
    sized: bool

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        length = {"content_length": str(2 * len(self.content))} if self.sized else {}
        await send(start(200, content_type=TYPE, **length))
        await send({"type": "http.response.body", "body": self.content, "more_body": True})
        raise ConnectionError("the index has gone")
