"""The script for zsh: bash's tables, with the help beside each word."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from crane_cli.completion.tables import PASSING, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_cli.completion.tables import Words
    from crane_cli.completion.tree import Node

SCRIPT = """\
#compdef crane
# Completion of crane for zsh; made by: crane completion zsh
typeset -gA _crane_commands _crane_options _crane_values _crane_arguments
_crane_commands=(
%(commands)s
)
_crane_options=(
%(options)s
)
_crane_values=(
%(values)s
)
_crane_arguments=(
%(arguments)s
)
_crane_offer() {
    case "$1" in
        index) compadd -- ${(f)"$($crane completion --indexes 2>/dev/null)"} ;;
        command) _command_names -e ;;
        file) _files ;;
        words:*) compadd -- ${=1#words:} ;;
    esac
}
_crane() {
    local crane=$words[1] path_="" word="" taken="" known="" i
    local -a lines
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        if [[ -n $taken ]]; then
            taken=""
        elif [[ $word == -- ]]; then
            (( i += 1 ))
            if [[ $path_ == run && $i -eq $CURRENT ]]; then
                _crane_offer command
            else
                _files
            fi
            return
        elif [[ $word == -* ]]; then
            [[ $word == *=* ]] || taken=${_crane_values[${path_}:$word]}
        else
            known=${path_:+$path_ }$word
            (( ${+_crane_options[$known]} )) && path_=$known
        fi
        case $path_ in
            %(passing)s) _files; return ;;
        esac
    done
    if [[ -n $taken ]]; then
        _crane_offer $taken
    elif [[ $words[CURRENT] == -* ]]; then
        lines=(${(f)_crane_options[$path_]})
        _describe option lines
    elif [[ -n ${_crane_commands[$path_]} ]]; then
        lines=(${(f)_crane_commands[$path_]})
        _describe command lines
    else
        _crane_offer ${_crane_arguments[$path_]}
    fi
}
# Both ways to load it: from a folder of fpath, and by eval.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _crane "$@"
else
    (( $+functions[compdef] )) && compdef _crane crane
fi
"""


def script(tree: Node) -> str:
    """Return it."""
    tables = tables_of(tree)
    return SCRIPT % {
        "commands": _rows((p, _described(words)) for p, words in tables.commands.items()),
        "options": _rows((p, _described(words)) for p, words in tables.options.items()),
        "values": _rows((":".join(key), value) for key, value in tables.values.items()),
        "arguments": _rows(tables.arguments.items()),
        "passing": "|".join(PASSING),
    }


def _described(words: Words) -> str:
    return "\n".join(f"{word}:{text}" if text else word for word, text in words)


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"    {shlex.quote(key)} {shlex.quote(text)}" for key, text in rows)
