"""PyPI as Poetry knows it: the simple API as JSON, the JSON API, and the host of the files."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

HOST, FILES = "pypi.org", "files.pythonhosted.org"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"


class PyPI:
    """An ASGI application over a folder of wheels, NAME/FILE; for both hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # (path, headers) of each request.
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.max_age = 0

    def asked(self, part: str) -> list[str]:
        """Return the paths of requests that have this in them."""
        return [path for path, _ in self.seen if part in path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = {k.decode(): v.decode("latin-1") for k, v in scope["headers"]}
        path = scope["path"]
        self.seen.append((path, headers))
        status, kind, body = self._answer(path)
        fields = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if self.max_age:
            fields.append((b"cache-control", f"max-age={self.max_age}".encode()))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        content = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if found := re.fullmatch(r"/simple/([^/]+)/", path):
            files = self._files(found[1])
            if files:
                return 200, SIMPLE_JSON, json.dumps(_page(found[1], files)).encode()
        elif found := re.fullmatch(r"/pypi/([^/]+)/([^/]+)/json", path):
            files = [f for f in self._files(found[1]) if _version(f) == found[2]]
            if files:
                return 200, "application/json", json.dumps(_release(files)).encode()
        elif found := re.fullmatch(r"/packages/([^/]+)/([^/]+)", path):
            file = self.folder / found[1] / found[2].removesuffix(".metadata")
            if file.is_file() and path.endswith(".metadata"):
                return 200, "text/plain", _metadata(file).encode()
            if file.is_file():
                return 200, "application/octet-stream", file.read_bytes()
        return 404, "text/plain", b"not here"

    def _files(self, name: str) -> list[Path]:
        folder = self.folder / name
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _version(file: Path) -> str:
    return file.name.removesuffix(".tar.gz").split("-")[1]


def _url(file: Path) -> str:
    return f"https://{FILES}/packages/{file.parent.name}/{file.name}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _metadata(file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def _page(name: str, files: list[Path]) -> dict[str, Any]:
    return {
        "meta": {"api-version": "1.1"},
        "name": name,
        "versions": sorted({_version(file) for file in files}),
        "files": [
            {
                "filename": file.name,
                "url": _url(file),
                "size": file.stat().st_size,
                "upload-time": "2024-01-02T03:04:05.000006Z",
                "hashes": {"sha256": _sha256(file.read_bytes())},
                "requires-python": ">=3.8",
                "yanked": False,
                "core-metadata": {"sha256": _sha256(_metadata(file).encode())},
            }
            for file in files
        ],
    }


def _release(files: list[Path]) -> dict[str, Any]:
    fields = HeaderParser().parsestr(_metadata(files[0]))
    return {
        "info": {
            "name": fields["Name"],
            "version": fields["Version"],
            "summary": fields["Summary"],
            "requires_dist": fields.get_all("Requires-Dist"),
            "requires_python": fields["Requires-Python"],
            "yanked": False,
            "yanked_reason": None,
        },
        "urls": [
            {
                "filename": file.name,
                "packagetype": "bdist_wheel",
                "url": _url(file),
                "size": file.stat().st_size,
                "upload_time_iso_8601": "2024-01-02T03:04:05.000006Z",
                "digests": {"sha256": _sha256(file.read_bytes())},
                "yanked": False,
                "yanked_reason": None,
            }
            for file in files
        ],
    }
