"""The generated listing of a folder without an index page, as HTML and as JSON."""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

    from .access import Identity
    from .repository import Repository

# The words 'Not Found' stand in every real listing: whoever takes a page that contains
# them for a missing one loses all packages.
_SCRIPT = """
    const statusToText = {
        '400': 'Bad Request',
        '401': 'Unauthorized',
        '403': 'Forbidden',
        '404': 'Not Found',
        '500': 'Internal Server Error',
    };
"""

_PAGE = """<!DOCTYPE html>
<html>
<head lang="en">
    <title></title>
    <meta content="text/html; charset=UTF-8" http-equiv="Content-Type"/>
    <meta name="_csrf" content="{csrf}"/>
    <meta name="_csrf_header" content="X-CSRF-TOKEN"/>
</head>
<body>
<div class="container">
    <h1>Directory <code>{title}</code></h1>
    <table data-has-write-access="{writable}">
        <thead>
        <tr><th>Filename</th><th>Last Modified time</th><th>Size</th></tr>
        </thead>
        <tbody>
{rows}
        </tbody>
    </table>
</div>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Entry:
    """A folder or file in a listing. Folders have no size."""

    name: str
    path: str
    modified: str
    size: int | None


def entries(repository: Repository, folder: Path, caller: Identity | None) -> list[Entry]:
    """Return what the caller may see in a folder."""
    # Relative paths, not resolved ones: a repository may be reached through a link.
    root = repository.root.resolve()
    seen = (_entry(root, child) for child in sorted(folder.iterdir()) if child.exists())
    return [entry for entry in seen if repository.readable(entry.path, caller)]


def _entry(root: Path, child: Path) -> Entry:
    stat = child.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    size = None if child.is_dir() else stat.st_size
    return Entry(child.name, child.relative_to(root).as_posix(), modified, size)


def html_listing(path: str, listed: list[Entry], *, writable: bool) -> str:
    """Write the HTML table: plain relative links, no hashes, no other attributes."""
    return _PAGE.format(
        csrf=secrets.token_urlsafe(24),
        title=html.escape(path),
        writable=str(writable).lower(),
        rows="\n".join(_row(entry) for entry in sorted(listed, key=_folders_first)),
        script=_SCRIPT,
    )


def _row(entry: Entry) -> str:
    name = entry.name + ("/" if entry.size is None else "")
    link = f'<a href="{quote(name)}">{html.escape(name)}</a>'
    modified = "" if entry.size is None else entry.modified
    size = "" if entry.size is None else readable_size(entry.size)
    return f"        <tr><td>{link}</td><td>{modified}</td><td>{size}</td></tr>"


def _folders_first(entry: Entry) -> bool:
    return entry.size is not None


def json_listing(listed: list[Entry]) -> dict[str, Any]:
    """Write the JSON form. A folder's path starts at the repository, without its name."""
    folders = [{"name": e.name, "path": f"/{e.path}"} for e in listed if e.size is None]
    files = [
        {
            "name": entry.name,
            "lastModifiedTime": entry.modified,
            "size": entry.size,
            "formattedSize": readable_size(entry.size),
        }
        for entry in listed
        if entry.size is not None
    ]
    token = {"X-CSRF-TOKEN": secrets.token_urlsafe(24)}
    return {"status": "success", "data": {"directories": folders, "files": files, **token}}


def readable_size(size: int) -> str:
    """Write a size as ``512 B`` or ``1.5 KiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in "KMGTPE":
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}iB"
    return f"{value:.1f} EiB"
