"""Protection of the approval forms against requests other sites make a browser send."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_COOKIE = "crane_devserver_form"


class FormTokens:
    """Ties a form to the browser it was shown in and to what it decides about.

    The hidden field is a keyed hash of a cookie and the subject: another site can neither
    read the cookie nor make the hash, and a form for one code does not approve another.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def browser_id(self, request: Request) -> str:
        """Return the browser's cookie value, a new one if it has none."""
        return request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)

    def token(self, browser_id: str, subject: str) -> str:
        """Return the hidden field's value."""
        return hmac.digest(self._key, f"{browser_id}\n{subject}".encode(), "sha256").hex()

    def matches(self, request: Request, token: str, subject: str) -> bool:
        """Tell whether a form came from a page that this browser was shown."""
        browser_id = request.cookies.get(_COOKIE)
        if browser_id is None:
            return False
        return hmac.compare_digest(self.token(browser_id, subject).encode(), token.encode())

    def remember(self, response: Response, browser_id: str, *, secure: bool) -> None:
        """Set the cookie."""
        response.set_cookie(_COOKIE, browser_id, httponly=True, samesite="lax", secure=secure)
