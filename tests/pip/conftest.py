"""Fixtures for running pip: environments, users who are ready to install, a pip that only tells."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forward.rig import Site
from idp.oidc import Realm
from support.pips import (
    NEWEST,
    RUNNING,
    Environments,
    MakeEnvironment,
    Pip,
    end_agents,
    index_of,
    log_in,
    register,
)
from support.world import User, World

from crane_core.config.model import Index

DEFAULT = Pip(RUNNING, NEWEST)


@pytest.fixture
def make_environment(environments: Environments, tmp_path: Path) -> MakeEnvironment:
    """Make fresh environments below the test's folder."""

    def make(pip: Pip | None = DEFAULT, name: str = "env") -> Path:
        return environments.make(tmp_path / name, pip)

    return make


@pytest.fixture
def index(world: World) -> Index:
    """Give the protected index as it is registered."""
    return index_of(world)


@pytest.fixture
def ready(user: User, world: World, index: Index) -> User:
    """Give a user who has registered the index and is logged in."""
    register(user, index)
    log_in(user, world.realm, index)
    return user


@pytest.fixture
def active(ready: User, make_environment: MakeEnvironment) -> Path:
    """Give an active environment of that user's, with the newest pip."""
    folder = make_environment()
    ready.variables["VIRTUAL_ENV"] = str(folder)
    return folder


@dataclass(frozen=True)
class TellingPip:
    """An environment whose pip installs nothing, but writes down how it was called."""

    environment: Path

    @property
    def told(self) -> dict[str, Any]:
        """How it was called last."""
        found: dict[str, Any] = json.loads(self._note.read_text())
        return found

    @property
    def was_called(self) -> bool:
        """Whether it was."""
        return self._note.exists()

    @property
    def index(self) -> str:
        """The name of the index at whose gateway URL it was told to look."""
        return self.index_url.removesuffix("/simple/").rpartition("/")[2]

    @property
    def index_url(self) -> str:
        """The gateway URL at which it was told to look: the last one counts."""
        arguments = self.told["arguments"]
        url: str = arguments[len(arguments) - arguments[::-1].index("--index-url")]
        return url

    @property
    def _note(self) -> Path:
        return self.environment / "told.json"


TELLING = """#!{python} -IS
import json, os, signal, sys
if sys.argv[1] == "-c":
    print(json.dumps(["26.0", "3.13.0"]))
    sys.exit(0)
note = {{
    "arguments": sys.argv[3:],
    "environ": dict(os.environ),
    "terminal": [os.isatty(n) for n in range(3)],
    "pid": os.getpid(),
}}
with open({note!r}, "w") as file:
    json.dump(note, file)
code = {code}
if code < 0:
    os.kill(os.getpid(), -code)
    signal.pause()
sys.exit(code)
"""


@pytest.fixture
def telling(tmp_path: Path) -> Callable[..., TellingPip]:
    """Make pips that tell how they were called, and end with a code or by a signal."""

    def make(code: int = 0) -> TellingPip:
        environment = tmp_path / f"telling{code}"
        python = environment / "bin" / "python"
        python.parent.mkdir(parents=True)
        note = str(environment / "told.json")
        python.write_text(TELLING.format(python=sys.executable, note=note, code=code))
        python.chmod(0o755)
        return TellingPip(environment)

    return make


@pytest.fixture
def ada(site: Site, user: User, realm: Realm) -> Iterator[User]:
    """Give a user in that internet who has registered the index and is logged in."""
    # A firm's network: there is no way but its proxy, and its certificates are its own.
    user.variables |= {
        "HTTPS_PROXY": site.net.url(),
        "SSL_CERT_FILE": site.net.ca_file,
        # What the test run itself was given must not stand in for what crane sets.
        "REQUESTS_CA_BUNDLE": "",
        "PIP_CERT": "",
        "CI": "1",
    }
    register(user, site.index())
    log_in(user, realm, site.index())
    yield user
    # Before the servers, which wait for its connections.
    end_agents(user)
