"""Requests to indexes: the token goes to its own index, and nowhere else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
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
from crane_core.http import (
    Clients,
    Response,
    StreamError,
    clock_skew,
    network_reason,
    read_limited,
    server_time,
)
from crane_core.index.answer import PageAnswer, refused
from crane_core.index.page import ACCEPT
from crane_core.urls import join, on_origin, origin_of, require_secure, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.tokens import TokenSource
    from crane_core.secret import Secret

MAX_REDIRECTS = 5
REFUSAL_SECONDS = 60.0
LARGEST_SKEW = 60.0  # seconds; what servers commonly tolerate
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Upstream:
    """Sends GET and HEAD requests to indexes and decides about each redirect."""

    def __init__(self, clients: Clients, tokens: TokenSource, clock: Clock) -> None:
        self._clients = clients
        self._tokens = tokens
        self._clock = clock
        # Indexes that refused a token right after its refresh, and until when that is believed.
        self._refusing: dict[str, float] = {}

    async def page(self, url: str, limit: int, index: Index | None) -> PageAnswer:
        """Return the answer to a page request, whole.

        Raises `IndexRefused` for a redirect to a login, `IndexUnreachable` for a network error.
        """
        if index is not None and not within(url, index.token_prefix):
            # Without a token a Crane server says *not found* for everything.
            raise IndexRefused(f"{url} is not below {index.token_prefix}")
        try:
            async with self.open("GET", url, index=index, headers={"accept": ACCEPT}) as response:
                body = await read_limited(response, limit)
                final_url = str(response.url)
        except StreamError as error:
            raise unreachable(error, url) from error
        if body is None:
            raise IndexUnreachable(f"{url} is longer than {limit >> 20} MiB")
        content_type = response.headers.get("content-type", "")
        return PageAnswer(final_url, response.status_code, content_type, body)

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, url: str, *, index: Index | None, headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """Open a response with its body unread, after redirects and one retry on 401.

        The token of `index` goes along below `index.token_prefix` only. Raises a `SourceError`
        or `LoginError`; network errors while the body is read are the caller's.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send_with_token(method, url, index, headers)
            try:
                target = _redirect(response, url, index)
                if target is None:
                    yield response
                    return
            finally:
                await response.aclose()
            url = target
        raise IndexUnreachable(f"{url}: more than {MAX_REDIRECTS} redirects")

    async def _send_with_token(
        self, method: str, url: str, index: Index | None, headers: Mapping[str, str]
    ) -> Response:
        if index is None or not within(url, index.token_prefix):
            return await self._send(method, url, headers, None, index)
        token = await self._tokens.token(index)
        response = await self._send(method, url, headers, token, index)
        # An index that refuses every token must not cost a refresh for each page.
        if response.status_code == 401 and self._clock.now() >= self._refusing.get(index.name, 0):
            await response.aclose()
            token = await self._tokens.token(index, rejected=token)
            response = await self._send(method, url, headers, token, index)
            if response.status_code == 401:
                self._refusing[index.name] = self._clock.now() + REFUSAL_SECONDS
        if response.status_code == 401:
            await response.aclose()
            raise self._refused(response, url)
        return response

    def _refused(self, response: Response, url: str) -> SourceError | ClockSkew:
        theirs = server_time(response)
        if theirs is None or abs(skew := self._clock.now() - theirs) <= LARGEST_SKEW:
            return refused(url, "HTTP 401")
        return ClockSkew(
            f"{url} refused a fresh login, and its clock and this machine's are "
            f"{abs(skew) / 60:.0f} minutes apart",
            hint="set the one that is wrong",
        )

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        token: Secret | None,
        index: Index | None,
    ) -> Response:
        # The index's client certificate and private CA are for the index alone.
        own = index is not None and origin_of(url) == origin_of(index.url)
        client = self._clients.using(index.tls) if index and own else self._clients.using()
        sent = dict(headers)
        if token is not None:
            sent["authorization"] = f"Bearer {token.reveal()}"
        try:
            request = client.build_request(method, on_origin(origin_of(url), url), headers=sent)
            return await client.send(request, stream=True)
        except StreamError as error:
            raise unreachable(error, url) from error


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
            raise IndexRefused(f"{url} redirects from https to plain http at {there}")
        target, there = on_origin(here, target), here
    if index is None or within(target, index.token_prefix):
        return target
    if there == origin_of(index.url) or url.endswith("/"):
        raise refused(url, f"it redirects to {there}{urlsplit(target).path}")
    return require_secure(target, what="the redirect", insecure_http=index.insecure_http)


def unreachable(error: Exception, url: str) -> IndexUnreachable | ClockSkew:
    """Return our error for a network error on the way to `url`."""
    reason = network_reason(error, url)
    return clock_skew(error, url) or IndexUnreachable(reason, hint="check the network or VPN")
