"""Tools that run at the same time share one agent: one login, one refresh, one download."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

from auth.stored import expire, refreshes
from idp.oidc import Realm
from support.pips import installed
from support.world import CRANE
from together.conftest import Tools

PRIVATE = ["firm-lib", "firm-base"]
SECONDS = 120
LARGE = 1 << 20  # bytes; the end of a small wheel, where its metadata is, is the whole of it


def at_once(tools: Tools) -> list[str]:
    """Install with all tools at the same time; return what each has printed."""
    pip = [CRANE, "pip", "--python", str(tools.python), "install", "--force-reinstall", "firm-lib"]
    commands = [
        ([str(tools.poetry.program), "sync"], tools.poetry.project, tools.poetry.environ()),
        ([str(tools.pdm.program), "sync", "--reinstall"], tools.pdm.project, tools.pdm.environ()),
        ([*pip, "--no-cache-dir"], tools.machine.user.home, tools.machine.user.environ),
    ]
    running = [
        subprocess.Popen(
            command, cwd=folder, env=environ, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for command, folder, environ in commands
    ]  # fmt: skip
    printed = [process.communicate(timeout=SECONDS)[0] for process in running]
    for process, text in zip(running, printed, strict=True):
        assert process.returncode == 0, f"{process.args}\n{text}\n{tools.machine.log()}"
    return printed


def forget(tools: Tools) -> None:
    """Take all that the tools and crane keep, and the agent."""
    tools.machine.end_all()
    tools.machine.user.crane("cache", "purge", check=True)
    shutil.rmtree(tools.poetry.cache)
    shutil.rmtree(tools.pdm.cache)
    shutil.rmtree(tools.poetry.project / ".venv", ignore_errors=True)


def downloads(tools: Tools, since: int) -> Counter[str]:
    """Count how often each private wheel was sent whole."""
    sent = [r for r in tools.machine.site.crane.requests[since:] if r.status == 200]
    names = (r.path.rpartition("/")[2] for r in sent if r.method == "GET")
    return Counter(name for name in names if name.endswith(".whl"))


def logins(realm: Realm) -> int:
    return len([r for r in realm.requests("token") if r.params["grant_type"] != "refresh_token"])


def test_three_tools_at_once_do_one_login_one_refresh_and_one_download_per_file(
    tools: Tools, realm: Realm
) -> None:
    site, user = tools.machine.site, tools.machine.user
    site.add_private("firm-lib", requires=["firm-base", "open-lib"], size=LARGE)
    site.add_private("firm-base", size=LARGE)
    tools.poetry.add_pypi("open-lib", "2.0")
    for name in PRIVATE:
        tools.poetry.add_pypi(name, "9.0")
    tools.poetry.write("firm-lib")
    tools.pdm.write("firm-lib")
    tools.poetry.run("lock")
    tools.pdm.run("lock")
    wheels = {f"{name.replace('-', '_')}-1.0-py3-none-any.whl": 1 for name in PRIVATE}
    expected = {"firm_lib-1.0", "firm_base-1.0", "open_lib-2.0"}

    forget(tools)
    user.crane("logout", check=True)
    realm.clear_requests()
    since = len(site.crane.requests)
    printed = at_once(tools)

    assert logins(realm) == 1, printed
    assert refreshes(realm) == []
    assert downloads(tools, since) == wheels
    assert len(tools.machine.agents()) == 1
    assert tools.poetry.installed() == expected
    assert tools.pdm.installed() == expected
    assert expected <= installed(Path(tools.python))

    forget(tools)
    expire(user)
    realm.clear_requests()
    since = len(site.crane.requests)
    at_once(tools)

    assert logins(realm) == 0
    assert len(refreshes(realm)) == 1
    assert downloads(tools, since) == wheels
