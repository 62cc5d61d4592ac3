"""What somebody sees in the first minutes, from a real pseudo terminal, as SVG.

pyte is the terminal, and rich draws it. Looked at: asciinema (its recordings need a player, which
a page at GitHub has not), termtosvg (archived in 2020), rich alone (it does not know what `\\r` and
the cursor do, and pip's progress needs them).
"""

from __future__ import annotations

import io
import re
import shlex
from typing import TYPE_CHECKING

import pexpect
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyte.screens import Char

    from devtasks.pictures.scene import Desk

COLUMNS, LINES = 106, 80
LIMIT = 120  # seconds, for each thing that is waited for
PROMPT = "\x1b[1;32m$\x1b[0m "
# pyte's names of colours, where rich has others.
COLOURS = {"default": None, "brown": "yellow"}
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def first_minutes(desk: Desk, out: Path) -> Path:
    """Record the set-up, an installation and the status; return the picture."""
    shown = [
        run(desk, ["crane", "setup", desk.index_url], {"[y/N]": "y"}),
        run(desk, ["crane", "pip", "install", "crane-demo-hello"]),
        run(desk, ["crane", "status"]),
    ]
    picture = out / "first-minutes.svg"
    text = svg(screen("\r\n".join(shown)), "crane: the first minutes")
    picture.write_text(text, encoding="utf-8", newline="\n")
    return picture


def run(desk: Desk, command: Sequence[str], answers: dict[str, str] | None = None) -> str:
    """Run a command in a terminal, answer what it asks, and return all that the terminal got."""
    child = pexpect.spawn(
        command[0], list(command[1:]), env={**desk.environ}, cwd=str(desk.home), timeout=LIMIT,
        encoding="utf-8", dimensions=(LINES, COLUMNS),
    )  # fmt: skip
    record = child.logfile_read = io.StringIO()
    for question, answer in (answers or {}).items():
        child.expect_exact(question)
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus:
        raise SystemExit(
            f"{shlex.join(command)} ended with {child.exitstatus}:\n{record.getvalue()}"
        )
    return desk.fixed(f"{PROMPT}{shlex.join(command)}\r\n{record.getvalue()}")


def screen(written: str) -> list[Text]:
    """Return what a terminal shows once all of it is written, without empty lines at the end."""
    display = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(display).feed(written)
    lines = [
        Text.assemble(*((c.data, style(c)) for c in (row[x] for x in range(COLUMNS))))
        for row in (display.buffer[y] for y in range(LINES))
    ]
    for line in lines:
        line.rstrip()
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def style(char: Char) -> Style:
    """Return how a character of the terminal looks."""
    colour = COLOURS.get(char.fg, char.fg)
    if colour is not None:
        colour = re.sub(r"^bright(?=[a-z])", "bright_", colour)
        colour = f"#{colour}" if re.fullmatch(r"[0-9a-f]{6}", colour) else colour
    return Style(color=colour, bold=char.bold or None, italic=char.italics or None)


def svg(lines: list[Text], title: str) -> str:
    """Return lines as a picture that loads nothing, the same for the same lines."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True,
        color_system="truecolor", legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        console.print(line, soft_wrap=True)
    drawn = console.export_svg(title=title, unique_id="crane")
    # The fonts would come from somewhere else; a viewer has one of its own.
    return FONT.sub("", drawn)
