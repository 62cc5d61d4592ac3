"""Pages of the repository outside docs/ that the site has, too, and links between both.

In the repository a link leads to the file where it is; on the site it leads to that file's page,
or, where there is none, as for code, only its text is left. That the files are there, tests/docs
checks.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs"
FOLDER = PAGES / "repository"  # git does not know it
MIRRORED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/results.md": "results.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def write() -> None:
    """Write the mirrored pages where Sphinx finds them."""
    FOLDER.mkdir(exist_ok=True)
    for source, name in MIRRORED.items():
        path = ROOT / source
        text = relinked(path.read_text(encoding="utf-8"), path, FOLDER / name)
        target = FOLDER / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8", newline="\n")


def relinked(text: str, source: Path, shown: Path) -> str:
    """Return a page's text with its links as they are where the page is shown on the site."""

    def changed(link: re.Match[str]) -> str:
        image, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        if ":" in target:
            return link[0]
        file = Path(os.path.normpath(source.parent / target))
        if file.is_relative_to(PAGES):
            place = file
        elif mirrored := MIRRORED.get(file.relative_to(ROOT).as_posix()):
            place = FOLDER / mirrored
        elif file.exists():
            return words
        else:
            return link[0]  # Sphinx says that it leads nowhere
        way = os.path.relpath(place, shown.parent).replace(os.sep, "/")
        return f"{image}[{words}]({way}{anchor})"

    return LINK.sub(changed, text)
