"""The login in front of PDM: who is asked, where, and what is said when nobody can be."""

from __future__ import annotations

import pytest
from idp.oidc import Realm
from pdm.kit import VERSIONS, PdmDesk
from poetry.kit import write_pages
from run.kit import says
from support.pips import log_in
from support.terminals import pexpect

each_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def private(unknown: PdmDesk) -> PdmDesk:
    """Give a desk where nobody is logged in, with a browser that approves."""
    del unknown.machine.user.variables["CI"]
    unknown.site.add_private("firm-lib")
    unknown.add_pypi("firm-lib", "9.0")
    unknown.write("firm-lib")
    return unknown


def test_the_prompt_comes_first_and_pdm_goes_on(private: PdmDesk) -> None:
    """Under `--quiet`, too; and the commands know of the login."""
    assert "nobody is logged in, a source of this project" in private.run("crane", "status")

    done = private.call("lock", "--quiet")

    assert done.returncode == 0, says(done)
    assert "To log in to python (https://index.firm.test/python)" in done.stderr
    assert "To log in" not in done.stdout
    assert private.versions == {"firm-lib": "1.0"}
    assert "To log in" not in private.run("lock")
    assert "logged in as ada" in private.run("crane", "status")
    assert "ada" in private.machine.user.crane("status").stdout  # it is crane's own login
    # Somebody ends it elsewhere: the next command asks anew.
    private.machine.user.crane("logout", check=True)
    assert "To log in" in private.run("install")
    assert "logged out of python" in private.run("crane", "logout", "python")
    assert "logged in to python as ada" in private.run("crane", "login")
    unknown = private.call("crane", "login", "other")
    assert unknown.returncode == 1
    assert 'Index not found: "other"' in unknown.stderr
    assert "Traceback" not in says(unknown)
    assert "trust" in private.run("crane")


def test_at_a_terminal(private: PdmDesk) -> None:
    """With colours and spinners; the prompt stands whole above them."""
    child = pexpect.spawn(
        str(private.program), ["lock"], env=private.environ(TERM="xterm"),
        cwd=str(private.project), encoding="utf-8", dimensions=(40, 200), timeout=60,
    )  # fmt: skip
    child.expect("To log in to python")
    child.expect("continue in your browser|check or enter the code")
    child.expect("Ctrl-C gives up")
    child.expect("Resolv")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_where_nobody_can_be_asked_it_is_an_error_with_what_to_do(private: PdmDesk) -> None:
    """For each command that needs an index, and each way to say that nobody is there."""
    private.run("lock")
    private.run("install")
    private.run("crane", "logout")
    private.machine.end_all()
    # PDM's look for a newer PDM is no work on the project.
    printed = private.run("list", PDM_CHECK_UPDATE="1", CI="1")
    assert "crane" not in printed
    assert private.pypi.asked("simple/pdm")
    assert private.machine.agents() == []
    seen = len(private.pypi.seen)
    for command in (
        ("-n", "lock"),
        ("lock", "--skip", ":all"),
        ("-n", "update", "firm-lib"),
        ("-n", "outdated"),
        ("-n", "sync", "--reinstall"),
    ):
        done = private.call(*command, CI="1" if "--skip" in command else "")
        assert done.returncode == 1, says(done)
        assert "nobody is logged in at python" in done.stderr, says(done)
        assert "run: pdm crane login python" in " ".join(done.stderr.split())
        assert "Traceback" not in says(done)
    for variable in ("CI", "CRANE_NON_INTERACTIVE", "PDM_NON_INTERACTIVE"):
        done = private.call("--no-cache", "lock", **{variable: "1"})
        assert done.returncode == 1
        assert "To log in" not in done.stderr
        assert "nobody is logged in at python" in done.stderr
    done = private.call("--no-cache", "lock", CI="1", PDM_USE_UV="1")
    assert "nobody is logged in at python" in done.stderr
    assert "Traceback" not in says(done)
    assert [path for path, _ in private.pypi.seen[seen:] if "firm-lib" in path] == []
    denied = private.call("lock", TEST_DECISION="deny")
    assert denied.returncode == 1
    assert "denied" in denied.stderr or "refused" in denied.stderr
    assert "Traceback" not in says(denied)


def test_a_token_that_is_set_needs_no_login(private: PdmDesk, realm: Realm) -> None:
    token = log_in(private.machine.user, realm)

    printed = private.run("lock", "-v", CI="1", CRANE_TOKEN_PYTHON=token)

    assert "authenticated with a token that was set, via crane" in printed
    assert token not in printed
    assert private.mentions(token) == []


def test_public_files_of_a_static_lock_need_no_login(desk: PdmDesk) -> None:
    """A job that installs nothing private from the lock file needs no secret."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("open-lib", "2.0")
    desk.write("open-lib", more='[dependency-groups]\nown = ["firm-lib"]')
    write_pages(desk.site.private)
    desk.run("lock", "-S", "static_urls", "-G", "own")
    desk.run("crane", "logout")

    desk.run("sync", "--prod")
    assert desk.installed() == {"open_lib-2.0"}

    done = desk.call("sync", "-G", "own")
    assert done.returncode == 1
    assert "nobody is logged in at python" in done.stderr
    assert "Traceback" not in says(done)
