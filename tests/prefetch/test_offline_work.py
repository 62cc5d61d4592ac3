"""What was prefetched installs while index and provider are down, with the tool that locked it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pdm.kit import NEWEST as NEWEST_PDM
from pdm.kit import PdmDesk, Pdms
from poetry.kit import NEWEST as NEWEST_POETRY
from poetry.kit import Desk, Poetries, write_pages
from poetry.pypi import PyPI
from prefetch.conftest import Office, sha256
from run.kit import says
from support.pips import NEWEST, RUNNING, Pip, installed

from crane_devserver import write_simple_pages

BOTH = {"firm_lib-1.0", "firm_dep-2.0"}


def files(data: dict) -> dict[str, str]:
    """Return what was fetched, by name."""
    assert data["failed"] == []
    return {file["file"]: file["sha256"] for file in data["files"]}


def test_requirements(office: Office, make_environment: Callable) -> None:
    """With hashes at a folder's listing; and without, at pages with metadata of the index's own."""
    site, user = office.machine.site, office.machine.user
    site.add_public("open-lib")
    hashed = office.write(
        "requirements.txt",
        f"firm-lib==1.0 --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(office.lib)}\n"
        "-r more.txt\n",
    )
    office.write("more.txt", f"# a comment\nFirm_Dep == 2.0 --hash sha256:{sha256(office.dep)}\n")
    pinned = office.write(
        "pinned.txt", f"--index-url {site.index_url}\nfirm-lib==1.0\nfirm-dep==2\n"
    )
    public = office.write("public.txt", "open-lib==1.0\n")

    def install(name: str, *arguments: str) -> None:
        environment = make_environment(Pip(RUNNING, NEWEST), name)
        done = user.crane("pip", "--python", str(environment), "install", *arguments)
        assert done.returncode == 0, says(done) + office.machine.log()
        assert installed(environment) == BOTH

    data = office.prefetch("-r", hashed, public)
    assert files(data) == {p.name: sha256(p) for p in (office.lib, office.dep)}
    assert {one["project"] for one in data["elsewhere"]} == {"open-lib"}
    office.go_offline()
    install("hashed", "--require-hashes", "-r", hashed)

    office.go_online()
    # A new agent: the one that runs knows for a while where pages were.
    user.crane("agent", "stop", check=True)
    user.crane("cache", "purge", check=True)
    write_simple_pages(site.private)
    # Pages that may be kept, too: what that agent has in memory is on the disk no more.
    python = site.crane.repositories["python"]
    site.crane.repositories["python"] = replace(python, cache_control="max-age=600")
    assert files(office.prefetch(pinned)) == files(data)
    user.crane("cache", "purge", check=True)
    assert files(office.prefetch(pinned)) == files(data)
    office.go_offline()
    install("pinned", "-r", pinned)
    assert office.asked == []


def test_uv_lock_and_pylock(office: Office, make_environment: Callable, tmp_path: Path) -> None:
    user, site = office.machine.user, office.machine.site
    site.add_public("open-lib")
    index = '[[tool.uv.index]]\nname = "{}"\nurl = "{}"\n{}\n'
    folder = Path(
        office.write(
            "app/pyproject.toml",
            '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["firm-lib"]\n[dependency-groups]\nopen = ["open-lib"]\n'
            + index.format("firm", site.index_url, "")
            + index.format("open", site.public_url, "default = true"),
        )
    ).parent
    for command in (
        ("lock",), ("export", "--no-emit-project", "--no-dev", "--format", "pylock.toml", "-o",
                    "pylock.toml"),
    ):  # fmt: skip
        done = user.crane("uv", "--directory", str(folder), *command)
        assert done.returncode == 0, says(done)

    data = office.prefetch(str(folder / "uv.lock"))

    assert files(data).keys() == {office.lib.name, office.dep.name}
    assert {one["project"]: one["why"] for one in data["elsewhere"]} == {
        "app": "from a virtual", "open-lib": "at pypi.test",
    }  # fmt: skip
    # Below the agent that has just been let in: it is noted again that it was.
    user.crane("cache", "purge", check=True)
    assert files(office.prefetch(str(folder / "pylock.toml"))) == files(data)
    office.go_offline()
    done = user.crane("uv", "--directory", str(folder), "sync", "--frozen", "--no-dev")
    assert done.returncode == 0, says(done) + office.machine.log()
    assert installed(folder / ".venv") == BOTH
    environment = make_environment()
    done = user.crane(
        "uv", "pip", "sync", "--python", str(environment), str(folder / "pylock.toml")
    )
    assert done.returncode == 0, says(done) + office.machine.log()
    assert installed(environment) == BOTH
    assert office.asked == []


def test_poetry_lock(office: Office, pypi: PyPI, poetries: Poetries) -> None:
    desk = Desk(office.machine, pypi, poetries.poetry(NEWEST_POETRY))
    write_pages(desk.site.private)
    desk.write("firm-lib")
    desk.run("lock")

    data = office.prefetch(str(desk.project / "poetry.lock"))

    assert files(data).keys() == {office.lib.name, office.dep.name}
    office.go_offline()
    desk.run("install", POETRY_CACHE_DIR=str(office.machine.user.home / "another-cache"))
    assert desk.installed() == BOTH
    assert office.asked == []


def test_pdm_lock(office: Office, pypi: PyPI, pdms: Pdms) -> None:
    desk = PdmDesk(office.machine, pypi, pdms.pdm(NEWEST_PDM))
    desk.write("firm-lib")
    desk.run("lock")

    data = office.prefetch(str(desk.project / "pdm.lock"))

    assert files(data).keys() == {office.lib.name, office.dep.name}
    office.go_offline()
    desk.run("sync", PDM_CACHE_DIR=str(office.machine.user.home / "another-cache"))
    assert desk.installed() == BOTH
    assert office.asked == []
