"""One module a command. Each has `add_parser`; what it runs is imported when it runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order of `crane --help`; the modules have the same names, with `_` for `-`.
COMMANDS = (
    "setup", "index", "login", "logout", "status", "token", "pip", "uv", "run", "env", "publish",
    "serve", "prefetch", "explain", "doctor", "support-bundle", "agent", "vault", "cache", "demo",
    "completion", "man",
)  # fmt: skip


def modules_for(arguments: Sequence[str]) -> list[Any]:
    """Return the module of the command that these arguments name, all if they name none.

    To import all of them takes as long as many a command itself.
    """
    names = [name for name in COMMANDS if name == next(iter(arguments), "")] or COMMANDS
    modules = [name.replace("-", "_") for name in names]
    return [importlib.import_module(f"{__name__}.{module}") for module in modules]
