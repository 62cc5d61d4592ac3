"""One opened origin of one view: what its paths mean, and answers with its real URLs."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import CraneError, InvalidURL
from crane_core.gateway.answers import Request
from crane_core.gateway.connection import ABSOLUTE_FORM, EXTENSION
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import StreamBroken, filename_of, is_distribution
from crane_core.gateway.finished import FinishedAnswers
from crane_core.gateway.guard import METHODS, single_headers
from crane_core.gateway.own_metadata import SUFFIX
from crane_core.gateway.owners import Unread, Withheld
from crane_core.gateway.passthrough import Body, refuse, target_url
from crane_core.gateway.places import Elsewhere, place_below
from crane_core.gateway.request_ids import naming
from crane_core.gateway.responses import header, send_redirect
from crane_core.gateway.targets import plain
from crane_core.gateway.uploads.kinds import OFF
from crane_core.gateway.uploads.places import switched_off, upload_index
from crane_core.urls import origin_of, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crane_core.config.model import Index
    from crane_core.gateway.answers import Answers
    from crane_core.gateway.events import Observer
    from crane_core.gateway.owners import Owners
    from crane_core.gateway.passthrough import Receive, Relay
    from crane_core.gateway.readiness import Readiness
    from crane_core.gateway.responses import Send
    from crane_core.gateway.trail import Trail
    from crane_core.gateway.uploads.publishing import Publishing
    from crane_core.index.answer import Missing
    from crane_core.index.source import PrivateIndex
    from crane_core.urls import Origin

READING = METHODS | {"OPTIONS"}
# PyPI's JSON API, as Poetry asks it; mirrors have it beside their simple index.
_JSON_API = re.compile(r"/(?:.*/)?pypi/([^/]+)(?:/[^/]+)?/json/?")
# As pip-tools asks it, for hashes, beside each index that it is given.
_JSON_BESIDE = re.compile(r"(.*)/([^/]+)/json")


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered index on the origin; `source` names it to the answers."""

    index: Index
    source: str
    private: PrivateIndex

    @property
    def roots(self) -> tuple[str, ...]:
        """The paths of its simple roots, the longest first."""
        url = self.index.url
        urls = (url,) if url.endswith("/simple") else (f"{url}/simple", url)
        return tuple(urlsplit(url).path for url in urls)


@dataclass(frozen=True, slots=True)
class Other:
    """Another index on the origin, by the path of its simple root."""

    root: str
    source: str
    place: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """The indexes that take uploads on the origin, and what does that for them."""

    indexes: Sequence[Index]
    publishing: Publishing


class OpenedOrigin:
    """Answers for one origin what the view's tool asks of it."""

    def __init__(
        self,
        origin: Origin,
        registered: Sequence[Registered],
        others: Sequence[Other],
        owners: Owners,
        answers: Answers,
        relay: Relay,
        uploads: Uploads,
        observer: Observer,
        trail: Trail,
        readiness: Readiness,
    ) -> None:
        self.trail = trail
        self._readiness = readiness
        self._uploads = uploads
        self.origin = origin
        self.finished = FinishedAnswers()
        # The deepest folder first: an index may lie below another one.
        self._registered = sorted(registered, key=lambda r: -len(r.index.token_prefix))
        self._others = sorted(others, key=lambda other: -len(other.root))
        self._owners = owners
        self._answers = answers
        self._relay = relay
        self.observer = observer

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request that came through a tunnel (ASGI 3)."""
        send = naming(send)
        connection = scope["extensions"][EXTENSION]
        request = Request(scope, send, connection, None, self.finished, self.observer)
        if single_headers(scope) is None:
            await request.refuse(400, "a header that must stand once is there twice")
        elif not self._is_named(header(scope, b"host")):
            reason = f"this connection is for {self.origin.netloc} only"
            await request.refuse(421, reason, closing=True)
        elif ABSOLUTE_FORM in scope["extensions"]:
            reason = "inside a tunnel a request names a path, and no other host"
            await request.refuse(400, reason, closing=True)
        else:
            connection.trusted = True
            await self.answer(request, receive)

    def expect(self) -> None:
        """Take note of a tool that is coming."""
        for registered in self._registered:
            self._readiness.for_tool(registered.private)

    def tls_failed(self, reason: str) -> None:
        """Take note of a tunnel in which the tool would not have our certificate."""
        self.trail.no_tls = reason
        self.observer(Event("tunnel", self.origin.netloc, problem=f"no TLS ({reason})"))

    async def answer(self, request: Request, receive: Receive) -> None:
        """Answer one request whose target is known to be here."""
        self.trail.requests += 1
        try:
            await self._route(request, receive)
        except StreamBroken as error:
            name = filename_of(request.path)
            self.observer(Event("file", name, problem=str(error)))
            request.connection.abort()

    def _is_named(self, host: bytes) -> bool:
        text = host.decode("latin-1")
        if text == self.origin.netloc:
            return True
        try:
            return plain(origin_of(f"{self.origin.scheme}://{text}")) == self.origin
        except InvalidURL:
            return False

    async def _route(self, request: Request, receive: Receive) -> None:
        url = target_url(request.scope, self.origin)
        if (index := upload_index(request.scope, url, self._uploads.indexes)) is not None:
            await self._uploads.publishing.take(request, receive, index, url)
            return
        if await self._is_ruled_out(request, receive, url):
            return
        reads = request.scope["method"] in METHODS
        for registered in self._registered:
            prefix = registered.index.token_prefix
            if within(url, prefix) and not self._is_deeper(request.path, prefix):
                if not reads or not await self._own(request, url, registered):
                    await self._relay.send(request, receive, self.origin, registered.index)
                return
        if reads and await self._withheld(request):
            return
        # No reason to ask a person for a password: few indexes have that.
        is_json = bool(self._registered) and self._json_of(_resolved(request.path))
        asks = not is_json or bool(header(request.scope, b"authorization"))
        await self._relay.send(request, receive, self.origin, shows_challenge=asks)

    async def _is_ruled_out(self, request: Request, receive: Receive, url: str) -> bool:
        """Refuse what may change an index to which nothing is to be published."""
        if request.scope["method"] in READING:
            return False
        closed = (i for i in self._uploads.indexes if i.publish == OFF and i.covers(url))
        if (index := next(closed, None)) is None:
            return False
        reason = switched_off(index)
        self.observer(Event("upload", request.path, problem=reason))
        await refuse(request, Body(request.scope, receive), 403, f"crane: {reason}")
        return True

    def _json_of(self, path: str) -> str | None:
        """Return the project for whose JSON a path asks, None if it is for something else."""
        if found := _JSON_API.fullmatch(path):
            return found[1]
        if found := _JSON_BESIDE.fullmatch(path):
            roots = [other.root for other in self._others]
            roots += [root for registered in self._registered for root in registered.roots]
            if found[1] in {posixpath.dirname(unquote(root)).rstrip("/") for root in roots}:
                return found[2]
        return None

    def _is_deeper(self, path: str, prefix: str) -> bool:
        """Whether another index lies below a registered one's folder, and the path below that."""
        depth = len(urlsplit(prefix).path)
        return any(
            len(other.root) > depth and _below(path, other.root) is not None
            for other in self._others
        )

    async def _own(self, request: Request, url: str, registered: Registered) -> bool:
        """Answer a request below a registered index, if it is for a page or a distribution."""
        path, index = request.path, registered.index
        if is_distribution(url.removesuffix(SUFFIX)):
            await self._answers.file(request, url, index)
            return True
        for root in registered.roots:
            rest = _below(path, root)
            if rest is None:
                continue
            place = place_below(rest, root)
            if isinstance(place, Elsewhere):
                if "." in path.rpartition("/")[2] and not root.endswith("/simple"):
                    continue  # a file, at an index whose root is not a folder of its own
                await send_redirect(request.send, request.scope, place.location)
            elif place is None:
                continue
            elif not place:
                await self._answers.root(request, index.name, registered.private)
            else:
                missing = await self._answers.project(request, registered.source, place)
                await self._missing(request, place, index.name, missing)
            return True
        return False

    async def _withheld(self, request: Request) -> bool:
        """Answer a request about a project at an index that is not registered."""
        # As a server may read it, so that no spelling leads around the owners.
        path = _resolved(request.path)
        if project := self._json_of(path):
            return await self._is_owned(request, project)
        for other in self._others:
            rest = _below(path, other.root) or ""
            name = rest.strip("/").partition("/")[0]
            if not name:
                continue
            if header(request.scope, b"authorization") or "/" in rest.strip("/"):
                # The tool has a login of its own there, or asks for a file beside the page.
                return await self._is_owned(request, name)
            return await self._public(request, other, rest)
        return False

    async def _public(self, request: Request, other: Other, rest: str) -> bool:
        place = place_below(rest, other.root)
        if isinstance(place, Elsewhere):
            await send_redirect(request.send, request.scope, place.location)
            return True
        if not place:
            return False
        missing = await self._answers.project(request, other.source, place)
        if isinstance(missing, Unread):
            return False
        await self._missing(request, place, other.place, missing)
        return True

    async def _missing(
        self, request: Request, project: str, place: str, missing: Missing | None
    ) -> None:
        if isinstance(missing, Withheld):
            await self._withhold(request, project, missing.owner)
        elif missing is not None:
            # `project` has told already, and that is no failure.
            await request.problem(404, f"crane: {project} is not at {place}")

    async def _is_owned(self, request: Request, name: str) -> bool:
        """Answer for a name that is owned elsewhere, or that nobody can be asked about."""
        project = canonicalize_name(unquote(name))
        try:
            owner = await self._owners.owner_of(project)
        except CraneError as error:
            await self._answers.page_problem(request, project, error)
            return True
        if owner is not None:
            await self._withhold(request, project, owner)
        return owner is not None

    async def _withhold(self, request: Request, project: str, owner: str) -> None:
        self.observer(Event("page", project, problem=f"{owner} owns it"))
        text = f"crane: {project} belongs to {owner}, so it is taken from no other index"
        await request.problem(404, text)


def _below(path: str, root: str) -> str | None:
    """Return what follows a root, whose path may have escapes, in a decoded path."""
    plain_root = unquote(root)
    if path != plain_root and not path.startswith(f"{plain_root}/"):
        return None
    return path.removeprefix(plain_root)


def _resolved(path: str) -> str:
    """Return a path without dot segments (RFC 3986 §5.2.4) and empty ones."""
    normal = posixpath.normpath(f"/{path.lstrip('/')}")
    return f"{normal}/" if path.endswith(("/", "/.", "/..")) and normal != "/" else normal
