"""What PDM loads from us, once at the start of each command: so it imports nothing of weight."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pdm_crane import route

if TYPE_CHECKING:
    from pdm.core import Core

logger = logging.getLogger(__name__)


def activate(core: Core) -> None:
    """Set up the route before PDM reads its arguments or a project."""
    # PDM would survive what escapes here, but print an error in front of every command's output.
    try:
        route.set_up()
    except Exception:
        logger.debug("crane could not be set up; PDM goes on without it", exc_info=True)
