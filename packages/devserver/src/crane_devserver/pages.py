"""The Crane server's own pages and error bodies."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from .asgi import Answer, html_answer, json_answer
from .negotiate import prefers_html

if TYPE_CHECKING:
    from starlette.requests import Request

_NOT_FOUND = """<!DOCTYPE html>
<html>
<head>
    <title>Crane - not found</title>
</head>
<body>
<div class="container">
    <h1>Not found</h1>
    <p>The resource <code>{path}</code> was not found.</p>
    <a href="/">Go back to the main page</a>
</div>
</body>
</html>
"""

_REPOSITORIES = """<!DOCTYPE html>
<html>
<head lang="en"><title>Crane</title></head>
<body>
<div class="container">
    <h1>Repositories</h1>
    <ul>
{items}
    </ul>
</div>
</body>
</html>
"""

_LOGIN = """<!DOCTYPE html>
<html lang="en">
<head><title>Sign in</title></head>
<body>
<h1>Sign in</h1>
<form method="post" action="/login">
<label>User name <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign in</button>
</form>
</body>
</html>
"""

_NO_SESSION = """<!DOCTYPE html>
<html lang="en">
<head><title>Signed in</title></head>
<body>
<h1>Signed in</h1>
<p>This development server has no browser sessions: use a tool that sends a token.</p>
</body>
</html>
"""

_ERROR_CACHE = (("cache-control", "no-cache"),)


def error(request: Request, status: int, word: str, sent: int | None = None) -> Answer:
    """Make an error page or its JSON form; ``sent`` is the status line if it differs."""
    path: str = request.scope["path"]
    if prefers_html(request):
        page = _NOT_FOUND.format(path=html.escape(path))
        return html_answer(sent or status, page, _ERROR_CACHE)
    body = {"status": word, "code": status, "resource": path}
    return json_answer(sent or status, body, _ERROR_CACHE)


def repositories(names: list[str]) -> Answer:
    """Make the start page."""
    items = "\n".join(f'        <li><a href="/{name}/">{name}</a></li>' for name in names)
    return html_answer(200, _REPOSITORIES.format(items=items))


def login() -> Answer:
    """Make the login page that stands in for a provider's: 200 and HTML."""
    return html_answer(200, _LOGIN)


def no_session() -> Answer:
    """Make the page a browser ends on after it signed in at the provider."""
    return html_answer(200, _NO_SESSION)


def invalid_token() -> Answer:
    """Make the answer to a bad token (RFC 6750, section 3.1)."""
    return Answer(401, headers=(("www-authenticate", 'Bearer error="invalid_token"'),))
