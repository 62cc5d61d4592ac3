"""Setting variables in the languages of shells."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHELLS = ("bash", "zsh", "fish", "powershell", "cmd", "dotenv", "github")
# All that PowerShell takes for a single quote (about_Quoting_Rules).
_POWERSHELL_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+")
_NAMES = {
    "bash": "bash", "zsh": "zsh", "fish": "fish", "sh": "bash", "dash": "bash", "ksh": "bash",
    "pwsh": "powershell", "powershell": "powershell", "cmd": "cmd",
}  # fmt: skip


def guess_shell(environ: Mapping[str, str], *, system: str = sys.platform) -> str:
    """Return the shell that has called us; what its user logs in with, where that is not told."""
    candidates = [_parent() if system == "linux" else "", environ.get("SHELL", "")]
    if system == "win32":
        # Every PowerShell sets it for its children; cmd.exe has no mark of its own.
        candidates.append("powershell" if "PSModulePath" in environ else "cmd")
    for candidate in candidates:
        name = re.split(r"[/\\]", candidate)[-1].removesuffix(".exe").lstrip("-")
        if name in _NAMES:
            return _NAMES[name]
    return "bash"


def _parent() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def lines(shell: str, values: Mapping[str, str | None]) -> list[str]:
    """Return the lines that set these variables, and take those away that are None.

    Raises `UsageError` for a value that the shell cannot be told.
    """
    write = _WRITERS[shell]
    return [line for name, value in values.items() for line in write(name, value)]


def _bash(name: str, value: str | None) -> list[str]:
    return [f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"]


def _fish(name: str, value: str | None) -> list[str]:
    if value is None:
        return [f"set -e {name}"]
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return [f"set -gx {name} '{escaped}'"]


def _powershell(name: str, value: str | None) -> list[str]:
    if value is None:
        return [f"Remove-Item -ErrorAction SilentlyContinue Env:{name}"]
    doubled = _POWERSHELL_QUOTES.sub(r"\1\1", value)
    return [f"$env:{name} = '{doubled}'"]


def _cmd(name: str, value: str | None) -> list[str]:
    if value is not None and re.search(r'[\r\n"]', value):
        raise UsageError(f"cmd cannot be told the value of {name}", hint="use --shell powershell")
    return [f'set "{name}={value or ""}"']


def _dotenv(name: str, value: str | None) -> list[str]:
    """Write what docker, docker compose and python-dotenv read alike, as far as they do."""
    if not value or _PLAIN.fullmatch(value):
        return [f"{name}={value or ''}"]
    if "'" not in value and "\n" not in value:
        return [f"{name}='{value}'"]
    escaped = re.sub(r'([\\"$`])', r"\\\1", value).replace("\n", "\\n")
    return [f'{name}="{escaped}"']


def _github(name: str, value: str | None) -> list[str]:
    """Write what the file of GITHUB_ENV takes: there, nothing can be taken away."""
    end = f"crane-{os.urandom(8).hex()}"  # which no value can hold
    return [f"{name}<<{end}", value or "", end]


_WRITERS: dict[str, Callable[[str, str | None], list[str]]] = {
    "bash": _bash, "zsh": _bash, "fish": _fish, "powershell": _powershell, "cmd": _cmd,
    "dotenv": _dotenv, "github": _github,
}  # fmt: skip
