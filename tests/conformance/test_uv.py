"""uv at work on the gateway's pages: its parser has no other door."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uv
from conformance.front import HTML, Front
from gateway.upstream import Scripted, whole

from crane_devserver import make_wheel
from crane_devserver.running import serve_in_thread

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def wheel(folder: Path, name: str, version: str) -> bytes:
    return make_wheel(folder, name, version).read_bytes()


def publish(front: Front, folder: Path, form: str) -> tuple[str, dict[str, bytes]]:
    """Put a project of five versions on the index; return its name and the wheels.

    1.0 is the one to take: the later ones are yanked, or for another Python.
    """
    name = front.add("")
    stem = name.replace("-", "_")
    wheels = {f"{stem}-{v}.0-py3-none-any.whl": wheel(folder, name, f"{v}.0") for v in range(4)}
    said: dict[str, dict[str, Any]] = {
        f"{stem}-2.0-py3-none-any.whl": {"yanked": "broken"},
        f"{stem}-3.0-py3-none-any.whl": {"requires-python": ">=3.99"},
    }
    files = []
    for filename, content in wheels.items():
        version = filename.split("-")[1]
        metadata = METADATA.format(name=name, version=version).encode()
        path = f"/files/{name}/{filename}"
        front.put(path, content)
        front.put(f"{path}.metadata", metadata)
        files.append(
            {
                "filename": filename,
                "url": path,
                "size": len(content),
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
                **said.get(filename, {}),
            }
        )
    page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}
    front.upstream.routes[f"/simple/{name}/"] = front.upstream.routes[
        f"/simple/{front.add(page if form == 'json' else as_html(files))}/"
    ]
    return name, wheels


def as_html(files: list[dict[str, Any]]) -> str:
    anchors = ""
    for file in files:
        attributes = f'href="{file["url"]}#sha256={file["hashes"]["sha256"]}"'
        attributes += f' data-core-metadata="sha256={file["core-metadata"]["sha256"]}"'
        if "yanked" in file:
            attributes += f' data-yanked="{file["yanked"]}"'
        if "requires-python" in file:
            attributes += ' data-requires-python="&gt;=3.99"'
        anchors += f"<a {attributes}>{file['filename']}</a>"
    return f"<!DOCTYPE html><title>Links for it</title>{anchors}"


@pytest.fixture
def html_only(front: Front) -> Iterator[str]:
    """Give a server that passes pages on in HTML: uv would always choose JSON."""

    async def page(scope: dict[str, Any], receive: Any, send: Any) -> None:
        with httpx2.Client(trust_env=False) as client:
            url = f"{front.gate.url}/python{scope['path']}"
            answer = client.get(url, headers={"accept": HTML})
        await whole(answer.status_code, answer.content, HTML)(scope, receive, send)

    class Everything(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return page

    with serve_in_thread(Scripted(Everything())) as url:
        yield f"{url}/simple/"


def compile_with_uv(index: str, folder: Path, requirement: str) -> subprocess.CompletedProcess[str]:
    (folder / "in.txt").write_text(requirement)
    command = [
        uv.find_uv_bin(), "pip", "compile", "--no-config", "--no-cache", "--no-header",
        "--generate-hashes", "--python", sys.executable, "--index-url", index, "in.txt",
    ]  # fmt: skip
    # A loopback address needs no proxy, and uv must ask for everything.
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "UV_HTTP_RETRIES": "0"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("reads", ["json", "html"])
def test_uv_reads_what_the_index_says(
    front: Front, tmp_path: Path, html_only: str, form: str, reads: str
) -> None:
    """It passes over what is yanked or for another Python, and asks for metadata, not for files."""
    name, wheels = publish(front, tmp_path, form)
    index = f"{front.gate.url}/python/simple/" if reads == "json" else html_only
    done = compile_with_uv(index, tmp_path, name)

    assert done.returncode == 0, done.stderr
    chosen = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheels[chosen]).hexdigest()
    assert f"{name}==1.0 \\\n    --hash=sha256:{digest}" in done.stdout
    assert front.seen(f"/files/{name}/{chosen}.metadata")
    assert not front.seen(f"/files/{name}/{chosen}"), "the wheel was fetched for its metadata"


def test_uv_takes_a_yanked_file_that_is_pinned_and_shows_why(front: Front, tmp_path: Path) -> None:
    name, _ = publish(front, tmp_path, "html")
    done = compile_with_uv(f"{front.gate.url}/python/simple/", tmp_path, f"{name}==2.0")
    assert done.returncode == 0, done.stderr
    assert f"{name}==2.0" in done.stdout
    assert 'reason: "broken"' in done.stderr
