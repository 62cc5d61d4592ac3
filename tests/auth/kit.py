"""What the tests of logging in share: a clock that does not wait, a person, a real login."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from idp.oidc import Realm

from crane_core.auth.broker import Broker
from crane_core.auth.context import AuthContext
from crane_core.auth.login import Login
from crane_core.auth.model import DeviceAuthorization, Session, session_key
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import FileVault
from crane_core.config.model import Index
from crane_core.http import Clients
from crane_core.secret import Secret

T = TypeVar("T")
URL = "https://crane.example/python"


@dataclass
class Watch:
    """A clock that writes down how long it was to sleep, and jumps there.

    `then` is called after each sleep with the number of sleeps so far.
    """

    offset: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    then: Callable[[int], None] = lambda _: None

    def now(self) -> float:
        return time.time() + self.offset

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.offset += seconds
        self.then(len(self.sleeps))
        await asyncio.sleep(0)


@dataclass
class Person:
    """Somebody at a terminal who approves each login, or does something else with the code."""

    realm: Realm
    act: Callable[[str], None] | None = None
    can_answer: bool = True
    has_browser: bool = False
    shown: list[DeviceAuthorization] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        self.shown.append(request)
        (self.act or self.realm.approve_device)(request.user_code)

    def show_authorization(self, index: Index, url: str) -> None:
        raise AssertionError("nobody here has a browser")

    def notice(self, text: str) -> None:
        self.notices.append(text)


def nothing(_: object) -> None:
    """Do nothing with what is shown."""


def store_in(folder: Path) -> SessionStore:
    """Return a store of private files, as another process would open it."""
    return SessionStore(folder, FileVault(folder))


def index_at(realm: Realm, **settings: Any) -> Index:
    """Return a registration of an index whose users log in at this realm."""
    known: dict[str, Any] = {"name": "firm", "url": URL, "issuer": realm.issuer}
    return Index(**(known | settings))


@dataclass
class Desk:
    """Everything that logs in, on a folder of its own."""

    realm: Realm
    index: Index
    folder: Path
    context: AuthContext
    clock: Watch
    person: Person
    broker: Broker

    @property
    def store(self) -> SessionStore:
        """Where the sessions are."""
        return self.context.store

    @property
    def session(self) -> Session:
        """The stored session."""
        session = self.store.read(session_key(self.index))
        assert session is not None
        return session

    @property
    def refreshes(self) -> int:
        """How many refreshes have reached the provider."""
        return len(self.realm.requests("token", grant="refresh_token"))

    async def login(self) -> Session:
        """Log in as a person would who has no browser on this machine."""
        return await Login(self.context, "device").run(self.index)

    def another_broker(self) -> Broker:
        """Return a broker that shares only the folder, as another process would."""
        return Broker(replace(self.context, store=store_in(self.folder)))

    def change(self, **tokens: Any) -> Session:
        """Store the session with other values."""
        changed = replace(self.session, tokens=replace(self.session.tokens, **tokens))
        self.store.write(session_key(self.index), changed)
        return changed


@asynccontextmanager
async def desk_at(
    realm: Realm,
    folder: Path,
    *,
    clock: Watch | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """Yield a desk with clients of its own, closed at the end."""
    clock = clock or Watch()
    person = Person(realm)
    async with Clients() as clients:
        context = AuthContext(store_in(folder), clients, clock, person, environ or {})
        broker = Broker(context)
        yield Desk(realm, index_at(realm, **settings), folder, context, clock, person, broker)
        await broker.close()


def at_desk(
    realm: Realm,
    folder: Path,
    job: Callable[[Desk], Awaitable[T]],
    *,
    clock: Watch | None = None,
    **settings: Any,
) -> T:
    """Run a job at a desk and return its result."""

    async def run() -> T:
        async with desk_at(realm, folder, clock=clock, **settings) as desk:
            return await job(desk)

    return asyncio.run(run())


def log_in(
    realm: Realm, folder: Path, *, clock: Watch | None = None, **settings: Any
) -> tuple[Session, Person, Watch]:
    """Log in at a realm. Returns what was stored, the person and the clock."""

    async def job(desk: Desk) -> tuple[Session, Person, Watch]:
        await desk.login()
        return desk.session, desk.person, desk.clock

    return at_desk(realm, folder, job, clock=clock, **settings)


def logged_in(realm: Realm, folder: Path, job: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a job at a desk where somebody has logged in."""

    async def run(desk: Desk) -> None:
        await desk.login()
        await job(desk)

    at_desk(realm, folder, run)


async def token(desk: Desk, rejected: Secret | None = None) -> Secret:
    """Return what the broker hands out."""
    return await desk.broker.access_token(desk.index, rejected=rejected)
