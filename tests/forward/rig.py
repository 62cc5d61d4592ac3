"""A gateway of the forward route in a thread of the test, and children that go through it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forward.net import Net
from gateway.harness import LIMIT, USUAL, Home
from gateway.upstream import whole
from idp.oidc import Realm

from crane_core.config.model import Configuration, Index
from crane_core.gateway.compose import Forwarding, Settings, forwarding
from crane_core.gateway.events import Event
from crane_core.gateway.server import bind, run
from crane_core.gateway.views import Opened, Wish
from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.wheels import make_wheel

PRIVATE_HOST, PUBLIC_HOST = "index.firm.test", "pypi.test"
SECONDS = 90
UV = str(Path(sys.executable).with_name("uv"))
Runner = Callable[[Any], Any]


@dataclass
class Site:
    """A protected index and a public one, at hosts of their own."""

    net: Net
    realm: Realm
    crane: CraneServer
    private: Path
    public_server: CraneServer
    public: Path
    crane_url: str = f"https://{PRIVATE_HOST}"
    public_url: str = f"https://{PUBLIC_HOST}/simple"

    @property
    def index_url(self) -> str:
        return f"{self.crane_url}/python"

    def add_private(self, name: str, version: str = "1.0", **options: Any) -> Path:
        return make_wheel(self.private / name, name, version, **options)

    def add_public(self, name: str, version: str = "1.0", **options: Any) -> Path:
        return make_wheel(self.public / name, name, version, **options)

    def index(self, **settings: Any) -> Index:
        """Return the protected index as registered."""
        values = {
            "name": "python",
            "url": self.index_url,
            "issuer": self.realm.issuer,
            "fallback": self.public_url,
        }
        return Index(**{**values, **settings})

    def logins_seen_by_public(self) -> list[str]:
        """Return each Authorization header that reached the public host."""
        found = (r.header("authorization") for r in self.public_server.requests)
        return [value for value in found if value is not None]


@contextmanager
def make_site(folder: Path, net: Net, realm: Realm) -> Iterator[Site]:
    """Serve both indexes."""
    private, public = folder / "private", folder / "public"
    private.mkdir(parents=True)
    public.mkdir()
    with ExitStack() as stack:
        crane = CraneServer(
            [
                Repository(
                    "python",
                    private,
                    read_groups=frozenset({"everyone"}),
                    write_groups=frozenset({"everyone"}),
                )
            ],
            keys=f"{realm.issuer}/jwks",
            issuer=realm.issuer,
            behaviour=STATIC_INDEX,
        )
        public_server = CraneServer(
            [Repository("simple", public, public=True)],
            keys=f"{realm.issuer}/jwks",
            behaviour=STATIC_INDEX,
        )
        stack.enter_context(net.host(crane, PRIVATE_HOST))
        stack.enter_context(net.host(public_server, PUBLIC_HOST))
        yield Site(net, realm, crane, private, public_server, public)


@dataclass
class Rig:
    """A running forward route."""

    port: int
    loop: asyncio.AbstractEventLoop
    forwarding: Forwarding
    events: list[Event]
    folder: Path
    net: Net
    controlled: list[str] = field(default_factory=list)

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Call something in the gateway's thread."""
        result: Future[Any] = Future()

        def call() -> None:
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self.loop.call_soon_threadsafe(call)
        return result.result(LIMIT)

    def open(self, wish: Wish | None = None, **fields: Any) -> Opened:
        """Open a view; by default its child would go by the net's proxy too."""
        fields.setdefault("proxies", {"https": self.net.url()})
        wish = wish or Wish(**fields)
        opened: Opened = self.on_loop(lambda: self.forwarding.views.open(wish))
        return opened

    def close(self, opened: Opened) -> None:
        self.on_loop(lambda: self.forwarding.views.close(opened.name))

    def proxy(self, opened: Opened) -> str:
        """Return the proxy URL of a view's child."""
        return f"http://crane:{opened.secret.reveal()}@127.0.0.1:{self.port}"

    def bundle(self, opened: Opened | None) -> str:
        """Return the file of what a child trusts: the net's CA, and the view's."""
        path = self.folder / f"bundle-{opened.name if opened else 'none'}.pem"
        path.write_text(self.net.ca_pem + (opened.authority if opened else ""))
        return str(path)

    def context(self, opened: Opened | None) -> ssl.SSLContext:
        """Return what a child's TLS trusts."""
        return ssl.create_default_context(cafile=self.bundle(opened))

    def environ(self, opened: Opened, *, trusts: bool = True, **extra: str) -> dict[str, str]:
        """Return a child's environment."""
        bundle, proxy = self.bundle(opened if trusts else None), self.proxy(opened)
        home = self.folder / "child-home"
        home.mkdir(exist_ok=True)
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT",
                 "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")  # fmt: skip
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "UV_NO_CACHE": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "PYTHONUTF8": "1",
            **dict.fromkeys(names, bundle),
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
            "PIP_PROXY": proxy,
            "NODE_USE_ENV_PROXY": "1",
            "NO_PROXY": "localhost,127.0.0.1,::1",
            **extra,
        }

    def run(
        self,
        opened: Opened,
        *command: str,
        trusts: bool = True,
        cwd: Path | None = None,
        **extra: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a child of a view."""
        return subprocess.run(
            list(command),
            env=self.environ(opened, trusts=trusts, **extra),
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def problems(self) -> list[str]:
        """Return what the gateway reported as failed."""
        return [event.problem for event in self.events if event.problem]

    def connect(self) -> socket.socket:
        """Return a bare connection to the front."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)


def says(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed."""
    return f"{done.args}\n{done.stdout}\n{done.stderr}"


@contextmanager
def forward(
    home: Home,
    net: Net,
    folder: Path,
    *indexes: Index,
    settings: Settings = USUAL,
    runner: Runner = run,
    **options: Any,
) -> Iterator[Rig]:
    """Run the forward route with these registered indexes."""
    listener = bind("127.0.0.1", 0)
    listener.listen(512)
    port = listener.getsockname()[1]
    events: list[Event] = []
    controlled: list[str] = []
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Forwarding]] = Future()

    async def control(scope: dict[str, Any], receive: Any, send: Any) -> None:
        controlled.append(scope["path"])
        await whole(200, b"controlled\n", "text/plain")(scope, receive, send)

    async def main() -> None:
        stop = asyncio.Event()
        known = Configuration({index.name: index for index in indexes})
        async with (
            home.auth(home.person) as auth,
            forwarding(auth, home.paths, known, events.append, settings, **options) as parts,
            parts.serve(listener, control),
        ):
            started.set_result((asyncio.get_running_loop(), stop, parts))
            await stop.wait()

    def body() -> None:
        try:
            runner(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=body, name="forward", daemon=True)
    thread.start()
    loop, stopped, parts = started.result(LIMIT)
    try:
        yield Rig(port, loop, parts, events, folder, net, controlled)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(LIMIT)
        assert not thread.is_alive(), "the gateway did not end"
