"""A lying identity provider, against the whole of `crane login`, as a process of its own.

Each lie ends in one clear line and a documented exit code; nothing is stored, and nothing is sent
or opened where the lie leads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway.upstream import Scripted
from grants.kit import get, index_at, logging_in, redirect_of, register
from idp.oidc import DEVICE_GRANT, Realm
from support.world import User

from crane_devserver.running import serve_in_thread

# What moves a cursor, rings, writes into a title bar, reads the wrong way round, or begins a line.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\r\n\x08\x00\u2028"
LONG = f"no{ESCAPES}way " + "x" * 100_000
ELSEWHERE = "http://sso.example/x"
GOOD = {"access_token": "lie-at", "refresh_token": "lie-rt", "token_type": "Bearer"}
LONGEST_LINE = 1700


def id_token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@dataclass
class Desk:
    """A user, their provider, and another server, which must hear nothing."""

    user: User
    realm: Realm
    other: Scripted
    url: str
    opened: Path

    def lie(self, lie: Callable[[], None], *arguments: str) -> tuple[int, str]:
        """Log in while the provider lies; returns the exit code and the line."""
        self.realm.clear_quirks()
        self.realm.clear_requests()
        self.opened.unlink(missing_ok=True)
        lie()
        # It says nothing: at a busy machine it may end after crane.
        browser = f"sh -c 'touch {self.opened}' %s"
        # A lie that is believed would be waited for.
        way = ("--force", "--timeout", "20", *arguments)
        done = self.user.crane("login", *way, BROWSER=browser)
        self.check(done.stdout, done.stderr)
        return done.returncode, done.stderr.splitlines()[-1]

    def check(self, out: str, err: str) -> None:
        """What holds however a login ended."""
        lines = err.splitlines()
        assert out == "", out
        assert lines[-1].startswith("crane: "), err
        assert [line for line in lines if line.startswith("crane: ")] == lines[-1:], err
        assert "Traceback" not in err
        # Of a line's end only LF is one, or a lie could make lines of its own.
        assert all(line.isprintable() for line in err.split("\n")), repr(err)
        assert max(map(len, lines)) < LONGEST_LINE, [len(line) for line in lines]
        assert "lie-" not in err
        assert not list(self.user.sessions.glob("*.json"))
        assert self.other.requests == []


@pytest.fixture
def desk(user: User, realm: Realm, tmp_path: Path) -> Iterator[Desk]:
    register(user, index_at(realm, grant="device"))
    user.variables |= {"CRANE_VAULT": "file", "CRANE_DETECTORS_OFF": "google"}
    other = Scripted()
    with serve_in_thread(other) as url:
        yield Desk(user, realm, other, url, tmp_path / "opened")


def metadata(**fields: Any) -> Callable[[Desk], None]:
    return lambda desk: desk.realm.patch(fields, endpoint="discovery", times=None)


def document(status: int, body: Any, **headers: str) -> Callable[[Desk], None]:
    return lambda desk: desk.realm.respond(
        status, body, headers=_at(desk, headers), endpoint="discovery", times=None
    )


def device(**fields: Any) -> Callable[[Desk], None]:
    return lambda desk: desk.realm.patch(fields, endpoint="device_authorization", times=None)


def device_answer(status: int, body: Any, **headers: str) -> Callable[[Desk], None]:
    return lambda desk: desk.realm.respond(
        status, body, headers=_at(desk, headers), endpoint="device_authorization", times=None
    )


def token(status: int, body: Any, **headers: str) -> Callable[[Desk], None]:
    def lie(desk: Desk) -> None:
        device(interval=0.01)(desk)
        desk.realm.respond(status, body, headers=_at(desk, headers), grant=DEVICE_GRANT, times=None)

    return lie


def _at(desk: Desk, headers: dict[str, str]) -> dict[str, str]:
    return {name: value.format(url=desk.url) for name, value in headers.items()}


Lies = dict[str, tuple[Callable[[Desk], None], int]]
# RFC 8414 §3.3, RFC 9700 §2.6: before anybody is asked to do anything.
METADATA: Lies = {
    "another issuer": (metadata(issuer="https://evil.example"), 18),
    "no issuer": (metadata(issuer=None), 18),
    "an issuer of another type": (metadata(issuer=["https://evil.example", LONG]), 18),
    "an issuer that moves the terminal": (metadata(issuer=f"https://evil.example/{LONG}"), 18),
    "a token endpoint over http": (metadata(token_endpoint=ELSEWHERE), 7),
    "a device endpoint over http": (metadata(device_authorization_endpoint=ELSEWHERE), 7),
    "a revocation endpoint over http": (metadata(revocation_endpoint=ELSEWHERE), 7),
    "an endpoint of another scheme": (metadata(token_endpoint="file:///etc/passwd"), 6),
    "an endpoint with line ends": (metadata(token_endpoint=f"https://a.example/{ESCAPES}"), 6),
    "a long endpoint": (metadata(token_endpoint=f"gopher://a.example/{LONG}"), 6),
    "a document elsewhere": (document(307, "", location="{url}/.well-known/x"), 15),
    "ten megabytes": (document(200, {"issuer": "x" * 10_000_000}), 15),
}  # fmt: skip
DEVICE: Lies = {
    name: (device(**{key: address}), code)
    for key in ("verification_uri", "verification_uri_complete")
    for name, address, code in (
        (f"{key} runs", "javascript:alert(1)", 6),
        (f"{key} is a file", "file:///etc/passwd", 6),
        (f"{key} is plain http", "http://sso.example/device", 7),
    )
} | {
    "an address that moves the terminal": (device(verification_uri=f"https://a.test/{LONG}"), 15),
    "such a whole address": (device(verification_uri_complete=f"https://a.example/{LONG}"), 6),
    "a code that moves the terminal": (device(user_code=f"AB{ESCAPES}"), 15),
    "a code elsewhere": (device_answer(307, "", location="{url}/x"), 15),
    "a hundred kilobytes of escapes": (
        device_answer(400, {"error": "invalid_scope", "error_description": LONG}), 13,
    ),
    "an error of escapes": (device_answer(400, {"error": LONG, "error_description": LONG}), 13),
}  # fmt: skip
EVIL = f"https://evil.example/{ESCAPES}"
NAMED = {"aud": "crane-pip", "sub": "7"}
TOKENS: Lies = {
    "a token of another type": (token(200, GOOD | {"token_type": "mac"}), 15),
    "a type of escapes": (token(200, GOOD | {"token_type": LONG}), 15),
    "a page": (token(200, "<html>log in</html>"), 15),
    "lists in lists": (token(200, "[" * 100_000, content_type="application/json"), 15),
    "two megabytes": (token(200, GOOD | {"padding": "x" * 2_000_000}), 15),
    "a token with line ends": (token(200, GOOD | {"access_token": "lie-a\r\nx-evil: 1"}), 15),
    "a token without end": (token(200, GOOD | {"access_token": "lie-" * 30_000}), 15),
    "a life in words": (token(200, GOOD | {"expires_in": LONG}), 15),
    "a life before its birth": (token(200, GOOD | {"expires_in": -1}), 15),
    "a name for another client": (token(200, GOOD | {"id_token": id_token(aud="another")}), 15),
    "another issuer's name": (token(200, GOOD | {"id_token": id_token(**NAMED, iss=EVIL)}), 15),
    "a name that nobody can read": (token(200, GOOD | {"id_token": "a.b.c"}), 15),
    "tokens elsewhere": (token(307, "", location="{url}/token"), 15),
    "a hundred kilobytes of escapes": (
        token(400, {"error": "invalid_grant", "error_description": LONG}), 15,
    ),
    "an error of escapes": (token(400, {"error": LONG, "error_description": LONG}), 15),
    "a denial with words": (token(400, {"error": "access_denied", "error_description": LONG}), 11),
}  # fmt: skip


@pytest.mark.parametrize("lies", [METADATA, DEVICE, TOKENS], ids=["metadata", "device", "tokens"])
def test_no_lie_is_a_login(desk: Desk, lies: Lies) -> None:
    """Whatever is told: one line, its exit code, nothing stored, nothing sent elsewhere."""
    ends = {}
    for name, (lie, _) in lies.items():
        ends[name] = desk.lie(lambda lie=lie: lie(desk))
        # Whoever is lied to about the token has seen an address before, a good one.
        assert lies is TOKENS or not desk.opened.exists(), name
    wrong = {name: end for name, end in ends.items() if end[0] != lies[name][1]}
    assert not wrong
    if lies is TOKENS:
        assert "(aud)" in ends["a name for another client"][1]
        assert "(iss)" in ends["another issuer's name"][1]


def test_a_browser_is_started_for_https_only(desk: Desk) -> None:
    """The address of a login in the browser comes from the metadata, too."""
    for address, code in (
        ("javascript:alert(1)", 6),
        ("file:///usr/bin/xcalc", 6),
        (f"https://sso.example/{ESCAPES}", 6),
        ("--help", 6),
        (ELSEWHERE, 7),
    ):
        lie = metadata(authorization_endpoint=address)
        ended, line = desk.lie(lambda lie=lie: lie(desk), "--grant", "authorization-code")
        assert ended == code, (address, line)
        assert not desk.opened.exists(), address


def test_no_redirect_of_somebody_else_is_a_login(desk: Desk) -> None:
    """RFC 9207, RFC 6749 §10.12: a code of another provider or login is sent to nobody."""
    realm, issuer = desk.realm, desk.realm.issuer
    way = ("--force", "--grant", "authorization-code")
    for said, code in (
        ({"code": "lie-c", "iss": "https://evil.example"}, 18),
        ({"code": "lie-c", "iss": f"{issuer}/"}, 18),
        ({"code": "lie-c", "iss": ESCAPES}, 18),
        ({"code": "lie-c"}, 18),
        ({"error": "access_denied", "error_description": LONG[:4000], "iss": issuer}, 11),
        ({"error": LONG[:2000], "error_description": LONG[:2000], "iss": issuer}, 13),
    ):
        with logging_in(desk.user, *way) as login:
            page = login.come_back(**said)
            ended = login.end()
        assert ended.code == code, (said, ended)
        desk.check(ended.out, ended.err)
        assert "The login failed" in page.text
        assert "\x1b" not in page.text
        assert realm.requests("token") == []
    # Another state, none, or two of them: not this login, which goes on and is good.
    with logging_in(desk.user, *way) as login:
        state = login.parameters["state"]
        for query in ("state=x", f"state={state}x", "", f"state={state}&state={state}"):
            assert get(login.port, f"/callback?code=lie-c&iss={issuer}&{query}").status in {
                400,
                404,
            }
        assert realm.requests("token") == []
        code = redirect_of(login.url).split("code=", 1)[1].split("&", 1)[0]
        assert "You are logged in" in login.come_back(code=code, iss=issuer).text
        assert login.end().code == 0
    assert [request.params["code"] for request in realm.requests("token")] == [code]
    assert desk.other.requests == []
