"""Which index a pip command is about, and running pip at a gateway of its own (index route)."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import io
import netrc
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.errors import NotRegistered
from crane_core.urls import names_index, without_login

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crane_core.config.model import Configuration, Index
    from crane_core.secret import Secret

NETRC_USER = "crane"
SECRETS = ("CRANE_TOKEN_", "CRANE_CLIENT_SECRET_")


@dataclass(frozen=True, slots=True)
class Indexes:
    """The registered index of a pip command, and the other indexes it names beside it.

    `is_named` says that pip finds the index by itself: on its command line or in its settings.
    """

    index: Index
    beside: tuple[str, ...] = ()
    is_named: bool = True


def choose_indexes(
    configuration: Configuration, named: str | None, extra: list[str], configured: str | None
) -> Indexes:
    """Return the registered index that a pip command is about.

    `named` is its index URL (command line, requirements file, `PIP_INDEX_URL`), `extra` its extra
    ones, `configured` that of pip's configuration files. Without a `named` one the configured
    one counts if it is registered, else the only or default one. An unregistered `named` one is
    right only beside a registered extra one, whose place it then leaves. Raises `NotRegistered`.
    """
    found = next((index for url in extra if (index := registered_index(configuration, url))), None)
    if named is not None:
        index = registered_index(configuration, named)
        if index is None and found is not None:
            # It says where the rest comes from.
            return Indexes(replace(found, fallback="none"), _beside([named, *extra], found))
        if index is None:
            shown = without_login(named)
            raise NotRegistered(
                f"{shown} is not a registered index",
                hint=f"run: crane index register {shown}, or call pip itself",
            )
        return Indexes(index, _beside(extra, index))
    index = registered_index(configuration, configured) if configured else None
    if index is not None:
        return Indexes(index, _beside(extra, index))
    try:
        index = configuration.only_or_default()
    except NotRegistered:
        if found is None:
            raise
        index = found
    return Indexes(index, _beside(extra, index), is_named=False)


def _beside(urls: list[str], index: Index) -> tuple[str, ...]:
    return tuple(url for url in dict.fromkeys(urls) if not names_index(url, index.url))


def registered_index(configuration: Configuration, url: str) -> Index | None:
    """Return the index that this URL names, None if it is not registered."""
    return next((index for index in configuration if names_index(url, index.url)), None)


def netrc_text(environ: Mapping[str, str], home: Path, host: str, secret: Secret) -> str:
    """Return the user's own netrc entries with the gateway's secret behind them.

    pip sends it with the first request. In the URL the secret would show in the arguments of the
    pip that pip starts for build isolation (`ps`), in every version. The last entry of a host
    counts, so ours is the last.
    """
    own = _own_entries(environ, home)
    entry = f"machine {host} login {NETRC_USER} password {secret.reveal()}\n"
    return f"{own}\n\n{entry}" if own else entry


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


def private_config(
    configuration: Mapping[str, str], command: str | None, values: Mapping[str, str]
) -> str:
    """Return a pip configuration file of pip's whole configuration, with these values instead.

    The file that `PIP_CONFIG_FILE` names beats all others, and pip does not read the user's own
    beside it. An empty value counts as none.
    """
    parser = configparser.RawConfigParser()
    for key, value in configuration.items():
        section, _, name = key.rpartition(".")
        if section == ":env:" or not name:
            continue
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, name, value)
    for section in ("global", "install", command or "global"):
        if not parser.has_section(section):
            parser.add_section(section)
        for name, value in values.items():
            parser.set(section, name, value)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def proxy_variables(proxy: str) -> dict[str, str]:
    """Return what tells every program about a proxy; unlike pip's own settings, it is not for
    loopback addresses.
    """
    return dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)


def child_environment(environ: Mapping[str, str], host: str, index_url: str) -> dict[str, str]:
    """Return pip's environment: the gateway's index, reached without any proxy.

    It stands here as well as on the command line, for the pip of build isolation. Extra indexes
    stand there only: pip hands them on.
    """
    # What builds run in there, and a login is none of their business.
    child = {name: value for name, value in environ.items() if not name.startswith(SECRETS)}
    child["PIP_INDEX_URL"] = index_url
    # A blank one takes away what configuration files say; an empty one is ignored.
    child["PIP_EXTRA_INDEX_URL"] = " "
    child.pop("PIP_PROXY", None)
    for name in ("NO_PROXY", "no_proxy"):
        listed = [entry for entry in child.get(name, "").split(",") if entry.strip()]
        child[name] = ",".join([*listed, host])
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

    loop.add_signal_handler(signal.SIGINT, _nothing)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield
    finally:
        # A terminal that closes sends more than one: what is left to do is to clean up.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _nothing)


def _nothing() -> None:
    """Let a signal pass."""
