"""Uploads as tools send them, byte by byte where a test needs it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from gateway.harness import Gate, Home, index_of
from support.world import World

from crane_core.config.model import Index
from crane_core.gateway.guard import Guard, loopback_hosts

WRITERS = frozenset({"everyone"})


def guard(port: int) -> Guard:
    """Return the guard of `crane serve` without `--token`."""
    return Guard(loopback_hosts("127.0.0.1", port), None, frozenset({os.getuid()}))


def fields_of(path: Path, **changed: str | None) -> dict[str, str]:
    """Return the form's fields for a file; None takes one out."""
    content = path.read_bytes()
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    fields: dict[str, str | None] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.2",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel" if path.suffix == ".whl" else "sdist",
        "sha256_digest": hashlib.sha256(content).hexdigest(),
        "md5_digest": hashlib.md5(content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(content, digest_size=32).hexdigest(),
    } | changed
    return {key: value for key, value in fields.items() if value is not None}


def encoded(
    path: Path, fields: dict[str, str], filename: str | None = None, *, first: bool = False
) -> tuple[str, bytes]:
    """Return content type and body of a form; `first` puts the file before the fields."""
    boundary = secrets.token_hex(8)
    texts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in fields.items()
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
        f'filename="{filename or path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + path.read_bytes() + b"\r\n"  # fmt: skip
    parts = file + texts if first else texts + file
    return f"multipart/form-data; boundary={boundary}", parts + f"--{boundary}--\r\n".encode()


@dataclass
class Desk:
    """A gateway before one index, and somebody who uploads to it."""

    world: World
    home: Home
    index: Index
    gate: Gate

    def upload(
        self,
        path: Path,
        to: str = "/python/legacy/",
        filename: str | None = None,
        *,
        first: bool = False,
        headers: dict[str, str] | None = None,
        **changed: str | None,
    ) -> httpx2.Response:
        """Upload a file; `changed` are the form's fields that are to be others."""
        kind, body = encoded(path, fields_of(path, **changed), filename, first=first)
        return self.gate.http.post(
            self.gate.url + to, content=body, headers={"content-type": kind, **(headers or {})}
        )

    def posts(self) -> list[str]:
        """Return the paths of the uploads that have reached the index."""
        return [r.path for r in self.world.crane.requests if r.method == "POST"]

    def stored(self) -> set[str]:
        """Return the files at the index."""
        root = self.world.private
        return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


@contextmanager
def desk_at(world: World, home: Home, **settings: Any) -> Iterator[Desk]:
    """Give a gateway before a world's index, with ada logged in."""
    index = index_of(world, **settings)
    home.login(index)
    with home.serve(index, guard=guard) as gate:
        yield Desk(world, home, index, gate)
