"""What the tests of the grants share: a login under way, a person, and raw requests to a port."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from idp import browser
from idp.oidc import Realm
from support.world import CRANE, SECONDS, User

from crane_core.auth.broker import Broker
from crane_core.auth.context import AuthContext
from crane_core.auth.login import Login
from crane_core.auth.model import DeviceAuthorization, Session
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import MemoryVault
from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_core.http import Clients

T = TypeVar("T")
URL = "https://crane.example/python"
# Starts and comes back without having looked at anything; the test is the browser then.
NO_BROWSER_AT_ALL = "true %s"


def index_at(realm: Realm, **settings: Any) -> Index:
    """Return a registration of an index whose users log in at this realm."""
    known: dict[str, Any] = {"name": "firm", "url": URL, "issuer": realm.issuer}
    return Index(**(known | settings))


def register(user: User, index: Index) -> Index:
    """Write the user's configuration file; the command that does it is tested elsewhere."""
    ConfigStore(user.config_file).save(index)
    return index


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The line with the reason."""
        return self.err.splitlines()[-1]


class Waiting:
    """A `crane login` process that has shown an address and waits for a person."""

    def __init__(self, user: User, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._said: list[str] = []
        self._shown = threading.Event()
        self.process = subprocess.Popen(
            [CRANE, "login", *arguments],
            env={**user.environ, "BROWSER": NO_BROWSER_AT_ALL, **environ},
            cwd=user.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._shown.wait(SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if line.startswith("    http"):
                self._shown.set()
        self._shown.set()

    @property
    def url(self) -> str:
        """The address that it has shown."""
        found = [line.strip() for line in self._said if line.startswith("    http")]
        assert found, self._said
        return found[0]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of that address."""
        return {name: value[0] for name, value in parse_qs(urlsplit(self.url).query).items()}

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to come back to."""
        return self.parameters["redirect_uri"]

    @property
    def port(self) -> int:
        """The port that the login listens on."""
        port = urlsplit(self.redirect_uri).port
        assert port is not None
        return port

    def come_back(self, **parameters: str) -> Page:
        """Request the redirect with this login's state and these parameters."""
        query = urlencode({"state": self.parameters["state"], **parameters})
        return get(self.port, f"/callback?{query}")

    def end(self, seconds: float = 30) -> Ended:
        """Wait for its end."""
        code = self.process.wait(seconds)
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        return Ended(code, self.process.stdout.read(), "".join(self._said))

    def close(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def logging_in(user: User, *arguments: str, **environ: str) -> Iterator[Waiting]:
    """Start `crane login` and go on once it has shown an address."""
    waiting = Waiting(user, arguments, environ)
    try:
        yield waiting
    finally:
        waiting.close()


@dataclass(frozen=True)
class Page:
    """What a raw request was answered; status 0 if the connection ended without an answer."""

    status: int
    headers: Mapping[str, str]
    text: str


def get(port: int, target: str, *, host: str = "127.0.0.1", seconds: float = 30) -> Page:
    """Send a GET request, as a browser's first line and no more."""
    return ask(port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), host, seconds)


def ask(port: int, request: bytes, host: str = "127.0.0.1", seconds: float = 30) -> Page:
    """Send these bytes and read until the other side closes."""
    answer = b""
    with socket.create_connection((host, port), timeout=seconds) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines if line)}
    return Page(int(first.split()[1]) if first else 0, headers, body.decode())


def redirect_of(url: str, user: str = "ada", realm: Realm | None = None) -> str:
    """Sign in on the provider's pages and return the redirect, which nobody has followed."""
    with browser._browser(realm.verify if realm else browser.TRUSTS_NOBODY) as client:
        return browser._return_url(browser._sign_in(client, client.get(url), user))


@dataclass
class Person:
    """Somebody at a terminal, with or without a browser; `act` gets each address shown."""

    act: Callable[[str], object] = lambda _: None
    can_answer: bool = True
    has_browser: bool = True
    shown: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def show_authorization(self, index: Index, url: str) -> None:
        self._show(url)

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        self._show(request.verification_uri_complete or request.verification_uri)

    def _show(self, url: str) -> None:
        self.shown.append(url)
        # As a browser does: beside us, for the login must go on to answer it.
        threading.Thread(target=self.act, args=(url,), daemon=True).start()

    def notice(self, text: str) -> None:
        self.notices.append(text)


NOBODY = Person(can_answer=False, has_browser=False)


@dataclass
class Watch:
    """A clock that a test can move on."""

    offset: float = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    async def sleep(self, seconds: float) -> None:
        self.offset += seconds
        await asyncio.sleep(0)


@dataclass
class Desk:
    """Everything that logs in, inside this process."""

    context: AuthContext
    broker: Broker
    index: Index
    watch: Watch

    async def login(self, grant: str | None = None) -> Session:
        return await Login(self.context, grant).run(self.index)

    async def token(self) -> str:
        return (await self.broker.access_token(self.index)).reveal()


def at_desk(
    folder: Path,
    index: Index,
    job: Callable[[Desk], Awaitable[T]],
    *,
    person: Person | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Run a job with sessions in memory and return its result."""

    async def run() -> T:
        watch = Watch()
        async with Clients() as clients:
            store = SessionStore(folder / "sessions", MemoryVault())
            context = AuthContext(store, clients, watch, person or Person(), environ or {})
            broker = Broker(context)
            try:
                return await job(Desk(context, broker, index, watch))
            finally:
                await broker.close()

    return asyncio.run(run())


def claims_at(realm: Realm, access_token: str) -> dict[str, Any]:
    """Return a token's claims, once the realm's published keys have verified it."""
    from idp import flows

    with httpx2.Client(trust_env=False, verify=realm.verify) as http:
        return dict(flows.verified(http, realm, access_token).claims)
