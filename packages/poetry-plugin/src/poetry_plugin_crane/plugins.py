"""What Poetry loads from us: one plugin for its console, one for every project it opens.

Poetry imports this module at the start of each command, so it imports nothing that Poetry has not.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from poetry.plugins.application_plugin import ApplicationPlugin
from poetry.plugins.plugin import Plugin

from poetry_plugin_crane import start

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleo.io.io import IO
    from poetry.console.application import Application
    from poetry.poetry import Poetry

logger = logging.getLogger(__name__)


class CraneApplicationPlugin(ApplicationPlugin):  # type: ignore[misc, unused-ignore]
    """Serves Poetry's console: sets up the route and adds the `crane` commands."""

    def activate(self, application: Application) -> None:
        """Set up the route before Poetry runs a command."""
        _guarded(lambda: start.set_up(application))


class CranePlugin(Plugin):  # type: ignore[misc, unused-ignore]
    """Learns of every project that Poetry opens; serves programs that use Poetry's API, too."""

    def activate(self, poetry: Poetry, io: IO) -> None:
        """Tell the route which sources the project has."""
        _guarded(lambda: start.open_project(poetry, io))


def _guarded(step: Callable[[], None]) -> None:
    # Poetry calls activate() outside any try: what escapes here breaks every Poetry command,
    # also `poetry self remove poetry-plugin-crane`.
    try:
        step()
    except Exception as error:
        logger.debug("crane could not be set up; Poetry goes on without it", exc_info=True)
        line = " ".join(f"{type(error).__name__}: {error}".split())
        # Poetry's own IO may be what has failed.
        print(f"crane could not be set up, Poetry goes on: {line}", file=sys.stderr)  # noqa: T201
