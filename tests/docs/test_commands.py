"""Every command in the documentation: the real parser takes it, and the tutorials' are run."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
from docs.blocks import PAGES, ROOT, URL, Line, in_jobs, in_text, shown
from forward.rig import Site
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

import dev
from crane_cli.main import parser
from crane_devserver.repository import Repository
from crane_devserver.wheels import make_wheel

__all__ = ["toolbox"]

# What is not ours in the pages' blocks; a misspelt name is in none of both.
OTHERS = {
    "pip", "pipx", "uv", "python", "poetry", "pdm", "hatch", "docker", "twine", "export", "eval",
    "set", "source", "Out-String", "Invoke-Expression",
}  # fmt: skip
BEGIN = "From nothing to a green install"


def every_line() -> list[Line]:
    return [line for page in PAGES for line in [*shown(page), *in_jobs(page)]]


@cache
def whole_parser() -> argparse.ArgumentParser:
    return parser()


def parsed(arguments: list[str]) -> str:
    """What the real parser has against a command line, nothing if it takes it."""
    complaints: list[str] = []

    def complain(_: argparse.ArgumentParser, message: str) -> None:
        complaints.append(message)
        raise SystemExit(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "error", complain)
        try:
            whole_parser().parse_args(arguments)
        except SystemExit:
            return complaints[0] if complaints else ""
    return ""


def test_the_parser_takes_every_command_line_that_a_page_shows() -> None:
    wrong, counted = [], 0
    for line in every_line():
        for program, *arguments in line.commands():
            if program == "crane":
                counted += 1
                if complaint := parsed(arguments):
                    wrong.append(f"{line}: {complaint}")
            elif program in {"python3", "python"} and arguments[0] == "dev.py":
                if arguments[1] not in dev.TASKS:
                    wrong.append(f"{line}: no such task")
            elif program not in OTHERS:
                wrong.append(f"{line}: {program}?")
    assert wrong == []
    assert counted > 50


def leaf(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of a command, and what is left of its words."""
    found = whole_parser()
    while words:
        deeper = [a for a in found._actions if isinstance(a, argparse._SubParsersAction)]
        if not deeper:
            break
        # `status|stop` stands for both.
        names = words[0].split("|")
        missing = [name for name in names if name not in deeper[0].choices]
        assert not missing, f"{found.prog} has no {missing}"
        found, words = deeper[0].choices[names[0]], words[1:]
    return found, words


def test_the_commands_and_options_that_are_named_in_the_text_are_there() -> None:
    """`crane index set NAME …` is no whole command line, but its parts are real."""
    wrong, counted = [], 0
    for line in [found for page in PAGES for found in in_text(page)]:
        words = re.sub(r"\[|\]|…|\.\.\.", "", line.text).split()
        if words[0] != "crane":
            continue
        if words[1].startswith("--") or words[1] == "COMMAND":
            continue
        counted += 1
        try:
            found, rest = leaf(words[1:])
        except AssertionError as error:
            wrong.append(f"{line}: {error}")
            continue
        if any(action.nargs == argparse.REMAINDER for action in found._actions):
            continue  # what follows is the tool's
        known = found._option_string_actions
        options = [
            word.partition("=")[0]
            for word in takewhile(lambda word: word not in {"--", "|"}, rest)
            if word[0] == "-"
        ]
        wrong += [f"{line}: {o}" for o in options for o in o.split("|") if o not in known]
    assert wrong == []
    assert counted > 100


# --- the tutorials, as they stand there


def transcript(lines: list[Line], url: str, *but: str) -> str:
    """Return the commands of a tutorial for our index; installations have their own tests."""
    skipped = ("pipx install", "poetry self add", "pdm self add", *but)
    commands = [line.text for line in lines if not line.text.startswith(skipped)]
    assert commands
    # Nobody can be asked here whether they trust the provider.
    text = "\n".join(commands).replace(f"register {URL}", f"register {URL} --yes")
    return text.replace(URL, url)


def run(script: str, environ: dict[str, str], folder: Path, *programs: str | Path) -> str:
    """Run a transcript in a shell that ends at the first failure."""
    path = os.pathsep.join([*map(str, programs), str(Path(CRANE).parent), environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", script], env={**environ, "PATH": path}, cwd=folder, timeout=120, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    return done.stdout + done.stderr


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
    venv, dist, project = user.home / "venv", user.home / "dist", user.home / "project"
    environments.make(venv, Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    index, tools, publishing = (ROOT / "docs" / f"{n}.md" for n in ("index", "tools", "publishing"))

    said = run(transcript(shown(index), open_world.index_url), environ, user.home)
    assert "Successfully installed our-private-package-1.0" in said

    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["our-private-package"]\n'
        f'[[tool.uv.index]]\nname = "firm"\nurl = "{open_world.index_url}/simple"\ndefault = true\n'
    )
    sync = [line for line in shown(tools) if line.text.startswith("crane uv")]
    run(transcript(sync, open_world.index_url), environ, project)
    assert f'registry = "{open_world.index_url}/simple"' in (project / "uv.lock").read_text()

    dist.mkdir()
    lines = [line for line in shown(publishing) if line.text.startswith("crane ")][:3]
    for number, line in enumerate(lines):
        shutil.rmtree(dist)
        make_wheel(dist, f"published-{number}", "1.0")
        login = {"TWINE_USERNAME": "any", "TWINE_PASSWORD": "any", "UV_PUBLISH_TOKEN": "any"}
        run(transcript([line], open_world.index_url), environ | login, user.home)
        assert list(open_world.private.rglob(f"published_{number}-1.0-*.whl"))


Make = Callable[..., ToolDesk]


def poetry_desk(factory: pytest.TempPathFactory, *parts: object) -> ToolDesk:
    desk = Desk(*parts, Poetries(shared_folder(factory, "poetries")).poetry(POETRY))  # type: ignore[call-arg]
    desk.write(sources="")
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
    ("page", "heading", "make"),
    [
        ("poetry", BEGIN, poetry_desk),
        ("pdm", BEGIN, pdm_desk),
        ("hatch", "From nothing to a green environment", hatch_desk),
    ],
    ids=["poetry", "pdm", "hatch"],
)
def test_a_tools_page(
    page: str, heading: str, make: Make, site: Site, user: User, realm: Realm, pypi: PyPI,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """From nothing to an installed private package, with the commands of the page."""
    site.add_private("our-private-package", files={"our_private_package.py": "print('here')\n"})
    log_in(user, realm, site.index(fallback="pypi"))
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file) as machine:
        desk = make(tmp_path_factory, machine, pypi)
        script = transcript(shown(ROOT / "docs" / f"{page}.md", heading), site.index_url)
        run(script, desk.environ(), desk.project, desk.program.parent)

        assert "our_private_package-1.0" in desk.installed()  # type: ignore[attr-defined]
        assert not any("our-private" in path for path, _ in pypi.seen)


# --- the how-tos


def steps(page: str, base: str) -> list[str]:
    """Return a how-to's command lines for our server; nobody can be asked whom they trust."""
    lines = [line.text for line in shown(ROOT / "docs" / "howto" / f"{page}.md")]
    lines = [line for line in lines if not line.startswith("docker ")]
    text = "\n".join(lines).replace(URL.rpartition("/")[0], base)
    return re.sub(r"(crane index register \S+)(?!.*--yes)", r"\1 --yes", text).splitlines()


def test_the_how_tos_of_several_indexes_offline_and_containers(
    open_world: World, user: User, environments: Environments
) -> None:
    """One after the other, by a user who logs in once."""
    world = open_world
    second = world.private.parent / "second"
    make_wheel(second / "our-models", "our-models", "1.0")
    everyone = frozenset({"everyone"})
    world.crane.repositories["data-science"] = Repository("data-science", second, everyone)
    venv, project = user.home / "venv", user.home / "project"
    environments.make(venv, Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    project.mkdir()
    (project / "requirements.txt").write_text("our-private-package\n")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["our-models"]\n'
        f'[[tool.uv.index]]\nurl = "{world.crane_url}/data-science"\ndefault = true\n'
    )
    lines = steps("several-indexes", world.crane_url)
    lines.insert(2, "crane login && crane login data")
    said = run("\n".join(lines), environ, project)
    assert said.count("Successfully installed our-models-1.0") == 1
    assert "Requirement already satisfied: our-models" in said
    assert (project / "uv.lock").exists()

    run("crane index set python --no-private", environ, project)
    said = run("\n".join(steps("offline", world.crane_url)), environ, project)
    assert "Successfully installed our-private-package-1.0" in said

    run("\n".join(steps("containers", world.crane_url)), environ, project)
    assert list((project / "wheels").glob("our_private_package-1.0-*"))
    assert len((project / "token").read_text().split(".")) == 3


def test_the_how_tos_of_jobs_and_of_crane_pip(
    open_world: World, user: User, environments: Environments
) -> None:
    realm, world = open_world.realm, open_world
    # The job's client is in no group.
    repositories = world.crane.repositories
    repositories["python"] = replace(repositories["python"], read_groups=None)
    (user.home / "requirements.txt").write_text("our-private-package\n")
    venv = user.home / "venv"
    environments.make(venv, Pip(RUNNING, NEWEST))
    environ = {**user.environ, "VIRTUAL_ENV": str(venv)}
    text = "\n".join(steps("ci", world.crane_url))
    text = text.replace("my-job", realm.ci_client_id).replace("=…", f"={realm.ci_client_secret}")
    assert "Successfully installed our-private-package-1.0" in run(text, environ, user.home)

    servers = user.home / ".local" / "share" / "crane" / "python" / "servers.json"
    servers.parent.mkdir(parents=True)
    registration = {
        "client_id": realm.client_id, "token_url": realm.token_url, "device_url": realm.device_url
    }  # fmt: skip
    servers.write_text(json.dumps({f"{world.crane_url}/other": registration}))
    tokens = user.home / ".cache" / "crane" / "python" / "tokens.json"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    tokens.write_text("{}")
    run("\n".join(steps("crane-pip", world.crane_url)), environ, user.home)
    assert f"{world.crane_url}/other" in run("crane index list", environ, user.home)


def test_the_how_to_of_a_proxy(site: Site, user: User, realm: Realm) -> None:
    site.add_private("our-private-package")
    register(user, site.index())
    log_in(user, realm, site.index())
    with machine_of(user, site) as machine:
        text = "\n".join(steps("proxy", site.crane_url))
        text = text.replace("http://proxy.example.com:3128", site.net.url("ada:lovelace@"))
        text = text.replace("/etc/ssl/firm.pem", site.net.ca_file)
        said = run(text, machine.user.environ, user.home)
    assert "✓" in said


# --- the reference


def lines_of(page: str, url: str) -> str:
    """Return a reference page's command lines for our index, where nobody can be asked."""
    text = "\n".join(line.text for line in shown(ROOT / "docs" / "reference" / f"{page}.md"))
    return text.replace(f"setup {URL}", f"setup {URL} --yes --plugins none").replace(URL, url)


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
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["our-private-package"]\n'
        f'[[tool.uv.index]]\nurl = "{url}/simple"\ndefault = true\n'
    )
    environ = {**user.environ, "VIRTUAL_ENV": str(user.home / "venv")}
    environ["UV_PYTHON_DOWNLOADS"] = "never"

    assert "✓ logged in now as ada" in run(lines_of("setup", url), environ, user.home)
    said = run(lines_of("pip", url).replace("https://pypi.org/simple", world.public_url),
               environ, user.home)  # fmt: skip
    assert "Successfully installed our-private-package-1.0" in said
    assert "Successfully installed acme-1.0" in said
    prefetch = f"crane uv lock\ncrane index set python --keep-pages\n{lines_of('prefetch', url)}"
    run(prefetch, environ, user.home)


def test_the_reference_of_run(
    site: Site, user: User, realm: Realm, toolbox: Toolbox, tmp_path: Path
) -> None:
    site.add_private("our-private-package")
    register(user, site.index())
    log_in(user, realm, site.index())
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["our-private-package"]\n[tool.poetry]\npackage-mode = false\n'
        f'[[tool.poetry.source]]\nname = "firm"\nurl = "{site.index_url}"\n'
        f'[[tool.uv.index]]\nurl = "{site.index_url}"\ndefault = true\n'
        '[tool.tox]\nenv_list = ["unit"]\n[tool.tox.env.unit]\nskip_install = true\n'
        'deps = ["our-private-package"]\n'
        'commands = [["python", "-c", "import our_private_package"]]\n'
    )
    extra = {"PIP_INDEX_URL": site.index_url, "POETRY_CACHE_DIR": str(tmp_path / "cache")}
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file, **extra) as machine:
        programs = (toolbox.folder("poetry"), toolbox.folder("tox"), Path(UV).parent)
        run(lines_of("run", site.index_url), machine.user.environ, tmp_path, *programs)
    for lock in ("poetry.lock", "uv.lock"):
        assert site.index_url in (tmp_path / lock).read_text()
    assert list((tmp_path / ".tox" / "unit").rglob("our_private_package-1.0.dist-info"))
