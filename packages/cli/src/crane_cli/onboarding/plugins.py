"""Offering each tool on this machine its plugin."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_cli.findings import Finding, good, warning
from crane_cli.tools import PLUGINS, find_tool, plugin_command
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crane_cli.context import Context
    from crane_cli.tools import Tool

NONE = "none"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Offer:
    """What has become of a tool's plugin: `present`, `installed`, `offered` or `failed`."""

    tool: str
    state: str
    command: tuple[str, ...]
    finding: Finding


def wanted_tools(text: str | None) -> frozenset[str] | None:
    """Return the tools that `--plugins` names, None if it does not say. Raises `UsageError`."""
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if names == {ALL}:
        return frozenset(PLUGINS)
    if names <= {NONE}:
        return frozenset()
    if unknown := sorted(names - PLUGINS.keys()):
        raise UsageError(
            f"there is no plugin for {', '.join(unknown)}",
            hint=f"use {', '.join(PLUGINS)}, {ALL} or {NONE}",
        )
    return names


def offer_all(here: Context, wanted: frozenset[str] | None) -> Iterator[Offer]:
    """Install the plugins that are wanted, or that somebody at the terminal says yes to."""
    for name in PLUGINS:
        tool = find_tool(name, here.environ)
        if tool is not None:
            yield _offer(here, tool, wanted)
        elif wanted and name in wanted:
            yield Offer(name, "failed", (), warning(f"{name} is not on PATH", "install it first"))


def _offer(here: Context, tool: Tool, wanted: frozenset[str] | None) -> Offer:
    name = f"{tool.name} {tool.version}".strip()
    if tool.plugin_version:
        text = f"{name} has {tool.plugin} {tool.plugin_version}"
        return Offer(tool.name, "present", (), good(text))
    command = plugin_command(tool, here.environ)
    if command is None:
        fix = f"put {tool.plugin} beside it, in the way in which it was installed"
        found = warning(f"{name} ({tool.program}) has no plugin of crane", fix)
        return Offer(tool.name, "failed" if wanted else "offered", (), found)
    shown = shlex.join(command)
    if wanted is None:
        asks = here.prompt.can_type
        agreed = asks and here.prompt.confirm(f"{name} has no plugin of crane. Run: {shown}?")
    else:
        agreed = tool.name in wanted
    if not agreed:
        found = warning(f"{name} has no plugin of crane", f"run: {shown}")
        return Offer(tool.name, "offered", tuple(command), found)
    return _install(here, tool, command)


def _install(here: Context, tool: Tool, command: Sequence[str]) -> Offer:
    """Run the command, after it was shown; what it says goes to standard error."""
    from crane_core.clients.child_environment import without_secrets
    from crane_core.programs import find_program

    here.prompt.say(f"$ {shlex.join(command)}")
    try:
        program = find_program(command[0], here.environ.get("PATH"))
        if program is None:
            raise FileNotFoundError(errno.ENOENT, f"there is no {command[0]}")
        code = subprocess.run(
            [program, *command[1:]], env=without_secrets(here.environ), check=False,
            stdin=subprocess.DEVNULL, stdout=sys.stderr,
        ).returncode  # fmt: skip
        why = f"exit code {code}"
    except OSError as error:
        code, why = 1, error.strerror or str(error)
    now = find_tool(tool.name, here.environ)
    if code == 0 and now is not None and (now.plugin_version or not now.python):
        version = f" {now.plugin_version}".rstrip()
        text = f"{tool.name} {now.version} has {tool.plugin}{version}, which is new"
        return Offer(tool.name, "installed", tuple(command), good(text))
    found = Finding(
        "bad", f"{tool.plugin} was not installed ({why})", f"run: {shlex.join(command)}", 1
    )
    return Offer(tool.name, "failed", tuple(command), found)
