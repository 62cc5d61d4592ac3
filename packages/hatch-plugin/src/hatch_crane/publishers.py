"""The classes that Hatch finds here under the name `crane`."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def classes() -> list[type]:
    """Return the publisher classes to register."""
    from hatch.publish.index import IndexPublisher

    class CranePublisher(IndexPublisher):  # type: ignore[misc, unused-ignore]
        """Uploads as Hatch does, to the registered index that `-r` or `-o repo=` names."""

        PLUGIN_NAME = "crane"

        def publish(self, artifacts: list[str], options: dict[str, object]) -> None:
            """Upload."""
            from hatch_crane import uploads

            uploads.publish(self, super().publish, artifacts, options)

    logger.debug("crane is loaded")
    return [CranePublisher]


def collectors() -> list[type]:
    """Return the collector classes to register."""
    from hatch.env.collectors.plugin.interface import EnvironmentCollectorInterface

    class CraneCollector(EnvironmentCollectorInterface):  # type: ignore[misc, unused-ignore]
        """Changes nothing: `[tool.hatch.env.collectors.crane]` makes Hatch load the plugin."""

        PLUGIN_NAME = "crane"

    return [CraneCollector]
