"""All that touches Hatch's internals. All of it holds for Hatch 1.14.0 to 1.18.2.

| what | how it is used |
|---|---|
| `Platform.run_command(command, *, shell, **kwargs)` | starts pip, uv and builds |
| `Platform.displaying_status`, and the terminal behind its display function | for the person |
| `Application.project.root` | which pyproject.toml is meant |

What has another shape is left alone, and who has registered an index of this project is told what
to do. What uploads need is in `uploads.py`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from hatch_crane.route import Route

_SHAPE = ("self", "command", "shell", "kwargs")
# What pip and uv do that may ask an index.
ASKING = frozenset({"install", "sync", "compile", "lock", "download", "wheel", "index"})
# Hatch before 1.16 builds so what has another backend than Hatchling.
_BUILD = re.compile(r"python -m build(\s|$)")


def stand_beside_installers(module: ModuleType) -> None:
    """Give the programs that install and build the environment of `crane run`."""
    from hatch_crane.route import Route

    route = Route(os.environ)
    original: Any = getattr(module.Platform, "run_command", None)
    # Without `inspect`, which would cost each command some milliseconds.
    code = getattr(original, "__code__", None)
    if code is None or code.co_varnames[: len(_SHAPE)] != _SHAPE or code.co_kwonlyargcount != 1:
        _tell_unknown(route)
        return

    @functools.wraps(original)
    def run_command(self: Any, command: Any, **kwargs: Any) -> Any:
        arguments = installer_arguments(command, shell=bool(kwargs.get("shell")))
        if arguments is None:
            return original(self, command, **kwargs)
        environ = kwargs.get("env") or os.environ
        with readable(), route.around(arguments, environ, Surroundings(self)) as ours:
            more = {} if ours is None else {"env": ours}
            return original(self, command, **{**kwargs, **more})

    module.Platform.run_command = run_command


def _tell_unknown(route: Route) -> None:
    if route.names_registered(Path.cwd()):
        print(  # noqa: T201 - Hatch's own terminal is not there yet
            "crane: this version of Hatch starts its installers in a way that hatch-crane does "
            "not know; run: crane run -- hatch …",
            file=sys.stderr,
        )


def installer_arguments(command: Any, *, shell: bool) -> list[str] | None:
    """Return a command that may ask an index, as `pip …` or `uv pip …`; None for all others.

    What a user's script does is theirs: it gets nothing of ours.
    """
    if isinstance(command, str):
        return ["pip", "install"] if shell and _BUILD.match(command) else None
    words = [str(word) for word in command]
    if "pip" not in words[1:5]:
        return None
    rest = words[words.index("pip", 1) :]
    if not ASKING & set(rest[1:4]):
        return None
    return ["uv", *rest] if Path(words[0]).stem.lower() == "uv" else rest


class Surroundings:
    """What is around a `Platform`: the project's folder, and the terminal with its spinner."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        # A platform has only the function it displays with, a method of the application.
        display = getattr(platform, "_Platform__display_func", None)
        self._application = getattr(display, "__self__", None)

    @property
    def folder(self) -> Path:
        """Return the project's folder, else the one we are in."""
        project = getattr(self._application, "project", None)
        root = getattr(project, "root", None)
        return Path(root) if root is not None else Path.cwd()

    @property
    def is_verbose(self) -> bool:
        """Whether Hatch was told to be verbose."""
        return int(getattr(self._application, "verbosity", 0)) > 0

    def clear(self) -> None:
        """Take away the spinner, above which nobody could type or read."""
        if getattr(self._platform, "displaying_status", False) and self._application is not None:
            with contextlib.suppress(Exception):
                self._application.status.stop()


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Raise an error of ours as one that Hatch's command line shows in one line.

    Unlike an exit it lets Hatch remove the environment that is half made (1.18).
    """
    try:
        yield
    except Exception as error:
        from crane_core.errors import CraneError

        if not isinstance(error, CraneError):
            raise
        from click import ClickException

        raise ClickException(f"crane: {error.line}") from None
