"""The secrets and names of this user, to be taken out of a report wherever they stand."""

from __future__ import annotations

import contextlib
import getpass
import platform
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from crane_core.errors import CraneError
from crane_core.redaction import Redactor, names_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_cli.context import Context
    from crane_core.auth.sessions import SessionStore
    from crane_core.config.model import Configuration, Index

# Claims that say who somebody is (OpenID Connect Core §5.1, and Entra ID's).
WHO = (
    "preferred_username", "upn", "unique_name", "email", "name", "given_name", "family_name",
    "nickname", "sub", "oid", "username", "login",
)  # fmt: skip
_ACCOUNT_VARIABLES = ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "EMAIL")


def redactor(here: Context, configuration: Configuration) -> Redactor:
    """Return what takes out all that this user's own files and variables tell of secrets."""
    secrets, names = set(_secrets_of_variables(here)), set(_names_of_system(here))
    for name, password in _logins_of_variables(here):
        names.add(name)
        secrets.add(password)
    for index in configuration:
        names |= {index.account} if index.account else set()
        secrets |= {index.token_command} if index.token_command else set()
        with contextlib.suppress(CraneError, OSError):
            secrets |= set(_client_secret(here, index))
        for is_secret, text in _session(here, index):
            (secrets if is_secret else names).add(text)
    return Redactor(secrets, names, str(_home()))


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without one
        return Path("/")


def _secrets_of_variables(here: Context) -> Iterator[str]:
    yield from (value for name, value in here.environ.items() if names_secret(name))


def _logins_of_variables(here: Context) -> Iterator[tuple[str, str]]:
    """Yield names and passwords from URLs, as those of proxies and indexes."""
    for word in " ".join(here.environ.values()).split():
        login, found, _ = (word.partition("://")[2] or word).rpartition("@")
        name, _, password = login.partition(":")
        if found and "/" not in name:
            yield name, password
            yield unquote(name), unquote(password)


def _names_of_system(here: Context) -> Iterator[str]:
    yield from (here.environ[name] for name in _ACCOUNT_VARIABLES if here.environ.get(name))
    yield platform.node()
    yield platform.node().partition(".")[0]
    yield _home().name
    with contextlib.suppress(OSError, KeyError, ImportError):
        yield getpass.getuser()


def _client_secret(here: Context, index: Index) -> Iterator[str]:
    from crane_core.auth.credentials import client_secret

    found = client_secret(index, here.environ, _store(here).vault)
    if found is not None:
        yield found.reveal()  # only to be looked for, and taken out


def _session(here: Context, index: Index) -> list[tuple[bool, str]]:
    """Return what a stored login holds: each text, and whether it is a secret or a name."""
    from crane_core.auth.tokens import claims_of

    try:
        session = _store(here).read_for(index)
    except (CraneError, OSError):
        return []
    if session is None:
        return []
    tokens = session.tokens
    both = [token for token in (tokens.access_token, tokens.refresh_token) if token is not None]
    claims = claims_of(tokens.access_token)
    names = [tokens.account, session.identity.subject if session.identity else None]
    names += [claims.get(claim) for claim in WHO]
    found = [(True, token.reveal()) for token in both]  # only to be looked for
    return found + [(False, name) for name in names if isinstance(name, str) and name]


def _store(here: Context) -> SessionStore:
    from crane_cli.context import vault
    from crane_core.auth.sessions import SessionStore

    return SessionStore(here.paths.sessions, *vault(here))
