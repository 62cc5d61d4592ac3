"""The script for fish 3: one `complete` for each thing, under the command that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_cli.completion.tree import COMMAND, FILE, INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_cli.completion.tree import Node, Option, Value

HEAD = """\
# Completion of crane for fish; made by: crane completion fish
function __crane_path
    set -l path
    set -l tokens (commandline -opc)
    for word in $tokens[2..]
        switch $word
            case --
                break
            case '-*'
                continue
        end
        contains -- (string join ' ' $path $word) $__crane_paths; and set path $path $word
    end
    string join ' ' -- $path
end
function __crane_at
    set -l path (__crane_path)
    test "$path" = "$argv"
end
function __crane_indexes
    crane completion --indexes 2>/dev/null
end
"""


def script(tree: Node) -> str:
    """Return it."""
    nodes = list(tree.walk())
    paths = " ".join(_quoted(node.path) for node in nodes if node.words)
    lines = [HEAD + f"set -g __crane_paths {paths}"]
    for node in nodes:
        lines += _lines(node)
    return "\n".join(lines) + "\n"


def _lines(node: Node) -> Iterator[str]:
    at = f"complete -c crane -n {_quoted(f'__crane_at {_quoted(node.path)}')}"
    for child in node.children:
        yield f"{at} -f -a {child.words[-1]} -d {_quoted(child.summary)}"
    for option in node.options:
        yield f"{at} {_option(option)}"
    if node.passes_on and node.path == "run":
        yield f"{at} -a '(__fish_complete_command)'"
    elif not node.children and not node.passes_on:
        values = [argument.value for argument in node.arguments]
        taken = next((v for v in values if v.kind == INDEX), values[0] if values else None)
        yield f"{at} {'-f' if taken is None else _value(taken)}".rstrip()


def _option(option: Option) -> str:
    parts = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags]
    if option.value is not None and not option.is_optional:
        parts += ["-r", _value(option.value)]
    return " ".join([*filter(None, parts), "-d", _quoted(option.help)])


def _value(value: Value) -> str:
    if value.words:
        return f"-f -a {_quoted(' '.join(value.words))}"
    return {
        INDEX: "-f -a '(__crane_indexes)'",
        FILE: "-F",
        COMMAND: "-a '(__fish_complete_command)'",
    }.get(value.kind, "-f")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
