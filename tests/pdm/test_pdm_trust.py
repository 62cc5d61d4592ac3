"""`[tool.crane]` in a checkout: asked about once, and never believed by itself."""

from __future__ import annotations

import pytest
from pdm.kit import PdmDesk
from run.kit import says
from support.terminals import pexpect

from crane_core.config.store import ConfigStore


@pytest.fixture
def checkout(fresh: PdmDesk) -> PdmDesk:
    """Give a fresh clone whose user has nothing registered."""
    del fresh.machine.user.variables["CI"]
    fresh.site.add_private("firm-lib")
    fresh.add_pypi("firm-lib", "9.0")
    fresh.write("firm-lib", more=fresh.claim())
    return fresh


def test_it_is_asked_once(checkout: PdmDesk) -> None:
    child = checkout.at_terminal("lock")
    child.expect("Do you trust both")
    child.sendline("")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "is not trusted" in child.before
    assert not checkout.config_file.exists()

    child = checkout.at_terminal("lock")
    child.expect("the index https://index.firm.test/python wants a login at")
    child.expect("Do you trust both")
    child.sendline("y")
    child.expect("python is registered")
    child.expect("To log in to python")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert checkout.versions == {"firm-lib": "1.0"}
    assert "trust" not in checkout.run("lock")
    assert checkout.pypi.asked("firm-lib") == []


def test_where_nobody_can_be_asked_it_is_not_believed(checkout: PdmDesk) -> None:
    """Without a terminal, and with PDM's hooks skipped, too: a browser alone is no answer."""
    for command in (("-n", "lock"), ("install",), ("lock", "--skip", ":all")):
        done = checkout.call(*command)
        assert done.returncode == 1
        assert "pdm crane trust" in " ".join(done.stderr.split()), says(done)
        assert "Traceback" not in says(done)
    done = checkout.call("lock", PDM_USE_UV="1")
    assert "pdm crane trust" in " ".join(done.stderr.split()), says(done)
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
        done = checkout.call("crane", "trust", "--yes")
        assert done.returncode == 1
        assert "Traceback" not in says(done)
        assert not checkout.config_file.exists()
    # A job may say so itself.
    checkout.write("firm-lib", more=checkout.claim())
    checkout.run("crane", "trust", "--yes")
    assert "names no index that is not registered" in checkout.run("crane", "trust")
    checkout.run("lock")
    assert checkout.versions == {"firm-lib": "1.0"}


def test_what_is_registered_counts_and_what_is_no_source_does_not(desk: PdmDesk) -> None:
    """Whatever provider the checkout names."""
    desk.site.add_private("firm-lib")
    desk.write("firm-lib", more=desk.claim(issuer="https://evil.example"))
    before = ConfigStore(desk.config_file).load()
    desk.run("lock")
    assert ConfigStore(desk.config_file).load() == before

    desk.config_file.unlink()
    desk.add_pypi("open-lib")
    desk.write("open-lib", sources="", more=desk.claim())
    desk.run("-n", "lock")
    assert not desk.config_file.exists()
