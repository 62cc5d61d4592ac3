"""Requirements files that name indexes.

On the index route such a line would lead pip past the gateway: pip lets an `--index-url` in a file
beat its command line. So those lines are taken out of a private copy, and count as if they stood
on the command line. On the forward route the files stay what they are.
"""

from __future__ import annotations

import codecs
import locale
import os
import re
import shlex
import stat
import tempfile
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crane_core.clients.pip_options import Option, parse_line, substituted
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NESTED_OPTIONS = frozenset({"--requirement", "--constraint", "--build-constraint"})
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
# The longer ones first: UTF-32's little-endian mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a copy; `needs_copy` says that the file itself will not do."""

    text: str
    needs_copy: bool = False


@dataclass(frozen=True, slots=True)
class _Stead:
    """What stands in place of an option."""

    words: list[str]
    needs_copy: bool = False


def in_folder(folder: Path) -> Callable[[str, bytes], str]:
    """Return what keeps private copies in a folder."""
    from crane_core.files import write_private

    def store(name: str, content: bytes) -> str:
        copy = folder / name
        write_private(copy, content)
        return str(copy)

    return store


def in_no_folder(name: str, content: bytes) -> str:
    """Keep a copy in a file without a name, which goes with the process that becomes pip.

    Where files cannot be without a name, it is left to whoever cleans the temporary folder.
    """
    descriptor, path = tempfile.mkstemp(prefix="crane-", suffix=f"-{name}")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    if os.name == "nt":
        os.close(descriptor)
        return path
    os.unlink(path)  # noqa: PTH108 - its name is all that we have
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return f"/dev/fd/{descriptor}"


@dataclass
class RequirementsRewriter:
    """Reads the files that a command names, and copies those that pip cannot be given as they are.

    That is so for a stream, which can be read only once; and, unless `keeps_indexes`, for a file
    with an index line. `store` keeps a copy and returns its name. What the files say is gathered
    here: the last index URL, the extra ones, the links, whether no index is to be asked, and the
    files behind a URL, into which nobody has looked.
    """

    store: Callable[[str, bytes], str]
    environ: Mapping[str, str]
    keeps_indexes: bool = False
    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    no_index: bool = False
    _copies: dict[str, str] = field(default_factory=dict)

    def rewrite(self, name: str) -> str:
        """Return the file to give to pip: itself, or a copy without index lines.

        A file that is not there is left to pip. Raises `UsageError` for one that is no text.
        """
        path = _local_path(name)
        if path is None:
            self.unseen.append(name)
            return name
        key = os.path.abspath(path)  # noqa: PTH100 - pip looks beside a link, not behind it
        if key not in self._copies:
            self._copies[key] = name  # a file may name itself
            self._copies[key] = self._rewritten(name, Path(key))
        return self._copies[key]

    def _rewritten(self, name: str, path: Path) -> str:
        try:
            content = path.read_bytes()
            is_stream = not stat.S_ISREG(path.stat().st_mode)
        except (OSError, ValueError):  # a name with a NUL is the second
            return name
        number = len(self._copies)
        lines = list(_logical_lines(decode(content, name)))
        rewritten = [self._line(line, path.parent) for line in lines]
        if not is_stream and not any(line.needs_copy for line in rewritten):
            return name
        text = "".join(f"{line.text}\n" for line in rewritten)
        return self.store(f"{number}-{path.name}", text.encode())

    def _line(self, line: str, folder: Path) -> _Line:
        text = _plain(line, self.environ)
        if not text.startswith("-"):
            return _Line(line)
        try:
            words = shlex.split(text)
        except ValueError:
            return _Line(line)
        options = parse_line(words)
        self.no_index = self.no_index or any(option.name == "--no-index" for option in options)
        steads = [
            (option, stead)
            for option in options
            if option.value is not None and (stead := self._stead(option, folder)) is not None
        ]
        places = substituted(words, ((option, stead.words) for option, stead in steads))
        result = list(chain.from_iterable(places))
        needs_copy = any(stead.needs_copy for _, stead in steads)
        return _Line(line if result == words else shlex.join(result), needs_copy)

    def _stead(self, option: Option, folder: Path) -> _Stead | None:
        """Return what stands in a copy in place of an option, None for the option itself."""
        value = option.value or ""
        if option.name == "--index-url":
            self.index_url = value
            return None if self.keeps_indexes else _Stead([], needs_copy=True)
        if option.name == "--extra-index-url":
            self.extra_index_urls.append(value)
            return None if self.keeps_indexes else _Stead([], needs_copy=True)
        if option.name == "--find-links":
            self.find_links.append(value)
            # Relative to the file if it is there, to the current folder if not; as pip does.
            beside = folder / value
            return _Stead([option.name, str(beside)]) if beside.exists() else None
        if option.name in NESTED_OPTIONS:
            # Relative to the file that names it; a copy lies elsewhere.
            nested = value if "://" in value else str(folder / value)
            rewritten = self.rewrite(nested)
            return _Stead([option.name, rewritten], needs_copy=rewritten != nested)
        return None


def plain_lines(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the logical lines of a requirements file as pip takes them, without comments."""
    return (_plain(line, environ) for line in _logical_lines(text))


def _plain(line: str, environ: Mapping[str, str]) -> str:
    def expanded(match: re.Match[str]) -> str:
        return environ.get(match.group(1)) or match.group(0)

    return _VARIABLE.sub(expanded, _COMMENT.sub("", line)).strip()


def _local_path(name: str) -> Path | None:
    """Return the file that pip would open, None if it would fetch it."""
    if name.lower().startswith("file:"):
        from urllib.request import url2pathname  # brings http.client along

        return Path(url2pathname(urlsplit(name).path))
    if "://" in name:
        return None
    try:
        return Path(name).expanduser()
    except RuntimeError:  # there is no user of that name
        return Path(name)


def decode(content: bytes, name: str) -> str:
    """Return a requirements file's text, as pip decodes it. Raises `UsageError`."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], encoding, name)
    for line in content.split(b"\n")[:2]:
        if line.startswith(b"#") and (found := _CODING.search(line)):
            return _decoded(content, found.group(1).decode("ascii"), name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, locale.getpreferredencoding(do_setlocale=False), name)


def _decoded(content: bytes, encoding: str, name: str) -> str:
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError):  # of `undefined` and `idna` it is the wider one
        raise UsageError(
            f"{name} cannot be read as {encoding}", hint="save it as UTF-8, then try again"
        ) from None


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        is_comment = re.match(r"^\s*#", line) is not None
        if line.endswith("\\") and not is_comment:
            pending += line.strip("\\")
            continue
        yield pending + (f" {line}" if is_comment and pending else line)
        pending = ""
    if pending:
        yield pending
