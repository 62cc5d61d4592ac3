"""The command line: arguments in, one command, exit code out."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from crane_cli.commands import COMMANDS, modules_for
from crane_core import __version__
from crane_core.errors import CraneError, Interrupted, UsageError, system_error

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\
examples:
  crane setup https://crane.example.com/python            all that a first install needs
  crane pip install our-package                           private index first, then PyPI
  crane run -- poetry lock                                any command, with the index's real URL
  crane serve https://crane.example.com/python            an index URL for any other tool
  crane status                                            who is logged in, until when

Exit codes are in the manual: crane man. `crane pip`, `uv` and `run` return the tool's.
"""
# What somebody types who has pip, or crane-pip, in their fingers.
PIPS = ("install", "download", "wheel", "uninstall", "freeze", "show", "check", "list")


def entry() -> NoReturn:
    """Run the command line of this process."""
    print_anything(sys.stdout)
    sys.exit(main(sys.argv[1:]))


def print_anything(stream: TextIO) -> None:
    """Let a stream take characters that its encoding has none for, as standard error does.

    A pipe or a file on Windows has the encoding of the country, in which there is no ✓.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; every expected failure becomes one line."""
    arguments, debug = _without_debug(arguments)
    as_json = False
    name = ""
    try:
        args = _parsed(arguments)
        name, as_json = args.command_name, getattr(args, "json", False)
        from crane_cli.context import context
        from crane_cli.result import show

        exit_code = show(args.run(args, context()), name, as_json=as_json)
        sys.stdout.flush()
    except CraneError as error:
        if debug:
            raise
        from crane_cli.result import show_error

        return show_error(error, name, as_json=as_json)
    except KeyboardInterrupt:
        if debug:
            raise
        print("crane: interrupted", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:
        # The reader of our output has left, as with `| head`. What Python flushes at its end
        # must go somewhere (docs.python.org, "Note on SIGPIPE").
        _print_no_more()
        return 0
    except OSError as error:
        if debug:
            raise
        from crane_cli.result import show_error

        exit_code = show_error(system_error(error), name, as_json=as_json)
        try:
            sys.stdout.flush()
        except OSError:  # that is what has failed
            _print_no_more()
        return exit_code
    else:
        return exit_code


def _print_no_more() -> None:
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    _require_command(arguments)
    try:
        return parser(arguments).parse_args(arguments)
    except SystemExit:
        sys.stdout.flush()  # what --help and --version print, so that a closed pipe shows here
        raise


def _require_command(arguments: Sequence[str]) -> None:
    """Say what there is where no command is named, or one that there is not."""
    if not arguments:
        parser().print_help(sys.stderr)
        raise SystemExit(UsageError.exit_code)
    name = arguments[0]
    if name in COMMANDS or name.startswith("-"):
        return
    if name in PIPS:
        hint = f"run: crane pip {name} …"
    else:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean: crane {near[0]}?" if near else "see: crane --help"
    raise UsageError(f"there is no command {name!r}", hint=hint)


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take `--debug` off where it stands before the command: behind it, it may be the tool's."""
    own = list(arguments)
    if own and own[0] == "--debug":
        return own[1:], True
    return own, False


def parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of the one command that is named."""
    top = argparse.ArgumentParser(
        prog="crane",
        description="Install from package indexes behind OAuth2 / OpenID Connect.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"crane {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in modules_for(arguments):
        module.add_parser(commands)
    return top
