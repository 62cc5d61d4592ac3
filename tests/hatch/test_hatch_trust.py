"""`[tool.crane]` in a checkout: asked about once, and never believed by itself."""

from __future__ import annotations

import pytest
from hatch.kit import HatchDesk
from run.kit import says
from support.terminals import pexpect

from crane_core.config.store import ConfigStore


@pytest.fixture
def checkout(fresh: HatchDesk) -> HatchDesk:
    """Give a fresh clone whose user has nothing registered."""
    del fresh.machine.user.variables["CI"]
    fresh.site.add_private("firm-lib")
    fresh.add_pypi("firm-lib", "9.0")
    fresh.write("firm-lib", more=fresh.claim())
    return fresh


def test_it_is_asked_once(checkout: HatchDesk) -> None:
    child = checkout.at_terminal("env", "create")
    child.expect("Do you trust both")
    child.sendline("")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "is not trusted" in child.before
    assert not checkout.config_file.exists()
    checkout.run("env", "prune")

    child = checkout.at_terminal("env", "create")
    child.expect("the index https://index.firm.test/python wants a login at")
    child.expect("Do you trust both")
    child.sendline("y")
    child.expect("python is registered")
    child.expect("To log in to python")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert checkout.installed() == {"firm_lib-1.0"}
    checkout.run("env", "prune")
    assert "trust" not in checkout.run("env", "create")
    assert checkout.pypi.asked("firm-lib") == []


def test_where_nobody_can_be_asked_it_is_not_believed(checkout: HatchDesk) -> None:
    """A browser alone is no answer; and what is registered counts, whatever is said here."""
    for installer in ("pip", "uv"):
        checkout.write("firm-lib", more=f'installer = "{installer}"\n{checkout.claim()}')
        done = checkout.call("env", "create", UV_INDEX=checkout.site.index_url)
        assert done.returncode == 1, says(done)
        assert "hatch-crane trust" in done.stderr, says(done)
        assert "Traceback" not in says(done)
        checkout.run("env", "prune")
    assert not checkout.config_file.exists()
    assert len(checkout.site.crane.requests) == 0
    assert checkout.pypi.asked("firm-lib") == []
    # What a checkout may not say at all.
    for more in (
        {"token-command": "touch /tmp/owned"},
        {"insecure-http": "yes"},
        {"issuer": "http://sso.firm.test"},
    ):
        checkout.write("firm-lib", more=checkout.claim(**more))
        done = checkout.crane("trust", "--yes")
        assert done.returncode != 0
        assert "Traceback" not in says(done)
        assert not checkout.config_file.exists()
    # A job may say so itself.
    checkout.write("firm-lib", more=checkout.claim())
    assert "python is registered" in checkout.crane("trust", "--yes").stderr
    assert "names no index that is not registered" in checkout.crane("trust").stdout
    checkout.run("env", "create")
    assert checkout.installed() == {"firm_lib-1.0"}


def test_what_is_registered_counts_and_what_is_not_asked_does_not(desk: HatchDesk) -> None:
    """Whatever provider the checkout names; nor do its variables say where crane's files are."""
    desk.site.add_private("firm-lib")
    evil = desk.claim(issuer="https://evil.example")
    evil = evil.replace("[tool.crane]", 'XDG_CONFIG_HOME = "/nowhere"\n[tool.crane]')
    desk.write("firm-lib", more=evil)
    before = ConfigStore(desk.config_file).load()
    desk.run("env", "create")
    assert desk.installed() == {"firm_lib-1.0"}
    assert ConfigStore(desk.config_file).load() == before

    desk.run("env", "prune")
    desk.config_file.unlink()
    desk.add_pypi("open-lib")
    desk.write("open-lib", more=desk.claim().replace("PIP_EXTRA_INDEX_URL", "UNUSED"))
    desk.run("env", "create")
    assert not desk.config_file.exists()
