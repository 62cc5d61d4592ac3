"""A project page like PyPI's biggest: 30,000 files, 22 MB of JSON, 18 MB of HTML."""

from __future__ import annotations

import hashlib
import json
from typing import Any

FILES = 30_000


def entry(number: int, host: str) -> dict[str, Any]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    python = f"cp{37 + number % 7}"
    name = (
        f"big_lib-{number // 20}.{number % 20}.0.dev20240101-{python}-{python}-"
        "manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    )
    return {
        "core-metadata": {"sha256": digest},
        "data-dist-info-metadata": {"sha256": digest},
        "filename": name,
        "hashes": {"sha256": digest},
        "provenance": None,
        "requires-python": ">=3.7, <3.13",
        "size": 123_456 + number,
        "upload-time": "2024-01-01T00:00:00.000001Z",
        "url": f"{host}/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}",
        "yanked": False,
    }


def as_json(host: str, files: int = FILES) -> bytes:
    """Return the page as PyPI writes it."""
    document = {
        "meta": {"_last-serial": 1, "api-version": "1.4"},
        "name": "big-lib",
        "versions": [f"{n}.0" for n in range(files // 20)],
        "files": [entry(n, host) for n in range(files)],
    }
    return json.dumps(document).encode()


def as_html(host: str, files: int = FILES) -> bytes:
    """Return the page in HTML."""
    anchors = []
    for number in range(files):
        file = entry(number, host)
        digest = file["hashes"]["sha256"]
        anchors.append(
            f'<a href="{file["url"]}#sha256={digest}" data-requires-python="&gt;=3.7, &lt;3.13" '
            f'data-dist-info-metadata="sha256={digest}" data-core-metadata="sha256={digest}">'
            f"{file['filename']}</a><br/>\n"
        )
    head = '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4"></head>'
    return f"{head}<body><h1>Links for big-lib</h1>{''.join(anchors)}</body></html>".encode()
