"""The script for PowerShell 5.1 and 7: `Register-ArgumentCompleter -Native`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crane_cli.completion.tables import PASSING, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_cli.completion.tables import Words
    from crane_cli.completion.tree import Node

SCRIPT = """\
# Completion of crane for PowerShell; made by: crane completion powershell
Register-ArgumentCompleter -Native -CommandName crane -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $commands = @{
%(commands)s
    }
    $options = @{
%(options)s
    }
    $values = @{
%(values)s
    }
    $arguments = @{
%(arguments)s
    }
    $path = ''
    $taken = ''
    $passing = @(%(passing)s)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { "$_" })
    foreach ($word in $words) {
        if ($taken) { $taken = ''; continue }
        if ($word -eq '--') { return }
        if ($word.StartsWith('-')) {
            if (-not $word.Contains('=')) { $taken = $values["${path}:$word"] }
            continue
        }
        $known = "$path $word".Trim()
        if ($options.ContainsKey($known)) { $path = $known }
        if ($passing -contains $path) { return }
    }
    $offered = @()
    if (-not $taken -and $wordToComplete.StartsWith('-')) {
        $offered = $options[$path]
    } elseif (-not $taken -and $commands[$path]) {
        $offered = $commands[$path]
    } else {
        $what = if ($taken) { $taken } else { $arguments[$path] }
        if ($what -eq 'index') {
            $offered = @(crane completion --indexes 2>$null | ForEach-Object { ,@($_, $_) })
        } elseif ($what -and $what.StartsWith('words:')) {
            $offered = @($what.Substring(6).Split(' ') | ForEach-Object { ,@($_, $_) })
        }
    }
    foreach ($pair in $offered) {
        if ($pair[0].StartsWith($wordToComplete)) {
            [System.Management.Automation.CompletionResult]::new(
                $pair[0], $pair[0], 'ParameterValue', $pair[1])
        }
    }
}
"""
# All that PowerShell takes for a single quote (about_Quoting_Rules).
_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")


def script(tree: Node) -> str:
    """Return it."""
    tables = tables_of(tree)
    return SCRIPT % {
        "commands": _rows((p, _pairs(words)) for p, words in tables.commands.items()),
        "options": _rows((p, _pairs(words)) for p, words in tables.options.items()),
        "values": _rows((":".join(key), _quoted(value)) for key, value in tables.values.items()),
        "arguments": _rows((p, _quoted(value)) for p, value in tables.arguments.items()),
        "passing": ", ".join(map(_quoted, PASSING)),
    }


def _pairs(words: Words) -> str:
    # A tooltip must not be empty. The comma keeps a list of one pair a list.
    written = [f"@({_quoted(word)}, {_quoted(text or word)})" for word, text in words]
    return f"@(,{written[0]})" if len(written) == 1 else f"@({', '.join(written)})"


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"        {_quoted(key)} = {text}" for key, text in rows)


def _quoted(text: str) -> str:
    return f"'{_QUOTES.sub(lambda found: found[1] * 2, text)}'"
