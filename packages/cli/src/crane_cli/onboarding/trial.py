"""A first download from the index, into a folder that is gone afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crane_cli.findings import Finding, good, warning
from crane_core.errors import CraneError, InterpreterNotFound
from crane_core.urls import without_simple

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_core.config.model import Index
    from crane_core.index.root import RootPage

LIMIT = 300.0  # seconds


def try_download(here: Context, index: Index, project: str | None) -> tuple[str | None, Finding]:
    """Let pip download a project, the first of the index if none is named; nothing is installed.

    Raises a `CraneError` if the index cannot be asked.
    """
    from crane_core.clients.interpreter import find_python

    if project is None:
        root, project = asyncio.run(_first_project(here, index))
        if project is None:
            return None, _nothing_to_try(index, root)
    try:
        python = find_python(here.environ, None)
    except InterpreterNotFound as error:
        return project, warning(f"no download was tried: {error.message}", error.hint)
    with tempfile.TemporaryDirectory(prefix="crane-setup-") as folder:
        command = [
            sys.executable, "-m", "crane_cli", "pip", "--python", python, "download", "--quiet",
            "--no-deps", "--dest", folder, "--index-url", index.url, project,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, env=dict(here.environ), check=False, timeout=LIMIT, text=True,
                errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, cwd=folder,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return project, Finding("bad", f"pip did not get {project} in {LIMIT:.0f} s")
        names = [path.name for path in Path(folder).iterdir()]
    if done.returncode == 0 and names:
        return project, _downloaded(here, index, project, names[0])
    said = [line for line in done.stdout.splitlines() if line.strip()] or ["nothing"]
    return project, Finding(
        "bad",
        f"pip could not download {project}: {said[-1].strip()[:300]}",
        f"run: crane doctor {index.name}",
        done.returncode or 1,
    )


def _downloaded(here: Context, index: Index, project: str, filename: str) -> Finding:
    from packaging.utils import canonicalize_name

    from crane_core.index.candidates import name_and_version
    from crane_core.index.provenance import has_served

    # The file's name has it as it is, whatever version was asked for.
    name = canonicalize_name(name_and_version(filename)[0])
    if has_served(here.paths.provenance, index.token_prefix, name):
        return good(f"pip downloaded {filename} from {index.name}")
    return warning(
        f"pip downloaded {filename} from {index.fallback_url}, since {index.name} has no {project}",
        f"name one that it has: crane setup {index.name} --test PROJECT",
    )


def _nothing_to_try(index: Index, root: RootPage | None) -> Finding:
    if root is not None:
        return warning(f"{index.name} lists no project, so no download was tried")
    # Somebody who has mistyped the URL sees the same; not every index has its pages at /simple.
    perhaps = without_simple(index.url)
    fix = f"crane setup {perhaps}, or " if perhaps != index.url else ""
    return warning(
        f"{index.name} answers 'not found', which may mean 'no access', so no download was tried",
        f"compare {index.url} with what your firm says: {fix}crane setup {index.name} "
        "--test PROJECT if it is right",
    )


async def _first_project(here: Context, index: Index) -> tuple[RootPage | None, str | None]:
    from crane_cli.context import auth
    from crane_cli.stored_tokens import StoredTokens
    from crane_core.auth.broker import Broker
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.source import PrivateIndex

    async with auth(here) as parts, Broker(parts) as broker:
        upstream = Upstream(parts.clients, StoredTokens(broker), here.clock)
        source = PrivateIndex(index, partial(upstream.page, index=index), here.clock)
        root = await source.root()
        for project in sorted(root.projects)[:10] if root else ():
            try:
                page = await source.owned_page(project)
            except CraneError:
                continue  # one that this user may not read says nothing of the others
            if page and any(f["filename"].endswith("none-any.whl") for f in page.page.files):
                return root, project
        return root, next(iter(sorted(root.projects)), None) if root else None
