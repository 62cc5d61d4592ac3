"""A gateway in a thread of the test, with a user's files and a person who logs in."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
from conformance.lint import LintingTransport

from crane_core.auth.context import AuthContext
from crane_core.auth.login import Login
from crane_core.auth.model import Session, session_key
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import FileVault
from crane_core.config.model import Configuration, Index
from crane_core.gateway.compose import Settings, gateway
from crane_core.gateway.guard import Guard, loopback_hosts
from crane_core.gateway.server import bind, run, serving
from crane_core.http import Clients
from crane_core.index.provenance import SqliteProvenance
from crane_core.platform import Paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from idp.oidc import Realm
    from support.world import World

    from crane_core.auth.model import DeviceAuthorization
    from crane_core.gateway.events import Event

LIMIT = 15.0
USUAL = Settings()


# Not the page that is asked for there at the same time, on the chance: it may come first.
ROOT_PAGE = re.compile(r"^/python/simple/$")


class QuickClock:
    """The machine's clock, which a test may move; polling intervals take no time."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


@dataclass
class Person:
    """Approves each login at once, if there."""

    realm: Realm
    user: str = "ada"
    there: bool = False
    logins: int = 0
    notices: list[str] = field(default_factory=list)

    @property
    def can_answer(self) -> bool:
        return self.there

    @property
    def has_browser(self) -> bool:
        return False

    def show_authorization(self, index: Index, url: str) -> None:
        raise AssertionError("no browser is here")

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        self.logins += 1
        self.realm.approve_device(request.user_code, self.user)

    def notice(self, text: str) -> None:
        self.notices.append(text)


@dataclass
class Gate:
    """A gateway that serves, and a client for it."""

    url: str
    port: int
    http: httpx2.Client
    events: list[Event]
    stop: Callable[[], None]

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """GET a path of the gateway; header names are written with underscores."""
        return self.request("GET", path, **headers)

    def request(self, method: str, path: str, **headers: str) -> httpx2.Response:
        url = path if path.startswith("http") else self.url + path
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, url, headers=sent)

    def project(self, name: str, index: str = "python") -> httpx2.Response:
        """Ask for a project's page as JSON."""
        accept = "application/vnd.pypi.simple.v1+json"
        return self.get(f"/{index}/simple/{name}/", accept=accept)

    def files(self, name: str, index: str = "python") -> list[dict[str, Any]]:
        """Return the file entries of a project's page."""
        answer = self.project(name, index)
        assert answer.status_code == 200, f"{answer.status_code} {answer.reason_phrase}"
        files: list[dict[str, Any]] = answer.json()["files"]
        return files

    def names(self, name: str, index: str = "python") -> list[str]:
        """Return the file names of a project's page."""
        return [file["filename"] for file in self.files(name, index)]


@dataclass
class Home:
    """A user's folders and the gateways they start."""

    paths: Paths
    person: Person
    clock: QuickClock = field(default_factory=QuickClock)

    def store(self) -> SessionStore:
        """Return the user's sessions, in private files."""
        return SessionStore(self.paths.sessions, FileVault(self.paths.sessions))

    @asynccontextmanager
    async def auth(self, person: Person) -> AsyncIterator[AuthContext]:
        """Yield what a login works with."""
        async with Clients() as clients:
            yield AuthContext(self.store(), clients, self.clock, person, {})

    def login(self, index: Index, user: str = "ada") -> Session:
        """Log a user in at an index, at the provider's real pages."""

        async def run_login() -> Session:
            async with self.auth(Person(self.person.realm, user, there=True)) as auth:
                return await Login(auth).run(index)

        return asyncio.run(run_login())

    def session(self, index: Index) -> Session | None:
        """Return the stored session of an index."""
        return self.store().read(session_key(index))

    def release(self, index: Index, project: str) -> bool:
        """Do what `crane index release` does, in another process's place."""
        provenance = SqliteProvenance(self.paths.provenance)
        try:
            return provenance.release(index.token_prefix, project)
        finally:
            provenance.close()

    @contextmanager
    def serve(
        self,
        *indexes: Index,
        registered: tuple[Index, ...] = (),
        guard: Callable[[int], Guard] = lambda port: Guard(loopback_hosts("127.0.0.1", port)),
        host: str = "127.0.0.1",
        settings: Settings = USUAL,
    ) -> Iterator[Gate]:
        """Serve these indexes; `registered` are further ones in the configuration."""
        known = {index.name: index for index in (*indexes, *registered)}
        listener = bind(host, 0)
        listener.listen()
        port = listener.getsockname()[1]
        events: list[Event] = []
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def main() -> None:
            stop = asyncio.Event()
            async with (
                self.auth(self.person) as auth,
                gateway(
                    auth,
                    self.paths,
                    Configuration(known),
                    indexes,
                    guard(port),
                    events.append,
                    settings=settings,
                ) as app,
                serving(app, listener),
            ):
                started.set_result((asyncio.get_running_loop(), stop))
                await stop.wait()

        def body() -> None:
            try:
                run(main())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=body, name="gateway", daemon=True)
        thread.start()
        loop, stopped = started.result(LIMIT)

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stopped.set)

        shown = f"[{host}]" if ":" in host else host
        try:
            with httpx2.Client(
                trust_env=False, timeout=LIMIT, transport=LintingTransport(port)
            ) as http:
                yield Gate(f"http://{shown}:{port}", port, http, events, stop)
        finally:
            stop()
            thread.join(LIMIT)
            assert not thread.is_alive(), "the gateway did not end"


def new_home(folder: Path, realm: Realm) -> Home:
    """Return a user with empty folders."""
    return Home(Paths(folder / "config", folder / "data", folder / "cache"), Person(realm))


def index_of(world: World, **settings: Any) -> Index:
    """Return the protected index as registered, with the public one as fallback."""
    values = {
        "name": "python",
        "url": world.index_url,
        "issuer": world.realm.issuer,
        "fallback": world.public_url,
    }
    return Index(**{**values, **settings})


@contextmanager
def serving_as_ada(world: World, home: Home) -> Iterator[Gate]:
    """Give a gateway before this world's index, with ada logged in."""
    index = index_of(world)
    home.login(index)
    with home.serve(index) as gate:
        yield gate


def asked_public(world: World) -> list[str]:
    """Return the paths that the public index was asked for."""
    return [record.path for record in world.public_server.requests]


def tokens_seen(world: World) -> list[str]:
    """Return each Authorization header that reached the public index's host."""
    found = (record.header("authorization") for record in world.public_server.requests)
    return [value for value in found if value is not None]
