"""Running pip against the gateway, with its own output, exit code and signals."""

from __future__ import annotations

import asyncio
import contextlib
import netrc
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.errors import NotRegistered
from crane_core.files import PRIVATE_FILE, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.config.model import Configuration, Index
    from crane_core.secret import Secret

NETRC_USER = "crane"


def choose_index(configuration: Configuration, command: PipCommand, pip: Pip) -> Index:
    """Return the registered index that this pip command is about.

    The one that the command line names, or `PIP_INDEX_URL`; both must be registered. Else the
    one in pip's configuration files, if registered; else the only or default one. Raises
    `NotRegistered`.
    """
    setting = pip.setting("index-url", command.command)
    named = command.index_url
    if named is None and setting is not None:
        url, section = setting
        configured = configuration.match(url) if "://" in url else None
        if configured is not None:
            return configured
        named = url if section == ":env:" else None
    if named is None:
        return configuration.only_or_default()
    index = configuration.match(named)
    if index is None:
        raise NotRegistered(
            f"{_without_login(named)} is not a registered index",
            hint=f"run: crane index register {_without_login(named)}, or call pip itself",
        )
    return index


def _without_login(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@contextlib.contextmanager
def netrc_file(environ: Mapping[str, str], secret: Secret, home: Path) -> Iterator[Path]:
    """Yield a private netrc with the user's own entries and the gateway's secret.

    pip sends it with the first request. In the URL the secret would show in the arguments of the
    pip that pip starts for build isolation (`ps`), in every version.
    """
    folder = Path(tempfile.mkdtemp(prefix="crane-"))
    path = folder / "netrc"
    try:
        with storage_errors(path):
            entry = f"machine 127.0.0.1 login {NETRC_USER} password {secret.reveal()}\n"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(entry + _own_entries(environ, home))
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            folder.rmdir()


def _own_entries(environ: Mapping[str, str], home: Path) -> str:
    names = [environ["NETRC"]] if environ.get("NETRC") else [home / ".netrc", home / "_netrc"]
    for name in names:
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
            netrc.netrc(name)
        except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
            # requests ignores a netrc that it cannot read, and so do we.
            continue
        return text
    return ""


def child_environment(
    environ: Mapping[str, str], index_url: str, netrc_path: Path, proxy: str | None
) -> dict[str, str]:
    """Return pip's environment: the gateway as index, reached without any proxy.

    A proxy of pip's own settings becomes `HTTPS_PROXY`, which leaves loopback addresses alone.
    """
    child = dict(environ)
    child["PIP_INDEX_URL"] = index_url
    child["NETRC"] = str(netrc_path)
    if proxy:
        child.pop("PIP_PROXY", None)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            child[name] = proxy
    for name in ("NO_PROXY", "no_proxy"):
        listed = [entry for entry in child.get(name, "").split(",") if entry.strip()]
        child[name] = ",".join([*listed, "127.0.0.1"])
    return child


async def run_attached(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run a command on our terminal and return its exit code.

    Ctrl-C reaches it directly, being in our process group: we wait for it to end. SIGTERM and
    SIGHUP are handed on. A command killed by a signal gives 128 + its number, as in a shell.
    """
    process = await asyncio.create_subprocess_exec(*arguments, env=dict(environment))
    with _signals_handed_to(process):
        code = await process.wait()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _signals_handed_to(process: asyncio.subprocess.Process) -> Iterator[None]:
    if sys.platform == "win32":
        # A console's Ctrl-C reaches every process attached to it; we outlive it to clean up.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        return
    loop = asyncio.get_running_loop()

    def hand_on(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    loop.add_signal_handler(signal.SIGINT, lambda: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
