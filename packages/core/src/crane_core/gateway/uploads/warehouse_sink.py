"""Uploads in the legacy form, as PyPI takes them (docs.pypi.org/api/upload), with a Bearer token.

Every part goes on as it came: attestations (PEP 740) too, and what an index of its own may want.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from crane_core.errors import CraneError
from crane_core.gateway.uploads.form import CONTENT, head_of
from crane_core.gateway.uploads.messages import said
from crane_core.gateway.uploads.refusal import FAILED, TEXT, UNCERTAIN, Outcome
from crane_core.index.answer import PageAnswer, refuse_login_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from crane_core.config.model import Index
    from crane_core.gateway.uploads.courier import Courier, Reply
    from crane_core.gateway.uploads.form import Part
    from crane_core.gateway.uploads.incoming import Incoming


class WarehouseSink:
    """Sends forms to indexes that are not Crane servers."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    async def send(self, index: Index, incoming: Incoming, url: str, user_agent: str) -> Outcome:
        """Return what became of an upload. Raises a `CraneError` or `UploadRefused`."""
        boundary = f"crane-{secrets.token_hex(16)}"
        before = _encoded(boundary, incoming.before)
        before += head_of(boundary, CONTENT, incoming.distribution.filename)
        length = None
        if incoming.is_checked:
            length = len(before) + incoming.received + len(_end(boundary, incoming.after))

        is_whole = False

        async def body() -> AsyncIterator[bytes]:
            nonlocal is_whole
            is_whole = False
            yield before
            async for piece in incoming.content():
                yield piece
            # Before the end goes: an index that answers at once must not be taken for hasty.
            is_whole = True
            yield _end(boundary, incoming.after)

        headers = {
            "accept": "*/*",
            "content-type": f"multipart/form-data; boundary={boundary}",
            "user-agent": user_agent,
        }
        try:
            reply = await self._courier.post(index, url, headers, body, length)
        except CraneError:
            if incoming.failure is not None:
                raise incoming.failure from None
            raise
        if 200 <= reply.status < 300:
            # Proxies that want a login in a browser answer so as well.
            refuse_login_page(PageAnswer(url, reply.status, reply.content_type, reply.body))
            if not is_whole:
                return _hasty(index, incoming, reply)
        return _outcome(index, url, incoming, reply)


def _encoded(boundary: str, parts: Sequence[Part]) -> bytes:
    pieces = [head_of(boundary, p.name, p.filename) + p.value + b"\r\n" for p in parts]
    return b"".join(pieces)


def _end(boundary: str, after: Sequence[Part]) -> bytes:
    return b"\r\n" + _encoded(boundary, after) + f"--{boundary}--\r\n".encode()


def _hasty(index: Index, incoming: Incoming, reply: Reply) -> Outcome:
    """Return what an answer is worth that came before the index had been sent the whole file."""
    if incoming.failure is not None:
        raise incoming.failure
    name = incoming.distribution.filename
    return Outcome(UNCERTAIN, f"{index.name} answered HTTP {reply.status} before it had all of "
                   f"{name}: look there whether it is published")  # fmt: skip


def _outcome(index: Index, url: str, incoming: Incoming, reply: Reply) -> Outcome:
    name, status, words = incoming.distribution.filename, reply.status, said(reply)
    body, kind = reply.body, reply.content_type or TEXT
    if 200 <= status < 300:
        # twine takes nothing but 200 for a success.
        return Outcome(200, f"{name} is published at {index.name}", body, kind)
    if 300 <= status < 400:
        # A tool would send the form to nowhere, or without its body.
        to = f" to {reply.location}" if reply.location else ""
        return Outcome(400, f"{index.name} redirects the upload{to}; if that is right: "
                       f"crane index set {index.name} --upload-url URL")  # fmt: skip
    said_so = f": {words}" if words else ""
    if status == 403:
        project = incoming.distribution.project
        text = f"{index.name} does not let you publish {project}{said_so}"
    elif status in {404, 405}:
        text = (
            f"{index.name} takes no uploads at {url} (HTTP {status}); tell where: "
            f"crane index set {index.name} --upload-url URL"
        )
    elif status == 413:
        size = f"{incoming.received / 1e6:.1f} MB"
        text = f"{index.name} takes no file as large as {name} ({size}){said_so}"
    else:
        text = f"{index.name} did not take {name} (HTTP {status}){said_so}"
    # The body as it came: tools look there for what means that a file exists.
    return Outcome(status if 400 <= status < 600 else FAILED, text, body, kind)
