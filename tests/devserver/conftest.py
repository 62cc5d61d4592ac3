"""A small served world: two repositories, three users, one clock that tests can move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from crane_devserver import (
    Behaviour,
    Client,
    DevServer,
    ManualClock,
    PathAccess,
    ProviderSettings,
    Repository,
    make_wheel,
    serve_in_thread,
)

if TYPE_CHECKING:
    from pathlib import Path

USERS = {
    "ada": ("lovelace", ("readers", "writers", "secret")),
    "ben": ("franklin", ("readers",)),
    "eve": ("drop", ()),
}
CLIENTS = (
    Client("crane-pip"),
    Client(
        "crane-ci",
        secret="s3:cr%t",
        grant_types=frozenset({"client_credentials"}),
        groups=frozenset({"readers"}),
    ),
)
READERS = frozenset({"readers"})
WRITERS = frozenset({"writers"})


@dataclass
class Site:
    """A running server and a client for it."""

    server: DevServer
    url: str
    http: httpx2.Client
    clock: ManualClock
    root: Path

    def auth(self, user: str, **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.provider.issue_token(user, **more)}"}

    def get(self, path: str, user: str | None = None, **headers: str) -> httpx2.Response:
        return self.request("GET", path, user, **headers)

    def request(
        self, method: str, path: str, user: str | None = None, **headers: str
    ) -> httpx2.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= self.auth(user) if user else {}
        return self.http.request(method, self.url + path, headers=sent)

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post(self.url + "/idp/token", data={"client_id": "crane-pip"} | form)


def fill(root: Path) -> None:
    make_wheel(root / "private" / "Acme.Lib", "Acme.Lib", "1.0")
    make_wheel(root / "private" / "secret-lib", "secret-lib", "1.0")
    (root / "private" / "paged").mkdir()
    (root / "private" / "paged" / "index.html").write_text("<p>hand-made</p>")
    (root / "private" / "a+b.txt").write_text("plus")
    make_wheel(root / "open" / "free-lib", "free-lib", "1.0")


def repositories(root: Path) -> list[Repository]:
    secret = PathAccess("secret-lib", read_groups=frozenset({"secret"}))
    return [
        Repository(
            "private", root / "private", read_groups=READERS, write_groups=WRITERS, paths=(secret,)
        ),
        Repository("open", root / "open", public=True, cache_control="max-age=3600"),
    ]


@contextmanager
def running(
    root: Path,
    *,
    settings: ProviderSettings | None = None,
    behaviour: Behaviour | None = None,
) -> Iterator[Site]:
    fill(root)
    clock = ManualClock()
    server = DevServer(
        repositories(root),
        USERS,
        clients=CLIENTS,
        settings=settings,
        behaviour=behaviour or Behaviour(),
        clock=clock,
    )
    with serve_in_thread(server) as url, httpx2.Client(trust_env=False) as http:
        yield Site(server, url, http, clock, root)


@pytest.fixture(scope="session")
def run() -> Callable[..., AbstractContextManager[Site]]:
    """Hand :func:`running` to fixtures of other modules."""
    return running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that only read."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """For tests that change files, time or faults."""
    with running(tmp_path / "site") as found:
        yield found


Start = Callable[..., Site]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start sites with settings or behaviour of one's own."""
    with ExitStack() as stack:
        count = iter(range(100))

        def starting(**options: Any) -> Site:
            return stack.enter_context(running(tmp_path / str(next(count)), **options))

        yield starting
