"""URLs of indexes and endpoints: one spelling each, and what may carry a token."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urljoin, urlsplit

from crane_core.errors import InsecureURL, InvalidURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_PORTS = {"http": 80, "https": 443}
WRITE = "write https://HOST/PATH"
# Segments that no server reads as another path, as nearly all are; the long way takes its time.
# Possessive: a page's author must not choose how long a match takes to fail.
_SEGMENT = r"(?:[A-Za-z0-9_~+@-]|%2[Bb])[A-Za-z0-9._~+@-]*+(?:%2[Bb][A-Za-z0-9._~+@-]*+)*+"
_PLAIN = f"(?:{_SEGMENT}/)*+(?:{_SEGMENT})?(?:\\?[!-~]*)?"
_PLAIN_PATH = re.compile(_PLAIN, re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): what decides whether a token may travel."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


@lru_cache(4096)
def origin_of(url: str) -> Origin:
    """Return the origin of an http(s) URL. Raises `InvalidURL`."""
    parts = _split(url)
    host = _ascii_host(parts.hostname or "").rstrip(".")
    if not host:
        raise InvalidURL(f"{without_login(url)!r} has no host", hint=WRITE)
    return Origin(parts.scheme, host, parts.port or DEFAULT_PORTS[parts.scheme])


def canonical(url: str) -> str:
    """Return the one spelling under which an index is known, without a trailing slash.

    Scheme and host in lower case, the host in its ASCII form, no default port, no query, no
    fragment; the path's percent-encoding as RFC 3986 §6.2.2 has it. Raises `InvalidURL`.
    """
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidURL(
            "an index URL holds no user name or password",
            hint="leave that part out: crane logs in by itself",
        )
    if parts.query or parts.fragment:
        raise InvalidURL(f"{url} has a query or fragment", hint="give the plain index URL")
    # As bytes: an escape need not be text.
    raw = [unquote_to_bytes(segment) for segment in parts.path.split("/") if segment]
    segments = [quote(segment, safe="-._~!$&'()*+,;=:@") for segment in raw]
    if ".." in segments or "." in segments:
        raise InvalidURL(f"{url} has '.' or '..' in its path", hint="give the plain index URL")
    return str(origin_of(url)) + "".join(f"/{segment}" for segment in segments)


def same_index(one: str, other: str) -> bool:
    """Whether two URLs name one index: with or without `/simple` and a trailing slash."""
    return without_simple(canonical(one)) == without_simple(canonical(other))


def names_index(text: str, index_url: str) -> bool:
    """Whether a text that somebody else wrote is a URL of this index; a login in it aside."""
    try:
        return same_index(without_login(text), index_url)
    except InvalidURL:
        return False  # a path, or what only its own tool understands


@lru_cache(256)
def without_simple(url: str) -> str:
    """Take a last path segment `simple` (PEP 503's usual one) off a canonical URL."""
    origin = str(origin_of(url))
    return origin + url[len(origin) :].removesuffix("/simple")


@lru_cache(4096)
def within(url: str, prefix: str) -> bool:
    """Whether `url` lies below the folder `prefix`, on the same origin.

    Paths that a server might resolve to another place (dot segments, encoded slashes or
    backslashes) lie nowhere: a token must not follow them.
    """
    return within_folder(prefix)(url)


def within_folder(prefix: str) -> Callable[[str], bool]:
    """Return what says whether a URL is `within` a prefix, for many that are asked about once."""
    folder = f"{prefix}/"
    start, is_folder = len(folder), _names_a_folder(prefix)

    def is_within(url: str) -> bool:
        if is_folder and url.startswith(folder) and _PLAIN_PATH(url, start):
            return True
        return _is_within(url, prefix)

    return is_within


def are_plainly_within(urls: Iterable[str], prefix: str) -> bool:
    """Whether all lie below the folder `prefix`, and none needs a closer look.

    None may have a line end in it.
    """
    if not _names_a_folder(prefix):
        return False
    return _all_below(f"{prefix}/").fullmatch("\n".join([*urls, ""])) is not None


@lru_cache(64)
def _all_below(folder: str) -> re.Pattern[str]:
    return re.compile(f"(?:{re.escape(folder)}{_PLAIN}\n)*+", re.ASCII)


def _is_within(url: str, prefix: str) -> bool:
    try:
        path = urlsplit(url).path
        origin = origin_of(url)
    except (ValueError, InvalidURL):
        return False
    root = urlsplit(prefix).path.rstrip("/") + "/"
    path = path.rstrip("/") + "/"
    if origin != origin_of(prefix) or not path.startswith(root):
        return False
    # The prefix itself is as the user registered it, with whatever escapes it needs.
    rest = path[len(root) :]
    if any(trap in rest.lower() for trap in ("%2f", "%5c", "\\", "%00", ";", "%3b")):
        return False
    segments = [unquote(segment) for segment in rest.split("/")]
    return ".." not in segments and "." not in segments


@lru_cache(256)
def _names_a_folder(prefix: str) -> bool:
    """Whether a prefix, which may come from a server, is an origin and a path as they are."""
    try:
        origin = str(origin_of(prefix))
    except InvalidURL:
        return False
    return f"{prefix}/".startswith(f"{origin}/") and "?" not in prefix and "#" not in prefix


def join(base: str, target: str) -> str:
    """Resolve a reference that an index or provider wrote (RFC 3986 §5). Raises `InvalidURL`."""
    try:
        joined = urljoin(base, target)
    except ValueError as error:
        raise InvalidURL(f"{target[:80]!r} is not a URL: {error}") from None
    _split(joined)
    return joined


@lru_cache(4096)
def on_origin(origin: Origin, url: str) -> str:
    """Return the URL with its path and query on `origin`, whatever host it named.

    What is sent is built from the origin that was checked, so that the check and the HTTP client
    cannot read one text as two hosts.
    """
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{origin}{parts.path or '/'}{query}"


def require_secure(url: str, *, what: str, insecure_http: bool = False) -> str:
    """Return `url` if a token may be sent there: https, or http to this machine.

    Raises `InsecureURL` or `InvalidURL`.
    """
    origin = origin_of(url)
    if origin.scheme == "http" and not insecure_http and not is_loopback(origin.host):
        raise InsecureURL(
            f"{what} {url} is plain http: everybody on the way could read the token",
            hint="use https, or register with --insecure-http if the network is yours alone",
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    shown = without_login(url)
    # urlsplit drops some of these in silence.
    if " " in (text := url.strip()) or not text.isprintable():
        raise InvalidURL(f"{shown!r} has white space or control characters in it", hint=WRITE)
    try:
        parts = urlsplit(url.strip())
        valid_port = parts.port != 0
    except ValueError as error:
        raise InvalidURL(f"{shown!r} is not a URL: {error}", hint=WRITE) from None
    if not parts.scheme or "://" not in url or parts.scheme not in DEFAULT_PORTS:
        raise InvalidURL(f"{shown!r} has no http(s) scheme", hint=f"write https://{_bare(shown)}")
    if not parts.hostname or not valid_port:
        raise InvalidURL(f"{shown!r} has no host", hint=WRITE)
    return parts


def without_login(url: str) -> str:
    """Return a URL without user name and password, for people to read."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def _bare(url: str) -> str:
    return url.split("://", 1)[-1].lstrip("/") or "HOST/PATH"


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host.lower()
    # The HTTP client's own library: Python's codec is an older IDNA, which makes `ss` of `ß`.
    import idna

    try:
        return idna.encode(host.lower()).decode()
    except (idna.IDNAError, UnicodeError):
        raise InvalidURL(f"{host!r} is no host name", hint=WRITE) from None
