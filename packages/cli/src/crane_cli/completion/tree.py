"""The parser as plain data: commands, their options and what their values are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Kinds of values, beside the words themselves.
INDEX = "index"
FILE = "file"
COMMAND = "command"
NOTHING = ""
_KINDS = {
    "INDEX": INDEX, "INDEX|TOOL": INDEX, "URL|FILE": FILE, "FILE": FILE, "DIST": FILE, "DIR": FILE,
    "COMMAND …": COMMAND,
}  # fmt: skip
_FILE_OPTIONS = ("_file", "certificate", "certificate_key")


@dataclass(frozen=True, slots=True)
class Value:
    """What an option or argument takes: a kind, or one of these words."""

    kind: str = NOTHING
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """An option; `value` is None if it takes none, and may be left out if `is_optional`."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    value: Value | None = None
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional argument as usage shows it."""

    usage: str
    help: str
    value: Value


@dataclass(frozen=True, slots=True)
class Node:
    """A command by its words, without `crane`; `passes_on` says that all behind it is a tool's."""

    words: tuple[str, ...]
    summary: str
    description: str
    examples: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    children: tuple[Node, ...] = field(default=())
    passes_on: bool = False

    @property
    def path(self) -> str:
        """The words in one text."""
        return " ".join(self.words)

    def walk(self) -> Iterator[Node]:
        """Yield this command and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def tree_of(parser: argparse.ArgumentParser) -> Node:
    """Return the tree of a whole parser."""
    return _node(parser, (), "")


# argparse has no public way to look at a parser; shtab and argparse-manpage read the same names.
# ruff: noqa: SLF001
def _node(parser: argparse.ArgumentParser, words: tuple[str, ...], summary: str) -> Node:
    options, arguments, children = [], [], []
    passes_on = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            children = [
                _node(child, (*words, name), texts.get(name, ""))
                for name, child in action.choices.items()
            ]
        elif action.help == argparse.SUPPRESS:
            continue
        elif action.option_strings:
            if parser.prefix_chars == "-":
                options.append(_option(action))
        else:
            passes_on = passes_on or action.nargs == argparse.REMAINDER
            arguments.append(Argument(_usage(action), action.help or "", _value(action)))
    return Node(
        words=words,
        summary=summary,
        description=parser.description or "",
        examples=parser.epilog or "",
        options=tuple(options),
        arguments=tuple(arguments),
        children=tuple(children),
        passes_on=passes_on,
    )


def _option(action: argparse.Action) -> Option:
    takes = action.nargs != 0
    metavar = str(action.metavar or action.dest.upper().replace("_", "-")) if takes else ""
    return Option(
        flags=tuple(action.option_strings),
        help=(action.help or "").replace("%%", "%"),
        metavar=metavar,
        value=_value(action) if takes else None,
        is_optional=action.nargs == "?",
    )


def _value(action: argparse.Action) -> Value:
    if action.choices is not None:
        return Value(words=tuple(map(str, action.choices)))
    kind: Any = _KINDS.get(str(action.metavar), NOTHING)
    if not kind and action.dest.endswith(_FILE_OPTIONS):
        kind = FILE
    return Value(kind)


def _usage(action: argparse.Action) -> str:
    text = str(action.metavar or (action.choices and "|".join(action.choices)) or action.dest)
    if action.nargs in {"?", "*"}:
        return f"[{text}{' …' if action.nargs == '*' else ''}]"
    return f"{text} …" if action.nargs == "+" else text
