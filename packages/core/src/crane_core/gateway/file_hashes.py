"""What files hashed to when they passed: other bytes under a known URL are never a whole file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.errors import IndexBroken, StorageError
from crane_core.gateway.file_answers import StreamBroken, changed, filename_of, project_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.config.model import Index
    from crane_core.index.provenance import Provenance


class FileHashes:
    """Compares files with what they were before. Its methods are for a thread."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        # URLs whose bytes have changed, with the hash that they had before.
        self._changed: dict[str, str] = {}

    def known(self, url: str, index: Index) -> str | None:
        """Return what the file hashed to. Raises `FileChanged` if it has changed since."""
        known = self._provenance.sha256(url)
        if known is not None and self._changed.get(url) == known:
            raise changed(url, index)
        return known

    def known_of(self, urls: Iterable[str]) -> dict[str, str]:
        """Return what these files hashed to, without those that are unknown or have changed."""
        found = self._provenance.sha256_of(urls)
        return {url: sha256 for url, sha256 in found.items() if self._changed.get(url) != sha256}

    def forget(self, url: str) -> None:
        """Forget that a file has changed; for whoever knows why it has."""
        self._changed.pop(url, None)

    def verify(self, url: str, index: Index, sha256: str, expected: str | None) -> None:
        """Remember the first hash; raise `StreamBroken` for any other one.

        `expected` is what the index's page says, if somebody knows.
        """
        if expected is not None and expected != sha256:
            error = IndexBroken(f"{url} is not what the index's page says (sha256)")
            raise StreamBroken(error.line)
        known = self._remember(url, index, sha256)
        if known != sha256:
            self._changed[url] = known
            raise StreamBroken(changed(url, index).line)

    def _remember(self, url: str, index: Index, sha256: str) -> str:
        """Return the first hash that was seen: this one, or an earlier one."""
        name = filename_of(url)
        try:
            if (known := self._provenance.sha256(url)) is not None:
                return known
            self._provenance.record_file(
                url, sha256, index_url=index.token_prefix, project=project_of(name)
            )
            # Read again: another download of it, for somebody else, may have been the first.
            return self._provenance.sha256(url) or sha256
        except StorageError as error:
            raise StreamBroken(error.line) from error
