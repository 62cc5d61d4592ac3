"""Real pips for tests: which interpreters are here, and environments with a chosen pip."""

from __future__ import annotations

import functools
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from filelock import FileLock
from idp import flows
from idp.oidc import Realm

from crane_core.agent.runtime import Runtime, places
from crane_core.auth.model import ProviderMetadata, Session, session_key
from crane_core.auth.sessions import SessionStore
from crane_core.auth.tokens import read_token_response
from crane_core.auth.vault import FileVault
from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_core.platform import Paths
from crane_devserver.sdists import make_sdist
from support.processes import kill
from support.world import User, World

MakeEnvironment = Callable[..., Path]
NEWEST = "newest"
INDEX_ROUTE = ("--route", "index")
PIPS = ("22.2", "23.2.1", "24.0", NEWEST)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
# As it was before the tests emptied it: uv needs its cache and the way to the registry.
ENVIRON = dict(os.environ)


@dataclass(frozen=True)
class Pip:
    """A pip version and the Python it runs on."""

    python: str
    version: str

    def __str__(self) -> str:
        return f"python{self.python}-pip{self.version}"


def shown(value: object) -> str:
    """Return a parameter's name: of a pip, a function, or a route's options."""
    if isinstance(value, tuple):
        return " ".join(value) or "default"
    return str(getattr(value, "__name__", value))


@functools.cache
def interpreter(version: str) -> str | None:
    """Return an interpreter of that version: the running one, pyenv's, or one on PATH."""
    if version == RUNNING:
        return sys.executable
    pyenv = Path(ENVIRON.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [str(p / "bin" / "python") for p in sorted(pyenv.glob(f"{version}.*"))]
    if on_path := shutil.which(f"python{version}", path=ENVIRON.get("PATH")):
        candidates.append(on_path)
    return next((c for c in candidates if _is(c, version)), None)


def _is(python: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-Ic", code], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return False
    return done.stdout.strip() == version


# pip 22.2 does not start on Python 3.12 and later.
OTHERS = (
    Pip("3.9", "22.2"),
    Pip("3.9", NEWEST),
    Pip("3.10", "23.2.1"),
    Pip("3.13", "24.0"),
    Pip("3.13", NEWEST),
)
EVERY_PIP = [Pip(RUNNING, version) for version in PIPS]
# What pip does with proxies and certificates differs most from one to the next.
EVERY_FORWARD_PIP = [Pip(RUNNING, v) for v in (*PIPS[:-1], "24.3.1", "25.3", NEWEST)]
MATRIX = [*EVERY_PIP, *(p for p in OTHERS if p.python != RUNNING and interpreter(p.python))]
OLDEST_AND_NEWEST = [Pip(RUNNING, PIPS[0]), Pip(RUNNING, NEWEST)]


@dataclass(frozen=True)
class Environments:
    """Makes virtual environments; each pip is fetched and compiled once a test run."""

    templates: Path

    def make(self, folder: Path, pip: Pip | None) -> Path:
        """Return a fresh environment, with this pip in it or none."""
        python = interpreter(pip.python if pip else RUNNING)
        _uv("venv", "--python", python or "", str(folder))
        if pip is not None:
            source = self._template(pip)
            for part in source.iterdir():
                if part.name.startswith("pip"):
                    # Links: the compiled modules stay valid, since the sources keep their times.
                    shutil.copytree(part, packages(folder) / part.name, copy_function=os.link)
        return folder

    def _template(self, pip: Pip) -> Path:
        folder = self.templates / str(pip)
        with FileLock(f"{folder}.lock"):
            if not (folder / "complete").exists():
                python = interpreter(pip.python)
                _uv("venv", "--python", python or "", str(folder))
                wanted = "pip" if pip.version == NEWEST else f"pip=={pip.version}"
                into = ("--python", str(folder / "bin" / "python"))
                _uv("pip", "install", "--compile-bytecode", *into, wanted)
                (folder / "complete").touch()
        return packages(folder)


def packages(environment: Path) -> Path:
    """Return an environment's site-packages."""
    return next(environment.glob("lib/python3*/site-packages"))


def installed(environment: Path) -> set[str]:
    """Return what is installed in an environment beside pip, as NAME-VERSION."""
    names = {p.name.removesuffix(".dist-info") for p in packages(environment).glob("*.dist-info")}
    return {name for name in names if not name.startswith("pip-")}


def leftovers(user: User) -> list[Path]:
    """Return what a run of the index route keeps on disk, or has left there."""
    return sorted((user.sessions.parent / "run").glob("*"))


def bundles(user: User) -> list[Path]:
    """Return what the children of a user's open views are to trust."""
    return sorted((user.sessions.parent / "agents").glob("*/bundles/*"))


def agents(user: User) -> list[Runtime]:
    """Return what the runtime files of a user's agents say that are there."""
    data = user.sessions.parent
    found = [p.read() for p in places(Paths(user.config_file.parent, data, user.home / "cache"))]
    return [runtime for runtime in found if runtime and runtime.is_running]


def end_agents(user: User) -> None:
    """Kill a user's agents."""
    for runtime in agents(user):
        kill(runtime.pid)


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    found = str(uv) if uv.exists() else shutil.which("uv", path=ENVIRON.get("PATH"))
    assert found, "the tests need uv"
    environ = {**ENVIRON, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        [found, *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"uv {arguments}: {done.stderr}"


def index_of(world: World, **settings: object) -> Index:
    """Return the protected index as a registration would describe it."""
    values: dict[str, object] = {
        "name": "python",
        "url": world.index_url,
        "issuer": world.realm.issuer,
        "fallback": world.public_url,
    }
    return Index(**{**values, **settings})  # type: ignore[arg-type]


def register(user: User, *indexes: Index) -> None:
    """Write the user's configuration file, without the command that finds the issuer."""
    for index in indexes:
        ConfigStore(user.config_file).save(index)


def log_in(user: User, realm: Realm, *indexes: Index, account: str = "ada", age: float = 0) -> str:
    """Store a login as crane does, without its browser; return the access token.

    `age` makes it as old as that many seconds.
    """
    with httpx2.Client(trust_env=False, timeout=30) as http:
        answer = flows.log_in(http, realm, account)
    provider = ProviderMetadata(
        token_endpoint=realm.token_url,
        issuer=realm.issuer,
        device_authorization_endpoint=realm.device_url,
        revocation_endpoint=realm.revocation_url,
    )
    session = Session(read_token_response(answer, time.time() - age), provider)
    for index in indexes:
        SessionStore(user.sessions, FileVault(user.sessions)).write(session_key(index), session)
    return str(answer["access_token"])


def make_built_sdist(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    build_requires: Sequence[str] = (),
    prologue: str = "",
) -> Path:
    """Write a source distribution that needs these projects to build.

    `prologue` is Python code that its build backend runs first.
    """
    path = make_sdist(folder, name, version)
    contents: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            contents[member.name] = file.read()
    quoted = ", ".join(f'"{requirement}"' for requirement in build_requires)
    with tarfile.open(path, "w:gz") as archive:
        for member_name, data in contents.items():
            changed = data
            if member_name.endswith("pyproject.toml"):
                changed = data.replace(b"requires = []", f"requires = [{quoted}]".encode(), 1)
            elif member_name.endswith("backend.py"):
                changed = prologue.encode() + b"\n" + data
            info = tarfile.TarInfo(member_name)
            info.size = len(changed)
            archive.addfile(info, io.BytesIO(changed))
    return path
