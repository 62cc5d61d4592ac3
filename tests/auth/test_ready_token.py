"""A token that somebody else takes care of: CRANE_TOKEN_<NAME>, or a command that prints it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path

import httpx2
import pytest
from auth.kit import URL
from idp import flows
from idp.oidc import Realm
from support.pips import make_built_sdist
from support.world import User, World

from crane_core.auth.credentials import ready_token
from crane_core.auth.workload import commands
from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_core.errors import LoginNeeded


@pytest.fixture
def good(realm: Realm) -> str:
    """Give a token that the index accepts, of a login outside of crane."""
    with httpx2.Client(trust_env=False, timeout=30) as http:
        return str(flows.log_in(http, realm)["access_token"])


def python(code: str) -> str:
    """Return a command that runs this."""
    return shlex.join([sys.executable, "-c", code])


def set_command(user: User, command: str) -> None:
    """Give the user's index this token-command."""
    user.crane("index", "set", "python", "--token-command", command, check=True)


# --- the variable ------------------------------------------------------------------------------


def test_a_token_of_the_environment_is_used(
    registered: User, realm: Realm, world: World, good: str
) -> None:
    """No login, no session, no request to the provider; the index lets it in."""
    realm.clear_requests()
    registered.variables["CRANE_TOKEN_PYTHON"] = f" {good}\n"
    assert registered.crane("token", check=True).stdout == f"{good}\n"
    registered.crane("status", check=True)
    assert world.crane.requests[-1].authorized_user == "ada"
    done = registered.crane("login", check=True)
    assert done.stdout == "python uses a token that was set for it\n"
    assert good not in registered.crane("explain", world.index_url, check=True).stdout
    # The index looks at the keys with which tokens are signed; we ask for nothing.
    assert {r.endpoint for r in realm.requests()} <= {"jwks"}
    assert not registered.sessions.exists()


def test_it_counts_more_than_a_login_and_changes_nothing_about_it(logged_in: User) -> None:
    """Unset it, and the login is there again."""
    own = logged_in.crane("token", check=True).stdout
    assert logged_in.crane("token", check=True, CRANE_TOKEN_PYTHON="t").stdout == "t\n"
    assert logged_in.crane("token", check=True).stdout == own


def test_the_variable_of_another_index_is_none_of_ours(registered: User) -> None:
    assert registered.crane("token", CRANE_TOKEN_OTHER="t").returncode == 4
    assert registered.crane("token", CRANE_TOKEN_PYTHON="").returncode == 4


@pytest.mark.parametrize(
    ("name", "variable"),
    [("my-index", "MY_INDEX"), ("a.b_c", "A_B_C"), ("x1", "X1")],
)
def test_the_name_of_the_variable(name: str, variable: str) -> None:
    index = Index(name, URL, issuer="https://sso.example")
    token = asyncio.run(ready_token(index, {f"CRANE_TOKEN_{variable}": "t"}))
    assert token is not None
    assert token.reveal() == "t"


@pytest.mark.parametrize("value", ["a b", "a\nb", "ä", "a\x1b[2J", " "])
def test_what_is_no_token_is_not_sent(registered: User, value: str) -> None:
    """It could break out of its header; what it is is not repeated."""
    done = registered.crane("token", CRANE_TOKEN_PYTHON=value)
    assert done.returncode == 4
    assert done.stderr == (
        "crane: CRANE_TOKEN_PYTHON of python gives no token; check what it holds\n"
    )


def test_a_refused_token_is_a_login_that_is_needed(
    registered: User, world: World, realm: Realm
) -> None:
    """Exit code 4 without a browser: whoever has set it must set another."""
    done = registered.crane("status", "--json", CRANE_TOKEN_PYTHON="expired")
    assert done.returncode == 4
    (status,) = json.loads(done.stdout)["data"]["indexes"]
    assert "the token that was set for it is refused" in status["answer"]
    assert realm.requests("device_authorization") == []
    asked = [r.status for r in world.crane.requests if r.header("authorization")]
    assert asked
    assert set(asked) == {401}


@pytest.mark.parametrize("value", ["expired", "no token"])
def test_pip_with_a_refused_token(
    registered: User, world: World, realm: Realm, pip_python: str, value: str
) -> None:
    """The reason stands in what pip says; nobody is asked for a login that would not count."""
    world.add_private("secret-lib")
    done = registered.crane(
        "pip", "--python", pip_python, "install", "secret-lib", CRANE_TOKEN_PYTHON=value
    )
    assert done.returncode != 0
    assert re.search("crane: the token that was set for it is refused|gives no token", done.stderr)
    assert "Traceback" not in done.stderr
    assert realm.requests("device_authorization") == []
    assert not list(registered.sessions.glob("*.json"))


def test_builds_do_not_see_it(registered: User, world: World, pip_python: str, good: str) -> None:
    """The variables with logins stop at crane: pip runs what packages bring along."""
    dump = registered.home / "seen"
    spy = f"import os\nopen({str(dump)!r}, 'w').write(repr(dict(os.environ)))"
    make_built_sdist(world.private / "secret-lib", "secret-lib", prologue=spy)
    done = registered.crane(
        "pip", "--python", pip_python, "install", "secret-lib",
        CRANE_TOKEN_PYTHON=good, CRANE_CLIENT_SECRET_PYTHON="s3cret",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    environ = dump.read_text()
    assert "PIP_INDEX_URL" in environ
    assert good not in environ
    assert "s3cret" not in environ


# --- the command -------------------------------------------------------------------------------


def test_a_command_that_prints_a_token(registered: User, world: World, good: str) -> None:
    """It runs anew each time, without a shell, and no session is kept."""
    file = registered.home / "to ken"
    file.write_text(f"{good}\n")
    set_command(registered, python(f"print(open({str(file)!r}).read())"))
    assert registered.crane("token", check=True).stdout == f"{good}\n"
    registered.crane("status", check=True)
    assert world.crane.requests[-1].authorized_user == "ada"
    file.write_text("another")
    assert registered.crane("token", check=True).stdout == "another\n"
    assert not registered.sessions.exists()


def test_no_shell_reads_the_command(registered: User) -> None:
    """What stands in a configuration file is a program and its words."""
    set_command(registered, "echo $HOME;`id`|cat")
    done = registered.crane("token", check=True)
    assert done.stdout == "$HOME;`id`|cat\n"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (python("import sys; print('sec-ret'); sys.exit(3)"), "ended with 3"),
        (python("import os, signal; os.kill(os.getpid(), 9)"), "ended with -9"),
        ("/no/such/program --token", "not on PATH"),
        ("no-such-program-here", "not on PATH"),
        (python("pass"), "gives no token"),
        (python("print('a b')"), "gives no token"),
        (python("print('<html>log in</html> sec-ret')"), "gives no token"),
        ("'unbalanced", "quotation"),
    ],
)
def test_a_command_that_gives_none(registered: User, command: str, reason: str) -> None:
    """Exit code 4, one line, and nothing of its output: that may be a part of a token."""
    set_command(registered, command)
    for _ in range(2):
        done = registered.crane("token")
        assert done.returncode == 4
        assert done.stderr.count("\n") == 1
        assert reason in done.stderr
        assert "sec-ret" not in done.stderr


def test_what_a_command_says_on_stderr_is_not_shown(registered: User) -> None:
    """Tools print tokens there, too, when they are asked to be verbose."""
    set_command(registered, python("import sys; print('t'); print('sec-ret', file=sys.stderr)"))
    done = registered.crane("token", check=True)
    assert (done.stdout, done.stderr) == ("t\n", "")


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It gets half a minute, then it is killed, and its pid is nobody's any more."""
    pid_file = tmp_path / "pid"
    code = (
        f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    )
    monkeypatch.setattr(commands, "COMMAND_SECONDS", 1.0)
    index = Index("python", URL, issuer="https://sso.example", token_command=python(code))
    with pytest.raises(LoginNeeded, match="did not end in 1 s"):
        asyncio.run(ready_token(index, {}))

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_command_of_megabytes(registered: User) -> None:
    """Whatever comes, it is no token."""
    set_command(registered, python("print('x ' * 5_000_000)"))
    assert registered.crane("token").returncode == 4


def test_the_environment_counts_more_than_the_command(registered: User) -> None:
    set_command(registered, "no-such-program-here")
    assert registered.crane("token", check=True, CRANE_TOKEN_PYTHON="t").stdout == "t\n"


def test_a_command_stands_in_no_process_list(registered: User) -> None:
    """Its words are the user's own; the token that it prints is nowhere but in its pipe."""
    lines = registered.home / "lines"
    # In a shell, since processes end between their being listed and being read.
    code = (
        "import subprocess; "
        f"out = open({str(lines)!r}, 'wb'); "
        "subprocess.run('cat /proc/[0-9]*/cmdline', shell=True, stdout=out, stderr=-3); "
        "print('to'+'ken-of-a-command')"
    )
    set_command(registered, python(code))
    assert registered.crane("token", check=True).stdout == "token-of-a-command\n"
    assert b"token-of-a-command" not in lines.read_bytes()


def test_an_import_of_the_configuration_shows_the_command(registered: User) -> None:
    """It is no secret, but the user's setting: `crane index show` names it."""
    set_command(registered, "print-token --for python")
    (index,) = ConfigStore(registered.config_file).load()
    assert index.token_command == "print-token --for python"
    assert "print-token" in registered.crane("index", "show", "python", check=True).stdout
