"""What of the user's surroundings proves who they or their job are."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.auth.client_authentication import (
    ClientAuthentication,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJWT,
    PublicClient,
)
from crane_core.auth.workload.commands import run_command
from crane_core.errors import ConfigBroken, LoginNeeded
from crane_core.secret import Secret
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.auth.model import ProviderMetadata
    from crane_core.auth.vault import Vault
    from crane_core.clock import Clock
    from crane_core.config.model import Index


def secret_name(index: Index) -> str:
    """Return the vault's name for the client secret of this index's client."""
    text = f"{origin_of(index.url)} {index.issuer or index.token_endpoint} {index.client_id}"
    return f"client-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def client_secret(index: Index, environ: Mapping[str, str], vault: Vault) -> Secret | None:
    """Return the client secret: `CRANE_CLIENT_SECRET_<NAME>`, a file, or the vault."""
    if value := environ.get(f"CRANE_CLIENT_SECRET_{index.variable_suffix}"):
        return Secret(value)
    if index.client_secret_file:
        return Secret(_file(index, index.client_secret_file, "client-secret-file"))
    content = vault.read(secret_name(index))
    return None if content is None else Secret(content.decode("utf-8", "replace"))


def client_authentication(
    index: Index,
    provider: ProviderMetadata,
    environ: Mapping[str, str],
    vault: Vault,
    clock: Clock,
) -> ClientAuthentication:
    """Return how the index's client proves itself: as registered, else by what there is."""
    if index.client_auth == "none":
        return PublicClient(index.client_id)
    if index.client_key_file:
        pem = Secret(_file(index, index.client_key_file, "client-key-file"))
        return PrivateKeyJWT(index.client_id, pem, clock)
    secret = client_secret(index, environ, vault)
    if secret is None:
        if index.client_auth is not None:
            raise ConfigBroken(
                f"{index.name} has no client secret",
                hint=f"set CRANE_CLIENT_SECRET_{index.variable_suffix}, or run: "
                f"crane index secret {index.name}",
            )
        return PublicClient(index.client_id)
    methods = provider.token_auth_methods
    # RFC 8414 §2: a provider that names no methods takes Basic.
    by_form = methods is not None and "client_secret_basic" not in methods
    if index.client_auth == "post" or (index.client_auth is None and by_form):
        return ClientSecretPost(index.client_id, secret)
    return ClientSecretBasic(index.client_id, secret)


def has_client_credentials(index: Index, environ: Mapping[str, str], vault: Vault) -> bool:
    """Whether the client can prove itself without a person."""
    return bool(index.client_key_file) or client_secret(index, environ, vault) is not None


def is_ready_made(index: Index, environ: Mapping[str, str]) -> bool:
    """Whether somebody else takes care of the token: a login would not be used."""
    return bool(environ.get(f"CRANE_TOKEN_{index.variable_suffix}") or index.token_command)


async def ready_token(index: Index, environ: Mapping[str, str]) -> Secret | None:
    """Return a token that somebody else takes care of: a variable's, or a command's.

    Raises `LoginNeeded` if the command gives none. The command comes from the user's own
    configuration only, and runs without a shell.
    """
    if value := environ.get(f"CRANE_TOKEN_{index.variable_suffix}"):
        return _usable(value.strip(), f"CRANE_TOKEN_{index.variable_suffix}", index)
    if not index.token_command:
        return None
    try:
        command = shlex.split(index.token_command)
        output = await run_command(command) if command else None
    except (OSError, ValueError) as error:
        raise LoginNeeded(
            f"the token-command of {index.name} failed ({error})", hint="run it by hand"
        ) from error
    if output is None:
        raise LoginNeeded(
            f"the token-command of {index.name} is not on PATH",
            hint=f"give another: crane index set {index.name} --token-command COMMAND",
        )
    return _usable(output.strip(), "token-command", index)


def _usable(value: str, source: str, index: Index) -> Secret:
    if not value or not (value.isascii() and value.isprintable()) or " " in value:
        raise LoginNeeded(f"{source} of {index.name} gives no token", hint="check what it holds")
    return Secret(value)


def _file(index: Index, name: str, key: str) -> str:
    hint = f"give another: crane index set {index.name} --{key} FILE"
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigBroken(
            f"{key} {name} cannot be read: {type(error).__name__}", hint=hint
        ) from None
    if not text:
        raise ConfigBroken(f"{key} {name} is empty", hint=hint)
    return text
