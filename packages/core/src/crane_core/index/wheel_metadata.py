"""METADATA out of a wheel of which only a few byte ranges are read, and what it depends on.

The zip is read by `zipfile`, as pip reads it, so that what is served is what an install will see.
A wheel is anybody's bytes: what counts is what was read and unpacked, never what it claims.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

# Of 210 popular wheels, 89% hold all that is needed in their last 32 KiB, 92% in the last 64. What
# more the large ones need grows with them, and comes with the second range anyway.
TAIL = 32 << 10
_SHARE_OF_LARGE, _MOST_TAIL = 40, 512 << 10
MAX_RANGES = 4
MAX_BYTES = 8 << 20  # of 210 wheels ansible's takes most: 3.7 MB, for 21 thousand files
MAX_FILES = 0xFFFF
MAX_METADATA = 2 << 20
MAX_HEAD = 256 << 10
LONG_HEAD = 32 << 10
MAX_REQUIREMENTS, MAX_REQUIREMENT = 500, 4096
ENCRYPTED = 0x1 | 0x40 | 0x2000
# Before a wheel's directory come RECORD, about half as long, licences and METADATA; with so much
# of them, two ranges were enough for each of the 210.
_BEFORE_DIRECTORY = 48 << 10
# A local header's fixed part, and room for its extra fields, which need not be the directory's.
_LOCAL_HEADER, _LOCAL_EXTRA = 30, 1 << 10
_END_RECORD = 22
# The fields that dependencies are read from, with lines that go on (RFC 5322 §2.2.3).
_FIELDS = re.compile(
    r"^(?:Requires-Dist|Provides-Extra|Requires-Python)[ \t]*:.*(?:\r?\n[ \t].*)*",
    re.IGNORECASE | re.MULTILINE,
).findall
_NEEDED_EXTRA = re.compile(r""";[^;]*\bextra\s*==\s*["']([^"']*)["']""").search


class NoMetadata(Exception):
    """A wheel whose METADATA cannot be had, or must not be believed; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a METADATA says that a resolver follows; extras by their normalised names.

    `lines` are the requirements as they are written. Lines that cannot be understood count for
    nothing.
    """

    lines: tuple[str, ...] = ()
    extras: frozenset[str] = frozenset()
    requires_python: str = ""

    @property
    def requires(self) -> tuple[Requirement, ...]:
        """All requirements."""
        return tuple(found for line in self.lines if (found := _requirement(line)) is not None)

    def that_may_hold(self, extras: frozenset[str]) -> Iterator[Requirement]:
        """Yield all but those that need another extra; of most projects' lines, few are left."""
        wanted = frozenset(map(canonicalize_name, extras))
        for line in self.lines:
            needed = None if " or " in line else _NEEDED_EXTRA(line)
            if needed is not None and canonicalize_name(needed[1]) not in wanted:
                continue
            if (found := _requirement(line)) is not None:
                yield found


def tail_of(size: object) -> int:
    """Return how many bytes of a wheel's end to ask for first, by the size that its page says."""
    if not isinstance(size, int):
        return TAIL
    return min(max(TAIL, size // _SHARE_OF_LARGE), _MOST_TAIL)


class TailReader:
    """Reads METADATA out of the byte ranges it asks for; its user fetches them.

    As long as `needed()` is a range, `feed` it; then call `metadata()`. Where the size is not
    known, ask for the last `tail_of()` bytes: that answer has the size, and can be fed at once.
    Every method, and the constructor, raises `NoMetadata` and nothing else.
    """

    def __init__(self, filename: str, size: int) -> None:
        self._identity = _identity_of_file(filename)
        if size < _END_RECORD:
            raise NoMetadata("the file is too short for a zip")
        self._file = _SparseFile(size)
        self._archive: zipfile.ZipFile | None = None
        self._metadata: bytes | None = None
        self._feeds = 0
        self._needed: range | None = range(max(0, size - TAIL), size)

    def needed(self) -> range | None:
        """Return which bytes to feed next; None where all is read."""
        return self._needed

    def feed(self, start: int, data: bytes) -> None:
        """Take the bytes that begin at `start`, be they more or fewer than were asked for."""
        self._needed = None
        self._feeds += 1
        if self._feeds > MAX_RANGES:
            raise NoMetadata("too many ranges would have to be read")
        self._file.add(start, data)
        try:
            self._metadata = self._read()
        except _NeedRange as missing:
            self._needed = self._widened(missing)
        except NoMetadata:
            raise
        except Exception as error:  # noqa: BLE001 - of broken zips, zipfile raises many kinds
            # Only its kind: what it says holds names from the zip, of any length.
            raise NoMetadata(f"no zip that can be read ({type(error).__name__})") from None

    def metadata(self) -> bytes:
        """Return METADATA as the wheel has it; its name and version are those of the file."""
        if self._metadata is None:
            raise NoMetadata("it was not read to the end")
        return self._metadata

    def _read(self) -> bytes:
        self._archive = self._archive or zipfile.ZipFile(self._file)
        entry = _find_entry(self._archive.infolist(), self._identity)
        self._file.take(*_extent(self._archive, entry))
        with self._archive.open(entry) as member:
            # One byte more than is allowed; so much is unpacked at most, whatever is claimed.
            content = member.read(MAX_METADATA + 1)
        if len(content) > MAX_METADATA:
            raise NoMetadata("METADATA is too large")
        if _identity_in(_head(content)) != self._identity:
            raise NoMetadata("METADATA is of another name or version")
        return content

    def _widened(self, missing: _NeedRange) -> range:
        start, stop = missing.start, missing.stop
        spare = MAX_BYTES - self._file.held - (stop - start)
        if spare < 0:
            raise NoMetadata("too much would have to be read")
        if self._archive is None:
            before = (self._file.size - start) // 2 + _BEFORE_DIRECTORY
            start -= min(start, before, spare // 2)
        return range(start, stop)


def metadata_of_file(path: Path, filename: str = "") -> bytes:
    """Return METADATA of a wheel on disk, whose name is `filename` if not its path's.

    Raises `NoMetadata`.
    """
    try:
        with path.open("rb") as file:
            reader = TailReader(filename or path.name, file.seek(0, 2))
            while (wanted := reader.needed()) is not None:
                file.seek(wanted.start)
                reader.feed(wanted.start, file.read(len(wanted)))
    except OSError as error:
        raise NoMetadata(f"the file cannot be read ({error.strerror})") from None
    return reader.metadata()


def identity_of(metadata: bytes) -> tuple[str, Version] | None:
    """Return the normalised name and the version that a METADATA states, None if it is none."""
    try:
        return _identity_in(_head(metadata))
    except NoMetadata:
        return None


def dependencies_of(metadata: bytes) -> Dependencies:
    """Return what a METADATA depends on."""
    head = _head_of(metadata)
    # A resolver comes back to a version; long ones are not worth the memory.
    return _dependencies(head) if len(head) < LONG_HEAD else _dependencies.__wrapped__(head)


@lru_cache(maxsize=512)
def _dependencies(text: bytes) -> Dependencies:
    try:
        head = HeaderParser().parsestr("\n".join(_FIELDS(_decoded(text))))
    except NoMetadata:
        return Dependencies()
    return Dependencies(
        tuple(map(str, head.get_all("Requires-Dist", [])[:MAX_REQUIREMENTS])),
        frozenset(canonicalize_name(extra) for extra in head.get_all("Provides-Extra", [])),
        str(head.get("Requires-Python", "")).strip(),
    )


@lru_cache(maxsize=4096)
def _requirement(line: str) -> Requirement | None:
    try:
        return Requirement(" ".join(line.split())) if len(line) <= MAX_REQUIREMENT else None
    except (ValueError, RecursionError):
        return None


def _head_of(metadata: bytes) -> bytes:
    # The description after it, often most of METADATA, is nothing anyone asks about here.
    return re.split(rb"\r?\n\r?\n", metadata[: MAX_HEAD + 1], maxsplit=1)[0]


def _head(metadata: bytes) -> Message:
    return HeaderParser().parsestr(_decoded(_head_of(metadata)))


def _decoded(head: bytes) -> str:
    if len(head) > MAX_HEAD:
        raise NoMetadata("the head of METADATA is too long")
    try:
        return head.decode()
    except UnicodeDecodeError:
        raise NoMetadata("METADATA is no UTF-8") from None


def _identity(name: str, version: str) -> tuple[str, Version] | None:
    try:
        return canonicalize_name(name, validate=True), Version(version)
    except ValueError:
        return None


def _identity_in(head: Message) -> tuple[str, Version] | None:
    names, versions = head.get_all("Name", []), head.get_all("Version", [])
    # Of two, which counts would be up to whoever reads it.
    if len(names) != 1 or len(versions) != 1:
        return None
    return _identity(names[0].strip(), versions[0])


def _identity_of_file(filename: str) -> tuple[str, Version]:
    # Not packaging's parser: that would make every tag of a compressed set, of any length.
    parts = filename.removesuffix(".whl").split("-")
    is_wheel = filename.endswith(".whl") and len(parts) in {5, 6}
    identity = _identity(parts[0], parts[1]) if is_wheel else None
    if identity is None:
        raise NoMetadata("the file name is no wheel's")
    return identity


def _find_entry(files: list[zipfile.ZipInfo], identity: tuple[str, Version]) -> zipfile.ZipInfo:
    if any(_is_unsafe(file) for file in files):
        raise NoMetadata("the wheel has paths that lead out of it, or with two readings")
    folder = _dist_info([file.filename for file in files])
    name, _, version = folder.removesuffix(".dist-info").rpartition("-")
    if _identity(name, version) != identity:
        raise NoMetadata("the wheel's .dist-info is of another name or version")
    entries = [file for file in files if file.filename == f"{folder}/METADATA"]
    if len(entries) != 1:
        raise NoMetadata("the wheel has no METADATA, or has it twice")
    if entries[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise NoMetadata("METADATA is compressed in a way that no tool has to know")
    if entries[0].flag_bits & ENCRYPTED:
        raise NoMetadata("METADATA is encrypted")
    return entries[0]


def _dist_info(names: list[str]) -> str:
    tops = {name.split("/", 1)[0] for name in names}
    found = [top for top in tops if top.endswith(".dist-info")]
    if len(found) != 1:
        raise NoMetadata(f"the wheel has {len(found)} .dist-info folders")
    return found[0]


def _is_unsafe(file: zipfile.ZipInfo) -> bool:
    name = file.orig_filename
    # zipfile ends a name at NUL, and takes another one from an extra field; other readers do not.
    if name != file.filename:
        return True
    return name.startswith("/") or "\\" in name or (".." in name and ".." in name.split("/"))


def _extent(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Return where an entry lies, so that it is fetched at once. Raises `NoMetadata`."""
    start = entry.header_offset
    stop = start + _LOCAL_HEADER + len(entry.filename) + entry.compress_size
    others = (other.header_offset for other in archive.infolist() if other is not entry)
    following = min([archive.start_dir, *(offset for offset in others if offset >= start)])
    if start < 0 or stop > following:
        raise NoMetadata("METADATA lies over something else")
    return start, min(following, stop + _LOCAL_EXTRA)


class _NeedRange(Exception):
    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.start, self.stop = start, stop


class _SparseFile:
    """A file of which some pieces are here; reading what is not raises `_NeedRange`."""

    def __init__(self, size: int) -> None:
        self.held = 0
        self.size, self._at = size, 0
        self._pieces: list[tuple[int, bytes]] = []

    def add(self, start: int, data: bytes) -> None:
        if not 0 <= start < start + len(data) <= self.size:
            raise NoMetadata("the bytes that came are not of this file")
        self.held += len(data)
        if self.held > MAX_BYTES:
            raise NoMetadata("too much would have to be read")
        self._pieces.append((start, data))

    def take(self, start: int, stop: int) -> bytes:
        parts = []
        while start < stop:
            piece = next((p for p in self._pieces if p[0] <= start < p[0] + len(p[1])), None)
            if piece is None:
                following = (at for at, _ in self._pieces if at > start)
                raise _NeedRange(start, min([stop, *following]))
            parts.append(piece[1][start - piece[0] : stop - piece[0]])
            start += len(parts[-1])
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        position = offset + (0, self._at, self.size)[whence]
        if position < 0:
            raise OSError("before the beginning")
        self._at = position
        return position

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1, /) -> bytes:
        data = self.take(self._at, self.size if count < 0 else min(self._at + count, self.size))
        # zipfile reads the directory at once and makes an object of each entry.
        if data.count(b"PK\x01\x02") > MAX_FILES:
            raise NoMetadata("the wheel has too many files")
        self._at += len(data)
        return data
