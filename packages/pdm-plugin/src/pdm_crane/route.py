"""How PDM's requests reach a registered index. Today: as they always did."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def set_up() -> None:
    """Set up the route to the registered indexes; no index has one yet."""
    logger.debug("crane is loaded; no index is routed")
