"""`crane explain`, and what crane says where nobody can answer."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grants.kit import URL, index_at, register
from idp.oidc import Realm, approve_device
from support.terminals import pexpect
from support.world import CRANE, User

from crane_core.index.provenance import SqliteProvenance

FILE = f"{URL}/acme-lib/acme_lib-1.0-py3-none-any.whl"
HERE_IN_2_SECONDS = 5.0  # the promise is two; this machine may be busy


def explained(user: User, *arguments: str, **environ: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the data of `crane explain --json`."""
    done = user.crane("explain", *arguments, "--json", **environ)
    assert done.stderr == ""
    envelope = json.loads(done.stdout)
    assert envelope["exit_code"] == done.returncode
    return done.returncode, envelope["data"]


def why_not(data: dict[str, Any]) -> dict[str, str]:
    return {grant["grant"]: grant["why_not"] for grant in data["login"]["grants"]}


def test_a_url_of_an_index_at_a_desk(person: User) -> None:
    """Index, account, grant and source, each with the reason; nothing is done about it."""
    done = person.crane("explain", FILE)
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert lines[0] == f"index    firm: the URL is below {URL}"
    assert "login    nobody is logged in" in lines
    assert "  grant  authorization-code: can be used" in lines
    assert "  grant  client-credentials: no client secret or key is set" in lines
    assert lines[-1] == "source   firm first, then https://pypi.org/simple"


def test_explaining_does_nothing(person: User, realm: Realm) -> None:
    """No login, no token, no index is asked; the provider's metadata are read."""
    explained(person, FILE)
    assert explained(person, "firm")[1]["url"] == URL
    assert {r.endpoint for r in realm.requests()} == {"discovery"}
    assert not list(person.sessions.glob("*.json"))


@pytest.mark.parametrize(
    "url", ["https://other.example/python", "https://crane.example/r", "https://crane.example"]
)
def test_a_url_of_no_index(person: User, url: str) -> None:
    """No token would be sent there, and no login is needed: exit code 0."""
    code, data = explained(person, url)
    assert (code, data["index"]) == (0, None)


STATES: list[tuple[str, dict[str, Any], dict[str, str], int]] = [
    ("nobody", {}, {}, 4),
    ("nobody, in CI", {}, {"CI": "true"}, 4),
    ("a token that is set", {}, {"CRANE_TOKEN_FIRM": "t"}, 0),
    ("a command that gives one", {"token_command": "echo t"}, {}, 0),
    ("a secret", {}, {"CRANE_CLIENT_SECRET_FIRM": "s", "CI": "true"}, 0),
    ("an identity", {}, {"GITHUB_ACTIONS": "true", "CI": "true"}, 0),
    ("an identity, switched off", {},
     {"GITHUB_ACTIONS": "true", "CI": "true", "CRANE_DETECTORS_OFF": "all"}, 4),
    ("a secret, but device is registered", {"grant": "device"},
     {"CRANE_CLIENT_SECRET_FIRM": "s"}, 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "environ", "code"), [row[1:] for row in STATES], ids=[row[0] for row in STATES]
)
def test_exit_code_4_says_that_a_login_is_needed(
    user: User, realm: Realm, settings: dict[str, Any], environ: dict[str, str], code: int
) -> None:
    """And no other state does; `crane token` agrees about each."""
    register(user, index_at(realm, **settings))
    assert explained(user, FILE, **environ)[0] == code
    assert (user.crane("token", **environ).returncode == 4) == (code == 4)


def test_a_login_is_explained_by_its_state(person: User, realm: Realm) -> None:
    """Good, due, and over."""
    person.crane("login", check=True)
    code, data = explained(person, FILE)
    assert (code, data["login"]["state"]) == (0, "the access token is good")
    assert data["login"]["account"] == "ada"
    (file,) = person.sessions.glob("*.json")
    record = json.loads(file.read_text())
    record["tokens"]["expires_at"] = record["tokens"]["issued_at"] - 10
    file.write_text(json.dumps(record))
    code, data = explained(person, FILE)
    assert (code, "would be refreshed" in data["login"]["state"]) == (0, True)
    record["tokens"]["refresh_token"] = None
    file.write_text(json.dumps(record))
    code, data = explained(person, FILE)
    assert (code, data["login"]["state"]) == (4, "the login has ended")


def test_a_persons_ended_login_is_not_to_become_the_services(person: User, realm: Realm) -> None:
    """What `crane token` would not do is not said to be possible."""
    person.crane("login", check=True)
    for path in person.sessions.glob("*.json"):
        record = json.loads(path.read_text())
        record["tokens"] |= {"refresh_token": None, "expires_at": 1.0, "issued_at": 0.0}
        path.write_text(json.dumps(record))
    secret = {"CRANE_CLIENT_SECRET_FIRM": "s", "CI": "true"}
    code, data = explained(person, URL, **secret)
    assert (code, data["login"]["state"]) == (4, "the login has ended")
    assert "a person's" in why_not(data)["client-credentials"]
    assert person.crane("token", "firm", **secret).returncode == 4


def test_the_registered_grant_is_the_reason_against_others(user: User, realm: Realm) -> None:
    """One can be used, the others are not what is registered."""
    register(user, index_at(realm, grant="device"))
    reasons = why_not(explained(user, FILE)[1])
    assert reasons.pop("device") == ""
    assert set(reasons.values()) == {"device is set for this index"}


def test_a_provider_that_is_down(person: User, realm: Realm) -> None:
    """The reason stands in the place of the grants; it is no traceback."""
    realm.respond(503, "", endpoint="discovery", times=None)
    code, data = explained(person, FILE)
    assert code == 4
    assert "HTTP 503" in why_not(data)["any"]


def test_the_source_of_a_project(user: User, realm: Realm) -> None:
    """Where each project would come from."""
    index = register(user, index_at(realm, private=("acme-*",)))
    assert "matches a private pattern" in explained(user, URL, "Acme_Lib")[1]["source"]
    assert "only if firm says that it has no six" in explained(user, URL, "six")[1]["source"]
    register(user, replace(index, fallback="none"))
    assert explained(user, URL)[1]["source"] == "firm first, and no other"


def tree(user: User) -> dict[str, bytes]:
    """Return every file and folder below the user's home, with what is in it."""
    found = {str(p.relative_to(user.home)): p for p in user.home.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() else b""
        for name, path in found.items()
        if not name.startswith(".coverage")  # of a run that measures it
    }


def killed(path: Path) -> None:
    """Leave behind what a process leaves that is killed with a name just recorded."""
    program = (
        "import os; from pathlib import Path\n"
        "from crane_core.index.provenance import SqliteProvenance\n"
        f"memory = SqliteProvenance(Path({str(path)!r}))\n"
        f"memory.record_project({URL!r}, 'six').result(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert path.with_name(f"{path.name}-wal").exists()


def closed(path: Path) -> None:
    """Record a name and close the file."""
    memory = SqliteProvenance(path)
    memory.record_project(URL, "six").result()
    memory.close()


def without_tables(path: Path) -> None:
    """Leave what a process leaves that is killed at its first step."""
    path.parent.mkdir(parents=True)
    path.touch()


MEMORIES: list[tuple[Callable[[Path], None] | None, bool]] = [
    (None, False), (closed, True), (killed, True), (without_tables, False),
]  # fmt: skip


@pytest.mark.parametrize(("remember", "served"), MEMORIES)
def test_explaining_a_project_leaves_no_file(
    person: User, remember: Callable[[Path], None] | None, served: bool
) -> None:
    """Not even an empty memory of what was served; one that is there is read."""
    path = person.sessions.parent / "provenance.sqlite3"
    if remember:
        remember(path)
    before = tree(person)
    sources = [explained(person, *what)[1]["source"] for what in ((URL,), (URL, "six"))]
    after = tree(person)
    shared_memory = f"{path.relative_to(person.home)}-shm"  # of whoever has the file open
    assert before.keys() == after.keys()
    assert {n for n in before if before[n] != after[n]} <= {shared_memory}
    assert ("it has served six before" in sources[1]) == served


def test_explaining_beside_a_process_that_records(person: User) -> None:
    """What it has recorded counts, and its files are left to it."""
    path = person.sessions.parent / "provenance.sqlite3"
    memory = SqliteProvenance(path)
    memory.record_project(URL, "six").result()
    before = tree(person)
    assert "it has served six before" in explained(person, URL, "six")[1]["source"]
    assert tree(person).keys() == before.keys()
    memory.record_project(URL, "seven").result()
    memory.close()


def test_a_memory_that_is_damaged(person: User) -> None:
    """Exit code 8, with the file: a gateway would refuse to serve, too."""
    path = person.sessions.parent / "provenance.sqlite3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 100)
    done = person.crane("explain", URL, "six")
    assert done.returncode == 8
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1


COMMANDS = [
    ["login"], ["login", "--grant", "device"], ["login", "--non-interactive"], ["token"],
    ["pip", "install", "acme-lib"], ["pip", "download", "acme-lib"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("where", [{"CI": "true"}, {"CRANE_NON_INTERACTIVE": "1"}, {"BROWSER": ""}])
def test_where_nobody_can_answer_it_fails_soon(
    person: User, realm: Realm, command: list[str], where: dict[str, str]
) -> None:
    """One line with what to run or set, exit code 4; never a wait for nobody."""
    began = time.monotonic()
    done = person.crane(*command, **where)
    assert time.monotonic() - began < HERE_IN_2_SECONDS
    assert done.returncode == 4, done.stderr
    assert "crane login firm" in done.stderr
    assert "Traceback" not in done.stderr
    assert [r.endpoint for r in realm.requests() if r.endpoint != "discovery"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--no-browser"], {}),
        ([], {"BROWSER": "", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22", "DISPLAY": ":0"}),
        (["--grant", "device"], {}),
    ],
    ids=["--no-browser", "ssh", "--grant device"],
)
def test_a_terminal_without_a_browser_gets_address_and_code(
    person: User, realm: Realm, arguments: list[str], environ: dict[str, str], tmp_path: object
) -> None:
    """The device grant in its place; BROWSER is not started (it would approve at once)."""
    environ = {**person.environ, "TERM": "dumb", "TEST_USER": "bob", **environ}
    if "--grant" in arguments:
        environ["BROWSER"] = "true %s"
    command = shlex.join([CRANE, "login", *arguments])
    child = pexpect.spawn(command, env=environ, encoding="utf-8", timeout=30)
    child.expect("check or enter the code  ([A-Z0-9-]+)")
    assert child.match is not None
    approve_device(realm.issuer, child.match.group(1))
    child.expect("logged in to firm as ada")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert realm.requests("authorization") == []
