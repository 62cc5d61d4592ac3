"""How Sphinx builds the site of docs/; the reasons are in docs/decisions/0020."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crane_core import __version__
from devtasks.mirror import relinked

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "crane"
author = "The crane authors"
release = version = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"crane {release}"
html_show_copyright = False
html_copy_source = False
# Pages are plain Markdown, which GitHub shows, too, and link to headings as GitHub calls them.
myst_heading_anchors = 4

# A code block in a language that its lexer does not like is shown as it is.
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Sphinx) -> None:
    """Let links that leave docs/ lead to the pages of those files."""
    app.connect("source-read", _relink)


def _relink(app: Sphinx, name: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    source[0] = relinked(source[0], page, page)
