"""Which registered index a pip command is about, and pip's own settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crane_core.errors import NotRegistered
from crane_core.urls import names_index, without_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.config.model import Configuration, Index


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


def private_config(
    configuration: Mapping[str, str], command: str | None, values: Mapping[str, str]
) -> str:
    """Return a pip configuration file of pip's whole configuration, with these values instead.

    The file that `PIP_CONFIG_FILE` names beats all others, and pip does not read the user's own
    beside it. An empty value counts as none.
    """
    import configparser
    import io

    parser = configparser.RawConfigParser()
    for key, value in configuration.items():
        section, _, name = key.rpartition(".")
        if section == ":env:" or not name:
            continue
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, name, value)
    for section in {*parser.sections(), "global", "install", command or "global"}:
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
