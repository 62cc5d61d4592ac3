"""The commands that stand in a page: in blocks, in jobs, in images, in tables and in the text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devtasks.mirror import MIRRORED

ROOT = Path(__file__).resolve().parents[2]
# All of the site but what is made at its build, and the first page of the repository.
MADE = {*ROOT.glob("docs/repository/*.md"), ROOT / "docs" / "reference" / "commands.md"}
PAGES = sorted(
    {ROOT / "README.md", *(ROOT / n for n in MIRRORED), *ROOT.glob("docs/**/*.md")} - MADE
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:crane|hatch-crane) [^`\n]+)`")
# An item of a list that is no key of its own: `- uses: …`, `- 3.12`.
JOB = re.compile(r"^ +- (?:run: )?(?!\w+:)(\S+ .*)$", re.MULTILINE)
RUN = re.compile(r"^RUN ((?:.*\\\n)*.*)$", re.MULTILINE)
INNER = re.compile(r"\$\((crane [^)]*)\)")
SERVER = "https://crane.example.com"
URL = f"{SERVER}/python"
# Of which kind a block is: a session, a shell's script, a job, an image; and what runs nothing.
SHOWN = {"console", "sh"}
KINDS = {*SHOWN, "yaml", "dockerfile", "toml", "text", "json"}


@dataclass(frozen=True)
class Line:
    """A command line and the page that it is in."""

    page: Path
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text}"

    @property
    def command(self) -> str:
        """The line without its comment; equal ones do the same, on whatever page they are."""
        return " ".join(re.sub(r" +# .*", "", self.text).split())

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
        if language in SHOWN:
            lines = body.replace("\\\n", " ").splitlines()
            found += [Line(page, line[2:]) for line in lines if line.startswith("$ ")]
    return found


def in_jobs(page: Path) -> list[Line]:
    """Return what the CI jobs in a page run."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Line(page, c) for kind, body in blocks if kind == "yaml" for c in JOB.findall(body)]


def in_images(page: Path) -> list[Line]:
    """Return what the images in a page run, each of what `&&` joins by itself."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    runs = [r for kind, body in blocks if kind == "dockerfile" for r in RUN.findall(body)]
    whole = (re.sub(r"--mount=\S+ ", "", " ".join(r.replace("\\\n", " ").split())) for r in runs)
    return [Line(page, part) for text in whole for part in text.split(" && ")]


def kinds(page: Path) -> set[str]:
    """Return of which kinds a page's blocks are."""
    return set(re.findall(r"^```([^`\n{]+)$", page.read_text(encoding="utf-8"), re.MULTILINE))


def every_line() -> list[Line]:
    """Return all lines that pages show, and that jobs and images of theirs run."""
    return [line for page in PAGES for part in (shown, in_jobs, in_images) for line in part(page)]


def in_text(page: Path) -> list[Line]:
    """Return the commands of ours that a page names in its text."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8")).replace("\\|", "|")
    return [Line(page, found) for found in INLINE.findall(text)]
