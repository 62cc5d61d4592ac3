"""A person at Keycloak's own pages: a cookie jar that fills in forms."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urljoin

import httpx2


def visit(url: str, user: str = "ada", *, agrees: bool = True) -> str:
    """Open an address, sign in, agree or not, and return the last page's text.

    A redirect back to crane's own port is followed as well: that page is the last one then.
    """
    with new_browser() as http:
        page = http.get(url)
        for _ in range(5):
            form = _Form.of(page.text)
            if "password" in form.names:
                page = _submit(http, page, username=user, password=f"{user}-password")
            elif "accept" in form.names:
                choice = {"accept": "Yes"} if agrees else {"cancel": "No"}
                page = _submit(http, page, **choice)
            else:
                break
        return text_of(page.text)


def new_browser() -> httpx2.Client:
    """Return a browser, which sends secure cookies to this machine without TLS as they all do."""
    policy = DefaultCookiePolicy(secure_protocols=("https", "http"))
    return httpx2.Client(
        trust_env=False,
        timeout=30,
        follow_redirects=True,
        headers={"accept": "text/html"},
        cookies=CookieJar(policy),
    )


def text_of(html: str) -> str:
    """Return what a person would read."""
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", html)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def _submit(http: httpx2.Client, page: httpx2.Response, **answers: str) -> httpx2.Response:
    form = _Form.of(page.text)
    assert form.action is not None, text_of(page.text)
    return http.post(urljoin(str(page.url), form.action), data={**form.hidden, **answers})


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.hidden: dict[str, str] = {}
        self.names: set[str] = set()

    @classmethod
    def of(cls, html: str) -> _Form:
        form = cls()
        form.feed(html)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = found.get("action", "")
        elif tag in {"input", "button"} and "name" in found:
            self.names.add(found["name"])
            if found.get("type") == "hidden":
                self.hidden[found["name"]] = found.get("value", "")
