"""What is worth knowing of a machine on which crane does not work, one function each."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import ssl
import sys
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from crane_core import __version__
from crane_core.errors import CraneError
from crane_core.redaction import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crane_cli.context import Context
    from crane_core.config.model import Configuration, Index

# Of these the value is told; of all others that are ours or a tool's, only that they are set.
SHOWN = frozenset({
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle", "curl_ca_bundle", "pip_cert",
    "pip_index_url", "pip_extra_index_url", "pip_proxy", "pip_config_file", "pip_no_index",
    "uv_default_index", "uv_index", "uv_index_url", "uv_extra_index_url", "uv_native_tls",
    "uv_system_certs", "uv_offline", "uv_config_file",
    "crane_home", "crane_vault", "crane_offline", "crane_cache_size", "crane_stale_limit",
    "crane_prefetch", "crane_agent_idle", "crane_non_interactive", "crane_detectors_off",
    "xdg_config_home", "xdg_data_home", "xdg_cache_home", "xdg_runtime_dir",
    "virtual_env", "conda_prefix", "python_keyring_backend", "lang", "lc_all", "tz",
})  # fmt: skip
NAMED = re.compile(
    r"(?:CRANE|PIP|UV|POETRY|PDM|HATCH|TWINE|TOX|NOX|PIPX|XDG|SSL|CONDA|PYTHON|KEYRING)_?.*"
    r"|CI|GITHUB_ACTIONS|GITLAB_CI|KUBERNETES_SERVICE_HOST|BROWSER|SSH_CONNECTION|DISPLAY|NETRC"
)
DISTRIBUTIONS = ("crane-core", "crane-cli", "crane-devserver")
LOG_TAIL = 64 << 10  # bytes of each log
MOST_LOGS = 8
LONGEST_LINE = 4_000  # characters


def versions(_: Context) -> dict[str, Any]:
    """Return what runs here: crane, Python, the system, and what crane stands on."""
    return {
        "crane": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "openssl": ssl.OPENSSL_VERSION,
        "encoding": sys.getfilesystemencoding(),
        "distributions": dict(sorted(_distributions())),
    }


def _distributions() -> Iterator[tuple[str, str | None]]:
    for ours in DISTRIBUTIONS:
        try:
            found = importlib.metadata.distribution(ours)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield ours, found.version
        for requirement in found.requires or ():
            if "extra ==" in requirement:
                continue
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            try:
                yield name, importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                yield name, None  # for another system, or missing


def configuration(here: Context, configured: Configuration) -> dict[str, Any]:
    """Return where crane's files are, and each registered index with its login."""
    from crane_cli.context import vault

    place, _ = vault(here)
    return {
        "folders": {
            "config": _folder(here.paths.config),
            "data": _folder(here.paths.data),
            "cache": _folder(here.paths.cache),
            "runtime": _folder(here.paths.runtime),
        },
        "logins": place.place,
        "indexes": [{**_settings(index), "login": _login(here, index)} for index in configured],
    }


def _folder(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
    except OSError as error:
        return {"path": str(path), "state": error.strerror or type(error).__name__}
    return {"path": str(path), "mode": f"{status.st_mode & 0o7777:o}"}


def _settings(index: Index) -> dict[str, Any]:
    """Return what was registered, but for what is as usual; who it is for is left out."""
    found: dict[str, Any] = {}
    for field in fields(index):
        value = getattr(index, field.name)
        if field.default is not MISSING and value == field.default:
            continue
        key = field.name.replace("_", "-")
        found[key] = MASK if field.name in {"account", "token_command"} else value
    return found


def _login(here: Context, index: Index) -> str:
    from crane_cli.context import vault
    from crane_core.auth.credentials import is_ready_made
    from crane_core.auth.sessions import SessionStore

    if is_ready_made(index, here.environ):
        return "a token that a variable or a command gives"
    try:
        session = SessionStore(here.paths.sessions, *vault(here)).read_for(index)
    except (CraneError, OSError) as error:
        return str(error)
    if session is None:
        return "nobody is logged in"
    now = here.clock.now()
    state = "is good" if session.tokens.is_valid(now) else "has ended"
    renewed = "can be" if session.tokens.can_refresh(now) else "cannot be"
    return f"its token {state}, and {renewed} renewed; by {session.grant or 'an unknown grant'}"


def environment(here: Context) -> dict[str, Any]:
    """Return which variables that matter are set; values only of those that hold no secret."""
    with_value, names = {}, []
    for name, value in sorted(here.environ.items()):
        if name.lower() in SHOWN:
            with_value[name] = value
        elif NAMED.fullmatch(name.upper()):
            names.append(name if value else f"{name} (empty)")
    return {"values": with_value, "set": names}


def cache(here: Context) -> dict[str, Any]:
    """Return what `crane cache info` says."""
    from crane_cli.commands.cache import run_info

    if not here.paths.cache.exists():
        return {"state": "there is none yet"}
    data: dict[str, Any] = run_info(argparse.Namespace(), here).data
    return data


class Lines(list[str]):
    """The lines of a log, each a record or a text."""


def logs(here: Context) -> Iterator[tuple[str, Lines]]:
    """Yield the name and the end of each log of an agent, the newest ones."""
    try:
        found = sorted(here.paths.logs.glob("*.log"), key=lambda path: -path.stat().st_mtime)
    except OSError:
        return
    for path in found[:MOST_LOGS]:
        yield path.name, _tail(path)


def _tail(path: Path) -> Lines:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL))
            lines = file.read(LOG_TAIL).decode("utf-8", "replace").splitlines()
    except OSError as error:
        return Lines([f"cannot be read: {error.strerror}"])
    if size > LOG_TAIL:
        lines = lines[1:]  # the first one is a part of one
    return Lines(line[:LONGEST_LINE] for line in lines)
