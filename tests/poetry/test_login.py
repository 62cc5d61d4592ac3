"""The login in front of Poetry: who is asked, where, and what is said when nobody can be."""

from __future__ import annotations

import pytest
from idp.oidc import Realm
from poetry.kit import OLDEST, VERSIONS, Desk
from run.kit import says
from support.pips import log_in
from support.terminals import pexpect


@pytest.fixture
def private(unknown: Desk) -> Desk:
    """Give a desk where nobody is logged in, with a browser that approves."""
    del unknown.machine.user.variables["CI"]
    unknown.site.add_private("firm-lib")
    unknown.write("firm-lib")
    return unknown


@pytest.mark.parametrize("version", VERSIONS)
def test_the_prompt_comes_first_and_poetry_goes_on(private: Desk) -> None:
    done = private.call("lock", "--no-ansi")

    assert done.returncode == 0, says(done)
    assert "To log in to python (https://index.firm.test/python)" in done.stderr
    assert "To log in" not in done.stdout
    assert private.locked["firm-lib"]["version"] == "1.0"
    assert "To log in" not in private.run("lock")


def test_at_a_terminal(private: Desk) -> None:
    """With colours and progress lines; the prompt stands whole above them."""
    environ = private.environ(TERM="xterm")
    child = pexpect.spawn(
        str(private.program), ["lock"], env=environ, cwd=str(private.project),
        encoding="utf-8", dimensions=(40, 200), timeout=60,
    )  # fmt: skip
    child.expect("To log in to python")
    child.expect("continue in your browser|check or enter the code")
    child.expect("Ctrl-C gives up")
    child.expect("Resolving dependencies")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_no_interaction_is_an_error_with_what_to_do(private: Desk) -> None:
    private.add_pypi("firm-lib", "9.0")

    done = private.call("lock", "--no-interaction")

    assert done.returncode == 1
    assert "nobody is logged in at python" in done.stderr
    assert "run: poetry crane login python" in " ".join(done.stderr.split())
    assert "Traceback" not in says(done)
    assert private.pypi.asked("firm-lib") == []


@pytest.mark.parametrize("variable", ["CI", "CRANE_NON_INTERACTIVE", "POETRY_NO_INTERACTION"])
def test_variables_that_say_nobody_is_there(private: Desk, variable: str) -> None:
    done = private.call("lock", **{variable: "1"})

    assert done.returncode == 1
    assert "To log in" not in done.stderr
    assert "nobody is logged in at python" in done.stderr


def test_quiet_shows_the_prompt_nonetheless(private: Desk) -> None:
    done = private.call("lock", "--quiet")

    assert done.returncode == 0, says(done)
    assert "To log in to python" in done.stderr
    assert done.stdout == ""


def test_a_denied_login_ends_the_command(private: Desk) -> None:
    done = private.call("lock", TEST_DECISION="deny")

    assert done.returncode == 1
    assert "denied" in done.stderr or "refused" in done.stderr
    assert "Traceback" not in says(done)


def test_a_token_that_is_set_needs_no_login(private: Desk, realm: Realm) -> None:
    token = log_in(private.machine.user, realm)

    printed = private.run("lock", "-v", "-n", CRANE_TOKEN_PYTHON=token)

    assert "authenticated with a token that was set, via crane" in printed
    assert token not in printed
    assert private.mentions(token) == []


def test_locked_public_releases_need_no_login(desk: Desk) -> None:
    """A job that installs nothing private from the lock file needs no secret."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("open-lib", "2.0")
    desk.write("open-lib", more='group.own.dependencies = { firm-lib = "*" }')
    desk.run("lock")
    desk.run("crane", "logout")

    desk.run("install", "--only", "main")
    assert desk.installed() == {"open_lib-2.0"}

    done = desk.call("install")
    assert done.returncode == 1
    assert "nobody is logged in at python" in says(done)


@pytest.mark.parametrize("version", [OLDEST])
def test_the_crane_commands(private: Desk) -> None:
    assert "nobody is logged in, a source of this project" in private.run("crane", "status")
    assert "logged in to python as ada" in private.run("crane", "login")
    assert "logged in as ada" in private.run("crane", "status")
    assert "ada" in private.machine.user.crane("status").stdout  # it is crane's own login
    assert "logged out of python" in private.run("crane", "logout", "python")
    assert "nobody is logged in" in private.run("crane", "status")
    assert "crane login" in private.run("list")

    done = private.call("crane", "login", "other")
    assert done.returncode == 1
    assert 'Index not found: "other"' in done.stderr
    assert "Traceback" not in says(done)


def test_a_session_that_ends_in_the_middle(desk: Desk, realm: Realm) -> None:
    """The provider has ended it: Poetry's command asks anew, and goes on."""
    del desk.machine.user.variables["CI"]
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")
    desk.run("lock")
    desk.machine.user.crane("logout", check=True)

    done = desk.call("lock", "--regenerate")

    assert done.returncode == 0, says(done)
    assert "To log in to python" in done.stderr
