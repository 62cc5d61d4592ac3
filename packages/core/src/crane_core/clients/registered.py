"""What is registered, as a plugin reads it once inside its tool's process."""

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
class Registered:
    """The user's folders, environment and indexes; `trouble` is why the latter cannot be read.

    `text` is the configuration file then, as far as it can be read: None if not at all.
    """

    paths: Paths
    environ: Mapping[str, str]
    configuration: Configuration
    trouble: CraneError | None = None
    text: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is registered, for certain."""
        return not self.configuration.indexes and self.trouble is None

    def may_name(self, url: str) -> bool:
        """Whether a broken configuration seems to name this index.

        To be unsure of it must not lead to requests without a login: the index would seem not to
        have the project, and the tool would take it from elsewhere.
        """
        if self.trouble is None:
            return False
        host = urlsplit(url).hostname or ""
        return host != "pypi.org" and (self.text is None or host in self.text)


def read_registered(paths: Paths, environ: Mapping[str, str]) -> Registered:
    """Return what is registered; what is broken is told only to whom it matters."""
    own: Mapping[str, str] = dict(environ)
    if "CRANE_VIEW" in environ:
        from crane_core.clients.child_environment import restored

        # Crane never goes through crane: what `crane run` has set is not ours to use.
        own = restored(environ).environ
    try:
        return Registered(paths, own, ConfigStore(paths.config_file).load())
    except (ConfigError, StorageError) as error:
        try:
            text = paths.config_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = None
        return Registered(paths, own, Configuration(), trouble=error, text=text)
