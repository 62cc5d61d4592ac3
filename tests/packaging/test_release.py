"""A release of this tree: what it is made of, how it is installed, and how one follows another.

The next version is made by `dev.py release` in a copy of the repository, of what is here now.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path

import httpx2
import pytest
from forward.rig import Site
from idp.oidc import Realm
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from run.kit import Machine, says, until
from support.desks import machine_of
from support.pips import log_in, register
from support.tooling import UV, Toolbox, toolbox, uv_cache
from support.workshop import ROOT, clean_environment
from support.world import User

from crane_core import __version__
from crane_core.agent.runtime import Runtime
from devtasks.build import PACKAGES
from devtasks.versioning import compatible

__all__ = ["toolbox"]

pytestmark = pytest.mark.xdist_group("release")
THIS = __version__
NOW = Version(THIS)
NEXT = f"{NOW.major}.{NOW.minor + 1}.0"
LIMIT = 120
PLUGINS = ("poetry_plugin_crane", "pdm_crane", "hatch_crane")
# A module of the next version that gets into a process of this one ends there.
STRICT = f"\n\nfrom crane_core import __version__ as _whole\n\nassert _whole == {NEXT!r}\n"


@dataclass
class Repository:
    """A copy of the repository, in which a release can be made."""

    root: Path

    def __post_init__(self) -> None:
        listed = self.git("ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT).split("\0")
        for name in filter(None, listed):
            if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/")):
                target = self.root / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")
        self.commit()

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd or self.tree, env=clean_environment(), check=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "As it is")

    def task(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a developer's task there, in this environment, with nothing in uv's cache."""
        env = clean_environment() | {"NO_COLOR": "1", "COLUMNS": "300"}
        return subprocess.run(
            [sys.executable, "-m", f"devtasks.{name}", *arguments], cwd=self.tree, env=env,
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        return self.task("release", version, "--out", self.dist)

    def wheel(self, project: str, version: str) -> Path:
        (wheel,) = self.dist.glob(f"{project}-{version}-*.whl")
        return wheel

    def constraints(self, version: str) -> Path:
        """Say where a version is, and that nothing of that name may come from elsewhere."""
        file = self.root / f"{version}.txt"
        names = ("crane_core", "crane_cli")
        wheels = ((n.replace("_", "-"), self.wheel(n, version).as_uri()) for n in names)
        file.write_text("".join(f"{name} @ {url}\n" for name, url in wheels))
        return file


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Give a repository with this version's command line built, and the next version released."""
    repository = Repository(tmp_path_factory.mktemp("release"))
    made = repository.task("build", "--out", repository.dist, "core", "cli")
    assert made.returncode == 0, says(made)
    aside = repository.root / "aside"
    repository.dist.rename(aside)
    for module in (repository.tree / "packages/core/src/crane_core").rglob("*.py"):
        with module.open("a") as file:
            file.write(
                "\n" if module.parent.name == "crane_core" and module.stem == "__init__" else STRICT
            )
    (repository.tree / "untracked.txt").touch()
    dirty = repository.release(NEXT)
    assert (dirty.returncode, repository.dist.exists()) == (2, False)
    assert "the tree has changes that are not committed" in dirty.stderr
    repository.commit()
    done = repository.release(NEXT)
    assert done.returncode == 0, says(done)
    (repository.root / "said").write_text(done.stdout)
    for built in aside.iterdir():
        built.rename(repository.dist / built.name)
    return repository


def metadata(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        message = HeaderParser().parsestr(archive.read(name).decode())
    return {key: message.get_all(key, []) for key in message}


def test_a_release_is_one_version_dated_committed_and_checked_and_goes_nowhere(
    repository: Repository,
) -> None:
    said = (repository.root / "said").read_text()
    made = sorted(path.name for path in repository.dist.glob(f"*{NEXT}*"))
    assert len(made) == 2 * len(PACKAGES)
    assert said.count("PASSED") == len(made)
    assert all(f"  {name}\n" in said for name in made)
    assert f"git tag --annotate --message 'crane {NEXT}' v{NEXT}" in said
    assert "twine upload" in said

    assert repository.git("status", "--porcelain") == ""
    assert repository.git("log", "-1", "--format=%s").strip() == f"Release {NEXT}"
    assert repository.git("tag", "--list") == ""
    changes = (repository.tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^## Unreleased\n\n## {re.escape(NEXT)} \(\d{{4}}-\d\d-\d\d\)\n\n- ",
        changes,
        re.MULTILINE,
    )
    older = repository.git("grep", "-lF", f'"{THIS}"', "--", "packages", "uv.lock").split()
    assert [name for name in older if "crane" in Path(name).parent.name] == []

    for answer, reason in (
        (repository.release(NEXT), "nothing under Unreleased"),
        (repository.release(THIS), f"{THIS} is before {NEXT}"),
        (repository.release("1.0"), "not written as 1.2.3"),
        (repository.release("next"), "is no version"),
    ):
        assert (answer.returncode, answer.stdout) == (2, "")
        assert reason in answer.stderr


def test_plugins_take_the_cores_that_they_fit_and_the_command_line_its_own(
    repository: Repository,
) -> None:
    for project in PLUGINS:
        needs = map(Requirement, metadata(repository.wheel(project, NEXT))["Requires-Dist"])
        (core,) = (need.specifier for need in needs if need.name == "crane-core")
        assert core.contains(NEXT)
        assert core.contains(f"{NOW.major}.{NOW.minor + 1}.9")
        assert not core.contains(THIS)
        assert not core.contains(f"{NOW.major}.{NOW.minor + 2}.0")
    needs = map(Requirement, metadata(repository.wheel("crane_cli", NEXT))["Requires-Dist"])
    assert {n.name: str(n.specifier) for n in needs if "crane" in n.name} == {
        "crane-core": f"=={NEXT}",
        "crane-devserver": f"=={NEXT}",
    }
    for version, inside, outside in (
        ("0.3.1", "0.3.0", "0.4.0"), ("1.4.0", "1.9.0", "2.0.0"), ("1.4.0", "1.4.0", "1.3.9"),
        ("0.4.0rc1", "0.4.0", "0.3.9"),
    ):  # fmt: skip
        cores = SpecifierSet(compatible(Version(version)), prereleases=True)
        assert (cores.contains(inside), cores.contains(outside)) == (True, False)
        assert cores.contains(version)


@pytest.mark.parametrize("folder", PACKAGES[3:])
def test_plugins_of_the_tree_fit_its_core(folder: str) -> None:
    text = (ROOT / "packages" / folder / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"crane-core{compatible(NOW)}"' in text


# --- installed as people do, and followed by the next one


@dataclass(frozen=True)
class Installer:
    """How people install a program, and install the next version in its place."""

    name: str

    def __str__(self) -> str:
        return self.name

    def commands(self, program: str, versions: tuple[Path, Path]) -> list[list[str]]:
        first, then = map(str, versions)
        if self.name == "uv tool":
            with_uv = [UV, "tool", "install", "--no-config", "--python", sys.executable]
            return [[*with_uv, "--constraints", c, "crane-cli"] for c in (first, then)]
        with_uv = ["--backend", "uv", "--python", sys.executable]
        return [
            [program, "install", *with_uv, "--pip-args", f"--constraints {first}", "crane-cli"],
            [program, "upgrade", "--pip-args", f"--constraints {then}", "crane-cli"],
        ]


@pytest.fixture
def machine(site: Site, user: User, realm: Realm) -> Iterator[Machine]:
    """Give a machine whose home has no more than an index and a login."""
    site.add_private("asked-before")
    site.add_private("asked-after", requires=["needed"])
    site.add_public("needed")
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file) as machine:
        register(user, site.index())
        log_in(user, realm, site.index())
        yield machine


@dataclass
class Owner:
    """Somebody who has crane from a release."""

    machine: Machine

    @cached_property
    def crane(self) -> str:
        return str(self.machine.user.home / ".local" / "bin" / "crane")

    def install(self, command: list[str]) -> None:
        """Run an installer in their home; not by the firm's proxy, which knows no PyPI."""
        home = self.machine.user.home
        env = clean_environment() | {
            "HOME": str(home), "USERPROFILE": str(home), "UV_CACHE_DIR": uv_cache(),
            "PATH": os.pathsep.join([str(Path(UV).parent), os.environ["PATH"]]),
        }  # fmt: skip
        done = subprocess.run(
            command, env=env, cwd=home, capture_output=True, text=True, timeout=LIMIT, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, says(done)

    def run(self, *arguments: str) -> str:
        done = self.machine.user.run(self.crane, *arguments)
        assert done.returncode == 0, f"{says(done)}\n{self.machine.log()}"
        return done.stdout.strip()


def metrics(agent: Runtime) -> str:
    """Ask an agent for its metrics, as whoever knows its secret may."""
    login = {"Authorization": f"Bearer {agent.secret.reveal()}"}
    url = f"http://127.0.0.1:{agent.port}/-/metrics"
    with httpx2.Client(trust_env=False, timeout=LIMIT) as http:
        return http.get(url, headers=login).raise_for_status().text


@pytest.mark.parametrize("installer", [Installer("uv tool"), Installer("pipx")], ids=str)
def test_the_next_release_is_installed_while_the_agent_of_the_last_one_serves(
    installer: Installer, repository: Repository, machine: Machine, toolbox: Toolbox, tmp_path: Path
) -> None:
    """A command that runs goes on, also with what it has never asked for; new ones get the next."""
    owner, site = Owner(machine), machine.site
    versions = (repository.constraints(THIS), repository.constraints(NEXT))
    program = toolbox.program("pipx") if installer.name == "pipx" else ""
    install, upgrade = installer.commands(program, versions)
    owner.install(install)
    assert owner.run("--version") == f"crane {THIS}"
    page = f"{site.index_url}/simple"
    indexes = f"--index-url {page} --extra-index-url {site.public_url}"
    pip = f"{sys.executable} -m pip download --no-cache-dir --dest got {indexes}"
    script = (
        f"curl -sSf {page}/asked-before/; echo ready; read -r _; {pip} asked-after && echo fine"
    )
    with machine.start("run", "--", "sh", "-c", script, program=owner.crane) as child:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "ready\n")
        assert any("asked_before-1.0" in line for line in lines)
        old = machine.agent()
        assert old.version == THIS
        # What it has not needed yet it has in memory by itself, before an upgrade replaces it.
        home = machine.user.home
        until(lambda: list(home.rglob("prometheus_client/__pycache__/metrics_core*.pyc")))
        for file in home.rglob("prometheus_client/__init__.py"):
            file.unlink()
            file.write_text("raise RuntimeError('of another version')\n")

        owner.install(upgrade)
        assert owner.run("--version") == f"crane {NEXT}"
        answer = owner.run("run", "--", "curl", "-sSf", f"{page}/asked-before/")
        assert "asked_before-1.0" in answer
        assert sorted(a.version for a in machine.agents()) == [THIS, NEXT]
        shown = owner.run("agent", "status")
        assert THIS in shown
        assert NEXT in shown

        assert "crane_" in metrics(old)
        out, _ = child.communicate("\n", timeout=LIMIT)
    assert out.endswith("fine\n"), f"{out}\n{machine.log()}"
    assert old in machine.agents()
    owner.run("agent", "stop")
    assert machine.agents() == []
