"""What crane says: every command and option of its own in a message is there to be typed."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from docs.blocks import ROOT
from docs.test_commands import leaf, whole_parser

SOURCES = sorted(
    path
    for package in ("core", "cli", "poetry-plugin", "pdm-plugin", "hatch-plugin")
    for path in (ROOT / "packages" / package / "src").rglob("*.py")
    # Its commands are Poetry's: `poetry crane trust`.
    if path.parts[-2:] != ("poetry_plugin_crane", "commands.py")
)
# As in `run: crane login firm`; the words end where the sentence goes on.
COMMAND = re.compile(r"(?<![\w./-])crane((?: (?!or\b|and\b|with\b)[\w./:*'{}\[\]=…-]+)+)")
# After them it is a sentence: `crane serves on port 9999`.
SENTENCES = {
    "adds", "against", "belongs", "builds", "can", "could", "does", "finds", "for", "has", "is",
    "itself", "knows", "logins", "logs", "makes", "printed", "process", "serves", "should",
    "stands", "takes", "would",
}  # fmt: skip
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Options of the tools that a message tells of; those of `crane pip` stand in front of pip's own.
FOREIGN = {
    "--upgrade", "--python", "--route",
}  # fmt: skip


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield all texts of a module but docstrings, with `{}` for what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)
        if isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
            yield node.lineno, "".join(parts)


def every_option(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a parser and of all commands below it."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found |= every_option(below)
    return found


def wrong(text: str) -> Iterator[str]:
    """Yield the commands in a message that nobody could run."""
    for match in COMMAND.finditer(text):
        words = [word for w in match[1].split() if (word := w.partition("{}")[0].rstrip(".:…"))]
        if not words or words[0][0] == "-" or words[0] in SENTENCES:
            continue
        try:
            found, rest = leaf(words)
        except AssertionError as error:
            yield f"{match[0]}: {error}"
            continue
        if any(action.nargs == argparse.REMAINDER for action in found._actions):
            continue
        options = [word for word in takewhile(lambda word: word != "--", rest) if word[0] == "-"]
        yield from (f"{match[0]}: {o}" for o in options if o not in found._option_string_actions)


def test_every_command_in_a_message_is_one_that_crane_takes() -> None:
    found, counted = [], 0
    for path in SOURCES:
        for line, text in messages(path):
            counted += len(COMMAND.findall(text))
            found += [f"{path.relative_to(ROOT)}:{line}: {problem}" for problem in wrong(text)]
    assert found == []
    assert counted > 150


def test_every_option_in_a_message_is_one_of_cranes_or_of_the_tool_that_it_tells_of() -> None:
    known = every_option(whole_parser()) | FOREIGN
    hints = [
        (path, node.lineno, text)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "hint"
        for text in [ast.unparse(node.value)]
    ]
    assert len(hints) > 150
    assert [
        f"{path.relative_to(ROOT)}:{line}: {option}"
        for path, line, text in hints
        for option in OPTION.findall(text)
        if option not in known
    ] == []


def test_no_message_sends_anybody_to_a_file_that_only_a_clone_has() -> None:
    places = re.compile(r"\bdocs/|\w\.md\b|\bdev\.py\b")
    # These two are the reference's own text.
    sources = [path for path in SOURCES if path.name not in {"keys.py", "variables.py"}]
    texts = [(path, line, text) for path in sources for line, text in messages(path)]
    assert [f"{path.name}:{line}" for path, line, text in texts if places.search(text)] == []
