"""A browser without a screen, which signs in by script.

Tests hand :meth:`ScriptedBrowser.open` to whatever opens a browser, such as a client with
a loopback redirect (RFC 8252).
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import IO, TYPE_CHECKING
from urllib.parse import urlencode, urljoin

if TYPE_CHECKING:
    import ssl

_SECONDS = 10


class ScriptedBrowser:
    """Fills in the provider's approval form and follows it to the end."""

    def __init__(
        self,
        user: str,
        password: str,
        *,
        decision: str = "approve",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answers = {"username": user, "password": password, "decision": decision}
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(CookieJar()),
            urllib.request.HTTPSHandler(context=tls),
        )
        self.visited: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        """Open a page like ``webbrowser.open``: at once, the visit goes on in a thread."""
        threading.Thread(target=self.visit, args=(url,), daemon=True).start()
        return True

    def visit(self, url: str) -> str:
        """Sign in and decide at an approval page; returns the text of the last page."""
        page = self._fetch(url)
        form = _Form()
        form.feed(page)
        target = urljoin(self.visited[-1], form.action)
        return self._fetch(target, {**form.hidden, **self._answers})

    def _fetch(self, url: str, form: dict[str, str] | None = None) -> str:
        data = None if form is None else urlencode(form).encode()
        response: IO[bytes]
        try:
            response = self._opener.open(url, data, timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            # An error page is a page too.
            response = error
        with response:
            self.visited.append(response.geturl())  # type: ignore[attr-defined]
            return response.read().decode()


class _Form(HTMLParser):
    """The first form's target and hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action") or ""
        elif tag == "input" and found.get("type") == "hidden":
            self.hidden[found.get("name") or ""] = found.get("value") or ""
