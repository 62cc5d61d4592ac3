"""Where the public keys come from that tokens are checked with (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from joserfc.jwk import KeySet

if TYPE_CHECKING:
    import ssl

_FETCH_SECONDS = 10


class KeysUnavailableError(Exception):
    """The provider's key set cannot be read."""


class KeySource(Protocol):
    """Finds the key set a token's key is in."""

    async def keys_for(self, kid: str | None) -> KeySet:
        """Return the key set to look for ``kid`` in."""


class FixedKeys:
    """A key set known from the start."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def keys_for(self, kid: str | None) -> KeySet:
        """Return the one key set there is."""
        return self._keys


class FetchedKeys:
    """A provider's ``jwks_uri``: read at the first token, and once more for an unknown key.

    The second read is what makes a key rotation at the provider go unnoticed.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._tls = tls
        self._keys: KeySet | None = None

    async def keys_for(self, kid: str | None) -> KeySet:
        """Return the cached key set, or a fresh one where ``kid`` is not in it."""
        if self._keys is None or (kid is not None and kid not in _ids(self._keys)):
            self._keys = await asyncio.to_thread(self._fetch)
        return self._keys

    def _fetch(self) -> KeySet:
        # No proxy: providers used in tests are on this machine, the tests' proxy variables not.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        try:
            with opener.open(self._url, timeout=_FETCH_SECONDS) as response:
                return KeySet.import_key_set(json.load(response))
        except (OSError, ValueError, KeyError) as error:
            raise KeysUnavailableError(f"cannot read the keys at {self._url}: {error}") from error


def key_source(keys: KeySource | KeySet | Mapping[str, Any] | str) -> KeySource:
    """Make a key source of a JWKS URL, a JWKS document, a key set, or a ready source."""
    if isinstance(keys, str):
        return FetchedKeys(keys)
    if isinstance(keys, KeySet):
        return FixedKeys(keys)
    if isinstance(keys, Mapping):
        return FixedKeys(KeySet.import_key_set({"keys": list(keys["keys"])}))
    return keys


def _ids(keys: KeySet) -> set[str | None]:
    return {key.kid for key in keys}
