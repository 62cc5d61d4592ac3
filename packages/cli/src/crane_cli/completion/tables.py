"""The tables that all scripts but fish's are made around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_cli.completion.tree import INDEX

if TYPE_CHECKING:
    from crane_cli.completion.tree import Node, Value

# These hand all behind them to a tool: the shell's own way with files is the best that there is.
PASSING = ("pip", "uv")
ANY = "any"

Words = list[tuple[str, str]]  # with what each means


@dataclass(frozen=True, slots=True)
class Tables:
    """What is offered, by the path of a command.

    `values` are what options take, by path and flag, as `words:a b`, a kind, or `any`.
    """

    commands: dict[str, Words]
    options: dict[str, Words]
    values: dict[tuple[str, str], str]
    arguments: dict[str, str]


def tables_of(tree: Node) -> Tables:
    """Return the tables of a tree."""
    nodes = list(tree.walk())
    return Tables(
        commands={n.path: [(c.words[-1], c.summary) for c in n.children] for n in nodes},
        options={n.path: [(f, o.help) for o in n.options for f in o.flags] for n in nodes},
        values={
            (n.path, flag): _spelled(option.value) or ANY
            for n in nodes
            for option in n.options
            if option.value is not None and not option.is_optional
            for flag in option.flags
        },
        arguments={n.path: _first(n) for n in nodes},
    )


def _spelled(value: Value) -> str:
    return f"words:{' '.join(value.words)}" if value.words else value.kind


def _first(node: Node) -> str:
    """Return what a command's arguments are; of several the index counts, which comes first."""
    kinds = [_spelled(argument.value) for argument in node.arguments]
    return INDEX if INDEX in kinds else next((kind for kind in kinds if kind), "")
