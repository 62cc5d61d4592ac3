"""`crane support-bundle`: what a report about crane needs, in one archive without secrets."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context

DESCRIPTION = """\
Writes a zip archive that you may attach to a report: versions, what is registered, what crane
doctor says, the ends of the agents' logs, how much is cached, and which variables are set. Tokens,
passwords and names of people are taken out; the names of indexes, hosts and projects are not.
"""
EXAMPLES = """
crane support-bundle                          crane-support-DATE.zip, in this folder
crane support-bundle --no-network             without asking the index or the provider
crane support-bundle --output report.zip      under this name
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "support-bundle",
        run,
        "write an archive for a report about crane",
        EXAMPLES,
        description=DESCRIPTION,
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="must not be there yet")
    parser.add_argument(
        "--no-network", action="store_true", help="ask no index and no identity provider"
    )
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Write the archive, and say what is in it."""
    from crane_cli.support.bundle import gather, packed
    from crane_core.files import require_absent, write_new_private

    path = args.output or Path(f"crane-support-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.zip")
    require_absent(path)  # before the work
    files = gather(here, network=not args.no_network)
    write_new_private(path, packed(files))
    data = {
        "file": str(path),
        "contents": [{"name": name, "bytes": len(text.encode())} for name, text in files.items()],
    }
    return Result(_described(path, files), data)


def _described(path: Path, files: dict[str, str]) -> str:
    contents = "\n".join(f"  {len(text.encode()):8,} bytes  {name}" for name, text in files.items())
    return (
        f"{path} is written, for you alone to read:\n{contents}\n"
        "Tokens, passwords and names of people are taken out, as far as crane knows them; the "
        "names of your indexes, hosts and projects are not.\nLook at it before you send it."
    )
