"""Who may use the gateway: this user's tools on this machine, and no web page."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.gateway.connection import ABSOLUTE_FORM
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Says only that crane listens here, to whoever finds the port taken.
HEALTH = "/-/health"
METHODS = frozenset({"GET", "HEAD"})
_SINGLE = frozenset({b"host", b"authorization", b"proxy-authorization", b"content-length"})
UPLOADS = re.compile(r"/(?:[^/]+/)?legacy/?")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served: a status and one sentence."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides from a request's head alone whether it is served.

    `hosts` holds the Host header values that name this listener; any other means that a name of
    somebody else's resolves here (DNS rebinding). None accepts every Host, which is right only
    with a secret. `secret` is the Basic password that the caller must know. `allowed_uids`, if
    set, are the users whose processes may connect, where the system tells.

    An upload changes something for everybody, in the user's name. So it must be certain who sends
    it: by the secret, or because the system tells that it is this user's process.
    """

    hosts: frozenset[str] | None
    secret: Secret | None = None
    allowed_uids: frozenset[int] | None = None
    methods: frozenset[str] = METHODS

    def check(self, scope: dict[str, Any], peer_uid: Callable[[], int | None]) -> Refusal | None:
        """Return why the request is refused, None if it may pass."""
        headers = single_headers(scope)
        if headers is None:
            return Refusal(400, "a header that must stand once is there twice")
        return next(self._refusals(scope, headers, peer_uid), None)

    def _refusals(
        self, scope: dict[str, Any], headers: dict[bytes, bytes], peer_uid: Callable[[], int | None]
    ) -> Iterator[Refusal]:
        is_upload = scope["method"] == "POST" and UPLOADS.fullmatch(scope["path"]) is not None
        if scope["method"] not in self.methods and not is_upload:
            yield Refusal(405, f"crane serves {' and '.join(sorted(self.methods))} here")
        if ABSOLUTE_FORM in scope["extensions"]:
            yield Refusal(400, "crane is no open proxy")
        if self.hosts is not None and headers.get(b"host", b"").decode("latin-1") not in self.hosts:
            yield Refusal(421, "this Host is not crane's; use the address that crane printed")
        if _from_web_page(headers):
            yield Refusal(403, "crane does not serve web pages' requests")
        is_secret_asked = self.secret is not None and scope["path"] != HEALTH
        if is_secret_asked and password_in(headers.get(b"authorization", b"")) != self.secret:
            yield Refusal(403, "the secret of this crane process is missing or wrong")
        if self.allowed_uids is not None and peer_uid() not in {None, *self.allowed_uids}:
            yield Refusal(403, "this crane process belongs to another user")
        if is_upload:
            yield from self._upload_refusals(headers, peer_uid)

    def _upload_refusals(
        self, headers: dict[bytes, bytes], peer_uid: Callable[[], int | None]
    ) -> Iterator[Refusal]:
        # A browser too old to say where a form comes from; no page can take this header away.
        if headers.get(b"user-agent", b"").startswith(b"Mozilla/"):
            yield Refusal(403, "crane takes no uploads from browsers")
        if self.secret is None and (self.allowed_uids is None or peer_uid() is None):
            yield Refusal(
                403, "who uploads cannot be known here; start it with: crane serve --token"
            )


def loopback_hosts(host: str, port: int) -> frozenset[str]:
    """Return the Host values of a listener on one of this machine's own addresses."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def single_headers(scope: dict[str, Any]) -> dict[bytes, bytes] | None:
    """Return the headers by name, None if one of those that must stand once is there twice."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and name in _SINGLE:
            return None
        headers[name] = value
    return headers


def _from_web_page(headers: dict[bytes, bytes]) -> bool:
    # Installers send neither. `none` is a person who typed the address into the browser.
    site = headers.get(b"sec-fetch-site", b"none")
    return b"origin" in headers or site not in {b"none", b"same-origin"}


def password_in(credentials: bytes) -> Secret | None:
    """Return the password of Basic credentials (RFC 7617), None if they are none."""
    scheme, _, value = credentials.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Secret(text.partition(":")[2])
