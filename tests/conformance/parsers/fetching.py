"""Fetches a page in one form; for the scripts beside it, which run in a tool's environment."""

from __future__ import annotations

import json
import sys
import urllib.request

FORMS = {
    "json": "application/vnd.pypi.simple.v1+json",
    "html": "application/vnd.pypi.simple.v1+html",
}


def fetched() -> tuple[str, bytes, str, str]:
    """Return the URL, body, content type and form that the command line asks for."""
    url, form = sys.argv[1:]
    request = urllib.request.Request(url, headers={"Accept": FORMS[form]})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        assert answer.headers["Content-Type"] == FORMS[form]
        return url, answer.read(), answer.headers["Content-Type"], form


def tell(facts: list[dict[str, object]]) -> None:
    """Print what the tool has read."""
    print(json.dumps(sorted(facts, key=lambda fact: str(fact["filename"]))))
