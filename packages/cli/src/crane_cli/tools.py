"""The tools on this machine: their versions, their plugins, and how such a plugin gets there."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from crane_core.programs import find_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT = 20.0  # seconds for a tool to say its version
PLUGINS = {"poetry": "poetry-plugin-crane", "pdm": "pdm-crane", "hatch": "hatch-crane"}
# These go through `crane pip`, `crane uv` and `crane run`.
OTHERS = ("pip", "uv", "twine")
VERSIONS = """\
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": sys.executable}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on PATH.

    `version` is empty if it does not say one, `plugin_version` if there is no plugin, and
    `python` if the tool is no Python script. `plugin` is empty for tools that need none.
    """

    name: str
    program: str
    version: str
    plugin: str = ""
    plugin_version: str = ""
    python: str = ""


def find_tool(name: str, environ: Mapping[str, str]) -> Tool | None:
    """Return a tool, None if it is not on PATH."""
    program = find_program(name, environ.get("PATH"))
    if program is None:
        return None
    plugin = PLUGINS.get(name, "")
    versions = _versions(Path(program), [name, *([plugin] if plugin else [])], environ)
    version = versions.get(name) or _said(program, environ)
    own = versions.get(plugin, "") if plugin else ""
    return Tool(name, program, version, plugin, own, versions.get("python", ""))


def plugin_command(tool: Tool, environ: Mapping[str, str]) -> list[str] | None:
    """Return the command that puts the plugin where the tool is, None where there is none.

    pipx and uv know what they have put into an environment, and would take out of it what came
    in another way with their next upgrade. So they do it themselves.
    """
    prefix = Path(tool.program).resolve().parent.parent
    if (prefix / "pipx_metadata.json").is_file():
        return ["pipx", "inject", prefix.name, tool.plugin]
    if (receipt := prefix / "uv-receipt.toml").is_file():
        return _uv_command(receipt, prefix.name, tool)
    if tool.name in {"poetry", "pdm"}:
        return [tool.name, "self", "add", tool.plugin]
    return None if _is_systems_own(prefix) else _into_environment(tool, environ)


def _into_environment(tool: Tool, environ: Mapping[str, str]) -> list[str] | None:
    if tool.python and _output([tool.python, "-Im", "pip", "--version"], environ):
        return [tool.python, "-m", "pip", "install", tool.plugin]
    if tool.python and find_program("uv", environ.get("PATH")):
        return ["uv", "pip", "install", "--python", tool.python, tool.plugin]
    return None


def _uv_command(receipt: Path, name: str, tool: Tool) -> list[str] | None:
    """Return `uv tool install` with all that is there, since it keeps nothing else."""
    try:
        wanted = tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]
        own = [r for r in wanted if canonicalize_name(r["name"]) == canonicalize_name(name)]
        more = [_spelled(r) for r in wanted if r not in own]
        first = _spelled(own[0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    command = ["uv", "tool", "install", first]
    for requirement in (*more, tool.plugin):
        command += ["--with", requirement]
    return command


def _spelled(requirement: Mapping[str, Any]) -> str:
    """Return a requirement of uv's receipt. Raises `KeyError` for one that is no index's."""
    if requirement.keys() - {"name", "specifier", "extras"}:
        raise KeyError("url")  # a folder, a URL, a repository: to be left to the user
    extras = requirement.get("extras")
    named = f"{requirement['name']}[{','.join(extras)}]" if extras else requirement["name"]
    return f"{named}{requirement.get('specifier', '')}"


def _is_systems_own(prefix: Path) -> bool:
    """Whether a Python belongs to the system's packages (PEP 668), as far as its place tells."""
    return any(prefix.glob("lib/python3*/EXTERNALLY-MANAGED"))


def _versions(program: Path, names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that the interpreter of a script knows; none if it is no script."""
    interpreter = _interpreter(program)
    if not interpreter:
        return {}
    output = _output([interpreter, "-I", "-c", VERSIONS, *names], environ)
    try:
        found: dict[str, str] = json.loads(output)
    except ValueError:
        return {}
    return found


def _interpreter(program: Path) -> str:
    if sys.platform == "win32":
        # A script is a program there; its Python stands beside it.
        beside = program.with_name("python.exe")
        return str(beside) if beside.is_file() else ""
    try:
        with program.open("rb") as file:
            first = file.readline(512).rstrip()
    except OSError:
        return ""
    if not first.startswith(b"#!") or b"python" not in first:
        return ""
    return first[2:].decode(errors="surrogateescape").strip()


def _said(program: str, environ: Mapping[str, str]) -> str:
    """Return the first word of `--version` that begins with a digit."""
    words = _output([program, "--version"], environ).split()
    return next((word.strip("(),") for word in words if word.strip("(),")[:1].isdigit()), "")


def _output(command: list[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, env=dict(environ), check=False, timeout=LIMIT, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
