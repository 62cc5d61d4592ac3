"""The folder that the measured index serves: pages in both forms (PEP 503, PEP 691), and files."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILES = "/repo/files"
PACKED = 4
# Page names below the site's folder, and whether the metadata files are announced there (PEP 658).
FORMS = {"simple": True, "bare": False, "large": True}


@dataclass(frozen=True)
class Distribution:
    """One file entry of a page."""

    filename: str
    version: str
    sha256: str
    size: int
    requires_python: str | None = None
    metadata_sha256: str | None = None

    def entry(self, *, metadata: bool) -> dict[str, Any]:
        """Return it as PEP 691 has it. The link is absolute: some proxies bend relative ones."""
        entry: dict[str, Any] = {
            "filename": self.filename,
            "url": f"{FILES}/{self.filename}",
            "hashes": {"sha256": self.sha256},
            "size": self.size,
            "upload-time": "2026-01-01T00:00:00Z",
            "yanked": False,
        }
        if self.requires_python:
            entry["requires-python"] = self.requires_python
        if metadata and self.metadata_sha256:
            entry["core-metadata"] = {"sha256": self.metadata_sha256}
        return entry


@dataclass
class Site:
    """The folder, and what has been written to it."""

    folder: Path
    projects: list[str] = field(default_factory=list)

    def add(self, project: str, distributions: Iterable[Distribution]) -> None:
        """Write a project's page in every form."""
        listed = list(distributions)
        for form in FORMS:
            self.write(form, project, listed)
        self.projects.append(project)

    def write(self, form: str, project: str, listed: Sequence[Distribution]) -> None:
        """Write a project's page in one form."""
        entries = [distribution.entry(metadata=FORMS[form]) for distribution in listed]
        document = {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({distribution.version for distribution in listed}),
            "files": entries,
        }
        self._write(f"{form}/{project}", document, _html(entries))

    def finish(self) -> None:
        """Write the list of projects."""
        names = sorted(self.projects)
        entries = [{"name": name} for name in names]
        document = {"meta": {"api-version": "1.1"}, "projects": entries}
        links = "".join(f'<a href="/repo/simple/{name}/">{name}</a>\n' for name in names)
        for form in FORMS:
            self._write(form, document, links)

    def file(self, name: str) -> Path:
        """Return where a file of that name is served from."""
        path = self.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, place: str, document: dict[str, Any], links: str) -> None:
        folder = self.folder / place
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document).encode()
        (folder / "index.json").write_bytes(text)
        (folder / "index.json.gz").write_bytes(gzip.compress(text, PACKED))
        head = '<meta name="pypi:repository-version" content="1.1">'
        (folder / "index.html").write_text(
            f"<!DOCTYPE html><html><head>{head}</head><body>\n{links}</body></html>\n"
        )


def _html(entries: list[dict[str, Any]]) -> str:
    return "".join(f"<a {_attributes(entry)}>{entry['filename']}</a><br>\n" for entry in entries)


def _attributes(entry: dict[str, Any]) -> str:
    attributes = {"href": f"{entry['url']}#sha256={entry['hashes']['sha256']}"}
    if wanted := entry.get("requires-python"):
        attributes["data-requires-python"] = wanted
    if metadata := entry.get("core-metadata"):
        attributes["data-core-metadata"] = f"sha256={metadata['sha256']}"
    return " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())


def older_versions(project: str, count: int) -> list[Distribution]:
    """Return entries of versions that nobody wants, since real pages have many.

    Each `0.postN` comes before every real version; the files are not there.
    """
    name = project.replace("-", "_")
    return [
        Distribution(
            f"{name}-0.post{number}-py3-none-any.whl",
            f"0.post{number}",
            hashlib.sha256(f"{name}{number}".encode()).hexdigest(),
            50_000 + number,
            ">=3.8",
            hashlib.sha256(f"metadata {name}{number}".encode()).hexdigest(),
        )
        for number in range(count)
    ]


def random_file(path: Path, size: int) -> str:
    """Write bytes that no compression shrinks, and return their SHA-256."""
    digest, left = hashlib.sha256(), size
    with path.open("wb") as file:
        while left:
            chunk = os.urandom(min(left, 1 << 20))
            digest.update(chunk)
            file.write(chunk)
            left -= len(chunk)
    return digest.hexdigest()
