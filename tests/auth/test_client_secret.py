"""The secret of a confidential client: from stdin, a prompt, a variable, a file, the vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from idp.oidc import Idp, Realm
from run.kit import until
from support.world import CRANE, SECONDS, User, World

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore

SECRET = "ci-secret"


@pytest.fixture
def service(world: World, user: User) -> User:
    """Give a user whose index has a client with a secret, which is nowhere yet."""
    realm = world.realm
    index = Index("python", world.index_url, issuer=realm.issuer, client_id=realm.ci_client_id)
    ConfigStore(user.config_file).save(index)
    user.variables["CI"] = "true"
    return user


def give(user: User, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Pipe a text into `crane index secret`."""
    return subprocess.run(
        [CRANE, "index", "secret", "python", *more],
        env=user.environ,
        cwd=user.home,
        input=text,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def works(user: User, realm: Realm, **extra: str) -> bool:
    """Whether the client logs in by itself, with the secret it is to have."""
    realm.clear_requests()
    done = user.crane("token", **extra)
    asked = realm.requests("token", grant="client_credentials")
    assert len(asked) <= 1
    if done.returncode == 0:
        assert asked[0].auth == "client_secret_basic"
        assert asked[0].params.get("client_secret") is None
        user.crane("logout", check=True, **extra)
    else:
        assert done.returncode in {3, 4, 13}, done.stderr
        assert done.stderr.count("\n") == 1
    return done.returncode == 0


# --- where it comes from -----------------------------------------------------------------------


def test_without_a_secret_a_login_is_needed(service: User, realm: Realm) -> None:
    assert not works(service, realm)


@pytest.mark.parametrize("text", [f"{SECRET}\n", SECRET, f"{SECRET}\r\n", f"{SECRET}\nmore\n"])
def test_a_secret_from_standard_input(service: User, realm: Realm, text: str) -> None:
    """As from `pass show crane | crane index secret python`: the first line."""
    done = give(service, text)
    assert done.returncode == 0, done.stderr
    assert "the client secret of python is kept in private files" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert works(service, realm)


@pytest.mark.parametrize("text", ["", "\n", "\x00\n", "a\x1b[2J\n"])
def test_no_secret_at_all(service: User, text: str) -> None:
    """Exit code 2, and nothing is stored."""
    done = give(service, text)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not list(service.sessions.glob("*.json"))


@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
def test_a_secret_typed_at_the_prompt_is_not_shown(service: User, realm: Realm) -> None:
    import pexpect

    child = pexpect.spawn(
        CRANE, ["index", "secret", "python"], env=service.environ, cwd=str(service.home),
        timeout=SECONDS, encoding="utf-8",
    )  # fmt: skip
    child.expect_exact("Client secret: ")
    child.waitnoecho()
    child.sendline(SECRET)
    rest = child.read()
    child.close()
    assert child.exitstatus == 0, rest
    assert SECRET not in rest
    assert works(service, realm)


def test_a_secret_of_the_environment(service: User, realm: Realm) -> None:
    assert works(service, realm, CRANE_CLIENT_SECRET_PYTHON=SECRET)
    assert not works(service, realm, CRANE_CLIENT_SECRET_OTHER=SECRET)


def test_a_secret_in_a_file(service: User, realm: Realm) -> None:
    """As Docker and Kubernetes mount one; `~` is the home, the last line break is no part of it."""
    (service.home / "secret").write_text(f"{SECRET}\n")
    service.crane("index", "set", "python", "--client-secret-file", "~/secret", check=True)
    assert works(service, realm)


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe"])
def test_a_file_that_holds_none(service: User, content: bytes | None) -> None:
    """Exit code 3 with the file's name; there was to be one, so nothing else is tried."""
    if content is not None:
        (service.home / "secret").write_bytes(content)
    service.crane("index", "set", "python", "--client-secret-file", "~/secret", check=True)
    done = service.crane("token")
    assert done.returncode == 3
    assert "client-secret-file ~/secret" in done.stderr
    assert done.stderr.count("\n") == 1


def test_which_one_counts(service: User, realm: Realm) -> None:
    """The variable before the file before the vault."""
    (service.home / "secret").write_text("wrong, of the file")
    assert give(service, "wrong, of the vault").returncode == 0
    assert not works(service, realm)
    assert works(service, realm, CRANE_CLIENT_SECRET_PYTHON=SECRET)
    service.crane("index", "set", "python", "--client-secret-file", "~/secret", check=True)
    assert not works(service, realm)
    (service.home / "secret").write_text(SECRET)
    assert works(service, realm)
    assert not works(service, realm, CRANE_CLIENT_SECRET_PYTHON="wrong, of the variable")


def test_a_wrong_secret_is_not_repeated(service: User) -> None:
    """Exit code 13; also not with --debug."""
    for flags in ([], ["--debug"]):
        done = service.crane(*flags, "token", CRANE_CLIENT_SECRET_PYTHON="wr0ng-s3cret")
        assert done.returncode == (1 if flags else 13)
        assert "wr0ng" not in done.stdout + done.stderr


def test_a_client_that_must_have_one(service: User) -> None:
    """Registered with a way to prove itself, and nothing to do it with: exit code 3."""
    service.crane("index", "set", "python", "--client-auth", "basic", check=True)
    done = service.crane("login", "--grant", "client-credentials")
    assert done.returncode == 3
    assert "CRANE_CLIENT_SECRET_PYTHON" in done.stderr
    assert "crane index secret python" in done.stderr


# --- its life ----------------------------------------------------------------------------------


def test_a_new_secret_takes_the_place_of_the_old_one(service: User, realm: Realm) -> None:
    give(service, "old")
    assert give(service, SECRET).returncode == 0
    assert works(service, realm)
    assert len(list(service.sessions.glob("*.json"))) == 1


def test_deleting_the_secret(service: User, realm: Realm) -> None:
    give(service, SECRET)
    done = service.crane("index", "secret", "python", "--delete", "--json", check=True)
    assert json.loads(done.stdout)["data"] == {"index": "python"}
    assert not works(service, realm)
    assert not list(service.sessions.glob("*.json"))
    service.crane("index", "secret", "python", "--delete", check=True)


def test_a_logout_keeps_it_and_a_removal_does_not(service: User) -> None:
    """The secret belongs to the registration, not to a login."""
    give(service, SECRET)
    service.crane("logout", check=True)
    assert len(list(service.sessions.glob("*.json"))) == 1
    service.crane("index", "remove", "python", check=True)
    assert not list(service.sessions.glob("*.json"))


def test_a_secret_goes_to_no_other_provider(service: User, idp: Idp, realm: Realm) -> None:
    """Another issuer under the same name is another client: its endpoint does not get this one."""
    give(service, SECRET)
    other = idp["postonly"]
    service.crane("index", "set", "python", "--issuer", other.issuer, check=True)
    assert service.crane("token").returncode == 4
    assert other.requests("token") == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("step", ["storing", "using"])
def test_it_stands_in_no_process_list(service: User, realm: Realm, step: str) -> None:
    """Neither in the arguments of a process nor in its environment, while it is at work."""
    secret = SECRET if step == "using" else "another-s3cret"
    if step == "using":
        give(service, secret)
        realm.quirk("hold_request", grant="client_credentials")
    command = ["token"] if step == "using" else ["index", "secret", "python"]
    with subprocess.Popen(
        [CRANE, *command], env=service.environ, cwd=service.home, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        if step == "using":
            realm.wait_for("token", grant="client_credentials")
        else:
            process.stdin.write(secret[:3])  # it reads, and goes on reading
            process.stdin.flush()
        # At the very moment of its start there is nothing to see.
        until(lambda: b"crane" in _read(Path("/proc", str(process.pid), "cmdline")))
        seen = b"".join(_read(Path("/proc", str(process.pid), n)) for n in ("cmdline", "environ"))
        assert secret.encode() not in seen
        realm.release()
        process.communicate(secret[3:] + "\n" if step == "storing" else None, timeout=SECONDS)
        assert process.returncode == 0


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()


@pytest.mark.skipif(sys.platform == "win32", reason="no mode bits on Windows")
def test_its_file_is_private(service: User) -> None:
    before = os.umask(0)
    try:
        give(service, SECRET)
    finally:
        os.umask(before)
    (file,) = service.sessions.glob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o640)
    refused = service.crane("token")
    assert refused.returncode == 10
    assert f"chmod go= '{file}'" in refused.stderr
