"""pip's, Poetry's and PDM's own parsers on the gateway's pages, and uv at work.

What they read must be what the index says, whichever form either side speaks.
"""

from __future__ import annotations

import ensurepip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conformance.front import Front
from conformance.rows import MD5, SHA256, SHA512
from support.tooling import Toolbox, toolbox

__all__ = ["toolbox"]

# One worker: Poetry and PDM are installed once.
pytestmark = pytest.mark.xdist_group("parsers")
PARSERS = Path(__file__).parent / "parsers"
# The newest one, and the one that this Python carries, out of its wheel.
PIPS = ["", *map(str, (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))]
FILES: list[dict[str, Any]] = [
    {"filename": "lib-1.0-py3-none-any.whl", "hashes": {"sha256": SHA256}},
    {"filename": "lib-1.0.tar.gz", "hashes": {"md5": MD5}, "requires-python": ">=3.7,<4"},
    {"filename": "lib-1.1+local.tar.gz", "hashes": {"sha512": SHA512}, "yanked": True},
    {"filename": "lib-1.2.zip", "hashes": {}, "yanked": 'broken: <b> & "é"'},
    {
        "filename": "lib-1.3-py3-none-any.whl",
        "hashes": {"sha256": SHA256},
        "core-metadata": {"sha256": "d" * 64},
        "url": "../../elsewhere/lib-1.3-py3-none-any.whl",
    },
    {"filename": "lib-1.4-py3-none-any.whl", "hashes": {}, "core-metadata": True, "yanked": False},
    {"filename": "lib-1.5-py3-none-any.whl", "hashes": {}, "core-metadata": False},
    {"filename": "lib-1.6-cp311-cp311-manylinux_2_17_x86_64.whl", "hashes": {"sha256": SHA256},
     "url": "https://files.example/a/lib-1.6-cp311-cp311-manylinux_2_17_x86_64.whl"},
]  # fmt: skip


def escaped(text: str) -> str:
    import html

    return html.escape(text)


def as_json() -> dict[str, Any]:
    """Return the page as an index in JSON has it."""
    files = [{"url": f["filename"], "size": 1, **f} for f in FILES]
    return {"meta": {"api-version": "1.4"}, "name": "lib", "versions": [], "files": files}


def as_html() -> str:
    """Return the page as an index in HTML has it."""
    anchors = []
    for file in FILES:
        href = file.get("url", file["filename"])
        for name, digest in file["hashes"].items():
            href += f"#{name}={digest}"
        attributes = f'href="{href}"'
        if requires := file.get("requires-python"):
            attributes += f' data-requires-python="{escaped(requires)}"'
        if yanked := file.get("yanked"):
            attributes += f' data-yanked="{"" if yanked is True else escaped(yanked)}"'
        if metadata := file.get("core-metadata"):
            value = "true" if metadata is True else f"sha256={metadata['sha256']}"
            attributes += f' data-core-metadata="{value}"'
        anchors.append(f"<a {attributes}>{file['filename']}</a>")
    return f"<!DOCTYPE html><title>Links for lib</title>{''.join(anchors)}"


def expected(front: Front, name: str) -> list[dict[str, Any]]:
    """Return what a tool must make of the page."""
    here = f"{front.gate.url}/python/files"
    facts = []
    for file in FILES:
        url = file.get("url", f"../{name}/{file['filename']}")
        yanked, metadata = file.get("yanked", False), file.get("core-metadata", False)
        facts.append(
            {
                "filename": file["filename"],
                "url": url.replace("../../", f"{here}/").replace("../", f"{here}/simple/"),
                "hashes": file["hashes"],
                "requires_python": file.get("requires-python"),
                "yanked": None if yanked is False else "" if yanked is True else yanked,
                "metadata": None if metadata is False else {} if metadata is True else metadata,
            }
        )
    return sorted(facts, key=lambda fact: str(fact["filename"]))


def read_with(
    python: str, script: str, url: str, form: str, **variables: str
) -> list[dict[str, Any]]:
    """Run a script of ours in a tool's environment."""
    done = subprocess.run(
        [python, str(PARSERS / script), url, form],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts: list[dict[str, Any]] = json.loads(done.stdout)
    for fact in facts:
        # `+` and its escape are one; each tool writes what it likes.
        fact["url"] = fact["url"].replace("%2B", "+")
    return facts


@pytest.fixture(params=["json", "html"])
def page(request: pytest.FixtureRequest, front: Front) -> str:
    """Give a project whose page the index has in one form or the other."""
    return front.add(as_json() if request.param == "json" else as_html())


in_both_forms = pytest.mark.parametrize("form", ["json", "html"])


@in_both_forms
@pytest.mark.parametrize("pip", PIPS)
def test_pip_reads_what_the_index_says(front: Front, page: str, form: str, pip: str) -> None:
    url = f"{front.gate.url}/python/simple/{page}/"
    facts = read_with(sys.executable, "with_pip.py", url, form, PYTHONPATH=pip)
    assert facts == expected(front, page)


@in_both_forms
@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_poetry_and_pdm_read_what_the_index_says(
    front: Front, page: str, form: str, tool: str, toolbox: Toolbox
) -> None:
    python = toolbox.program("python", tool)
    url = f"{front.gate.url}/python/simple/{page}/"
    assert read_with(python, f"with_{tool}.py", url, form) == expected(front, page)
