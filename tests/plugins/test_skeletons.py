"""The plugins load in the real tools, and cannot break them.

Every distribution is built by its own backend, sdist first and the wheel from the sdist, and
installed beside the tool into a fresh environment. The tools then run in an empty home.
"""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.workshop import PACKAGES, SCRIPTS, Builder, call, clean_environment

from crane_core import __version__

VERSION = __version__
PROJECT = """\
[project]
name = "tiny"
version = "1.0"
description = "A project for a test"
authors = [{ name = "Ann", email = "ann@example.org" }]
requires-python = ">=3.11"
"""


@dataclass(frozen=True)
class Tool:
    """One tool with its plugin, and what the plugin may count on when the tool imports it."""

    name: str
    requirement: str
    folder: str
    dist: str
    package: str
    module: str
    step: str
    loaded: tuple[str, ...]
    entry_points: str

    def __str__(self) -> str:
        return self.name


POETRY = Tool(
    name="poetry",
    requirement="poetry==2.5.1",
    folder="poetry-plugin",
    dist="poetry-plugin-crane",
    package="poetry_plugin_crane",
    module="poetry_plugin_crane.plugins",
    step="poetry_plugin_crane.start.set_up",
    loaded=("poetry.console.application", "poetry.plugins.plugin_manager"),
    entry_points="""
        [poetry.application.plugin]
        crane = poetry_plugin_crane.plugins:CraneApplicationPlugin
        [poetry.plugin]
        crane = poetry_plugin_crane.plugins:CranePlugin
    """,
)
PDM = Tool(
    name="pdm",
    # Its dependencies are loose (hishel 2 breaks it): the extra pins the set it was released with.
    requirement="pdm[locked]==2.29.4",
    folder="pdm-plugin",
    dist="pdm-crane",
    package="pdm_crane",
    module="pdm_crane.plugin",
    step="pdm_crane.route.set_up",
    loaded=("pdm.core",),
    entry_points="""
        [pdm]
        crane = pdm_crane.plugin:activate
    """,
)
HATCH = Tool(
    name="hatch",
    requirement="hatch==1.18.2",
    folder="hatch-plugin",
    dist="hatch-crane",
    package="hatch_crane",
    module="hatch_crane.hooks",
    step="hatch_crane.publishers.classes",
    # Hatchling alone: in a build environment it loads the plugin, and there is no Hatch.
    loaded=("hatchling.plugin", "logging"),
    entry_points="""
        [console_scripts]
        hatch-crane = hatch_crane.commands:main
        [hatch]
        crane = hatch_crane.hooks
    """,
)
TOOLS = (POETRY, PDM, HATCH)
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=str)


class Workshop(Builder):
    """Makes each tool's environment once."""

    @cache  # noqa: B019
    def install(self, tool: Tool) -> Path:
        """The interpreter of an environment with the tool, its plugin and the core."""
        venv = self.root / f"{tool.name}-venv"
        loosened = self.root / "overrides.txt"
        # Mirrors rebuild certifi with their own certificates and another version number.
        loosened.write_text("certifi\n")
        # Paths, not --find-links: no index can then come in with a project of the same name.
        wheels = [self.build(folder)[1] for folder in ("core", tool.folder)]
        self.uv("venv", "--no-config", "--python", sys.executable, venv)
        python = venv / SCRIPTS / "python"
        self.uv("pip", "install", "--no-config", "--python", python, "--override", loosened,
                 tool.requirement, *wheels)  # fmt: skip
        return python


class Desk:
    """A tool at work, in an empty home and a folder that holds one tiny project."""

    def __init__(self, python: Path, tool: Tool, root: Path) -> None:
        self._python, self._tool = python, tool
        self.home, self.project, self.nowhere = root / "home", root / "tiny", root / "nowhere"
        for folder in (self.home, self.project, self.nowhere):
            folder.mkdir()
        (self.project / "pyproject.toml").write_text(PROJECT)
        # PDM otherwise asks the index for a newer PDM after each command.
        self._env = clean_environment() | {
            "HOME": str(self.home), "USERPROFILE": str(self.home), "PDM_CHECK_UPDATE": "false",
            "NO_COLOR": "1", "COLUMNS": "200",
        }  # fmt: skip

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run the tool itself."""
        return self.python("-m", self._tool.name, *arguments, cwd=cwd)

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run the tool's interpreter."""
        return call(self._python, *arguments, env=self._env, cwd=cwd or self.project)

    def run_logged(self, *arguments: str, prelude: str = "", cwd: Path | None = None) -> str:
        """Run the tool with all logging shown, after a few lines of Python."""
        program = (
            "import logging, runpy, sys\n"
            "logging.basicConfig(level=logging.DEBUG)\n"
            f"{prelude}\n"
            f"runpy.run_module({self._tool.name!r}, run_name='__main__', alter_sys=True)\n"
        )
        return self.python("-c", program, *arguments, cwd=cwd)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def desk(tool: Tool, workshop: Workshop, tmp_path: Path) -> Desk:
    return Desk(workshop.install(tool), tool, tmp_path)


def source_files(tool: Tool) -> set[str]:
    """The package's files, named as below its `src`."""
    source = PACKAGES / tool.folder / "src"
    files = (path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(source).as_posix() for path in files}


def lines(text: str) -> set[str]:
    """The lines of a text, without blank ones and without spaces."""
    return {"".join(line.split()) for line in text.splitlines() if line.strip()}


# --- what is built


@each_tool
def test_the_sdist_holds_all_that_a_build_needs(tool: Tool, workshop: Workshop) -> None:
    sdist, _ = workshop.build(tool.folder)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {f"src/{name}" for name in source_files(tool)}
    assert expected | {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= names


@each_tool
def test_the_wheel_holds_the_package_and_nothing_else(tool: Tool, workshop: Workshop) -> None:
    _, wheel = workshop.build(tool.folder)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert f"{tool.package}/py.typed" in names
    assert {name for name in names if ".dist-info/" not in name} == source_files(tool)


@each_tool
def test_the_wheel_says_who_it_is(tool: Tool, workshop: Workshop) -> None:
    _, wheel = workshop.build(tool.folder)
    info = f"{tool.package}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
    needs = {r.name: r for r in map(Requirement, metadata.get_all("Requires-Dist", []))}
    assert (metadata["Name"], metadata["Version"]) == (tool.dist, VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Apache License" in licence
    assert lines(tool.entry_points) <= lines(entry_points)
    assert needs["crane-core"].specifier.contains(VERSION)
    assert needs[tool.name].specifier.contains(tool.requirement.partition("==")[2])


# --- what the tools make of it


@pytest.mark.parametrize("tool", [POETRY], ids=str)
def test_poetry_lists_the_plugin_and_works(desk: Desk) -> None:
    listing = desk.run("self", "show", "plugins")
    assert f"poetry-plugin-crane ({VERSION})" in listing
    assert "1 plugin and 1 application plugin" in listing
    assert "Poetry - Package Management for Python" in desk.run("about", cwd=desk.nowhere)
    assert desk.run("check").strip() == "All set!"


@pytest.mark.parametrize("tool", [POETRY], ids=str)
def test_poetry_activates_the_plugin_with_and_without_a_project(desk: Desk) -> None:
    says = "poetry_plugin_crane.start:crane is loaded"
    assert desk.run_logged("about", cwd=desk.nowhere).count(says) == 1
    through_api = desk.python("-c", POETRY_OPENS)
    assert through_api.count(says) == 1
    assert "tiny" in through_api


POETRY_OPENS = """
import logging
from poetry.factory import Factory
logging.basicConfig(level=logging.DEBUG)
print(Factory().create_poetry().package.name)
"""


@pytest.mark.parametrize("tool", [POETRY], ids=str)
def test_poetry_shows_the_debug_line_to_who_asks(desk: Desk) -> None:
    assert "crane knows the sources of tiny" in desk.run("check", "-vvv")
    assert "crane" not in desk.run("check", "-v")


@pytest.mark.parametrize("tool", [PDM], ids=str)
def test_pdm_lists_the_plugin_and_works(desk: Desk) -> None:
    listing = desk.run("self", "list", "--plugins", cwd=desk.nowhere)
    assert f"pdm-crane {VERSION}" in " ".join(listing.split())
    assert desk.run("show", "--name").splitlines()[-1] == "tiny"


@pytest.mark.parametrize("tool", [PDM], ids=str)
def test_pdm_activates_the_plugin(desk: Desk) -> None:
    output = desk.run_logged("show", "--name")
    assert output.count("pdm_crane.route:crane is loaded") == 1
    assert "Failed to load plugin" not in output


@pytest.mark.parametrize("tool", [HATCH], ids=str)
def test_hatch_works(desk: Desk) -> None:
    assert "1.18.2" in desk.run("--version")
    assert "default" in json.loads(desk.run("env", "show", "--json"))


@pytest.mark.parametrize("tool", [HATCH], ids=str)
def test_hatch_calls_the_hook_and_knows_our_publisher(desk: Desk) -> None:
    found = desk.python("-c", HATCH_FINDS)
    assert json.loads(found) == {"publishers": ["crane", "index"], "ours": ["crane"]}


HATCH_FINDS = """
import json
from hatch.plugin.manager import PluginManager
plugins = PluginManager()
publishers = sorted(plugins.publisher.collect())
hook = plugins.manager.hook.hatch_register_publisher
ours = [i.plugin_name for i in hook.get_hookimpls() if i.function.__module__ == "hatch_crane.hooks"]
print(json.dumps({"publishers": publishers, "ours": ours}))
"""


@pytest.mark.parametrize("tool", [HATCH], ids=str)
def test_hatch_loads_the_plugin_for_a_name_it_does_not_know(desk: Desk) -> None:
    publish = ("publish", "--publisher", "crane", "--no-prompt")
    with pytest.raises(AssertionError, match="no index is named to publish to") as refused:
        desk.run_logged(*publish)
    assert "hatch_crane.publishers:crane is loaded" in str(refused.value)


# --- what it costs, and what a fault in it does


@each_tool
def test_importing_the_plugin_brings_nothing_else(tool: Tool, desk: Desk) -> None:
    script = IMPORTS.format(loaded=tool.loaded, module=tool.module)
    brought = {name.partition(".")[0] for name in json.loads(desk.python("-c", script))}
    assert brought == {tool.package}


IMPORTS = """
import importlib, json, sys
for name in {loaded!r}:
    importlib.import_module(name)
before = set(sys.modules)
importlib.import_module({module!r})
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# Commands during which the tool calls the plugin.
AT_WORK = {
    POETRY: ("check",),
    PDM: ("show", "--name"),
    HATCH: ("env", "show", "--json"),
}


@each_tool
def test_a_fault_in_the_plugin_leaves_the_tool_working(tool: Tool, desk: Desk) -> None:
    module, _, step = tool.step.rpartition(".")
    breaking = (
        f"import {module} as broken\n"
        "def fail(*_):\n    raise RuntimeError('nothing works')\n"
        f"broken.{step} = fail\n"
    )
    if tool is HATCH:  # its commands call the hook only to look for an unknown publisher
        breaking += (
            "from hatch.plugin.manager import PluginManager\n"
            "assert list(PluginManager().publisher.collect()) == ['index']\n"
        )
    output = desk.run_logged(*AT_WORK[tool], prelude=breaking)
    assert "crane could not be set up" in output
    assert "RuntimeError: nothing works" in output
    assert "Failed to load plugin" not in output


def test_the_tools_environment_keeps_certificates_and_drops_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "/certs")
    for name in ("VIRTUAL_ENV", "PIP_NO_INDEX", "POETRY_HOME", "PDM_PYTHON", "HATCH_ENV"):
        monkeypatch.setenv(name, "x")
    kept = clean_environment()
    assert {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} <= set(kept)
    assert not {"VIRTUAL_ENV", "PIP_NO_INDEX", "POETRY_HOME", "PDM_PYTHON", "HATCH_ENV"} & set(kept)
