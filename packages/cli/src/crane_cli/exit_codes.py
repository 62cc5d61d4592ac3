"""All exit codes of crane's own, for the manual page and the reference."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import crane_core.errors
from crane_core.errors import CraneError


@dataclass(frozen=True, slots=True, order=True)
class ExitCode:
    """A code, the error's name in `--json`, and what has happened, in one line."""

    code: int
    name: str
    meaning: str


def exit_codes() -> list[ExitCode]:
    """Return all of them but 0, in their order."""
    known = vars(crane_core.errors).values()
    classes = {c for c in known if inspect.isclass(c) and issubclass(c, CraneError)}
    # A class without a code of its own only groups others.
    own = [c for c in classes if "exit_code" in vars(c) and c is not CraneError]
    found = [ExitCode(c.exit_code, c.code, _summary(c)) for c in own]
    unexpected = "An unexpected failure; `crane --debug …` shows more"
    return sorted([ExitCode(1, CraneError.code, unexpected), *found])


def _summary(error: type[CraneError]) -> str:
    return " ".join((error.__doc__ or "").partition("\n\n")[0].split())
