"""What PDM loads from us, once at the start of each command: so it imports nothing of weight."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from pdm_crane import route

if TYPE_CHECKING:
    from pdm.core import Core

logger = logging.getLogger(__name__)


def activate(core: Core) -> None:
    """Set up the route before PDM reads its arguments or a project."""
    # PDM would survive what escapes here, but say of it no more than that a plugin has failed.
    try:
        route.set_up(core)
    except Exception as error:
        logger.debug("crane could not be set up; PDM goes on without it", exc_info=True)
        line = " ".join(f"{type(error).__name__}: {error}".split())
        # PDM's own UI may be what has failed.
        print(f"crane could not be set up, PDM goes on: {line}", file=sys.stderr)  # noqa: T201
