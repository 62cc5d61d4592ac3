"""A small world: an identity provider, a protected index, a public index, and users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from idp.oidc import Realm

from crane_devserver.access import NOBODY
from crane_devserver.behaviour import STATIC_INDEX, Behaviour
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel

BROWSER = f"{sys.executable} {Path(__file__).parent / 'browser.py'} %s"
CRANE = str(Path(sys.executable).with_name("crane"))
# What the machine needs to reach the package registries stays; what steers tools goes.
KEPT = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LANG", "SYSTEMROOT")
NO_KEYRING = "keyring.backends.fail.Keyring"
SECONDS = 120


@dataclass
class User:
    """Somebody with an empty home and a browser that approves what they started."""

    home: Path
    issuer: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the user's processes."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        coverage = {n: v for n, v in os.environ.items() if n.startswith("COVERAGE_")}
        return {
            **kept,
            **coverage,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "BROWSER": BROWSER,
            "TEST_ISSUER": self.issuer,
            # Never the keyring of whoever runs the tests.
            "PYTHON_KEYRING_BACKEND": NO_KEYRING,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_CERT": os.environ.get("PIP_CERT", ""),
            **self.variables,
        }

    @property
    def config_file(self) -> Path:
        """Where crane keeps the user's indexes."""
        return self.home / ".config" / "crane" / "config.toml"

    @property
    def sessions(self) -> Path:
        """Where crane keeps the user's logins."""
        return self.home / ".local" / "share" / "crane" / "sessions"

    def run(
        self, *command: str, check: bool = False, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, without a terminal, and return what it printed."""
        done = subprocess.run(
            list(command),
            env={**self.environ, **extra},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def crane(
        self, *arguments: str, check: bool = False, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run crane as this user."""
        return self.run(CRANE, *arguments, check=check, **extra)


@dataclass
class World:
    """The servers and their folders."""

    realm: Realm
    crane: CraneServer
    crane_url: str
    private: Path
    public_server: CraneServer
    public_url: str
    public: Path

    @property
    def index_url(self) -> str:
        """The protected repository, as a user would register it."""
        return f"{self.crane_url}/python"

    def add_private(self, name: str, version: str = "1.0", **options: object) -> Path:
        """Upload a wheel to the protected repository, in a folder of its project."""
        return make_wheel(self.private / name, name, version, **options)  # type: ignore[arg-type]

    def add_public(self, name: str, version: str = "1.0", **options: object) -> Path:
        """Put a wheel on the public index."""
        return make_wheel(self.public / name, name, version, **options)  # type: ignore[arg-type]

    def asked(self, path: str) -> list[int]:
        """Return the statuses with which the protected index answered requests below a path."""
        return [r.status for r in self.crane.requests if r.path.startswith(path)]


@contextmanager
def make_world(
    folder: Path,
    realm: Realm,
    *,
    behaviour: Behaviour | None = None,
    writers: frozenset[str] = NOBODY,
) -> Iterator[World]:
    """Start a protected index for this realm's users and a public index beside it."""
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
                    write_groups=writers,
                )
            ],
            keys=f"{realm.issuer}/jwks",
            issuer=realm.issuer,
            **({"behaviour": behaviour} if behaviour else {}),
        )
        crane_url = stack.enter_context(serve_in_thread(crane))
        public_server = CraneServer(
            [Repository("simple", public, public=True)],
            keys=f"{realm.issuer}/jwks",
            behaviour=STATIC_INDEX,
        )
        public_base = stack.enter_context(serve_in_thread(public_server))
        yield World(
            realm, crane, crane_url, private, public_server, f"{public_base}/simple", public
        )
