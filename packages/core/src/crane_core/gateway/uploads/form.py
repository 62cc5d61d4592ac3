"""The legacy upload form (multipart/form-data, RFC 7578), read as it comes.

docs.pypi.org/api/upload: fields, and the file in the part `content`. Their order is the tool's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from crane_core.gateway.uploads.refusal import UploadRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTENT = "content"
# Of everything but the file: a description may be long, and so may attestations.
MOST_BYTES = 16 << 20
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is not the distribution; a signature (`gpg_signature`) has a file name too."""

    name: str
    value: bytes
    filename: str | None = None

    @property
    def text(self) -> str:
        """The value as text."""
        return self.value.decode("utf-8", "replace")


class FormUser(Protocol):
    """Takes what the form holds, in its order."""

    def part(self, part: Part) -> None:
        """Take a whole part."""
        ...

    def file_begins(self, filename: str) -> None:
        """Take note that the distribution follows."""
        ...

    def file_piece(self, data: bytes) -> None:
        """Take the next bytes of the distribution."""
        ...


class FormReader:
    """Parses a form, and hands out its parts. Every method raises `UploadRefused`."""

    def __init__(self, content_type: bytes, user: FormUser) -> None:
        boundary = boundary_of(content_type)
        if boundary is None:
            raise UploadRefused(400, "the upload is no multipart/form-data with a boundary")
        self._user = user
        self._is_over = False
        self._parts = self._bytes = 0
        self._field, self._value, self._disposition = b"", b"", b""
        self._name, self._filename = "", None  # type: tuple[str, str | None]
        self._data: list[bytes] = []
        self._is_file = self._had_file = False
        callbacks: Any = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_ends,
            "on_end": self._form_ends,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise UploadRefused(400, f"the upload form cannot be read ({error})") from None

    def finish(self) -> None:
        """Make sure that all has come."""
        if not self._is_over:
            raise UploadRefused(400, "the upload form broke off before its end")
        if not self._had_file:
            raise UploadRefused(400, f"the upload form has no file (a part named {CONTENT})")

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise UploadRefused(400, "the upload form has too many parts")
        self._disposition, self._data = b"", []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _headers_end(self) -> None:
        # As bytes it would be read as Latin-1, and tools write UTF-8.
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        self._filename = None if filename is None else filename.decode("utf-8", "replace")
        self._is_file = self._name == CONTENT
        if self._is_file:
            # Which of two an index takes depends on its parser.
            if self._had_file:
                raise UploadRefused(400, f"the upload form has two files (parts named {CONTENT})")
            if self._filename is None:
                raise UploadRefused(400, f"the upload form has a {CONTENT} without a file name")
            self._had_file = True
            self._user.file_begins(self._filename or "")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data if (start, end) == (0, len(data)) else data[start:end]
        if self._is_file:
            self._user.file_piece(piece)
            return
        self._bytes += len(piece)
        if self._bytes > MOST_BYTES:
            raise UploadRefused(413, f"the upload form has more than {MOST_BYTES >> 20} MiB beside")
        self._data.append(piece)

    def _part_ends(self) -> None:
        if self._is_file:
            self._is_file = False
        else:
            self._user.part(Part(self._name, b"".join(self._data), self._filename))

    def _form_ends(self) -> None:
        self._is_over = True


def boundary_of(content_type: bytes) -> bytes | None:
    """Return the boundary of a form, None if the type is no form's."""
    kind, options = parse_options_header(content_type.decode("latin-1"))
    boundary = options.get(b"boundary", b"")
    return boundary if kind == b"multipart/form-data" and 0 < len(boundary) <= 200 else None


def value_of(parts: Sequence[Part], name: str) -> str | None:
    """Return the only value of a field, None if there is none.

    Raises `UploadRefused` for two, and for one that an index may take for a file.
    """
    found = [part for part in parts if part.name == name]
    if len(found) > 1 or any(part.filename is not None for part in found):
        raise UploadRefused(400, f"the upload form has {name} twice, or as a file")
    return found[0].text if found else None


def head_of(boundary: str, name: str, filename: str | None = None) -> bytes:
    """Return what stands before a part's value."""
    disposition = f'form-data; name="{_quoted(name)}"'
    kind = ""
    if filename is not None:
        disposition += f'; filename="{_quoted(filename)}"'
        kind = "content-type: application/octet-stream\r\n"
    return f"--{boundary}\r\ncontent-disposition: {disposition}\r\n{kind}\r\n".encode()


def _quoted(text: str) -> str:
    # HTML §4.10.21.8, as browsers and httpx do.
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
