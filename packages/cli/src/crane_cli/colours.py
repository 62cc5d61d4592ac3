"""Whether colours are shown, and the few that are.

As the field does it: `NO_COLOR` first (no-color.org), then `FORCE_COLOR` and `CLICOLOR_FORCE`
(bixense.com/clicolors), then `CLICOLOR=0` and `TERM=dumb`, then whether it is a terminal.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODES = {"✓": "32", "!": "33", "✗": "31"}
_MARK = re.compile(r"^([✓!✗])(?= )", re.MULTILINE)
_NO = {"", "0", "false", "no"}


def has_colours(stream: TextIO, environ: Mapping[str, str], *, system: str = sys.platform) -> bool:
    """Whether text on this stream is to be coloured."""
    if environ.get("NO_COLOR"):
        return False
    forced = [environ.get(name, "") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")]
    if any(value.lower() not in _NO for value in forced):
        return True
    if environ.get("CLICOLOR") == "0" or environ.get("FORCE_COLOR", "").lower() in _NO - {""}:
        return False
    return stream.isatty() and understands_codes(environ, system=system)


def with_marks(text: str, stream: TextIO, environ: Mapping[str, str]) -> str:
    """Return text with the marks of findings in colour, where colours are shown."""
    if not has_colours(stream, environ):
        return text
    return _MARK.sub(lambda found: f"\x1b[{_CODES[found[1]]}m{found[1]}\x1b[0m", text)


def understands_codes(environ: Mapping[str, str], *, system: str = sys.platform) -> bool:
    """Whether a terminal obeys control sequences (ECMA-48), as far as variables tell."""
    if system == "win32":
        # Windows Terminal and those of editors do; the old console prints the codes.
        return any(name in environ for name in ("WT_SESSION", "TERM_PROGRAM", "ANSICON", "TERM"))
    return environ.get("TERM", "dumb") != "dumb"
