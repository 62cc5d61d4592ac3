"""The publishers that `hatch publish --publisher NAME` finds here. Today: none."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def classes() -> list[type]:
    """Return the publisher classes to register."""
    logger.debug("crane is loaded; it registers no publisher")
    return []
