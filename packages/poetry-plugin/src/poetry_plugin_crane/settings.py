"""What is registered, read once at the start of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crane_core.config.model import Configuration
from crane_core.config.store import ConfigStore
from crane_core.errors import ConfigError, CraneError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.platform import Paths


@dataclass(frozen=True, slots=True)
class Settings:
    """The user's folders, environment and indexes; `trouble` is why the latter cannot be read.

    `text` is the configuration file then, as far as it can be read: None if not at all.
    """

    paths: Paths
    environ: Mapping[str, str]
    configuration: Configuration
    trouble: CraneError | None = None
    text: str | None = None

    def may_be_registered(self, url: str) -> bool:
        """Whether a broken configuration seems to name this index.

        To be unsure of it must not lead to requests without a login: the index would seem not to
        have the project, and Poetry would take it from elsewhere.
        """
        if self.trouble is None:
            return False
        host = urlsplit(url).hostname or ""
        return host != "pypi.org" and (self.text is None or host in self.text)


def read_settings(paths: Paths, environ: Mapping[str, str]) -> Settings:
    """Return what is registered; what is broken is told only to whom it matters."""
    own: Mapping[str, str] = dict(environ)
    if "CRANE_VIEW" in environ:
        from crane_core.clients.child_environment import restored

        # Crane never goes through crane: what `crane run` has set is not ours to use.
        own = restored(environ).environ
    try:
        return Settings(paths, own, ConfigStore(paths.config_file).load())
    except (ConfigError, StorageError) as error:
        try:
            text = paths.config_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = None
        return Settings(paths, own, Configuration(), trouble=error, text=text)
