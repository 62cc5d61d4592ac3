"""What is on this machine: crane's own files, its agents, and the tools with their plugins."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from crane_cli.findings import Finding, failed, good, warning
from crane_core import __version__
from crane_core.errors import CraneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crane_cli.context import Context

LIMIT = 20.0  # seconds for a tool to say its version
# The plugin of each tool, and how its tool takes it.
PLUGINS = {
    "poetry": ("poetry-plugin-crane", "poetry self add poetry-plugin-crane"),
    "pdm": ("pdm-crane", "pdm self add pdm-crane"),
    "hatch": ("hatch-crane", "pip install hatch-crane, where hatch is"),
}
# These go through `crane pip`, `crane uv` and `crane run`.
OTHERS = ("pip", "uv", "twine")
VERSIONS = """\
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def look(here: Context) -> Iterator[Finding]:
    """Yield the findings."""
    yield from _files(here)
    yield from _agents(here)
    for tool in (*OTHERS, *PLUGINS):
        yield from _tool(tool, here.environ)


def _files(here: Context) -> Iterator[Finding]:
    from crane_cli.context import vault
    from crane_core.files import private_folder

    try:
        place, _ = vault(here)
        for folder in (here.paths.data, here.paths.cache):
            private_folder(folder)
    except CraneError as error:
        yield failed("crane's files", error)
        return
    yield good(f"crane {__version__}: logins are kept in {place.place}")


def _agents(here: Context) -> Iterator[Finding]:
    from crane_core.agent.runtime import places

    try:
        found = [place.read() for place in places(here.paths)]
    except CraneError as error:
        yield failed("agent", error)
        return
    running = [runtime for runtime in found if runtime and runtime.is_running]
    if not running:
        yield good("agent: none is running; one is started when it is needed")
    for runtime in running:
        if runtime.version == __version__:
            yield good(f"agent: process {runtime.pid} is running")
        else:
            yield warning(
                f"agent: process {runtime.pid} is of crane {runtime.version}",
                "it leaves when nothing uses it; or run: crane agent stop",
            )


def _tool(tool: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    program = shutil.which(tool, path=environ.get("PATH"))
    if program is None:
        return
    plugin, install = PLUGINS.get(tool, ("", ""))
    versions = _versions(Path(program), [tool, *([plugin] if plugin else [])], environ)
    version = versions.get(tool) or _said(program, environ)
    if not version:
        yield warning(f"{program} does not say its version")
    elif not plugin:
        yield good(f"{tool} {version} ({program})")
    elif plugin in versions:
        yield good(f"{tool} {version} with {plugin} {versions[plugin]} ({program})")
    else:
        yield warning(f"{tool} {version} ({program}) has no plugin of crane", f"run: {install}")


def _versions(program: Path, names: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that the interpreter of a script knows; none if it is no script."""
    try:
        with program.open("rb") as file:
            first = file.readline(512).rstrip()
    except OSError:
        return {}
    if not first.startswith(b"#!") or b"python" not in first:
        return {}
    interpreter = first[2:].decode(errors="surrogateescape").strip()
    output = _output([interpreter, "-I", "-c", VERSIONS, *names], environ)
    try:
        found: dict[str, str] = json.loads(output)
    except ValueError:
        return {}
    return found


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
