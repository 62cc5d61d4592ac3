"""`[tool.crane]` in a checkout: asked about once, and never believed by itself."""

from __future__ import annotations

import io

import pytest
from poetry.kit import VERSIONS, Desk
from run.kit import says
from support.terminals import pexpect

from crane_core.config.store import ConfigStore


@pytest.fixture
def checkout(bare: Desk) -> Desk:
    """Give a fresh clone whose user has nothing registered."""
    del bare.machine.user.variables["CI"]
    bare.site.add_private("firm-lib")
    bare.add_pypi("firm-lib", "9.0")
    bare.write("firm-lib", more=bare.claim())
    return bare


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_asked_once(checkout: Desk) -> None:
    child = checkout.at_terminal("lock", "--no-ansi")
    child.logfile_read = io.StringIO()
    child.expect("the index https://index.firm.test/python wants a login at")
    child.expect("Do you trust both")
    child.sendline("yes")
    child.expect("python is registered")
    child.expect("To log in to python")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert "\x1b" not in child.logfile_read.getvalue()
    assert checkout.locked["firm-lib"]["version"] == "1.0"
    again = checkout.run("lock")
    assert "trust" not in again


def test_a_no_registers_nothing(checkout: Desk) -> None:
    child = checkout.at_terminal("lock")
    child.expect("Do you trust both")
    child.sendline("")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 1
    assert "is not trusted" in child.before
    assert not checkout.config_file.exists()
    assert checkout.pypi.asked("firm-lib") == []


@pytest.mark.parametrize("arguments", [("lock", "-n"), ("install",)])
def test_where_nobody_can_be_asked_it_is_not_believed(checkout: Desk, arguments) -> None:
    """Without a terminal, too: a browser alone is no answer."""
    done = checkout.call(*arguments)

    assert done.returncode == 1
    assert "poetry crane trust" in " ".join(done.stderr.split())
    assert "Traceback" not in says(done)
    assert not checkout.config_file.exists()
    assert len(checkout.site.crane.requests) == 0
    assert checkout.pypi.asked("firm-lib") == []


def test_a_job_may_say_so_itself(checkout: Desk) -> None:
    checkout.run("crane", "trust", "--yes")
    assert "names no index that is not registered" in checkout.run("crane", "trust")

    checkout.run("lock")

    assert checkout.locked["firm-lib"]["version"] == "1.0"


def test_what_is_registered_counts(desk: Desk) -> None:
    """Whatever provider the checkout names."""
    desk.site.add_private("firm-lib")
    desk.write("firm-lib", more=desk.claim(issuer="https://evil.example"))
    before = ConfigStore(desk.config_file).load()

    desk.run("lock")

    assert ConfigStore(desk.config_file).load() == before


@pytest.mark.parametrize(
    "more",
    [
        {"token-command": "touch /tmp/owned"},
        {"insecure-http": "yes"},
        {"fallback": "none"},
        {"issuer": "http://sso.firm.test"},
        {"index": "http://index.firm.test/python"},
    ],
    ids=str,
)
def test_a_checkout_may_say_nothing_else(checkout: Desk, more: dict[str, str]) -> None:
    checkout.write("firm-lib", more=checkout.claim(**more))

    done = checkout.call("crane", "trust", "--yes")

    assert done.returncode == 1
    assert "Traceback" not in says(done)
    assert not checkout.config_file.exists()


def test_an_index_that_is_no_source_is_not_asked_about(checkout: Desk) -> None:
    checkout.add_pypi("open-lib")
    checkout.write("open-lib", sources="", more=checkout.claim())

    checkout.run("lock", "-n")

    assert not checkout.config_file.exists()
