"""Requests to indexes: the token goes to its own index, and nowhere else."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from crane_core.errors import (
    ClockSkew,
    IndexBroken,
    IndexRefused,
    IndexUnreachable,
    InsecureURL,
    InvalidURL,
    SourceError,
)
from crane_core.gateway.retry import BUSY, Patience, Transient, busy, is_transient
from crane_core.gateway.transports import discard
from crane_core.http import (
    NO_SETTINGS,
    Response,
    StreamError,
    clock_skew,
    network_reason,
    read_packed,
    server_time,
)
from crane_core.index.answer import PageAnswer, refused
from crane_core.index.page import ACCEPT
from crane_core.urls import join, on_origin, origin_of, require_secure, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.tokens import TokenSource
    from crane_core.gateway.transports import Wires
    from crane_core.http import Transport
    from crane_core.secret import Secret
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

MAX_REDIRECTS = 5
REFUSAL_SECONDS = 60.0
LARGEST_SKEW = 60.0  # seconds; what servers commonly tolerate
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PAGE_SECONDS = 11.0  # the app gives up after 13, and then knows no reason
# What whoever keeps pages must know of them.
PAGE_HEADERS = ("etag", "last-modified", "cache-control", "expires", "age", "date", "vary",
                "content-type")  # fmt: skip
NO_HEADERS: Mapping[str, str] = {}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

T = TypeVar("T")


@dataclass(slots=True)
class _Errand:
    """One request on its way, through redirects and tries."""

    method: str
    url: str
    index: Index | None
    headers: Mapping[str, str]
    find: Callable[[Origin, TLSSettings], Awaitable[Transport]]
    token: Secret | None = None


class _Unauthorised(Exception):
    """The index answered 401 to the token that it was shown."""

    def __init__(self, url: str, server_time: float | None) -> None:
        super().__init__(url)
        self.url, self.server_time = url, server_time


class Upstream:
    """Sends GET and HEAD requests to indexes and decides about each redirect."""

    def __init__(
        self, wires: Wires, tokens: TokenSource, clock: Clock, *, seconds: float = PAGE_SECONDS
    ) -> None:
        """All tries of a request end within `seconds`: the page is whole, or a body begins."""
        self._wires = wires
        self._tokens = tokens
        self._clock = clock
        self._patience = Patience(seconds, clock.sleep)
        # Indexes that refused a token right after its refresh, and until when that is believed.
        self._refusing: dict[str, float] = {}

    async def page(
        self, url: str, limit: int, index: Index | None, headers: Mapping[str, str] = NO_HEADERS
    ) -> PageAnswer:
        """Return the answer to a page request, whole; `headers` are added, to validate a page.

        Raises `IndexRefused` for a redirect to a login, `IndexUnreachable` for a network error.
        """
        if index is not None and not within(url, index.token_prefix):
            # Without a token a Crane server says *not found* for everything.
            raise IndexRefused(
                f"{url} is not below {index.token_prefix}", hint="check the index URL"
            )
        sent = {"accept": ACCEPT, "accept-encoding": "gzip", **headers}
        errand = _Errand("GET", url, index, sent, self._wires.for_page)
        return await self._ask(errand, partial(_whole_page, limit))

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        index: Index | None,
        headers: Mapping[str, str],
        is_small: bool = False,
    ) -> AsyncIterator[Response]:
        """Open a response with its body unread, after redirects and one retry on 401.

        What `is_small` goes the way of the pages.
        The token of `index` goes along below `index.token_prefix` only. Raises a `SourceError`
        or `LoginError`; network errors while the body is read are the caller's.
        """
        find = self._wires.for_page if is_small else self._wires.for_stream
        errand = _Errand(method, url, index, headers, find)
        response = await self._ask(errand, _as_it_is)
        try:
            yield response
        finally:
            await response.aclose()

    async def _ask(self, errand: _Errand, read: Callable[[Response], Awaitable[T]]) -> T:
        """Return what `read` makes of the answer; on a 401 once more, with another token."""
        index, url = errand.index, errand.url
        once = partial(self._once, errand, read)
        # Before the tries, since it may wait for a person.
        if index is not None and within(url, index.token_prefix):
            errand.token = await self._tokens.token(index)
        try:
            return await self._patience.run(once, url)
        except _Unauthorised as refusal:
            assert index is not None
            # An index that refuses every token must not cost a refresh for each page.
            if self._clock.now() < self._refusing.get(index.name, 0):
                raise self._refused(refusal) from None
        errand.token = await self._tokens.token(index, rejected=errand.token)
        try:
            return await self._patience.run(once, url)
        except _Unauthorised as refusal:
            self._refusing[index.name] = self._clock.now() + REFUSAL_SECONDS
            raise self._refused(refusal) from None

    async def _once(self, errand: _Errand, read: Callable[[Response], Awaitable[T]]) -> T:
        """Try: follow redirects from the start, since a signed one may have run out."""
        url = errand.url
        try:
            for _ in range(MAX_REDIRECTS + 1):
                response = await self._send(errand, url)
                try:
                    target = _redirect(response, url, errand.index)
                    if target is None:
                        return await read(response)
                except BaseException:
                    await response.aclose()
                    raise
                await discard(response)
                url = target
        except StreamError as error:
            raise unreachable(error, url) from error
        raise IndexUnreachable(
            f"{url}: more than {MAX_REDIRECTS} redirects", hint="check the index URL"
        )

    async def _send(self, errand: _Errand, url: str) -> Response:
        """Return an answer that is neither *not now* nor *not with this token*."""
        index, origin, sent = errand.index, origin_of(url), errand.headers
        # The index's client certificate and private CA are for the index alone.
        own = index is not None and origin == origin_of(index.url)
        wire = await errand.find(origin, index.tls if index and own else NO_SETTINGS)
        shows_token = index is not None and within(url, index.token_prefix)
        if index and shows_token:
            errand.token = errand.token or await self._tokens.token(index)
            sent = {**sent, "authorization": f"Bearer {errand.token.reveal()}"}
        response = await wire.send(errand.method, on_origin(origin, url), sent)
        status = response.status_code
        if has_control_characters(response):
            await response.aclose()
            raise IndexBroken(f"{url} answered with control characters in its header fields")
        if status in BUSY:
            await discard(response)
            raise busy(response, url, self._clock.now())
        if status == 401 and shows_token:
            await discard(response)
            raise _Unauthorised(url, server_time(response))
        return response

    def _refused(self, refusal: _Unauthorised) -> SourceError | ClockSkew:
        url, theirs = refusal.url, refusal.server_time
        if theirs is None or abs(skew := self._clock.now() - theirs) <= LARGEST_SKEW:
            return refused(url, "HTTP 401")
        return ClockSkew(
            f"{url} refused a fresh login, and its clock and this machine's are "
            f"{abs(skew) / 60:.0f} minutes apart",
            hint="set the one that is wrong",
        )


async def _as_it_is(response: Response) -> Response:
    return response


async def _whole_page(limit: int, response: Response) -> PageAnswer:
    url, headers = str(response.url), response.headers
    found = await read_packed(response, limit)
    await response.aclose()
    if found is None:
        raise IndexUnreachable(
            f"{url} is longer than {limit >> 20} MiB", hint=IndexBroken.next_step
        )
    kept = {name: value for name in PAGE_HEADERS if (value := headers.get(name))}
    content_type, (body, packed) = kept.get("content-type", ""), found
    return PageAnswer(url, response.status_code, content_type, body, headers=kept, packed=packed)


def _redirect(response: Response, url: str, index: Index | None) -> str | None:
    try:
        return redirect_target(response, url, index)
    except (InvalidURL, InsecureURL) as error:
        raise IndexBroken(f"{url} redirects badly: {error.message}") from error


def redirect_target(response: Response, url: str, index: Index | None) -> str | None:
    """Return where a redirect may lead, None if the response is none.

    With a login at stake it may lead within the index's own folder, or, for a file, to another
    host that gets no token. A redirect elsewhere on the same origin is the way to a login page.
    Raises `IndexRefused`, `InsecureURL` or `InvalidURL`.
    """
    location = response.headers.get("location")
    if response.status_code not in REDIRECTS or not location:
        return None
    target = join(url, location)
    here, there = origin_of(url), origin_of(target)
    if here.scheme == "https" and there.scheme == "http":
        # A server behind a proxy that ends TLS may name its own http address: same host only.
        if here.host != there.host:
            raise IndexRefused(
                f"{url} redirects from https to plain http at {there}", hint=IndexBroken.next_step
            )
        target, there = on_origin(here, target), here
    if index is None or within(target, index.token_prefix):
        return target
    if there == origin_of(index.url) or url.endswith("/"):
        raise refused(url, f"it redirects to {there}{urlsplit(target).path}")
    return require_secure(target, what="the redirect", insecure_http=index.insecure_http)


def has_control_characters(response: Response) -> bool:
    """Whether the header fields hold what no field may hold, as the end of a line."""
    return bool(_CONTROL.search(b"".join(part for pair in response.headers.raw for part in pair)))


def unreachable(error: Exception, url: str) -> IndexUnreachable | ClockSkew:
    """Return our error for a network error on the way to `url`."""
    kind = Transient if is_transient(error) else IndexUnreachable
    reason = network_reason(error, url)
    return clock_skew(error, url) or kind(reason, hint="check the network or VPN")
