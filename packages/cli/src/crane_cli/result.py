"""What commands return, and the one place that shows it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crane_core.errors import CraneError

ENVELOPE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A command's outcome: `text` for people, `data` for `--json`."""

    text: str = ""
    data: Any = None
    exit_code: int = 0


def show(result: Result, command: str, *, as_json: bool) -> int:
    """Print a result on stdout and return its exit code."""
    if as_json:
        _print_envelope(command, result.exit_code, result.data, [])
    elif result.text:
        from crane_cli.colours import with_marks

        print(with_marks(result.text, sys.stdout, os.environ))
    return result.exit_code


def show_error(error: CraneError, command: str, *, as_json: bool) -> int:
    """Print an error, one line on stderr, and return its exit code."""
    if as_json:
        problem = {"code": error.code, "message": error.message, "hint": error.hint}
        _print_envelope(command, error.exit_code, None, [problem])
    print(f"crane: {error.line}", file=sys.stderr)
    return error.exit_code


def _print_envelope(command: str, exit_code: int, data: Any, errors: list[dict[str, str]]) -> None:
    envelope = {
        "crane": ENVELOPE_VERSION,
        "command": command,
        "status": "error" if errors else "success",
        "exit_code": exit_code,
        "data": data,
        "errors": errors,
    }
    print(json.dumps(envelope, indent=2))
