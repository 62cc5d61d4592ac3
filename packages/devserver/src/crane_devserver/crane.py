"""A stand-in for the Crane server: folders as repositories, behind bearer tokens.

It follows Crane 1.0 answer by answer, oddities included, since they are what clients
trip over. A request's walk: path rules → token → route → right → file, listing or upload.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request

from . import challenge, pages
from .asgi import (
    USER_KEY,
    Answer,
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    json_answer,
    raw_path,
    redirect,
)
from .behaviour import CRANE, Behaviour
from .faults import FaultInjector, FaultList
from .keys import KeySource, KeysUnavailableError, key_source
from .legacy import LegacyUpload, receive_form
from .negotiate import origin, prefers_html, takes_html
from .paths import is_refused, split
from .records import Recorder, RequestLog
from .route import RepositoryRoute, not_found
from .tokens import TokenRefusedError, TokenVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from joserfc.jwk import KeySet

    from .access import Identity
    from .repository import Repository

_DISCOVERY = "/.well-known/configured-openid-configuration"
_DEFAULT_HEADERS = (
    (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
)


class CraneServer:
    """The ASGI application.

    ``keys`` is a JWKS URL, a JWKS document, a joserfc key set or a :class:`KeySource`.
    ``issuer`` is where discovery points to; ``authorize_url`` where the login redirect
    leads, a plain login page of our own without it. ``requests`` is the log of what came
    in, ``faults`` what is to go wrong.
    """

    def __init__(
        self,
        repositories: Sequence[Repository],
        *,
        keys: KeySource | KeySet | Mapping[str, Any] | str,
        issuer: str | None = None,
        authorize_url: str | None = None,
        client_id: str = "crane",
        registration: str = "crane",
        behaviour: Behaviour = CRANE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.repositories = {repository.name: repository for repository in repositories}
        self.issuer = issuer
        self.authorize_url = authorize_url
        self.behaviour = behaviour
        self.requests = RequestLog()
        self.faults = FaultList()
        self.forms: list[LegacyUpload] = []
        self._client_id = client_id
        self._login_path = f"/oauth2/authorization/{registration}"
        self._callback = f"/login/oauth2/code/{registration}"
        self._verifier = TokenVerifier(key_source(keys), clock=clock)
        self._app = Recorder(FaultInjector(self._serve, self.faults), self.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = await self._answer(request)
        if isinstance(answer, Answer) and self.behaviour.content_length:
            answer = replace(answer, sized=True)
        await answer(scope, receive, _with_default_headers(send))

    async def _answer(self, request: Request) -> ASGIApp:
        if is_refused(raw_path(request.scope)):
            return pages.error(request, 400, "error")
        try:
            # Before everything else: a bad token is refused on public paths too.
            caller = await self._verifier.identify(request.headers.get("authorization"))
        except TokenRefusedError:
            return pages.invalid_token()
        except KeysUnavailableError:
            return Answer(500)
        request.scope[USER_KEY] = None if caller is None else caller.user
        return await self._route(request, caller)

    async def _route(self, request: Request, caller: Identity | None) -> ASGIApp:
        path: str = request.scope["path"]
        if request.method == "POST" and (repository := self._takes_forms(path)) is not None:
            return await receive_form(request, repository, caller, self.forms)
        if request.method == "POST" and path != "/":
            return await self._repository(request, caller).upload(request, caller)
        if request.method not in ("GET", "HEAD"):
            return Answer(405, headers=(("allow", "GET, HEAD, POST"),))
        if path == "/":
            return self._start_page(request, caller)
        own = self._own_page(request, path)
        if own is not None:
            return own
        return await self._repository(request, caller).read(request, caller)

    def _takes_forms(self, path: str) -> Repository | None:
        name, rest = split(path)
        if not self.behaviour.legacy_uploads or rest.strip("/") not in {"", "legacy"}:
            return None
        return self.repositories.get(name)

    def _own_page(self, request: Request, path: str) -> ASGIApp | None:
        is_crane = not self.behaviour.legacy_uploads
        if path == _DISCOVERY and self.issuer is not None and is_crane:
            return redirect(f"{self.issuer}/.well-known/openid-configuration")
        if path == self._login_path:
            return redirect(self._provider_login(request))
        if path == "/login":
            return pages.login()
        if path == self._callback:
            return pages.no_session()
        if self.behaviour.resource_metadata and path.startswith(challenge.METADATA_PATH):
            return challenge.metadata(request, self.behaviour, self.issuer)
        return None

    def _start_page(self, request: Request, caller: Identity | None) -> ASGIApp:
        readable = [r.name for r in self.repositories.values() if r.readable("", caller)]
        if not prefers_html(request):
            body = {"status": "success", "data": {"directories": readable}}
            return json_answer(200, body)
        if not readable and caller is None:
            return redirect(origin(request, self.behaviour) + self._login_path)
        return pages.repositories(readable)

    def _repository(self, request: Request, caller: Identity | None) -> RepositoryRoute:
        return RepositoryRoute(self.repositories, self.behaviour, self._denied)

    def _denied(self, request: Request, caller: Identity | None) -> Answer:
        """Answer a request that lacks the right to read, or for an unknown repository."""
        if caller is not None:
            status = self.behaviour.forbidden_status
            return not_found(request, self.behaviour) if status == 404 else Answer(status)
        if self.behaviour.challenge or self.behaviour.resource_metadata:
            return challenge.unauthorized(request, self.behaviour)
        if takes_html(request):
            return redirect(origin(request, self.behaviour) + self._login_path)
        return not_found(request, self.behaviour)

    def _provider_login(self, request: Request) -> str:
        base = origin(request, self.behaviour)
        if self.authorize_url is None:
            return f"{base}/login"
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "scope": "openid",
            "state": "login",
            "redirect_uri": base + self._callback,
        }
        return f"{self.authorize_url}?{urlencode(query)}"


def _with_default_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if not any(name == b"cache-control" for name, _ in headers):
                headers.extend(_DEFAULT_HEADERS)
            message = {**message, "headers": headers}
        await send(message)

    return sending
