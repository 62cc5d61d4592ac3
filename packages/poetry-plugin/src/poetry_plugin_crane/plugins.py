"""What Poetry loads from us: one plugin for its console, one for every project it opens.

Poetry imports this module at the start of each command, so it imports nothing that Poetry has not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from poetry.plugins.application_plugin import ApplicationPlugin
from poetry.plugins.plugin import Plugin

from poetry_plugin_crane import route

if TYPE_CHECKING:
    from cleo.io.io import IO
    from poetry.console.application import Application
    from poetry.poetry import Poetry

logger = logging.getLogger(__name__)


class CraneApplicationPlugin(ApplicationPlugin):  # type: ignore[misc, unused-ignore]
    """Serves commands that open no project of the user's, such as `poetry self add`."""

    def activate(self, application: Application) -> None:
        """Set up the route before Poetry runs a command."""
        _set_up_route()


class CranePlugin(Plugin):  # type: ignore[misc, unused-ignore]
    """Serves programs that open a project through Poetry's API, without its console."""

    def activate(self, poetry: Poetry, io: IO) -> None:
        """Set up the route before Poetry works on a project."""
        _set_up_route()


def _set_up_route() -> None:
    # Poetry calls activate() outside any try: what escapes here breaks every Poetry command,
    # also `poetry self remove poetry-plugin-crane`.
    try:
        route.set_up()
    except Exception:
        logger.debug("crane could not be set up; Poetry goes on without it", exc_info=True)
