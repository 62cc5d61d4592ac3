"""Links to files on an index page: where they lead, what they hash to, what they name."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from crane_core.urls import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What PyPI has taken at some time, and what pip and uv take. Tools pass over those they do not
# know, and a page must not lose a file.
DISTRIBUTION_SUFFIXES = (
    ".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".egg", ".tbz", ".txz", ".tlz",
    ".tar.lz", ".tar.lzma", ".tar.zst", ".tar.Z", ".tar", ".exe", ".msi", ".rpm", ".deb", ".dmg",
)  # fmt: skip
# HTML has room for one hash. Every tool knows these, best first.
_BEST_HASHES = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")

# Links that resolve to what they say, as nearly all do: a large page is read three times as fast.
# Possessive (`++`): a page's author must not choose how long a match takes to fail.
_HOST = r"https?://[a-z0-9][a-z0-9.-]*(?::(?:[1-9]\d{0,3}|[1-5]\d{4}))?"
_PATH = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=:@/-]*+)*+"
_REST = f"{_PATH}(?:\\?(?![\n]|$){_PATH})?"
_AS_IT_IS = re.compile(f"{_HOST}/{_REST}", re.ASCII).fullmatch
_ALL_AS_THEY_ARE = re.compile(f"(?:{_HOST}/{_REST}\n)*+", re.ASCII).fullmatch
_START = re.compile(f"{_HOST}/", re.ASCII).match
_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._~+-]*+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~+-]*+)*+"
_RELATIVE = re.compile(rf"(/|(?:\.\./)*+)({_SEGMENT}(?:/{_SEGMENT})*+)", re.ASCII).fullmatch
# It becomes part of an expression: a page's author must not choose how large one is.
_LONGEST_START = len("../" * 16)
_PLAIN_FOLDER = re.compile(rf"{_HOST}/(?:{_SEGMENT}/)*+", re.ASCII).fullmatch
# RFC 3986 §2: what has a meaning of its own, and what is escaped already.
_KEPT = "%/:?#[]@!$&'()*+,;=~"
# What separates folders on some system, a drive, and what ends a name for C's functions.
_PATH_LIKE = re.compile(r"[/\\:\x00-\x1f\x7f]").search
_WHITE_SPACE = " \t\n\r\f"


class Links:
    """Resolves the links of one page (RFC 3986 §5)."""

    def __init__(self, base: str) -> None:
        """Raises `InvalidURL` for a base that is none."""
        self._base = base
        # Where `/`, `../`, `../../` … lead, as far as links of this page began so.
        self._folders = _folders_of(base) or {"": _in_ascii(join(base, "./"))}

    def url(self, target: str) -> str:
        """Return a link as an absolute http(s) URL in ASCII, without its fragment.

        javascript:, file:, data: have no place in an index, and a tool might open them: that, and
        what is no URL, raises `InvalidURL`.
        """
        if _AS_IT_IS(target):
            return target
        if relative := _RELATIVE(target):
            start, rest = relative.groups()
            return self._folder(start) + rest
        # As a browser and pip do; `join` wants no white space at all.
        written = target.strip(_WHITE_SPACE).replace(" ", "%20")
        return _in_ascii(join(self._base, written).partition("#")[0])

    def common_start(self, targets: Sequence[str]) -> tuple[str, str] | None:
        """Return what all these links begin with, and the URL that it stands for.

        Each link's rest is its URL's rest, too. None if they have to be looked at one by one. No
        link may have a line end in it.
        """
        if found := _START(targets[0]):
            start = found[0]
            # What is between two texts in order begins as both do.
            alike = min(targets).startswith(start) and max(targets).startswith(start)
            return (start, start) if alike and are_as_they_are(targets) else None
        if (relative := _RELATIVE(targets[0])) and len(relative[1]) <= _LONGEST_START:
            start = relative[1]
            if _all_relative(start).fullmatch(_lines(targets)):
                return start, self._folder(start)
        return None

    def _folder(self, start: str) -> str:
        if start not in self._folders:
            self._folders[start] = _in_ascii(join(self._base, start))
        return self._folders[start]


def are_as_they_are(targets: Sequence[str]) -> bool:
    """Whether all these links resolve to what they say. None may have a line end in it."""
    return _ALL_AS_THEY_ARE(_lines(targets)) is not None


@lru_cache(32)
def _all_relative(start: str) -> re.Pattern[str]:
    one = f"{re.escape(start)}{_SEGMENT}(?:/{_SEGMENT})*+"
    return re.compile(f"(?:{one}\n)*+", re.ASCII)


def _lines(texts: Sequence[str]) -> str:
    return "\n".join([*texts, ""])


def _folders_of(base: str) -> dict[str, str]:
    """Return where `` and `/` lead from a URL that needs no closer look; empty for another."""
    if not _PLAIN_FOLDER(base):
        return {}
    return {"": base, "/": base[: base.index("/", len("https://")) + 1]}


def _in_ascii(url: str) -> str:
    if url.isascii():
        return url
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    # A host has an encoding of its own (IDNA), which is the HTTP client's business.
    return f"{scheme}{separator}{authority}{slash}{quote(path, safe=_KEPT)}"


def filename_in(url: str) -> str:
    """Return the last segment of an absolute URL's path, decoded."""
    path = url.partition("?")[0] if _AS_IT_IS(url) else urlsplit(url).path
    name = path.rpartition("/")[2]
    return unquote(name) if "%" in name else name


def is_plain_name(filename: str) -> bool:
    """Whether a file's name is one that a tool may take for a name in any of its folders."""
    return not _PATH_LIKE(filename)


def are_plain_names(filenames: Sequence[str]) -> bool:
    """Whether all are. None may have a control character of C0 in it, as none has in plain JSON."""
    every = "|".join(filenames)
    return not any(sign in every for sign in "/\\:\x7f")


def hashes_in(fragment: str) -> dict[str, str]:
    """Return the hashes in a URL's fragment (PEP 503); it may hold other things beside them.

    `egg` and `subdirectory` are pip's older fragments.
    """
    hashes = {}
    for part in fragment.split("&"):
        algorithm, _, digest = part.partition("=")
        if digest and algorithm.lower() in hashlib.algorithms_guaranteed:
            hashes[algorithm.lower()] = digest
    return hashes


def best_hash(hashes: object) -> tuple[str, str] | None:
    """Return the one hash that a place with room for one should have, None if there is none."""
    if not isinstance(hashes, dict) or not hashes:
        return None
    known = _texts(hashes)
    name = next((name for name in _BEST_HASHES if name in known), next(iter(known), None))
    return (name, known[name]) if name is not None else None


def _texts(hashes: Mapping[object, object]) -> dict[str, str]:
    # "These hash names SHOULD always be normalized to be lowercase": some are not.
    return {
        name.lower(): digest
        for name, digest in hashes.items()
        if isinstance(name, str) and isinstance(digest, str) and name and digest
    }
