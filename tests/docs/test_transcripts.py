"""The commands of the pages, as they stand there, run by real tools at a real index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docs.blocks import ROOT, URL
from docs.scripts import script
from forward.rig import Site
from grants.workload import github_job
from hatch.kit import NEWEST as HATCH
from hatch.kit import HatchDesk, Hatches
from idp.oidc import Realm
from pdm.kit import NEWEST as PDM
from pdm.kit import PdmDesk, Pdms
from poetry.kit import NEWEST as POETRY
from poetry.kit import Desk, Poetries
from poetry.pypi import PyPI
from run.kit import says
from support.desks import ToolDesk, machine_of
from support.pips import NEWEST, RUNNING, Environments, Pip, log_in, register
from support.tooling import UV, Toolbox, toolbox
from support.workers import shared_folder
from support.world import CRANE, User, World, make_world

from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.wheels import make_wheel

__all__ = ["github_job", "toolbox"]

APP = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
JOB = "repo:acme/app"


def run(text: str, environ: dict[str, str], folder: Path, *programs: str | Path) -> str:
    """Run a script in a shell that ends at the first failure."""
    path = os.pathsep.join([*map(str, programs), str(Path(CRANE).parent), environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", text], env={**environ, "PATH": path}, cwd=folder, timeout=120, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    return done.stdout + done.stderr


def forget(folder: Path) -> None:
    """Take the private package out of an environment."""
    for found in [*folder.rglob("our_private_package*")]:
        shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)


def let_jobs_in(server: CraneServer) -> None:
    """Let everybody with a token read: a job is in no group."""
    repositories = server.repositories
    repositories["python"] = replace(repositories["python"], read_groups=None)


@pytest.fixture
def open_world(realm: Realm, tmp_path: Path) -> Iterator[World]:
    """Give an index at which everybody may publish."""
    with make_world(tmp_path / "world", realm, writers=frozenset({"everyone"})) as world:
        world.add_private("our-private-package")
        yield world


def test_the_first_page_pip_uv_and_publishing(
    open_world: World, user: User, environments: Environments
) -> None:
    """Somebody with an empty home and a browser types what stands there."""
    url, venv = open_world.index_url, user.home / "venv"
    dist, project = user.home / "dist", user.home / "project"
    environments.make(venv, Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv), "UV_PYTHON_DOWNLOADS": "never"}

    said = run(script("index", url), environ, user.home)
    assert "Successfully installed our-private-package-1.0" in said

    project.mkdir()
    (project / "pyproject.toml").write_text(
        f'{APP}dependencies = ["our-private-package"]\n'
        f'[[tool.uv.index]]\nname = "firm"\nurl = "{url}/simple"\ndefault = true\n'
    )
    run(script("tools, crane uv", url), environ, project)
    assert f'registry = "{url}/simple"' in (project / "uv.lock").read_text()

    lines = [
        line
        for name in ("publishing, crane publish", "publishing, crane run")
        for line in script(name, url).splitlines()
    ]
    assert len(lines) == 3
    login = {"TWINE_USERNAME": "any", "TWINE_PASSWORD": "any", "UV_PUBLISH_TOKEN": "any"}
    for number, line in enumerate(lines):
        shutil.rmtree(dist, ignore_errors=True)
        make_wheel(dist, f"published-{number}", "1.0")
        run(line, environ | login, user.home)
        assert list(open_world.private.rglob(f"published_{number}-1.0-*.whl"))
    run(script("publishing, crane index", url), environ, user.home)
    assert "upload-url" in user.config_file.read_text()


# --- the tools with a plugin


Make = Callable[..., ToolDesk]


def poetry_desk(factory: pytest.TempPathFactory, *parts: object) -> ToolDesk:
    desk = Desk(*parts, Poetries(shared_folder(factory, "poetries")).poetry(POETRY))  # type: ignore[call-arg]
    desk.write(sources="")
    project = desk.project / "pyproject.toml"
    # What is published has to be a package.
    project.write_text(project.read_text().replace("package-mode = false", ""))
    (desk.project / "app.py").touch()
    return desk


def pdm_desk(factory: pytest.TempPathFactory, *parts: object) -> ToolDesk:
    desk = PdmDesk(*parts, Pdms(shared_folder(factory, "pdms")).pdm(PDM))  # type: ignore[call-arg]
    text = (ROOT / "docs" / "pdm.md").read_text(encoding="utf-8")
    source = text.partition("```toml\n[[tool.pdm.source]]")[2].partition("```")[0]
    desk.write(sources="[[tool.pdm.source]]" + source.replace(URL, desk.site.index_url))
    return desk


def hatch_desk(factory: pytest.TempPathFactory, *parts: object) -> ToolDesk:
    desk = HatchDesk(*parts, Hatches(shared_folder(factory, "hatches")).hatch(HATCH))  # type: ignore[call-arg]
    desk.write("our-private-package")
    return desk


@pytest.mark.parametrize(
    ("name", "publishing", "job", "make"),
    [
        ("poetry", "publishing, poetry", "poetry, job", poetry_desk),
        ("pdm", "publishing, pdm", "pdm, job", pdm_desk),
        ("hatch", "publishing, hatch", "", hatch_desk),
    ],
    ids=["poetry", "pdm", "hatch"],
)
def test_a_tools_page(
    name: str, publishing: str, job: str, make: Make, site: Site, user: User, realm: Realm,
    pypi: PyPI, github_job: dict[str, str], tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """From nothing to an installed private package, a published one, and a job that installs."""
    url = site.index_url
    site.add_private("our-private-package", files={"our_private_package.py": "print('here')\n"})
    log_in(user, realm, site.index(fallback="pypi"))
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file) as machine:
        desk = make(tmp_path_factory, machine, pypi)

        def type_in(text: str, **more: str) -> None:
            run(text, desk.environ(**more), desk.project, desk.program.parent)

        type_in(script(name, url))
        assert "our_private_package-1.0" in desk.installed()  # type: ignore[attr-defined]
        assert not any("our-private" in path for path, _ in pypi.seen)

        make_wheel(desk.project / "dist", "app", "1.0")
        # PDM would build the project first, for which it needs its backend.
        type_in(script(publishing, url).replace("pdm publish", "pdm publish --no-build"))
        assert list(site.private.glob("app/app-1.0-*.whl"))

        if job:
            let_jobs_in(site.crane)
            forget(desk.project)
            shutil.rmtree(desk.cache)  # type: ignore[attr-defined]
            type_in("crane logout")
            site.crane.requests.clear()
            type_in(script(job, url, realm.issuer), **github_job)
            assert "our_private_package-1.0" in desk.installed()  # type: ignore[attr-defined]
            assert {r.authorized_user for r in site.crane.requests} - {None} == {JOB}


# --- the how-tos


def test_the_how_tos_of_several_indexes_offline_and_containers(
    open_world: World, user: User, environments: Environments
) -> None:
    """One after the other, by a user who logs in once."""
    world, url, project = open_world, open_world.index_url, user.home / "project"
    second = world.private.parent / "second"
    make_wheel(second / "our-models", "our-models", "1.0")
    everyone = frozenset({"everyone"})
    world.crane.repositories["data-science"] = Repository("data-science", second, everyone)
    venv = environments.make(user.home / "venv", Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    project.mkdir()
    (project / "requirements.txt").write_text("our-private-package\n")
    (project / "pyproject.toml").write_text(
        f'{APP}dependencies = ["our-models"]\n'
        f'[[tool.uv.index]]\nurl = "{world.crane_url}/data-science"\ndefault = true\n'
    )
    lines = script("howto/several-indexes", url).splitlines()
    lines.insert(2, "crane login && crane login data")
    said = run("\n".join(lines), environ, project)
    assert said.count("Successfully installed our-models-1.0") == 1
    assert "Requirement already satisfied: our-models" in said
    assert f"or just crane pip install -i {world.crane_url}/data-science …" in said
    assert (project / "uv.lock").exists()

    run("crane index set python --no-private", environ, project)
    said = run(script("howto/offline", url), environ, project)
    assert "Successfully installed our-private-package-1.0" in said

    run(script("howto/containers", url), environ, project)
    assert list((project / "wheels").glob("our_private_package-1.0-*"))
    assert len((project / "token").read_text().split(".")) == 3

    # What the images run, in an empty home.
    home = user.home / "image"
    home.mkdir()
    empty = {**environ, "HOME": str(home), "USERPROFILE": str(home), "BROWSER": "false"}
    for name in ("image with wheels", "image with a token"):
        forget(venv)
        text = script(name, url, world.realm.issuer)
        for there, here in (
            ("/wheels", "wheels"), ("/run/secrets/token", "token"),
            ("pip install --no-index", "python -m pip install --no-index"),
        ):  # fmt: skip
            text = text.replace(there, here)
        said = run(text, empty, project, venv / "bin")
        assert "Successfully installed our-private-package-1.0" in said


def test_the_how_tos_of_jobs_and_of_crane_pip_and_the_providers(
    open_world: World, user: User, environments: Environments, github_job: dict[str, str]
) -> None:
    realm, world, url = open_world.realm, open_world, open_world.index_url
    let_jobs_in(world.crane)
    (user.home / "requirements.txt").write_text("our-private-package\n")
    venv = environments.make(user.home / "venv", Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv)}
    installed = "Successfully installed our-private-package-1.0"
    said = run(script("howto/ci, job", url, realm.issuer), environ | github_job, user.home)
    assert installed in said
    assert {r.authorized_user for r in world.crane.requests} - {None} == {JOB}

    forget(venv)
    text = script("howto/ci", url)
    text = text.replace("my-job", realm.ci_client_id).replace("=…", f"={realm.ci_client_secret}")
    assert installed in run(text, environ, user.home)

    servers = user.home / ".local" / "share" / "crane" / "python" / "servers.json"
    servers.parent.mkdir(parents=True)
    registration = {
        "client_id": realm.client_id, "token_url": realm.token_url, "device_url": realm.device_url
    }  # fmt: skip
    servers.write_text(json.dumps({f"{world.crane_url}/other": registration}))
    tokens = user.home / ".cache" / "crane" / "python" / "tokens.json"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    tokens.write_text("{}")
    run(script("howto/crane-pip", url), environ, user.home)
    assert f"{world.crane_url}/other" in run("crane index list", environ, user.home)

    # Of each provider but its address: crane takes what the page says, and keeps it.
    run(script("providers", url, realm.issuer), environ, user.home)
    kept = user.config_file.read_text()
    for value in ("CLIENT", "openid offline_access api://INDEX/read", "http://127.0.0.1:8765/"):
        assert f'"{value}' in kept


def test_the_how_to_of_a_proxy(site: Site, user: User, realm: Realm) -> None:
    site.add_private("our-private-package")
    register(user, site.index())
    log_in(user, realm, site.index())
    with machine_of(user, site) as machine:
        text = script("howto/proxy", site.index_url)
        text = text.replace("http://proxy.example.com:3128", site.net.url("ada:lovelace@"))
        text = text.replace("/etc/ssl/firm.pem", site.net.ca_file)
        said = run(text, machine.user.environ, user.home)
    assert "✓" in said


# --- the reference


def test_the_reference_of_setup_pip_and_prefetch(
    open_world: World, user: User, environments: Environments
) -> None:
    world, url = open_world, open_world.index_url
    world.add_private("acme")
    for name in ("venv", "other-env"):
        environments.make(user.home / name, Pip(RUNNING, NEWEST))
    (user.home / "requirements.txt").write_text("our-private-package==1.0\n")
    (user.home / "dev.txt").write_text("acme==1.0\n")
    (user.home / "pyproject.toml").write_text(
        f'{APP}dependencies = ["our-private-package"]\n'
        f'[[tool.uv.index]]\nurl = "{url}/simple"\ndefault = true\n'
    )
    environ = {**user.environ, "VIRTUAL_ENV": str(user.home / "venv")}
    environ["UV_PYTHON_DOWNLOADS"] = "never"

    assert "✓ logged in now as ada" in run(script("reference/setup", url), environ, user.home)
    text = script("reference/pip", url).replace("https://pypi.org/simple", world.public_url)
    said = run(text, environ, user.home)
    assert "Successfully installed our-private-package-1.0" in said
    assert "Successfully installed acme-1.0" in said
    lock = "crane uv lock\ncrane index set python --keep-pages\n"
    run(lock + script("reference/prefetch", url), environ, user.home)


def test_the_reference_of_run_and_any_tool(
    site: Site, user: User, realm: Realm, toolbox: Toolbox, tmp_path: Path
) -> None:
    site.add_private("our-private-package")
    register(user, site.index())
    log_in(user, realm, site.index())
    (tmp_path / "pyproject.toml").write_text(
        f'{APP}dependencies = ["our-private-package"]\n[tool.poetry]\npackage-mode = false\n'
        f'[[tool.poetry.source]]\nname = "firm"\nurl = "{site.index_url}"\n'
        f'[[tool.uv.index]]\nurl = "{site.index_url}"\ndefault = true\n'
        f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{site.index_url}"\n'
        '[tool.tox]\nenv_list = ["unit"]\n[tool.tox.env.unit]\nskip_install = true\n'
        'deps = ["our-private-package"]\n'
        'commands = [["python", "-c", "import our_private_package"]]\n'
    )
    extra = {
        "PIP_INDEX_URL": site.index_url, "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "PDM_CHECK_UPDATE": "false", "PDM_IGNORE_SAVED_PYTHON": "1",
    }  # fmt: skip
    url, tools = site.index_url, ("poetry", "tox", "pdm")
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file, **extra) as machine:
        programs = (*(toolbox.folder(tool) for tool in tools), Path(UV).parent)
        said = run(script("tools, crane doctor", url), machine.user.environ, tmp_path, *programs)
        assert "✓ pip asked python" in said
        lines = [script(name, url) for name in ("reference/run", "tools, crane run -- pdm")]
        run("\n".join(lines), machine.user.environ, tmp_path, *programs)
    for lock in ("poetry.lock", "uv.lock", "pdm.lock"):
        assert "our-private-package" in (tmp_path / lock).read_text()
        assert lock == "pdm.lock" or site.index_url in (tmp_path / lock).read_text()
    assert list((tmp_path / ".tox" / "unit").rglob("our_private_package-1.0.dist-info"))
