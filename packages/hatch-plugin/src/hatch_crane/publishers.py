"""The classes that Hatch finds here under the name `crane`."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def classes() -> list[type]:
    """Return the publisher classes to register."""
    logger.debug("crane is loaded; it registers no publisher")
    return []


def collectors() -> list[type]:
    """Return the collector classes to register."""
    from hatch.env.collectors.plugin.interface import EnvironmentCollectorInterface

    class CraneCollector(EnvironmentCollectorInterface):  # type: ignore[misc, unused-ignore]
        """Changes nothing: `[tool.hatch.env.collectors.crane]` makes Hatch load the plugin."""

        PLUGIN_NAME = "crane"

    return [CraneCollector]
