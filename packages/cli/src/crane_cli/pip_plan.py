"""What a pip command says of indexes and of the network, wherever it says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.urls import without_login

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip import Indexes
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.clients.pip_requirements import RequirementsRewriter
    from crane_core.config.model import Configuration

FILE_SETTINGS = ("requirement", "constraint", "build-constraint")


@dataclass(frozen=True, slots=True)
class Plan:
    """A pip run: which pip, which indexes, which arguments, which way to the network.

    `indexes` is None where the command asks none after all. `files` are variables that name
    requirements files. `proxy` is the user's own, of whatever place; `proxy_in_files` says that
    pip's files name one, `cert_in_files` which certificate file they name.
    """

    pip: Pip
    command_line: PipCommand
    indexes: Indexes | None
    proxy: str | None
    proxy_in_files: bool
    cert_in_files: str | None
    files: dict[str, str]


def make_plan(
    here: Context,
    configuration: Configuration,
    command_line: PipCommand,
    pip: Pip,
    rewriter: RequirementsRewriter,
) -> Plan:
    """Gather all that names an index or proxy: arguments, requirements files, pip's settings.

    Raises `NotRegistered`.
    """
    command_line = command_line.with_requirements(rewriter.rewrite)
    command = command_line.command
    files = {}
    for name in FILE_SETTINGS:
        if (setting := pip.setting(name, command)) is not None:
            given = " ".join(map(rewriter.rewrite, setting[0].split()))
            if not rewriter.keeps_indexes or given.split() != setting[0].split():
                files[f"PIP_{name.upper().replace('-', '_')}"] = given
    proxy, cert = pip.setting("proxy", command), pip.setting("cert", command)
    return Plan(
        pip=pip,
        command_line=command_line,
        indexes=_indexes(here, configuration, command_line, pip, rewriter),
        proxy=command_line.proxy if command_line.proxy is not None else proxy and proxy[0],
        proxy_in_files=bool(proxy and proxy[1] != ":env:"),
        cert_in_files=cert[0] if cert and cert[1] != ":env:" else None,
        files=files,
    )


def _indexes(
    here: Context,
    configuration: Configuration,
    command_line: PipCommand,
    pip: Pip,
    rewriter: RequirementsRewriter,
) -> Indexes | None:
    from crane_core.clients.pip import choose_indexes

    command = command_line.command
    if rewriter.no_index or _is_on(pip.setting("no-index", command)):
        return None
    setting = pip.setting("index-url", command)
    from_environment = setting[0] if setting and setting[1] == ":env:" else None
    extra = [*command_line.extra_index_urls, *rewriter.extra_index_urls]
    if more := pip.setting("extra-index-url", command):
        extra += more[0].split()
    links = [*command_line.find_links, *rewriter.find_links]
    if more := pip.setting("find-links", command):
        links += more[0].split()
    indexes = choose_indexes(
        configuration,
        rewriter.index_url or command_line.index_url or from_environment,
        list(dict.fromkeys(extra)),
        setting[0] if setting else None,
    )
    _warn(here, links, rewriter.unseen)
    return indexes


def _is_on(setting: tuple[str, str] | None) -> bool:
    # As pip reads a switch (its strtobool).
    return setting is not None and setting[0].lower() in {"y", "yes", "t", "true", "on", "1"}


def _warn(here: Context, links: list[str], unseen: list[str]) -> None:
    for name in unseen:
        here.prompt.notice(
            f"crane does not look into {without_login(name)}: an index line in it would count"
        )
    if remote := [link for link in links if "://" in link and not link.startswith("file:")]:
        here.prompt.notice(
            f"pip takes what it likes from {without_login(remote[0])} (--find-links): "
            "crane does not keep private names from there"
        )
