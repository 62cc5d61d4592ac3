"""Writing index pages over a folder of distributions (PEP 503, PEP 658, PEP 714)."""

from __future__ import annotations

import hashlib
import html
from email.parser import BytesParser
from typing import TYPE_CHECKING
from urllib.parse import quote

from .wheels import normalized, wheel_metadata

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = """<!DOCTYPE html>
<html>
<head>
<meta name="pypi:repository-version" content="1.0">
<title>{title}</title>
</head>
<body>
{links}
</body>
</html>
"""
_SUFFIXES = (".whl", ".tar.gz", ".zip")


def write_simple_pages(folder: Path) -> Path:
    """Write ``folder/simple/`` over the projects ``folder/PROJECT/FILES``.

    The pages link to the files where they lie, relatively, with their hashes; each wheel
    gets its ``.metadata`` file beside it. Returns the folder with the pages.
    """
    simple = folder / "simple"
    projects = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry != simple]
    names = sorted({normalized(project.name) for project in projects})
    for project in projects:
        links = [_file_link(file) for file in sorted(project.iterdir()) if _is_file(file)]
        _write(simple / normalized(project.name), f"Links for {project.name}", links)
    _write(simple, "Simple index", [f'<a href="{name}/">{name}</a><br>' for name in names])
    return simple


def _is_file(path: Path) -> bool:
    return path.name.endswith(_SUFFIXES)


def _file_link(path: Path) -> str:
    url = f"../../{quote(path.parent.name)}/{quote(path.name)}#sha256={_sha256(path.read_bytes())}"
    attributes = _wheel_attributes(path) if path.suffix == ".whl" else ""
    return f'<a href="{url}"{attributes}>{html.escape(path.name)}</a><br>'


def _wheel_attributes(wheel: Path) -> str:
    metadata = wheel_metadata(wheel)
    wheel.with_name(wheel.name + ".metadata").write_bytes(metadata)
    digest = f"sha256={_sha256(metadata)}"
    # Both names: the first is what the standard says now, the second what old tools read.
    found = f' data-core-metadata="{digest}" data-dist-info-metadata="{digest}"'
    python = BytesParser().parsebytes(metadata).get("Requires-Python")
    return found + (f' data-requires-python="{html.escape(python)}"' if python else "")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(folder: Path, title: str, links: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page = _PAGE.format(title=html.escape(title), links="\n".join(links))
    (folder / "index.html").write_text(page, encoding="utf-8")
