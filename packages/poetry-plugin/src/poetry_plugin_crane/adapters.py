"""Poetry's requests on their way through crane: behind its cache, before the network."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import ref

from cachecontrol import CacheControlAdapter
from cachecontrol.controller import CacheController
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ReadTimeout

from crane_core.errors import AgentTrouble, CraneError, IndexRefused
from poetry_plugin_crane.poetry_internals import trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Session

    from crane_core.clients.in_process import Way
    from poetry_plugin_crane.route import Route

SMALL = 64 << 10  # bytes
# A page of at most so many bytes, and so many of them, may wait in memory to be kept.
LARGEST_WAITING, MOST_WAITING = 256 << 10, 64
OURS = "crane: "  # how a reason begins that the gateway gives


class ThroughCrane(HTTPAdapter):
    """Sends what the route says through a view; the URL of a request is never changed."""

    route: Route

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request; what is wrong with crane ends Poetry's command with its reason.

        For Poetry a refusal (401, 403) is only a source without the project: it would go on with
        the next one, where somebody else may have put a project of that name.
        """
        url = request.url or ""
        try:
            way = self.route.way(url)
            if way is not None and (self.route.registered_at(url) or not self._own(verify, cert)):
                return self._send(way, request, stream, timeout)
            if way is not None and (owner := self._owner(way, request, timeout)):
                return _missing(request, f"{OURS}it belongs to {owner}")
        except CraneError as error:
            raise trouble(error) from None
        return super().send(request, stream, timeout, verify, cert, proxies)

    def _own(self, verify: Any, cert: Any) -> bool:
        """Whether Poetry has certificates of its own for a source, which the agent has not."""
        if cert is not None or verify is False:
            return True
        return isinstance(verify, str) and verify != self.route.registered.environ.get(
            "SSL_CERT_FILE"
        )

    def _owner(self, way: Way, request: PreparedRequest, timeout: Any) -> str | None:
        """Return the index that has the project of a page which is to be had without crane."""
        project = self.route.project_at_others(request.url or "")
        for index in self.route.used() if project else ():
            page = PreparedRequest()
            page.prepare(method="HEAD", url=f"{index.url}/{project}/", headers=request.headers)
            response = self._send(way, page, False, timeout)
            response.close()
            if response.status_code < 400:
                return index.name
        return None

    def _send(self, way: Way, request: PreparedRequest, stream: bool, timeout: Any) -> Response:
        can_repeat = request.body is None
        try:
            response = self._by(way, request, stream, timeout)
        except ReadTimeout:
            raise
        except OSError as error:  # of requests, too; what ails the index comes as an answer
            if not can_repeat:
                raise _broken(error) from None
            way = self.route.renewed(way)
            response = self._last(way, request, stream, timeout)
        problem = _problem(response)
        if problem and response.status_code == 403 and can_repeat and self.route.has_new_login(way):
            response.close()
            response = self._last(way, request, stream, timeout)
            problem = _problem(response)
        if problem and request.method != "POST":
            response.close()
            raise IndexRefused(problem)
        return response  # of an upload Poetry tells itself, and knows what `already exists` means

    def _last(self, way: Way, request: PreparedRequest, stream: bool, timeout: Any) -> Response:
        try:
            return self._by(way, request, stream, timeout)
        except ReadTimeout:
            raise
        except OSError as error:
            raise _broken(error) from None

    def _by(self, way: Way, request: PreparedRequest, stream: bool, timeout: Any) -> Response:
        # The secret is in the proxy's URL, which only the connection sees: requests copies the
        # headers of a request to wherever it is redirected.
        proxy = way.proxy.reveal()
        proxies = {"http": proxy, "https": proxy}
        response = HTTPAdapter.send(self, request, stream, timeout, way.bundle, None, proxies)
        if not stream or _is_small(response):
            _ = response.content  # an agent that ends in mid-body is one that does not answer
        return response


def _is_small(response: Response) -> bool:
    """Whether it is read at once, though as a stream: the end of a wheel, its metadata."""
    length = response.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= SMALL


def _broken(error: OSError) -> AgentTrouble:
    # Not its text, which names a port that says nothing to anybody.
    return AgentTrouble(
        f"crane's agent does not answer ({type(error).__name__})",
        hint="run the command again; see also: crane agent status",
    )


def _problem(response: Response) -> str | None:
    """Return the gateway's reason if it stands for more than *not found*."""
    reason = response.reason or ""
    if response.status_code < 400 or response.status_code == 404 or not reason.startswith(OURS):
        return None
    return reason.removeprefix(OURS)


def _missing(request: PreparedRequest, reason: str) -> Response:
    response = Response()
    response.status_code, response.reason = 404, reason
    response.request, response.url = request, request.url or ""
    response.raw = io.BytesIO()
    return response


class Controller(CacheController):
    """Poetry's cache, which does not answer for a name that may be private by now."""

    route: Route

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Python waits for what it still has to do before it ends.
        self.writer = ThreadPoolExecutor(1, "crane-poetry-cache")
        self.room = Semaphore(MOST_WAITING)
        self.under_way: dict[str, Future[None]] = {}

    def cached_request(self, request: PreparedRequest) -> Any:
        """Return the kept answer, False if the request is to be sent."""
        url = request.url or ""
        if under_way := self.under_way.get(url):
            wait([under_way])
        if self.route.is_to_be_asked(url):
            return False
        return super().cached_request(request)

    def cache_response(
        self,
        request: PreparedRequest,
        response_or_ref: Any,
        body: Any = None,
        status_codes: Any = None,
    ) -> None:
        """Keep an answer; a page while Poetry goes on, since it takes four files and two locks."""
        keep = partial(super().cache_response, request)
        response = response_or_ref() if isinstance(response_or_ref, ref) else response_or_ref
        url = request.url or ""
        if response is None or body is None or not self._may_wait(url, response.status, len(body)):
            keep(response_or_ref, body, status_codes)
            return
        try:
            job = partial(keep, response, bytes(body), status_codes)
            self.under_way[url] = self.writer.submit(self._keep, job, url)
        except RuntimeError:  # Python ends, and its threads take no more
            self.room.release()
            keep(response_or_ref, body, status_codes)

    def _may_wait(self, url: str, status: int, size: int) -> bool:
        is_page = urlsplit(url).path.endswith("/") and status == 200
        return is_page and size <= LARGEST_WAITING and self.room.acquire(blocking=False)

    def _keep(self, job: Callable[[], None], url: str) -> None:
        """Keep a page whole or not at all: of a new head with an old body nobody would know."""
        try:
            job()
        except Exception:  # noqa: BLE001 - a full disk, above all; the page is here all the same
            with suppress(OSError):
                self.cache.delete(self.cache_url(url))
        finally:
            self.room.release()


class CachedThroughCrane(CacheControlAdapter, ThroughCrane):
    """The same behind Poetry's cache: its `send` calls ours for what it does not have."""

    controller: Controller

    def build_response(self, request: Any, response: Any, *options: Any, **named: Any) -> Response:
        """Return an answer that is kept once it is read, but for a wheel's metadata (PEP 658).

        Poetry keeps what it has read of that with the release, and reads it no second time.
        """
        is_metadata = urlsplit(request.url or "").path.endswith(".metadata")
        if is_metadata and request.method == "GET" and response.status == 200:
            return HTTPAdapter.build_response(self, request, response)
        return super().build_response(request, response, *options, **named)


def mount(session: Session, route: Route) -> None:
    """Let a session send through crane what the route may want there, and nothing else."""
    origins = route.origins()
    if not origins:
        return
    adapter = _like(session.get_adapter("https://"), route)
    for origin in origins:
        session.mount(origin, adapter)


def _like(usual: Any, route: Route) -> ThroughCrane:
    size = getattr(usual, "_pool_maxsize", 10)
    if not isinstance(usual, CacheControlAdapter):
        plain = ThroughCrane(pool_maxsize=size)
        plain.route = route
        return plain
    cached = CachedThroughCrane(cache=usual.cache, controller_class=Controller, pool_maxsize=size)
    cached.route = cached.controller.route = route
    return cached
