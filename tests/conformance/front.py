"""A gateway in front of an index that the test writes, page by page."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway.harness import Gate, Home, new_home
from gateway.upstream import Handler, Scripted, whole
from idp.oidc import Realm
from support.world import KEPT

from crane_core.config.model import Index
from crane_devserver.running import serve_in_thread

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
ROOT = b"<!DOCTYPE html><title>Simple index</title>"
_numbers = itertools.count(1)


@dataclass(repr=False)
class Front:
    """The index's pages, the gateway before them, and the names that are taken.

    The index is at `/simple/`, so its login is good for the whole host.
    """

    upstream: Scripted
    upstream_url: str
    gate: Gate
    home: Home
    index: Index
    names: Iterator[int] = field(default_factory=lambda: _numbers)

    def add(
        self, page: str | bytes | dict[str, Any], content_type: str = "", **headers: str
    ) -> str:
        """Put a page on the index, of a project that nobody has asked for; return its name."""
        name = f"project-{next(self.names)}"
        if isinstance(page, dict):
            body, kind = json.dumps(page).encode(), JSON
        else:
            body, kind = page.encode() if isinstance(page, str) else page, "text/html"
        self.upstream.routes[f"/simple/{name}/"] = whole(200, body, content_type or kind, **headers)
        return name

    def put(self, path: str, handler: Handler | bytes) -> str:
        """Put a file on the index, and return its URL at the gateway."""
        if isinstance(handler, bytes):
            handler = whole(200, handler, "application/octet-stream")
        self.upstream.routes[path] = handler
        return f"{self.gate.url}/{self.index.name}/files{path}"

    def get(self, name: str, accept: str = JSON) -> httpx2.Response:
        """Ask the gateway for a project's page."""
        return self.gate.get(f"/python/simple/{name}/", accept=accept)

    def seen(self, path: str) -> list[dict[str, str]]:
        """Return the headers of each request that reached the index for a path."""
        return [headers for _, asked, headers in self.upstream.requests if asked == path]


@contextmanager
def front_before(realm: Realm, folder: Path, fallback: str = "none") -> Iterator[Front]:
    """Serve an empty index and a gateway before it, for a user who is logged in."""
    upstream = Scripted({"/simple/": whole(200, ROOT)})
    home = new_home(folder / "home", realm)
    with pytest.MonkeyPatch.context() as patch, serve_in_thread(upstream) as url:
        for name in set(os.environ) - set(KEPT):
            if "proxy" in name.lower():
                patch.delenv(name)
        index = Index(name="python", url=f"{url}/simple", issuer=realm.issuer, fallback=fallback)
        home.login(index)
        with home.serve(index) as gate:
            yield Front(upstream, url, gate, home, index)
