"""No token and no secret of the gateway where somebody could read it."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlsplit

import pytest
from forward.rig import Site
from support.pips import (
    INDEX_ROUTE,
    NEWEST,
    OLDEST_AND_NEWEST,
    RUNNING,
    Pip,
    leftovers,
    log_in,
    make_built_sdist,
    register,
    shown,
)
from support.world import User, World

from crane_core.config.model import Index

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

PROXIES = {"http_proxy", "https_proxy", "pip_proxy"}

# Runs in the build backend of a build requirement: below crane, pip, and the pip that pip starts.
SPY = """\
import glob, json, os
def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
_netrc = os.environ.get("NETRC") or os.environ["PIP_CERT"]
_seen = {{
    "command_lines": [_read(path) for path in glob.glob("/proc/[0-9]*/cmdline")],
    "environ": dict(os.environ),
    "netrc": _read(_netrc),
    "modes": {{path: os.stat(path).st_mode for path in [
        os.path.dirname(os.path.dirname(_netrc)), os.path.dirname(_netrc),
        *glob.glob(os.path.dirname(_netrc) + "/*"),
    ]}},
    "owner": os.stat(_netrc).st_uid,
}}
with open({dump!r}, "w") as _file:
    json.dump(_seen, _file)
"""


@dataclass(frozen=True)
class Install:
    """An install with a spy in it, and all that must not be seen anywhere."""

    done: CompletedProcess[str]
    seen: dict[str, Any]
    tokens: list[str]
    home: Path

    @property
    def secret(self) -> str:
        """The gateway's secret, from where pip reads it."""
        if "NETRC" not in self.seen["environ"]:
            password = urlsplit(self.seen["environ"]["HTTP_PROXY"]).password
            assert password
            assert len(password) >= 40
            return password
        words = self.seen["netrc"].split()
        assert (words[0], words[2]) == ("machine", "login")
        # netrc knows no ports, so the address must be the gateway's alone.
        assert words[1].startswith("127.")
        assert words[1] != "127.0.0.1"
        secret: str = words[words.index("password") + 1]
        assert len(secret) >= 40
        return secret


@pytest.fixture
def install(
    world: World, user: User, index: Index, make_environment: Callable[..., Path]
) -> Callable[..., Install]:
    def run(pip: Pip, route: tuple[str, ...] = ()) -> Install:
        register(user, index)
        log_in(user, world.realm, index)
        (session,) = user.sessions.glob("*.json")
        tokens = json.loads(session.read_text())["tokens"]
        dump = user.home / "seen.json"
        make_built_sdist(
            world.private / "secret-spy", "secret-spy", prologue=SPY.format(dump=str(dump))
        )
        make_built_sdist(world.private / "secret-lib", "secret-lib", build_requires=["secret-spy"])
        # An index line in it, so that crane makes a private copy.
        file = user.home / "requirements.txt"
        file.write_text(f"--extra-index-url {world.public_url}/\nsecret-lib\n")
        temporary = user.home / "tmp"
        temporary.mkdir()
        done = user.crane(
            "pip", *route, "--python", str(make_environment(pip)),
            "install", "-vvv", "-r", str(file), "--log", str(user.home / "pip.log"),
            *_report(pip, user.home),
            TMPDIR=str(temporary),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        secrets = [tokens["access_token"], tokens["refresh_token"]]
        assert all(len(token) > 20 for token in secrets)
        return Install(done, json.loads(dump.read_text()), secrets, user.home)

    return run


def _report(pip: Pip, home: Path) -> list[str]:
    return ["--report", str(home / "report.json")]


def test_a_proxy_of_pips_files_shows_no_secret_either(
    site: Site, ada: User, make_environment: Callable[..., Path]
) -> None:
    """Newer pips hand the proxy of their settings on as an argument of the pip for a build."""
    folder = make_environment(Pip(RUNNING, NEWEST))
    (folder / "pip.conf").write_text(f"[global]\nproxy = {ada.variables.pop('HTTPS_PROXY')}\n")
    dump = ada.home / "seen.json"
    make_built_sdist(site.private / "secret-spy", "secret-spy", prologue=SPY.format(dump=str(dump)))
    make_built_sdist(site.private / "secret-lib", "secret-lib", build_requires=["secret-spy"])

    done = ada.crane("pip", "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(dump.read_text())
    secret = urlsplit(seen["environ"]["HTTPS_PROXY"]).password
    assert secret
    assert any("secret-spy" in line for line in seen["command_lines"])
    assert not [line for line in seen["command_lines"] if secret in line]
    config = seen["environ"]["PIP_CONFIG_FILE"]
    assert stat.S_IMODE(seen["modes"][config]) == 0o600


BOTH = pytest.mark.parametrize(
    ("pip", "route"),
    [(pip, route) for pip in OLDEST_AND_NEWEST for route in ((), INDEX_ROUTE)],
    ids=shown,
)


@BOTH
def test_no_command_line_on_the_machine_shows_the_secret_or_a_token(
    pip: Pip, route: tuple[str, ...], install: Callable[..., Install]
) -> None:
    found = install(pip, route)

    lines = [line.replace("\0", " ") for line in found.seen["command_lines"]]
    assert any("secret-spy" in line for line in lines), "the inner pip was not seen"
    for hidden in (found.secret, *found.tokens):
        assert not [line for line in lines if hidden in line]
    # A proxy's login can be nowhere but in the environment: pip hands none on, and reads no netrc
    # for it.
    kept = {n: v for n, v in found.seen["environ"].items() if n.lower() not in PROXIES}
    for hidden in (found.secret, *found.tokens):
        assert hidden not in json.dumps(kept)


@BOTH
def test_nothing_that_pip_prints_or_keeps_holds_the_secret_or_a_token(
    pip: Pip, route: tuple[str, ...], install: Callable[..., Install]
) -> None:
    found = install(pip, route)

    files = [path for path in found.home.rglob("*") if path.is_file()]
    pips = {path for path in files if "/.local/share/crane/" not in str(path)} - {
        found.home / "seen.json"
    }
    names = {path.name for path in pips}
    assert {"pip.log", "report.json"} <= names
    assert any("/.cache/pip/" in str(path) for path in pips), "pip cached nothing"
    for hidden in (found.secret, *found.tokens):
        assert hidden not in found.done.stdout
        assert hidden not in found.done.stderr
        assert not [path for path in pips if hidden.encode() in path.read_bytes()]
        assert not [path for path in files if "python" in path.name and hidden in str(path)]


def test_the_views_certificate_lies_in_a_private_file_that_goes_away(
    user: User, install: Callable[..., Install]
) -> None:
    found = install(Pip(RUNNING, NEWEST))

    path = Path(found.seen["environ"]["PIP_CERT"])
    modes = {Path(name): stat.S_IMODE(mode) for name, mode in found.seen["modes"].items()}
    assert modes.pop(path.parent.parent) == modes.pop(path.parent) == 0o700
    assert path in modes
    assert set(modes.values()) == {0o600}
    assert found.seen["owner"] == os.getuid()
    assert "PRIVATE KEY" not in found.seen["netrc"]
    assert "BEGIN CERTIFICATE" in found.seen["netrc"]
    assert not list((found.home / "tmp").iterdir())
    until = time.monotonic() + 20
    while path.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_builds_are_not_shown_the_logins_of_the_environment(ready: User, telling: Callable) -> None:
    pip = telling()

    ready.crane(
        "pip", "--python", str(pip.environment), "install", "x",
        CRANE_TOKEN_PYTHON="t" * 30, CRANE_CLIENT_SECRET_PYTHON="s" * 30,
    )  # fmt: skip

    assert "t" * 30 not in str(pip.told)
    assert "s" * 30 not in str(pip.told)


def test_the_secret_of_the_index_route_lies_in_a_private_file_that_goes_away(
    install: Callable[..., Install],
) -> None:
    found = install(Pip(RUNNING, NEWEST), INDEX_ROUTE)

    path = Path(found.seen["environ"]["NETRC"])
    run = found.home / ".local" / "share" / "crane" / "run"
    modes = {Path(name): stat.S_IMODE(mode) for name, mode in found.seen["modes"].items()}
    assert path.parent.parent == run
    assert modes.pop(run) == modes.pop(path.parent) == 0o700
    assert any(copy.name.endswith("requirements.txt") for copy in modes)
    assert modes == dict.fromkeys(modes, 0o600)
    assert found.seen["owner"] == os.getuid()
    assert not list(run.iterdir())
    assert not list((found.home / "tmp").iterdir())
    assert not any(token in found.seen["netrc"] for token in found.tokens)


def test_each_run_has_another_secret_and_address(ready: User, telling: Callable) -> None:
    secrets, addresses = set(), set()
    for code in (0, 1):
        pip = telling(code)
        python = pip.environment / "bin" / "python"
        keep = f'import shutil; shutil.copy(os.environ["NETRC"], {str(ready.home / "kept")!r})\n'
        python.write_text(python.read_text().replace("code = ", keep + "code = "))
        ready.crane("pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "x")
        words = (ready.home / "kept").read_text().split()
        secrets.add(words[words.index("password") + 1])
        addresses.add(words[1])

    assert len(secrets) == len(addresses) == 2


@pytest.mark.parametrize("code", [0, 1, -9])
def test_the_netrc_goes_away_however_pip_ends(code: int, ready: User, telling: Callable) -> None:
    pip = telling(code)

    ready.crane("pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "x")

    assert not Path(pip.told["environ"]["NETRC"]).exists()
    assert not leftovers(ready)


def test_what_pip_prints_names_the_gateway_without_a_login(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")

    done = ready.crane("pip", *INDEX_ROUTE, "install", "secret-lib")

    assert re.search(r"^Looking in indexes: http://127\.[0-9.]+:\d+/", done.stdout, re.MULTILINE)
    assert "@127." not in done.stdout
