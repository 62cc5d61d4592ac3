"""The user at the browser: drives the provider's own pages with a cookie jar."""

from __future__ import annotations

import re
import ssl
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httpx2

from .errors import IdpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# For plain http; loading the system's certificates would cost more than the whole visit.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def approve_device(
    issuer: str, user_code: str, user: str = "ada", *, verify: ssl.SSLContext = TRUSTS_NOBODY
) -> None:
    """Types a user code, signs in, and consents."""
    with _browser(verify) as browser:
        page = browser.get(f"{issuer}/device")
        page = _submit(browser, page, user_code=user_code)
        page = _sign_in(browser, _submit(browser, page), user)
    if "Signed in" not in page.text:
        raise IdpError(f"{user} could not approve {user_code}: {_text(page)}")


def deny_device(issuer: str, user_code: str, *, verify: ssl.SSLContext = TRUSTS_NOBODY) -> None:
    """Types a user code and refuses to confirm it."""
    with _browser(verify) as browser:
        page = browser.get(f"{issuer}/device")
        page = _submit(browser, page, user_code=user_code)
        if "abort" not in page.text:
            raise IdpError(f"{user_code} could not be denied: {_text(page)}")
        _submit(browser, page, abort="yes")


def approve_authorization(
    url: str, user: str = "ada", *, verify: ssl.SSLContext = TRUSTS_NOBODY
) -> str:
    """Opens an authorization URL, signs in, consents, and follows the way back to the client.

    Answers the redirect URL, which has been requested once, as a browser would.
    """
    with _browser(verify) as browser:
        target = _return_url(_sign_in(browser, browser.get(url), user))
        browser.get(target)
    return target


def deny_authorization(url: str, *, verify: ssl.SSLContext = TRUSTS_NOBODY) -> str:
    """Opens an authorization URL, cancels on the login page, and goes back to the client."""
    with _browser(verify) as browser:
        page = browser.get(url)
        cancel = re.search(r'href="([^"]+/abort)"', page.text)
        if cancel is None:
            raise IdpError(f"no way to cancel on {page.url}: {_text(page)}")
        target = _return_url(browser.get(urljoin(str(page.url), cancel[1])))
        browser.get(target)
    return target


class _Browser:
    """A cookie jar that follows redirects within the provider and stops at the client's."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def get(self, url: str) -> httpx2.Response:
        return self._follow(self.client.get(url))

    def post(self, url: str, data: Mapping[str, str]) -> httpx2.Response:
        return self._follow(self.client.post(url, data=dict(data)))

    def _follow(self, page: httpx2.Response) -> httpx2.Response:
        while page.next_request is not None and _same_origin(page):
            page = self.client.send(page.next_request)
        return page


@contextmanager
def _browser(verify: ssl.SSLContext) -> Iterator[_Browser]:
    with httpx2.Client(
        verify=verify, trust_env=False, timeout=15, headers={"accept": "text/html"}
    ) as client:
        yield _Browser(client)


def _same_origin(page: httpx2.Response) -> bool:
    assert page.next_request is not None
    here, there = urlsplit(str(page.url)), urlsplit(str(page.next_request.url))
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def _return_url(page: httpx2.Response) -> str:
    if page.next_request is None:
        raise IdpError(f"no redirect to the client, but {page.status_code}: {_text(page)}")
    return str(page.next_request.url)


def _sign_in(browser: _Browser, page: httpx2.Response, user: str) -> httpx2.Response:
    """Fills the pages that ask who the user is and whether they agree."""
    for _ in range(4):
        prompt = _Form.of(page).values.get("prompt")
        if prompt == "login":
            page = _submit(browser, page, login=user, password="any")
        elif prompt == "consent":
            page = _submit(browser, page)
        else:
            break
    return page


def _submit(browser: _Browser, page: httpx2.Response, **answers: str) -> httpx2.Response:
    form = _Form.of(page)
    if form.action is None:
        raise IdpError(f"no form on {page.url}: {_text(page)}")
    return browser.post(urljoin(str(page.url), form.action), {**form.values, **answers})


class _Form(HTMLParser):
    """The first form of a page: where it goes and what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.values: dict[str, str] = {}

    @classmethod
    def of(cls, page: httpx2.Response) -> _Form:
        form = cls()
        form.feed(page.text)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = found.get("action") or ""
        if tag == "input" and found.get("name"):
            self.values[found["name"] or ""] = found.get("value") or ""


def _text(page: httpx2.Response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())[:300]
