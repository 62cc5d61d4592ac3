"""PDM's requests on their way through crane: between its client and its cache.

PDM's HTTP library is httpx up to 2.29.3 and httpx2 from 2.29.4 on, whatever else is installed. So
it is taken from PDM's client class, and our transports keep to what both have in common.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from crane_core.clients.project_route import names_file
from crane_core.errors import AgentTrouble, CraneError, IndexRefused
from crane_core.index.announcement import FIELD
from pdm_crane.pages import Pages
from pdm_crane.pdm_internals import readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from crane_core.clients.in_process import Way
    from pdm_crane.project import PdmRoute

OURS = "crane: "  # how a reason begins that the gateway gives
METADATA = ".metadata"  # after a file's URL (PEP 658)
PAGES = {"accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1"}  # PEP 691


class Senders:
    """The transports to the agent, one for each way; shared by all of PDM's clients."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.pages = Pages(library)
        self._lock = threading.Lock()
        self._made: dict[Way, Any] = {}

    def by(self, way: Way) -> Any:
        """Return the transport of a way."""
        with self._lock:
            if way not in self._made:
                self._made[way] = self.library.HTTPTransport(
                    verify=ssl.create_default_context(cafile=way.bundle),
                    trust_env=False,
                    # The secret is in the proxy's URL, which only the connection sees.
                    proxy=self.library.Proxy(way.proxy.reveal()),
                )
            return self._made[way]


class ThroughCrane:
    """Sends what the route says through a view; the URL of a request is never changed.

    `usual` is what PDM itself would have sent it with.
    """

    def __init__(
        self,
        usual: Any,
        route: PdmRoute,
        senders: Senders,
        is_suspended: Callable[[], bool],
    ) -> None:
        self._usual = usual
        self._route = route
        self._senders = senders
        self._is_suspended = is_suspended

    def __enter__(self) -> Self:
        self._usual.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._usual.__exit__(*exception)

    def close(self) -> None:
        """Close PDM's own transport. Ours are the other clients' too."""
        self._usual.close()

    def handle_request(self, request: Any) -> Any:
        """Send a request; what is wrong with crane ends PDM's command with its reason.

        For PDM a refusal is only a source without the project: it would go on with the next one,
        where somebody else may have put a project of that name.
        """
        if self._is_suspended():
            return self._usual.handle_request(request)
        url = str(request.url)
        with readable() as errors:
            errors.callback = lambda error: self._route.refusals.note(url, error)
            response = self._handle(request, url)
        self._route.refusals.forget(url)
        return response

    def _handle(self, request: Any, url: str) -> Any:
        way = self._route.way(url)
        if way is None:
            return self._usual.handle_request(request)
        if request.method == "GET" and request.url.path.endswith(METADATA):
            return self._metadata(way, request, url)
        if not self._route.is_the_tools_own(url):
            return self._senders.pages.get(way, request) or self._page(way, request, url)
        if owner := self._owner(way, url):
            reason = f"{OURS}it belongs to {owner}".encode()
            extensions = {"reason_phrase": reason}
            return self._senders.library.Response(404, request=request, extensions=extensions)
        return self._usual.handle_request(request)

    def _page(self, way: Way, request: Any, url: str) -> Any:
        """Send for what is no metadata; with the first page goes what will be asked for then."""
        told = self._route.take_announcement(url) if request.method == "GET" else None
        if told is not None:
            headers = {**request.headers, FIELD: told}
            request = self._senders.library.Request("GET", url, headers=headers)
        return self._send(way, request)

    def _owner(self, way: Way, url: str) -> str | None:
        """Return the index that has the project of a page which is to be had without crane."""
        project = self._route.project_at_others(url)
        for index in self._route.used() if project else ():
            page = self._senders.library.Request("HEAD", f"{index.url}/{project}/")
            response = self._send(way, page)
            response.close()
            if response.status_code < 400:
                return index.name
        return None

    def _metadata(self, way: Way, request: Any, url: str) -> Any:
        """Send for a file's metadata: PDM takes any answer for it, *not found* as no dependencies.

        An agent knows what it has promised on a page. If it has ended since then, another one has
        to see that page first.
        """
        response = self._send(way, request)
        if response.status_code < 400:
            return response
        _drop(response)
        way = self._route.way(url) or way
        file = urlsplit(url).path.rpartition("/")[2].removesuffix(METADATA)
        for index in self._route.registered_at(url):
            page = f"{index.url}/{_project_of(file)}/"
            _drop(self._send(way, self._senders.library.Request("GET", page, headers=PAGES)))
        response = self._send(way, request)
        if response.status_code >= 400:
            _drop(response)
            raise IndexRefused(
                f"there is no metadata of {file} ({response.status_code}), though its page says so"
            )
        return response

    def _send(self, way: Way, request: Any) -> Any:
        can_repeat = request.method in {"GET", "HEAD"}
        try:
            response = self._by(way, request)
        except self._senders.library.ReadTimeout:
            raise
        except self._senders.library.TransportError as error:
            # What ails the index comes as an answer; so this is our own end of the way.
            if not can_repeat:
                raise _broken(error) from None
            way = self._route.renewed(way)
            response = self._last(way, request)
        problem = _problem(response)
        if (
            problem
            and response.status_code == 403
            and can_repeat
            and self._route.has_new_login(way)
        ):
            _drop(response)
            response = self._last(way, request)
            problem = _problem(response)
        if problem and can_repeat:
            _drop(response)
            raise IndexRefused(problem)
        return response  # of an upload PDM tells itself, and knows what `already exists` means

    def _last(self, way: Way, request: Any) -> Any:
        try:
            return self._by(way, request)
        except self._senders.library.ReadTimeout:
            raise
        except self._senders.library.TransportError as error:
            raise _broken(error) from None

    def _by(self, way: Way, request: Any) -> Any:
        response = self._senders.by(way).handle_request(request)
        path = request.url.path
        if request.method == "GET" and (path.endswith(METADATA) or not names_file(path)):
            response.read()  # it is small; if it breaks off here, it can be sent for again
            self._senders.pages.note(way, request, response)
        return response


def _broken(error: Exception) -> CraneError:
    # Not its text, which names a port that says nothing to anybody.
    return AgentTrouble(
        f"crane's agent does not answer ({type(error).__name__})",
        hint="run the command again; see also: crane agent status",
    )


def _problem(response: Any) -> str | None:
    """Return the gateway's reason if it stands for more than *not found*."""
    reason: str = response.reason_phrase
    if response.status_code < 400 or response.status_code == 404 or not reason.startswith(OURS):
        return None
    return reason.removeprefix(OURS)


def _project_of(file: str) -> str:
    with contextlib.suppress(InvalidWheelFilename):
        return parse_wheel_filename(file)[0]
    return canonicalize_name(file.rpartition("-")[0])


def _drop(response: Any) -> None:
    with contextlib.suppress(Exception):
        response.close()
