"""Sending a form through the agent, as any tool does; for `crane publish`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from crane_core.errors import (
    AgentTrouble,
    CraneError,
    DiskFull,
    IndexRefused,
    IndexUnreachable,
    NotPublished,
)
from crane_core.http import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crane_core.clients.in_process import Way
    from crane_core.clients.legacy_form import Form

OURS = "crane: "
# The agent says every few seconds that its answer will come.
LIMITS = httpx2.Timeout(connect=10.0, read=60.0, write=600.0, pool=10.0)


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of an upload that did not fail: the file is there now, or was before."""

    text: str
    is_other: bool = False


class Uploader:
    """Sends forms to one URL."""

    def __init__(self, way: Way, url: str) -> None:
        self._url = url
        trust = ssl.create_default_context(cafile=way.bundle)
        proxy = httpx2.Proxy(way.proxy.reveal())
        self._client = httpx2.Client(
            proxy=proxy, verify=trust, trust_env=False, timeout=LIMITS, follow_redirects=False
        )

    def send(self, form: Form, advance: Callable[[int], None]) -> Told:
        """Send a form; `advance` is told how many bytes more are on their way.

        A file of that name with other bytes is told, and no error: what that means is for whoever
        sends it to say. Raises a `CraneError` if the file is not there now.
        """

        def pieces() -> Iterator[bytes]:
            for piece in form.pieces():
                yield piece
                advance(len(piece))

        try:
            headers = {
                "content-type": form.content_type,
                "content-length": str(form.length),
                "user-agent": USER_AGENT,
            }
            answer = self._client.post(self._url, content=pieces(), headers=headers)
        except httpx2.TransportError as error:
            raise AgentTrouble(
                f"crane's agent does not answer ({type(error).__name__})",
                hint="run the command again; see also: crane agent status",
            ) from None
        except OSError as error:
            # The client's own failures are no OSError: it is the file, gone since it was checked.
            raise NotPublished(f"{form.path} cannot be read: {error.strerror}") from None
        return _told(answer, form.path.name)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _told(answer: httpx2.Response, name: str) -> Told:
    reason, status = answer.reason_phrase, answer.status_code
    if 200 <= status < 300:
        line = answer.text.strip().removeprefix(OURS)
        return Told(line if name in line else f"{name} is published")
    text = reason.removeprefix(OURS)
    if status == 409 or (status == 400 and "already exist" in f"{reason} {answer.text}".lower()):
        return Told(text, is_other=True)
    raise _error(status, text)


def _error(status: int, text: str) -> CraneError:
    if status == 403:
        return IndexRefused(text)
    if status == 504:
        return IndexUnreachable(text)
    if status == 507:
        return DiskFull(text)
    return NotPublished(text)
