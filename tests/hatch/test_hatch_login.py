"""The login in front of Hatch: who is asked, where, and what is said when nobody can be."""

from __future__ import annotations

import pytest
from hatch.kit import VERSIONS, HatchDesk
from idp.oidc import Realm
from run.kit import says
from support.pips import log_in
from support.terminals import pexpect

each_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def private(unknown: HatchDesk) -> HatchDesk:
    """Give a desk where nobody is logged in, with a browser that approves."""
    del unknown.machine.user.variables["CI"]
    unknown.site.add_private("firm-lib")
    unknown.add_pypi("firm-lib", "9.0")
    unknown.write("firm-lib", more='installer = "uv"')  # the quick one
    return unknown


def test_the_prompt_comes_first_and_hatch_goes_on(private: HatchDesk) -> None:
    """Under `--quiet`, too, and once; it is crane's own login, of which our script knows."""
    status = private.crane("status", **private.indexes)
    assert "nobody is logged in, named by this project" in status.stdout, says(status)

    done = private.call("-q", "env", "create", **private.indexes)

    assert done.returncode == 0, says(done)
    assert "To log in to python (https://index.firm.test/python)" in done.stderr
    assert "To log in" not in done.stdout
    assert private.installed() == {"firm_lib-1.0"}
    private.run("env", "prune")
    assert "To log in" not in private.run("env", "create", **private.indexes)
    assert "ada" in private.machine.user.crane("status").stdout
    assert "logged in as ada" in private.crane("status").stdout
    # Somebody ends it elsewhere: the next command asks anew.
    assert "logged out of python" in private.crane("logout").stdout
    private.run("env", "prune")
    assert "To log in" in private.run("env", "create", **private.indexes)
    assert "logged in to python as ada" in private.crane("login", "--force").stdout
    unknown = private.crane("login", "other")
    assert unknown.returncode not in {0, 2}
    assert 'crane: Index not found: "other"' in unknown.stderr, says(unknown)
    assert "Traceback" not in says(unknown)


@each_version
def test_at_a_terminal(private: HatchDesk) -> None:
    """The prompt stands whole, with no spinner above it; the shell gets nothing of crane's."""
    child = pexpect.spawn(
        str(private.program), ["shell", "--name", "bash", "--path", "bash"],
        env=private.environ(TERM="xterm", **private.indexes),
        cwd=str(private.project), encoding="utf-8", dimensions=(40, 200), timeout=60,
    )  # fmt: skip
    child.expect("Syncing dependencies")
    child.expect("To log in to python")
    child.expect("Ctrl-C gives up")
    child.expect(r"\(app\)")
    assert "Syncing" not in child.before  # it is drawn again several times a second
    child.sendline(
        'python -c \'import firm_lib, os; print(len("four"), "CRANE_VIEW" in os.environ)\'; exit'
    )
    child.expect("4 False")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert private.installed() == {"firm_lib-1.0"}


@each_version
def test_where_nobody_can_be_asked_it_is_an_error_with_what_to_do(private: HatchDesk) -> None:
    """For each way to say that nobody is there; and never an install from elsewhere."""
    for installer in ("pip", "uv"):
        private.write("firm-lib", more=f'installer = "{installer}"')
        for variable in ("CI", "CRANE_NON_INTERACTIVE"):
            done = private.call("run", "python", "-c", "", **private.indexes, **{variable: "1"})
            assert done.returncode == 1, says(done)
            assert "nobody is logged in at python" in done.stderr, says(done)
            assert "run: hatch-crane login python" in done.stderr
            assert "Traceback" not in says(done)
    private.run("env", "prune")
    done = private.call("--no-interactive", "env", "create", **private.indexes)
    assert "nobody is logged in at python" in done.stderr, says(done)
    assert private.pypi.asked("firm-lib") == []
    private.run("env", "prune")
    denied = private.call("env", "create", TEST_DECISION="deny", **private.indexes)
    assert denied.returncode == 1
    assert "denied" in denied.stderr or "refused" in denied.stderr, says(denied)
    assert "Traceback" not in says(denied)


def test_a_token_that_is_set_needs_no_login(private: HatchDesk, realm: Realm) -> None:
    """And what is installed, built or run never sees it."""
    token = log_in(private.machine.user, realm)
    private.machine.user.crane("logout")

    printed = private.run(
        "-v", "env", "create", CI="1", CRANE_TOKEN_PYTHON=token, **private.indexes
    )

    assert "authenticated with a token that was set, via crane" in printed
    assert token not in printed
    assert private.mentions(token) == []
