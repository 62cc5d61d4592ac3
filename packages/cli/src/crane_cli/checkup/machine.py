"""What is on this machine: crane's own files, its agents, and the tools with their plugins."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from crane_cli.findings import Finding, failed, good, warning
from crane_cli.tools import OTHERS, PLUGINS, find_tool, plugin_command
from crane_core import __version__
from crane_core.errors import CraneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crane_cli.context import Context


def look(here: Context) -> Iterator[Finding]:
    """Yield the findings."""
    yield from _configuration(here)
    yield from _files(here)
    yield from _agents(here)
    for tool in (*OTHERS, *PLUGINS):
        yield from _tool(tool, here.environ)


def _configuration(here: Context) -> Iterator[Finding]:
    try:
        count = len(here.config.load().indexes)
    except CraneError as error:
        yield failed("configuration", error)
        return
    yield good(f"configuration: {count} index{'es' * (count != 1)} in {here.config.path}")


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


def _tool(name: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    tool = find_tool(name, environ)
    if tool is None:
        return
    if not tool.version:
        yield warning(f"{tool.program} does not say its version")
    elif not tool.plugin:
        yield good(f"{name} {tool.version} ({tool.program})")
    elif tool.plugin_version:
        with_plugin = f"with {tool.plugin} {tool.plugin_version}"
        yield good(f"{name} {tool.version} {with_plugin} ({tool.program})")
    else:
        command = plugin_command(tool, environ)
        fix = f"run: {shlex.join(command)}" if command else f"put {tool.plugin} beside it"
        yield warning(f"{name} {tool.version} ({tool.program}) has no plugin of crane", fix)
