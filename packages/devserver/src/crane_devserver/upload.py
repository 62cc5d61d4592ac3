"""Uploads as a Crane server takes them: ``POST`` to the file's own path, never twice."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from .asgi import Answer, json_answer
from .multipart import NoPartError, UploadRefusedError, boundary_of, write_part

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = b"file"


def forbidden(path: str) -> Answer:
    """Make the answer to an upload without the right, or to nowhere."""
    return json_answer(403, {"status": "forbidden", "code": 403, "resource": path})


async def receive_upload(request: Request, target: Path, *, shown: str, in_place: bool) -> Answer:
    """Store the part ``file`` at ``target``; ``shown`` is how messages call it.

    With ``in_place`` the file grows at its final path, as on a real server: a broken
    upload then leaves a half file that blocks every later try.
    """
    try:
        boundary_of(request)
        _make_room(target, shown)
        with _growing(target) if in_place else _appearing(target) as sink:
            await write_part(request, _PART, sink)
    except UploadRefusedError as error:
        return _failed(str(error))
    except (OSError, ClientDisconnect):
        return _failed("File upload failed")
    return json_answer(200, {"status": "success", "data": {"message": "File upload succeeded"}})


def _make_room(target: Path, shown: str) -> None:
    if target.exists():
        raise UploadRefusedError(f"File {shown} already exists")
    target.parent.mkdir(parents=True, exist_ok=True)


def _failed(message: str) -> Answer:
    return json_answer(400, {"status": "fail", "data": {"message": message}})


@contextmanager
def _growing(target: Path) -> Iterator[IO[bytes]]:
    with target.open("xb", buffering=0) as sink:
        try:
            yield sink
        except NoPartError:
            # A real server has not made the file yet at this point.
            target.unlink()
            raise


@contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    handle, name = tempfile.mkstemp(prefix=".upload-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            yield sink
        if target.exists():
            raise UploadRefusedError(f"File {target.name} already exists")
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
