"""The script for bash, 3.2 (macOS) and later: one function, and tables as `case`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from crane_cli.completion.tables import PASSING, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_cli.completion.tables import Words
    from crane_cli.completion.tree import Node

SCRIPT = """\
# Completion of crane for bash; made by: crane completion bash
_crane_commands() {
    case "$1" in
%(commands)s
    esac
}
_crane_options() {
    case "$1" in
%(options)s
    esac
}
# What an option of a command takes: nothing is printed for one that takes no value.
_crane_value() {
    case "$1 $2" in
%(values)s
    esac
}
_crane_argument() {
    case "$1" in
%(arguments)s
    esac
}
_crane_offer() {
    local what="$1" word="$2"
    COMPREPLY=()
    case "$what" in
        index) what="$("$crane" completion --indexes 2>/dev/null)"
            COMPREPLY=($(compgen -W "$what" -- "$word")) ;;
        command) COMPREPLY=($(compgen -c -- "$word")) ;;
        file) compopt -o default 2>/dev/null; COMPREPLY=($(compgen -f -- "$word")) ;;
        words:*) COMPREPLY=($(compgen -W "${what#words:}" -- "$word")) ;;
    esac
}
_crane() {
    local crane="$1" current="${COMP_WORDS[COMP_CWORD]}" path="" word="" taken="" i ended=""
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ -n $taken ]]; then
            taken=""
        elif [[ $word == -- ]]; then
            ended=1
            break
        elif [[ $word == -* ]]; then
            [[ $word != *=* ]] && taken="$(_crane_value "$path" "$word")"
        elif [[ " $(_crane_commands "$path") " == *" $word "* ]]; then
            path="${path:+$path }$word"
        fi
        case "$path" in
            %(passing)s) return ;;
        esac
    done
    if [[ -n $ended ]]; then
        [[ $path == run && $((i + 1)) -eq $COMP_CWORD ]] && _crane_offer command "$current"
    elif [[ -n $taken ]]; then
        _crane_offer "$taken" "$current"
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$(_crane_options "$path")" -- "$current"))
    elif [[ -n $(_crane_commands "$path") ]]; then
        COMPREPLY=($(compgen -W "$(_crane_commands "$path")" -- "$current"))
    else
        _crane_offer "$(_crane_argument "$path")" "$current"
    fi
}
complete -o bashdefault -F _crane crane
"""


def script(tree: Node) -> str:
    """Return it."""
    tables = tables_of(tree)
    return SCRIPT % {
        "commands": _cases((p, _listed(words)) for p, words in tables.commands.items()),
        "options": _cases((p, _listed(words)) for p, words in tables.options.items()),
        "values": _cases((" ".join(key), value) for key, value in tables.values.items()),
        "arguments": _cases(tables.arguments.items()),
        "passing": "|".join(PASSING),
    }


def _listed(words: Words) -> str:
    return " ".join(word for word, _ in words)


def _cases(rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"        {shlex.quote(k)}) echo {shlex.quote(text)} ;;" for k, text in rows if text)
    return "\n".join(lines)
