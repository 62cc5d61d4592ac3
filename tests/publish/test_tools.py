"""The real tools' uploads: to the index's real URL by `crane run`, and to `crane serve`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from run.kit import Machine, says
from support.tooling import UV, Toolbox
from support.world import CRANE

from crane_devserver import Fault
from crane_devserver.wheels import make_wheel

Command = Callable[[Toolbox, Path, str], tuple[list[str], dict[str, str]]]
LOGIN = ("-u", "me", "-p", "my-password")


def twine(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    command = [toolbox.program("twine"), "upload", "--non-interactive", *LOGIN]
    return [*command, "--repository-url", url, *map(str, dists(project))], {}


def poetry(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    command = [toolbox.program("poetry"), "--directory", str(project), "--no-interaction"]
    return [*command, "publish", "-r", "there"], {"POETRY_REPOSITORIES_THERE_URL": url}


def pdm(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    login = ("-u", "me", "-P", "my-password")
    command = [toolbox.program("pdm"), "publish", "-p", str(project), "--no-build", "-r", url]
    return [*command, *login], {"PDM_CHECK_UPDATE": "false"}


def hatch(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    command = [toolbox.program("hatch"), "--no-interactive", "publish", "-n", "-r", url]
    return [*command, "-u", "me", "-a", "my-password", *map(str, dists(project))], {}


def uv(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    login = ("--username", "me", "--password", "my-password", "--trusted-publishing", "never")
    command = [UV, "publish", "--no-config", "--publish-url", url, *login]
    return [*command, *map(str, dists(project))], {"UV_HTTP_RETRIES": "0"}


def flit(toolbox: Toolbox, project: Path, url: str) -> tuple[list[str], dict[str, str]]:
    variables = {"FLIT_INDEX_URL": url, "FLIT_USERNAME": "me", "FLIT_PASSWORD": "my-password"}
    program = toolbox.program("flit")
    return [program, "-f", str(project / "pyproject.toml"), "publish", "--no-use-vcs"], variables


def dists(project: Path) -> list[Path]:
    return sorted((project / "dist").iterdir())


def write_project(project: Path, version: str) -> None:
    """Make a project that each tool understands, built; flit builds it once more itself."""
    (project / "firm_new").mkdir(parents=True, exist_ok=True)
    (project / "firm_new" / "__init__.py").write_text(f'"""New."""\n__version__ = "{version}"\n')
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
        f'[project]\nname = "firm-new"\nversion = "{version}"\ndescription = "New."\n'
        'requires-python = ">=3.11"\n'
    )
    for old in (project / "dist").glob("*"):
        old.unlink()
    make_wheel(project / "dist", "firm-new", version)


@contextmanager
def serving(ada: Machine) -> Iterator[str]:
    """Run `crane serve`; gives its address."""
    with ada.start("serve", "--port", "0") as process:
        assert process.stdout
        for line in process.stdout:
            if "Serving index proxy on: " in line:
                yield line.rpartition(" ")[2].strip()
                return
        raise AssertionError("crane serve did not start")


def stored(ada: Machine) -> set[str]:
    found = (ada.site.private / "firm-new").glob("*")
    return {path.name for path in found if path.suffix != ".metadata"}


@pytest.mark.parametrize("tool", [twine, poetry, pdm, hatch, uv, flit], ids=lambda t: t.__name__)
def test_publish(ada: Machine, toolbox: Toolbox, tool: Command) -> None:
    """Without crane nothing is taken; a refusal is readable in what the tool prints."""
    project = ada.user.home / "project"

    def run(url: str, *inside: str) -> subprocess.CompletedProcess[str]:
        command, variables = tool(toolbox, project, url)
        return ada.user.run(*inside, *command, **variables)

    real = f"{ada.site.index_url}/"
    write_project(project, "1.0")
    bare = run(real)
    assert bare.returncode != 0, says(bare)
    assert not stored(ada)
    ada.site.crane.requests.clear()

    with serving(ada) as address:
        served = (f"{address}/python/legacy/",)
        # Hatch takes no proxy from its environment; its plugin does what `crane run` cannot.
        usual = served if tool is hatch else (real, CRANE, "run", "--")
        done = run(*usual)
        assert done.returncode == 0, says(done) + ada.log()
        before = stored(ada)
        assert len(before) == (2 if tool is flit else 1)
        logins = [r.header("authorization") or "" for r in ada.site.crane.requests]
        assert all(login.startswith("Bearer ") for login in logins)

        write_project(project, "1.1")
        for _ in range(2):  # the same again is no error, as at PyPI
            done = run(*served)
            assert done.returncode == 0, says(done)
        assert len(stored(ada)) == 2 * len(before)
        if tool is uv:
            # It knows no option to let a file be, so another one is an error.
            make_wheel(project / "dist", "firm-new", "1.1", requires=["x"])
            other = run(*served)
            assert other.returncode != 0, says(other)
            assert "has another firm_new-1.1" in other.stderr, says(other)

        if tool is twine:
            make_wheel(project / "dist", "firm-new", "1.1", requires=["x"])
            other = run(*served)
            assert other.returncode != 0, says(other)
            assert "crane: File already exists" in " ".join(says(other).split())
            # Its own option for that it has for PyPI alone, and says so before it sends anything.
            command, _ = tool(toolbox, project, *served)
            skipping = says(ada.user.run(*command, "--skip-existing"))
            assert "UnsupportedConfiguration" in skipping
            assert "--skip-existing" in skipping

        fault = Fault("/python/", status=403, methods=frozenset({"POST"}))
        with ada.site.crane.faults.during(fault):
            write_project(project, "1.2")
            refused = run(*usual)
    assert refused.returncode != 0
    shown = " ".join((refused.stdout + refused.stderr).split())
    assert "crane: python does not let you write firm-new" in shown, says(refused)
    assert "my-password" not in shown


def test_attestations(ada: Machine, toolbox: Toolbox) -> None:
    """As the tools send them to an index like PyPI, by its real URL."""
    site, project = ada.site, ada.user.home / "project"
    site.crane.behaviour = replace(site.crane.behaviour, legacy_uploads=True)
    real = f"{site.index_url}/"
    for number, tool in enumerate((twine, uv)):
        write_project(project, f"1.{number}")
        (wheel,) = dists(project)
        wheel.with_name(f"{wheel.name}.publish.attestation").write_text('{"version": 1}')
        command, variables = tool(toolbox, project, real)
        extra = ("--attestations",) if tool is twine else ()
        done = ada.user.run(CRANE, "run", "--", *command, *extra, **variables)
        assert done.returncode == 0, says(done) + ada.log()
        form = site.crane.forms[-1]
        assert form.value("version") == f"1.{number}"
        assert json.loads(form.value("attestations") or "[]") == [{"version": 1}]
