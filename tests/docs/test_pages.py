"""The repository's pages: every path, link and table in them is as the code and the files are."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from crane_core.config.keys import KEYS
from crane_core.config.model import Index
from crane_core.variables import VARIABLES
from devtasks import reference
from devtasks.mirror import LINK

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
# Made at each build of the site.
GENERATED = {ROOT / "docs/reference/commands.md"}
CODE_SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """All pages that are kept in the repository, or are about to be."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [ROOT / name for name in sorted(done.stdout.split()) if (ROOT / name).exists()]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to a page's headings."""
    found = re.findall(r"^#{1,6} +(.*?) *$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", LINK.sub(r"\2", heading).lower()) for heading in found]
    return {heading.strip().replace(" ", "-") for heading in plain}


def broken(page: Path) -> Iterator[str]:
    for link in LINK.finditer(prose(page)):
        target, anchor = link[3], (link[4] or "")[1:]
        if ":" in target:
            continue
        file = (page.parent / target).resolve()
        if file in GENERATED:
            continue
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: {target}"
        elif anchor and anchor not in anchors(file):
            yield f"{page.relative_to(ROOT)}: {target}#{anchor}"


def test_every_link_leads_to_a_file_and_a_heading_that_are_there() -> None:
    assert [line for page in pages() for line in broken(page)] == []


def test_every_path_that_contributing_names_is_there() -> None:
    spans = CODE_SPAN.findall(prose(ROOT / "CONTRIBUTING.md"))
    paths = {span for span in spans if "/" in span and " " not in span}
    made = {"site/index.html", "dist/"}
    assert len(paths) > 40
    assert [path for path in sorted(paths - made) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("table", reference.TABLES)
def test_the_tables_are_as_the_code_has_them(table: str) -> None:
    """Where this fails: python3 dev.py docs."""
    region = re.compile(rf"<!-- from the code: {table}[^>]*-->\n(.*?)<!-- end -->", re.DOTALL)
    found = [m for page in pages() for m in region.findall(page.read_text(encoding="utf-8"))]
    assert found == [reference.TABLES[table]()]


def test_every_key_of_an_index_is_explained() -> None:
    explained = [name for key in KEYS for name in key.names]
    known = [field.name.replace("_", "-") for field in fields(Index) if field.name != "name"]
    assert sorted(explained) == sorted(known)


def test_every_variable_of_ours_is_explained_and_every_explained_one_is_ours() -> None:
    """A name in the code is a string of its own, or the beginning of one that a name follows."""
    explained = {re.sub(r"<NAME>|\*", "", name) for entry in VARIABLES for name in entry.names}
    table = ROOT / "packages/core/src/crane_core/variables.py"
    used = {name for path in SOURCES if path != table for name in variables_in(path)}
    assert used - {"CRANE_"} == explained


def variables_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    return {s for s in strings if isinstance(s, str) and re.fullmatch(r"CRANE_[A-Z_]*", s)}


def test_every_command_is_in_the_reference_with_its_options() -> None:
    text = reference.commands()
    for expected in (
        "## crane index register\n", "## crane cache purge\n", "## crane run\n", "--upload-layout",
        "## crane publish\n",
    ):  # fmt: skip
        assert expected in text
