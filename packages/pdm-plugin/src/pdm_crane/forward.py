"""The forward route for uv, which PDM may start."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from crane_core.clients.child_environment import without_secrets
from crane_core.clients.detour import prepared_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_core.clients.project_route import ProjectRoute


@contextlib.contextmanager
def forwarded(route: ProjectRoute) -> Iterator[None]:
    """Give the programs that are started meanwhile the environment of `crane run`.

    They get no tokens or secrets of ours, since they build what others have written. Raises a
    `CraneError`.
    """
    with prepared_for(route) as ready:
        before = dict(os.environ)
        os.environ.update(ready.changes)
        for name in os.environ.keys() - without_secrets(os.environ).keys():
            del os.environ[name]
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)
