"""Reading one part of a multipart form straight into a file (RFC 7578)."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from starlette.requests import Request


class UploadRefusedError(Exception):
    """The request body is not what an upload needs; the text is for the client."""


class NoPartError(UploadRefusedError):
    """The form has no part of the wanted name."""


class PartWriter:
    """Writes the first part of a given name to a file and passes over all others."""

    def __init__(self, boundary: bytes, name: bytes, sink: IO[bytes]) -> None:
        self.found = False
        self._name = name
        self._sink = sink
        self._inside = False
        self._field = b""
        self._value = b""
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise UploadRefusedError("File upload failed") from error

    def _part_begin(self) -> None:
        self._disposition = self._field = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._inside = not self.found and options.get(b"name") == self._name
        self.found = self.found or self._inside

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._sink.write(data[start:end])

    def _part_end(self) -> None:
        self._inside = False


def boundary_of(request: Request) -> bytes:
    """Return the form's boundary."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or boundary is None:
        raise UploadRefusedError("Request wasn't a multipart form")
    return boundary


async def write_part(request: Request, name: bytes, sink: IO[bytes]) -> None:
    """Stream the part ``name`` of the request into ``sink``, never the whole in memory."""
    writer = PartWriter(boundary_of(request), name, sink)
    async for chunk in request.stream():
        writer.feed(chunk)
    if not writer.found:
        raise NoPartError(f"Upload failed. No parameter named `{name.decode()}` found")
