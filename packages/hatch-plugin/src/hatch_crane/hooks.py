"""What Hatch loads from us: the hooks it calls to learn the classes we register.

The entry point group `hatch` is Hatchling's too, and a build environment has no Hatch: so this
module imports Hatchling alone.
"""

from __future__ import annotations

import logging

from hatchling.plugin import hookimpl  # type: ignore[import-not-found, unused-ignore]

from hatch_crane import publishers, watch

logger = logging.getLogger(__name__)
watch.catch_up()


@hookimpl  # type: ignore[untyped-decorator, unused-ignore]
def hatch_register_publisher() -> list[type]:
    """Tell Hatch our publisher classes; an empty list is as good as no plugin."""
    # Hatch calls its hooks outside any try: what escapes here breaks other plugins' publishers too.
    try:
        return publishers.classes()
    except Exception:
        logger.debug("crane could not be set up; Hatch goes on without it", exc_info=True)
        return []


@hookimpl  # type: ignore[untyped-decorator, unused-ignore]
def hatch_register_environment_collector() -> list[type]:
    """Tell Hatch a collector that does nothing: a project that names it has us loaded at once."""
    try:
        return publishers.collectors()
    except Exception:
        logger.debug("crane could not be set up; Hatch goes on without it", exc_info=True)
        return []
