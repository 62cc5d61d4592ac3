"""The head of a CONNECT request (RFC 9110 §9.3.6)."""

from __future__ import annotations

import httptools

LONGEST_HEAD = 16 << 10


class ConnectHead:
    """The head of a CONNECT, as llhttp reads it: strictly (no bare LF, no folded lines)."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[bytes, bytes] = {}
        self.rest = bytearray()
        self.size = 0
        self.is_whole = False
        self._repeated = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> str:
        """Take what has come; return why it is refused, empty if it is not."""
        self.size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.is_whole = True
            self.rest += data[upgrade.args[0] :]
            return self._problem()
        except httptools.HttpParserError:
            return "that is no HTTP request"
        return "the head of the request is too long" if self.size > LONGEST_HEAD else ""

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        name = name.lower()
        self._repeated |= name in self.fields and name in {b"host", b"proxy-authorization"}
        self.fields[name] = value

    def _problem(self) -> str:
        version = self._parser.get_http_version()
        if self.size - len(self.rest) > LONGEST_HEAD:
            return "the head of the request is too long"
        if self._repeated:
            return "a header that must stand once is there twice"
        # RFC 9110 §9.3.6: a CONNECT has no content; a body here would be somebody's trick.
        if self.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.fields:
            return "a CONNECT has no body"
        if version not in {"1.0", "1.1"}:
            return "HTTP/1.1 is spoken here"
        # Python before 3.12 sends HTTP/1.0 without a Host.
        if version == "1.1" and b"host" not in self.fields:
            return "the Host header is missing"
        return ""
