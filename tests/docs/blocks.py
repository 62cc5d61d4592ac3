"""The commands that stand in a page: in blocks, in CI jobs, in tables and in the text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")})
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:crane|hatch-crane) [^`\n]+)`")
JOB = re.compile(
    r"^ +- (?:run: )?((?:pip|pipx|crane|poetry|pdm|hatch|python)\S* .*)$", re.MULTILINE
)
INNER = re.compile(r"\$\((crane [^)]*)\)")
URL = "https://crane.example.com/python"


@dataclass(frozen=True)
class Line:
    """A command line and the page that it is in."""

    page: Path
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text}"

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each of its commands, without variables and redirections."""
        for inner in INNER.findall(self.text):
            yield shlex.split(inner)
        words = shlex.shlex(INNER.sub("X", self.text), posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        before = ""
        for word in [*words, ";"]:
            if word in {"&&", "||", "|", ";", ">"}:
                while command and re.match(r"[A-Za-z_]+=", command[0]):
                    command.pop(0)
                if command and before != ">":
                    yield command
                command, before = [], word
            else:
                command.append(word)


def shown(page: Path, heading: str = "") -> list[Line]:
    """Return what a page shows behind a prompt, of one section if that is named."""
    text = page.read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = []
    for language, body in BLOCK.findall(text):
        if language in {"console", "sh"}:
            lines = body.replace("\\\n", " ").splitlines()
            found += [Line(page, line[2:]) for line in lines if line.startswith("$ ")]
    return found


def in_jobs(page: Path) -> list[Line]:
    """Return what the CI jobs in a page run."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Line(page, c) for kind, body in blocks if kind == "yaml" for c in JOB.findall(body)]


def in_text(page: Path) -> list[Line]:
    """Return the commands of ours that a page names in its text."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8")).replace("\\|", "|")
    return [Line(page, found) for found in INLINE.findall(text)]
