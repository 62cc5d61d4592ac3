"""The manual page (man(7), roff), made from the parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crane_cli.exit_codes import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_cli.completion.tree import Node, Option

# No version and no date: the page changes when the commands do, and only then.
HEAD = ".TH CRANE 1"
INTRODUCTION = """\
Crane installs from and publishes to Python package indexes behind OAuth2 / OpenID Connect, with the
tools that you use, through an agent on this machine. Tools see the index's real URL, and no token.
"""
FILES = (
    ("~/.config/crane/config.toml", "The registered indexes."),
    ("~/.local/share/crane/", "Logins that are not in the system's keyring, and what went wrong."),
    ("~/.cache/crane/", "The cache."),
)
EXIT_STATUS = """\
0 is success. crane pip, crane uv and crane run return what their command returns, once it has
started. Before that, and in every other command, a failure is one of these:
"""
SEE_ALSO = "pip(1), uv(1), poetry(1)"


def manual(tree: Node) -> str:
    """Return the page of all commands."""
    lines = [
        HEAD,
        ".SH NAME",
        _text("crane - install from Python package indexes behind OAuth2 / OpenID Connect"),
        ".SH SYNOPSIS",
        *_synopsis(tree),
        ".SH DESCRIPTION",
        *_paragraphs(INTRODUCTION),
        ".SH OPTIONS",
        *(line for option in tree.options for line in _option(option)),
        ".SH COMMANDS",
    ]
    for node in tree.walk():
        if node.words and not node.children:
            lines += _command(node)
    lines += [".SH FILES"]
    for path, text in FILES:
        lines += [".TP", f".I {_text(path)}", _text(text)]
    lines += [".SH EXIT STATUS", *_paragraphs(EXIT_STATUS)]
    for one in exit_codes():
        lines += [".TP", f".B {one.code}", _text(f"{one.meaning.rstrip('.')} ({one.name}).")]
    lines += [".SH EXAMPLES", *_examples(tree), ".SH SEE ALSO", _text(SEE_ALSO)]
    return "\n".join(lines)


def _command(node: Node) -> Iterator[str]:
    yield f".SS crane {_text(node.path)}"
    yield from _synopsis(node)
    yield ".PP"
    yield from _paragraphs(node.description)
    for argument in node.arguments:
        if argument.help:
            yield from (".TP", f".I {_text(argument.usage)}", _text(argument.help))
    for option in node.options:
        if "--help" not in option.flags:
            yield from _option(option)
    yield from _examples(node)


def _synopsis(node: Node) -> Iterator[str]:
    yield f".B {_text(f'crane {node.path}'.strip())}"
    rest = ["[OPTIONS]"] if node.options else []
    rest += ["COMMAND …"] if node.children else [argument.usage for argument in node.arguments]
    if rest:
        yield _text(" ".join(rest))


def _option(option: Option) -> Iterator[str]:
    flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags)
    value = f" [{option.metavar}]" if option.is_optional else f" {option.metavar}"
    taken = f"\\fI{_text(value)}\\fR" if option.metavar else ""
    words = option.value.words if option.value else ()
    choice = f" One of: {', '.join(words)}." if words else ""
    yield from (".TP", f"{flags}{taken}", _text(f"{option.help or 'See above.'}{choice}"))


def _examples(node: Node) -> Iterator[str]:
    _, _, text = node.examples.partition("examples:\n")
    text = text.partition("\n\n")[0]
    if text.strip():
        yield from (".PP", ".nf", ".RS")
        for line in text.rstrip().splitlines():
            yield _text(re.sub(r"^ {2}", "", line))
        yield from (".RE", ".fi")


def _paragraphs(text: str) -> Iterator[str]:
    for number, part in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(part.split()))


def _text(text: str) -> str:
    """Return text as roff shows it: a line must not begin like a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    escaped = escaped.translate({ord("✓"): "\\(OK", ord("✗"): "\\(mu", ord("`"): "\\(ga"})
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped
