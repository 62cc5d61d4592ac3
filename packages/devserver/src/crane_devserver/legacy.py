"""Uploads as PyPI takes them: the legacy form (docs.pypi.org/api/upload), and its answers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from .asgi import Answer
from .upload import forbidden

if TYPE_CHECKING:
    from pathlib import Path

    from .access import Identity
    from .repository import Repository

_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_DIGESTS = {"sha256_digest": "sha256", "md5_digest": "md5", "blake2_256_digest": "blake2b"}


@dataclass(frozen=True)
class LegacyUpload:
    """A form that was taken: its fields, in their order, and the file's name and bytes' digest."""

    fields: tuple[tuple[str, str], ...]
    filename: str
    sha256: str
    user: str = field(default="")

    def value(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key == name), None)


async def receive_form(
    request: Request, repository: Repository, caller: Identity | None, taken: list[LegacyUpload]
) -> Answer:
    """Store the file of a form in its project's folder, and note the form in ``taken``."""
    try:
        async with request.form(max_part_size=16 << 20) as form:
            fields = tuple((k, v) for k, v in form.multi_items() if isinstance(v, str))
            content: Any = form.get("content")
            if dict(fields).get(":action") != "file_upload" or not hasattr(content, "read"):
                return _plain(400, "Upload payload does not have a file.")
            body = await content.read()
            name = content.filename
    except (MultiPartException, ClientDisconnect):
        return _plain(400, "Invalid form")
    project = re.sub(r"[-_.]+", "-", dict(fields).get("name", "")).lower()
    if not _FILENAME.fullmatch(name) or not project:
        return _plain(400, "Invalid file name or project name")
    if not repository.writable(project, caller):
        return forbidden(request.url.path)
    for key, algorithm in _DIGESTS.items():
        options = {"digest_size": 32} if algorithm == "blake2b" else {}
        stated = dict(fields).get(key)
        if stated and getattr(hashlib, algorithm)(body, **options).hexdigest() != stated:
            return _plain(400, f"The digest supplied ({key}) does not match the uploaded file.")
    return _stored(repository.root / project / name, body, LegacyUpload(
        fields, name, hashlib.sha256(body).hexdigest(), caller.user if caller else ""
    ), taken)  # fmt: skip


def _stored(target: Path, body: bytes, upload: LegacyUpload, taken: list[LegacyUpload]) -> Answer:
    if target.exists():
        if target.read_bytes() == body:
            return _plain(200, "")
        return _plain(400, f"File already exists ({target.name!r}). See the index's help.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    taken.append(upload)
    return _plain(200, "")


def _plain(status: int, text: str) -> Answer:
    return Answer(status, f"{text}\n".encode(), (("content-type", "text/plain"),))
