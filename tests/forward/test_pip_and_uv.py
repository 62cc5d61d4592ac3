"""pip and uv through the forward route: real URLs, lock files to share, reasons that people see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from forward.rig import PRIVATE_HOST, UV, Rig, Site, forward, says
from gateway.harness import Home
from support.pips import OLDEST_AND_NEWEST, MakeEnvironment, Pip, installed

from crane_devserver import Fault

LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|localhost|\[::1\]")


def project(folder: Path, site: Site, *dependencies: str) -> Path:
    """Write a uv project that names both indexes by their own URLs."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(dependencies)}\n"
        f'[[tool.uv.index]]\nname = "firm"\nurl = "{site.index_url}"\n'
        f'[[tool.uv.index]]\nname = "open"\nurl = "{site.public_url}"\ndefault = true\n'
    )
    return folder


@pytest.fixture
def needs(site: Site) -> Site:
    """Give a private project that needs a private and a public one."""
    site.add_private("firm-lib", requires=["firm-dep", "open-lib"])
    site.add_private("firm-dep", "2.0")
    site.add_public("open-lib")
    return site


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_pip_reports_real_urls(
    rig: Rig, needs: Site, make_environment: MakeEnvironment, pip: Pip, tmp_path: Path
) -> None:
    """In the report, in direct_url.json's place, and in what it prints."""
    environment = make_environment(pip)
    report = tmp_path / "report.json"
    done = rig.run(
        rig.open(), str(environment / "bin" / "python"), "-m", "pip", "install", "firm-lib",
        "--index-url", needs.index_url, "--extra-index-url", needs.public_url,
        "--report", str(report),
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    urls = {i["download_info"]["url"] for i in json.loads(report.read_text())["install"]}
    assert urls == {
        f"{needs.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl",
        f"{needs.index_url}/firm-dep/firm_dep-2.0-py3-none-any.whl",
        f"{needs.public_url}/open-lib/open_lib-1.0-py3-none-any.whl",
    }
    assert not LOOPBACK.search(report.read_text() + done.stdout + done.stderr), says(done)
    assert installed(environment) >= {"firm_lib-1.0", "firm_dep-2.0", "open_lib-1.0"}


def test_pip_reads_indexes_from_requirements_and_settings(
    rig: Rig, needs: Site, make_environment: MakeEnvironment, tmp_path: Path
) -> None:
    """An index line in a file, PIP_INDEX_URL in the environment."""
    environment = make_environment(OLDEST_AND_NEWEST[1])
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--extra-index-url {needs.index_url}\nfirm-lib\n")
    done = rig.run(
        rig.open(), str(environment / "bin" / "python"), "-m", "pip", "install",
        "-r", str(requirements), PIP_INDEX_URL=needs.public_url,
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    assert installed(environment) >= {"firm_lib-1.0", "open_lib-1.0"}


class WithToken:
    """The index as it is for somebody who shows a static token with each request."""

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        login = (b"authorization", f"Bearer {self._token}".encode())
        await self._app({**scope, "headers": [*scope["headers"], login]}, receive, send)


def test_a_lock_of_uv_is_the_one_made_without_crane(
    rig: Rig, needs: Site, home: Home, tmp_path: Path
) -> None:
    """Byte for byte; and another gateway at another port finds nothing to change in it."""
    folder = project(tmp_path / "project", needs, "firm-lib")
    view = rig.open()
    done = rig.run(view, UV, "lock", cwd=folder)
    assert done.returncode == 0, says(done) + str(rig.problems())
    lock = (folder / "uv.lock").read_text()
    assert f'source = {{ registry = "{needs.index_url}" }}' in lock
    assert not LOOPBACK.search(lock + done.stdout + done.stderr)

    session = home.session(needs.index())
    assert session is not None
    direct = project(tmp_path / "direct", needs, "firm-lib")
    open_index = WithToken(needs.crane, session.tokens.access_token.reveal())
    with needs.net.host(open_index, PRIVATE_HOST):
        # A view that opens nothing: uv speaks to the index itself.
        done = rig.run(rig.open(indexes=()), UV, "lock", cwd=direct, trusts=False)
        assert done.returncode == 0, says(done)
    assert (direct / "uv.lock").read_text() == lock


def test_a_lock_of_uv_serves_a_colleague(rig: Rig, needs: Site, home: Home, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", needs, "firm-lib")
    assert rig.run(rig.open(), UV, "lock", cwd=folder).returncode == 0
    lock = (folder / "uv.lock").read_text()
    with forward(home, needs.net, tmp_path, needs.index()) as other:
        assert other.port != rig.port
        view = other.open()
        for command in (["lock", "--upgrade"], ["sync", "--locked"]):
            done = other.run(view, UV, *command, cwd=folder)
            assert done.returncode == 0, says(done) + str(other.problems())
        exported = other.run(view, UV, "export", "--locked", cwd=folder)
    assert (folder / "uv.lock").read_text() == lock
    assert not LOOPBACK.search(exported.stdout)
    assert list(folder.glob(".venv/lib/python3*/site-packages/firm_dep"))


REASONS = {
    "not logged in": (None, "run: crane login python"),
    "no access": (Fault(path="/python/firm-lib", status=403), "refused the login"),
    "out of order": (Fault(path="/python", status=500), "answered HTTP 500"),
    "a login page": (
        Fault(path="/python/firm-lib", status=200, headers=[("content-type", "text/html")],
              body="<form><input type=password></form>"),
        "login page",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "reason"), REASONS.values(), ids=REASONS.keys())
@pytest.mark.parametrize("tool", ["pip 22.2", "pip newest", "uv"])
def test_the_reason_stands_in_the_tools_output(
    needs: Site,
    home: Home,
    make_environment: MakeEnvironment,
    tmp_path: Path,
    tool: str,
    fault: Fault | None,
    reason: str,
) -> None:
    """And nothing is taken from the public index instead, which has a higher version."""
    needs.add_public("firm-lib", "9.0")
    index = needs.index()
    if fault is not None:
        home.login(index)
        needs.crane.faults.append(fault)
    with forward(home, needs.net, tmp_path, index) as rig:
        view = rig.open(indexes=("python",))
        where = ["--index-url", index.url, "--extra-index-url", needs.public_url]
        if tool == "uv":
            line = [UV, "pip", "install", "--target", str(tmp_path / "t"), "firm-lib", *where]
        else:
            environment = make_environment(OLDEST_AND_NEWEST[tool == "pip newest"])
            python = str(environment / "bin" / "python")
            line = [python, "-m", "pip", "install", "--no-input", "firm-lib", *where]
        done = rig.run(view, *line, UV_HTTP_RETRIES="0")
    assert done.returncode != 0
    assert reason in done.stdout + done.stderr, says(done)
    assert not (tmp_path / "t").exists() or not list((tmp_path / "t").glob("firm*"))
    if fault is not None:
        assert not any("firm-lib" in r.path for r in needs.public_server.requests)
