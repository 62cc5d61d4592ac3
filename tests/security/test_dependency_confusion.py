"""A stranger's higher version on the public index, against every tool and every route."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from forward.rig import Site
from hatch.kit import NEWEST as HATCH
from hatch.kit import HatchDesk, Hatches
from idp.oidc import Realm
from pdm.kit import NEWEST as PDM
from pdm.kit import PdmDesk, Pdms
from poetry.kit import NEWEST as POETRY
from poetry.kit import Desk, Poetries
from poetry.pypi import PyPI
from run.kit import Machine, says
from support.pips import Environments, Pip, log_in, register
from support.tooling import UV
from support.world import User

from crane_devserver import PathAccess, make_wheel

EVIL = "9.0"
KINDS = {".whl", ".dist-info"}


@dataclass(frozen=True)
class Office:
    """A user with every tool at hand, a private index, and PyPI with what strangers put there."""

    machine: Machine
    pypi: PyPI
    python: Path
    poetry: Path
    pdm: Path
    hatch: Path

    @property
    def site(self) -> Site:
        return self.machine.site

    def crane(self, *command: str) -> CompletedProcess[str]:
        path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
        return self.machine.user.crane(*command, PATH=path)

    def folder(self, name: str) -> Path:
        return self.machine.user.home / name


Outcome = tuple[CompletedProcess[str], set[str]]
Attempt = Callable[[Office, str, str], Outcome]


def versions(folder: Path) -> set[str]:
    """Return the files and distributions of the firm's names below a folder, as NAME-VERSION."""
    found = [p for n in ("firm", "acme") for p in folder.rglob(f"{n}_*") if p.suffix in KINDS]
    return {"-".join(path.name.removesuffix(".dist-info").split("-")[:2]) for path in found}


def locked(lock: Path, versions: dict[str, str]) -> set[str]:
    return {f"{n.replace('-', '_')}-{v}" for n, v in versions.items()} if lock.exists() else set()


def crane_pip(office: Office, name: str, key: str, *route: str) -> Outcome:
    into = office.folder(key)
    done = office.crane(
        "pip", *route, "--python", str(office.python), "download", "--dest", str(into), name,
        "--index-url", "https://pypi.org/simple", "--extra-index-url", office.site.index_url,
    )  # fmt: skip
    return done, versions(into)


def crane_pip_by_index_route(office: Office, name: str, key: str) -> Outcome:
    into = office.folder(key)
    done = office.crane("pip", "--route", "index", "--python", str(office.python), "download",
                        "--dest", str(into), name)  # fmt: skip
    return done, versions(into)


def crane_run_pip(office: Office, name: str, key: str) -> Outcome:
    into = office.folder(key)
    done = office.crane(
        "run", "--", str(office.python), "-m", "pip", "download", "--dest", str(into), name,
        "--extra-index-url", office.site.index_url,
    )  # fmt: skip
    return done, versions(into)


def with_uv(office: Office, name: str, key: str, *way: str) -> Outcome:
    into = office.folder(key)
    done = office.crane(
        *way, "pip", "install", "--no-config", "--target", str(into), name, "--no-cache",
        "--index", office.site.index_url, "--index-strategy", "unsafe-best-match",
    )  # fmt: skip
    return done, versions(into)


def crane_uv(office: Office, name: str, key: str) -> Outcome:
    return with_uv(office, name, key, "uv")


def crane_run_uv(office: Office, name: str, key: str) -> Outcome:
    return with_uv(office, name, key, "run", "--", "uv")


def poetry_plugin(office: Office, name: str, key: str) -> Outcome:
    desk = Desk(office.machine, office.pypi, office.poetry, key)
    desk.write(name)
    done = desk.call("lock")
    lock = desk.project / "poetry.lock"
    found = {n: p["version"] for n, p in desk.locked.items()} if lock.exists() else {}
    return done, locked(lock, found)


def pdm_plugin(office: Office, name: str, key: str) -> Outcome:
    desk = PdmDesk(office.machine, office.pypi, office.pdm, key)
    desk.write(name)
    done = desk.call("lock")
    lock = desk.project / "pdm.lock"
    return done, locked(lock, desk.versions if lock.exists() else {})


def hatch_plugin(office: Office, name: str, key: str) -> Outcome:
    desk = HatchDesk(office.machine, office.pypi, office.hatch)
    desk.write(name, more='installer = "uv"')
    done = desk.call("env", "create", **desk.indexes)
    return done, desk.installed()


ATTEMPTS: tuple[Attempt, ...] = (
    crane_pip, crane_pip_by_index_route, crane_run_pip, crane_uv, crane_run_uv, poetry_plugin,
    pdm_plugin, hatch_plugin,
)  # fmt: skip


@pytest.fixture
def office(
    site: Site, user: User, realm: Realm, pypi: PyPI, environments: Environments,
    poetries: Poetries, pdms: Pdms, hatches: Hatches, tmp_path: Path,
) -> Iterator[Office]:  # fmt: skip
    """Give the tools that other folders' tests use as well."""
    user.variables = {
        "HTTPS_PROXY": site.net.url(),
        "SSL_CERT_FILE": site.net.ca_file,
        "REQUESTS_CA_BUNDLE": site.net.ca_file,
        "PIP_CERT": "",
        "PIP_NO_CACHE_DIR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "CI": "1",
    }
    index = site.index(fallback="pypi", private=("acme-*",))
    register(user, index)
    log_in(user, realm, index)
    python = environments.make(tmp_path / "env", Pip("3.11", "newest")) / "bin" / "python"
    machine = Machine(user, site)
    yield Office(
        machine, pypi, python, poetries.poetry(POETRY), pdms.pdm(PDM), hatches.hatch(HATCH)
    )
    machine.end_all()


def hide(site: Site, name: str) -> None:
    """Let nobody here read a project; to them it looks missing, but the root page has it."""
    site.add_private(name)
    repository = site.crane.repositories["python"]
    rule = PathAccess(name, read_groups=frozenset({"others"}))
    site.crane.repositories["python"] = replace(repository, paths=(*repository.paths, rule))
    names = [path.name for path in site.private.iterdir() if path.is_dir()]
    links = "".join(f'<a href="{n}/">{n}</a>' for n in names)
    (site.private / "index.html").write_text(f"<title>Simple index</title>{links}")


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
def test_no_tool_takes_a_private_name_from_pypi(office: Office, attempt: Attempt) -> None:
    """Neither one that is there, nor one that a 404 hides, nor one that only a pattern claims."""
    site, names = office.site, ("firm-lib", "firm-hidden", "acme-new")
    site.add_private("firm-lib")
    hide(site, "firm-hidden")
    for name in names:
        make_wheel(office.pypi.folder / name, name, EVIL)

    # What is there is taken from there by the others, too: see docs/security/threat-model.md.
    if attempt in (crane_pip, crane_pip_by_index_route, crane_uv):
        done, found = attempt(office, names[0], names[0])
        assert (done.returncode, found) == (0, {"firm_lib-1.0"}), says(done)
    for name in names[1:] if attempt in (crane_uv, crane_pip_by_index_route) else names[1:2]:
        done, found = attempt(office, name, name)
        assert done.returncode != 0, says(done)
        assert found == set(), says(done)
    assert [office.pypi.asked(name) for name in names] == [[], [], []]
    seen = [headers for _, headers in office.pypi.seen]
    assert not any({"authorization", "proxy-authorization"} & set(headers) for headers in seen)
