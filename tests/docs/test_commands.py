"""Every command in the documentation: the real parser takes it, and a test runs it."""

from __future__ import annotations

import argparse
import re
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
from docs.blocks import KINDS, PAGES, ROOT, every_line, in_text, kinds
from docs.scripts import ONLY_PARSED, is_only_parsed, scripts

import dev
from crane_cli.main import parser

# What is not ours in the pages' blocks; a misspelt name is in none of both.
OTHERS = {
    "pip", "pipx", "uv", "python", "poetry", "pdm", "hatch", "docker", "twine", "export", "eval",
    "set", "source", "Out-String", "Invoke-Expression",
}  # fmt: skip


@cache
def whole_parser() -> argparse.ArgumentParser:
    return parser()


def parsed(arguments: list[str]) -> str:
    """What the real parser has against a command line, nothing if it takes it."""
    complaints: list[str] = []

    def complain(_: argparse.ArgumentParser, message: str) -> None:
        complaints.append(message)
        raise SystemExit(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "error", complain)
        try:
            whole_parser().parse_args(arguments)
        except SystemExit:
            return complaints[0] if complaints else ""
    return ""


def test_the_parser_takes_every_command_line_that_a_page_shows() -> None:
    wrong, counted = [], 0
    for line in every_line():
        for program, *arguments in line.commands():
            if program == "crane":
                counted += 1
                if complaint := parsed(arguments):
                    wrong.append(f"{line}: {complaint}")
            elif program in {"python3", "python"} and arguments[0] == "dev.py":
                if arguments[1] not in dev.TASKS:
                    wrong.append(f"{line}: no such task")
            elif program not in OTHERS:
                wrong.append(f"{line}: {program}?")
    assert wrong == []
    assert counted > 50


def leaf(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of a command, and what is left of its words."""
    found = whole_parser()
    while words:
        deeper = [a for a in found._actions if isinstance(a, argparse._SubParsersAction)]
        if not deeper:
            break
        # `status|stop` stands for both.
        names = words[0].split("|")
        missing = [name for name in names if name not in deeper[0].choices]
        assert not missing, f"{found.prog} has no {missing}"
        found, words = deeper[0].choices[names[0]], words[1:]
    return found, words


def test_the_commands_and_options_that_are_named_in_the_text_are_there() -> None:
    """`crane index set NAME …` is no whole command line, but its parts are real."""
    wrong, counted = [], 0
    for line in [found for page in PAGES for found in in_text(page)]:
        words = re.sub(r"\[|\]|…|\.\.\.", "", line.text).split()
        if words[0] != "crane":
            continue
        if words[1].startswith("--") or words[1] == "COMMAND":
            continue
        counted += 1
        try:
            found, rest = leaf(words[1:])
        except AssertionError as error:
            wrong.append(f"{line}: {error}")
            continue
        if any(action.nargs == argparse.REMAINDER for action in found._actions):
            continue  # what follows is the tool's
        known = found._option_string_actions
        options = [
            word.partition("=")[0]
            for word in takewhile(lambda word: word not in {"--", "|"}, rest)
            if word[0] == "-"
        ]
        wrong += [f"{line}: {o}" for o in options for o in o.split("|") if o not in known]
    assert wrong == []
    assert counted > 100


def test_a_test_runs_every_line_that_a_page_shows_or_the_table_says_why_not() -> None:
    """Lines that are equal but for their comments need to be run once, on whatever page."""
    lines = every_line()
    run = {line.command for part in scripts().values() for line in part}
    unknown = [line for line in lines if line.command not in run and not is_only_parsed(line)]
    assert list(map(str, unknown)) == [], "run them (scripts.py), or say there why nothing can"

    stale = [b for b in ONLY_PARSED if not any(line.text.startswith(b) for line in lines)]
    assert stale == []
    tests = {name for why in ONLY_PARSED.values() for name in re.findall(r"tests/[\w/.]+", why)}
    assert [name for name in tests if not (ROOT / name).exists()] == []
    source = Path(__file__).with_name("test_transcripts.py").read_text(encoding="utf-8")
    assert [name for name in scripts() if f'"{name}"' not in source] == []
    # In a block of another kind nobody would look for commands.
    assert {str(page): odd for page in PAGES if (odd := kinds(page) - KINDS)} == {}
