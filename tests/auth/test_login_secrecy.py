"""A whole run with --debug, and nothing of any token in what it wrote or showed to processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest
from auth.stored import expire, refreshes, stored
from idp.oidc import DEVICE_GRANT, Idp, Realm
from support.pips import make_built_sdist
from support.serving import serving
from support.world import CRANE, SECONDS, User, World, make_world

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# Runs in a build backend, below crane and pip: what any package's build can see of processes.
SPY = """\
import glob
_seen = open({dump!r}, "ab")
for _path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
    try:
        with open(_path, "rb") as _file:
            _seen.write(_file.read() + b"\\n")
    except OSError:
        pass
_seen.close()
"""
HIDDEN = {
    "access_token", "refresh_token", "device_code", "code", "code_verifier", "client_secret",
    "token", "id_token",
}  # fmt: skip


@dataclass
class Run:
    """Every command of the run, what it printed, and every secret there was meanwhile."""

    user: User
    realm: Realm
    printed: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def crane(self, *arguments: str, code: int | None = 0, **extra: str) -> str:
        """Run crane with --debug, and write down what it printed and which secrets there are."""
        done = self.user.crane("--debug", *arguments, **extra)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        self.printed += [done.stdout, done.stderr]
        self.learn()
        return done.stdout + done.stderr

    def learn(self) -> None:
        """Gather secrets from the vault and from what the provider has been sent."""
        for file in self.user.sessions.glob("*.json"):
            text = file.read_text()
            for name, value in (json.loads(text)["tokens"] if text.startswith("{") else {}).items():
                if name in HIDDEN and value:
                    self.secrets[value] = name
        for request in self.realm.requests():
            for name, value in request.params.items():
                if name in HIDDEN and value:
                    self.secrets[value] = name

    def kinds(self) -> set[str]:
        """Which kinds of secrets have been met."""
        return set(self.secrets.values())


@pytest.fixture(
    params=[("keycloak", "device"), ("keycloak", "authorization-code"), ("postonly", "device")],
    ids=lambda p: "-".join(p),
)
def setting(
    request: pytest.FixtureRequest, idp: Idp, user: User, tmp_path: Path
) -> Iterator[tuple[Run, World, str]]:
    """Give a user with an index at each kind of provider and client."""
    name, grant = request.param
    realm = idp[name]
    user.issuer = realm.issuer
    user.variables["TMPDIR"] = str(user.home / "tmp")
    (user.home / "tmp").mkdir()
    with make_world(tmp_path / "world", realm) as world:
        index = Index(
            "python", world.index_url, issuer=realm.issuer, grant=grant, fallback=world.public_url
        )
        ConfigStore(user.config_file).save(index)
        yield Run(user, realm), world, grant


def test_a_whole_run(setting: tuple[Run, World, str], pip_python: str) -> None:
    """Login, status, pip, serve, refreshes that fail, logout."""
    run, world, grant = setting
    user, realm = run.user, run.realm
    seen = user.home / "seen"
    make_built_sdist(
        world.private / "secret-spy", "secret-spy", prologue=SPY.format(dump=str(seen))
    )
    make_built_sdist(world.private / "secret-lib", "secret-lib", build_requires=["secret-spy"])
    if realm.client_secret and realm.client_auth != "none":
        give_secret(run, realm.client_secret)

    run.crane("login")
    run.crane("login", "--json")
    run.crane("status")
    run.crane("status", "--json")
    run.crane("explain", world.index_url)
    run.crane("vault")
    run.crane("index", "show", "python")
    expire(user)
    run.crane("pip", "--python", pip_python, "install", "-vv", "secret-lib",
              "--log", str(user.home / "pip.log"))  # fmt: skip
    assert len(refreshes(realm)) == 1
    with serving(user) as served:
        page = httpx2.get(f"{served.url}/simple/secret-lib/", trust_env=False, timeout=30)
        assert page.status_code == 200
        (user.home / "page").write_text(page.text)
    failing_refreshes(run)
    run.crane("login", "--force")
    realm.respond(503, "", endpoint="revocation")
    run.crane("logout")
    run.crane("token", code=None)
    run.learn()

    expected = {"access_token", "refresh_token"}
    expected |= {"device_code"} if grant == "device" else {"code", "code_verifier"}
    expected |= {"client_secret"} if realm.client_auth == "client_secret_post" else set()
    assert expected <= run.kinds()
    assert b"secret-spy" in seen.read_bytes(), "the spy has not seen pip"
    assert find(run) == []


def give_secret(run: Run, secret: str) -> None:
    """Store the client's secret."""
    done = subprocess.run(
        [CRANE, "--debug", "index", "secret", "python"],
        env=run.user.environ, cwd=run.user.home, input=secret, capture_output=True, text=True,
        timeout=SECONDS, check=True,
    )  # fmt: skip
    run.printed += [done.stdout, done.stderr]
    run.secrets[secret] = "client_secret"


def failing_refreshes(run: Run) -> None:
    """Let the provider refuse, break off, talk nonsense and repeat what it was sent."""
    realm = run.realm
    expire(run.user)
    refresh_token = stored(run.user).tokens.refresh_token
    assert refresh_token is not None
    told = {"error": "invalid_request", "error_description": f"no {refresh_token.reveal()} here"}
    realm.respond(400, told, grant="refresh_token")
    assert "invalid_request" in run.crane("token", code=None)
    realm.respond(400, f"<p>no {refresh_token.reveal()} here</p>", grant="refresh_token")
    run.crane("token", code=None)
    realm.patch({"expires_in": "soon"}, grant="refresh_token")
    run.crane("token", code=None)
    run.crane("status", code=None)
    run.crane("token", code=None)  # the one before has used the refresh token up


def find(run: Run) -> list[str]:
    """Say where which secret can be read, outside of the vault."""
    texts = {f"output {n}": text.encode() for n, text in enumerate(run.printed)}
    for path in run.user.home.rglob("*"):
        if path.is_file() and path.parent != run.user.sessions:
            texts[str(path)] = path.read_bytes() + str(path).encode()
    for path in run.user.sessions.iterdir():
        if path.suffix != ".json":
            texts[str(path)] = path.read_bytes()
    found = []
    for secret, name in run.secrets.items():
        assert len(secret) >= 8, name
        found += [f"{name} in {where}" for where, text in texts.items() if secret.encode() in text]
    return found


def test_the_search_finds_what_is_there(setting: tuple[Run, World, str]) -> None:
    """What is told by `crane token`, which shows one on purpose, is found."""
    run, _, _ = setting
    if run.realm.client_auth != "none":
        give_secret(run, run.realm.client_secret or "")
    run.crane("login")
    run.crane("token")
    assert [line.partition(" in ")[0] for line in find(run)] == ["access_token"]


def test_what_is_in_a_process_while_a_login_waits(registered: User, realm: Realm) -> None:
    """While crane polls with a device code, it stands in no argument and no environment."""
    realm.quirk("hold_request", grant=DEVICE_GRANT)
    with subprocess.Popen(
        [CRANE, "--debug", "login"], env=registered.environ, cwd=registered.home,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        (asked,) = realm.wait_for("token", grant=DEVICE_GRANT)
        texts = [path.read_bytes() for path in everything_of(process.pid)]
        realm.release()
        printed = process.communicate(timeout=SECONDS)
    code = asked.params["device_code"].encode()
    assert any(b"crane" in text for text in texts)
    assert not any(code in text for text in [*texts, *printed])


def everything_of(pid: int) -> list[Path]:
    """Return what /proc shows of a process and those that it has started."""
    process = psutil.Process(pid)
    pids = [pid, *(child.pid for child in process.children(recursive=True))]
    places = [
        Path("/proc") / str(number) / name for number in pids for name in ("cmdline", "environ")
    ]
    return [place for place in places if place.exists()]
