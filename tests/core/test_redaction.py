"""What is taken out of logs and reports, and what is left for whoever reads them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crane_core.redaction import Redactor, redacted

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIabc\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://ada:hunter2@proxy:3128/x", "http://***@proxy:3128/x"),
        ("http://ada:hun/ter2@proxy:3128", "http://***@proxy:3128"),
        ("http://ada@proxy", "http://***@proxy"),
        ("ada:hunter2@proxy:3128", "***@proxy:3128"),
        ("ask ada.l@example.com, please", "ask ***@example.com, please"),
        ("https://h/f.whl?X-Signature=hunter2&e=1 failed", "https://h/f.whl?*** failed"),
        ("https://h/?hunter2", "https://h/?***"),
        ("GET /simple/?t=hunter2", "GET /simple/?***"),
        ("http://127.0.0.1/cb#access_token=hunter2", "http://127.0.0.1/cb#***"),
        (f"the token {JWT} is old", "the token *** is old"),
        (JWT[:20], "***"),
        ("Authorization: Basic aHVudGVyMg==", "Authorization: ***"),
        ("{'authorization': 'Bearer hunter2'}", "{'authorization': '***'}"),
        ("Set-Cookie: session=hunter2; Path=/", "Set-Cookie: ***"),
        ("sent Bearer hunter2hunter2.", "sent Bearer ***"),
        ("sent Basic aHVudGVyMg==", "sent Basic ***"),
        ("CRANE_TOKEN_PYTHON=hunter2", "CRANE_TOKEN_PYTHON=***"),
        ('{"refresh_token": "hunter 2", "a": 1}', '{"refresh_token": "***", "a": 1}'),
        ("client_secret=hunter2&a=b", "client_secret=***&a=b"),
        ("password: hunter2", "password: ***"),
        ("glpat-hunter2hunter2 and ghp_hunter2hunter2", "*** and ***"),
        (f"key {PEM} end", "key *** end"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", "***"),
        ("got q8WvZ2nPxL0aRt5YbC7dEfGh", "got ***"),
    ],
)
def test_a_secret_is_taken_out_and_the_rest_stays(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "https://crane.example.com/python/simple/acme-lib/ answered HTTP 502",
        "https://h/acme_lib-1.0-py3-none-any.whl#sha256=0a1b",
        'WWW-Authenticate: Bearer error="invalid_token"',
        "Basic realm=crane",
        "token: there is one; it is opaque, so it shows nothing of itself",
        'token-endpoint = "https://sso.example.com/token"',
        "client-secret-file = ~/secret.txt",
        "PyYAML-6.0.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "run: crane login python",
        "why? nobody knows",
        "http://[::1]:9999/-/ 12:30:01 [ab12cd34ef]",
    ],
)
def test_what_helps_to_find_a_fault_stays(text: str) -> None:
    assert redacted(text) == text


_TOKEN_STARTS = ("eyJ", "ghp_", "github_pat_", "glpat-", "pypi-", "AKIA", "xoxb-", "hvs.", "")
_IN_A_NAME = st.from_regex(r"[A-Za-z0-9._+-]{0,40}", fullmatch=True)


@given(st.lists(st.tuples(_IN_A_NAME, st.sampled_from(_TOKEN_STARTS)), max_size=3))
def test_a_name_by_itself_is_looked_at_as_in_a_sentence(parts: list[tuple[str, str]]) -> None:
    name = "".join(f"{plain}{start}" for plain, start in parts)
    assert redacted(f"{name} ") == f"{redacted(name)} "


def test_what_is_known_by_heart_goes_wherever_it_stands_and_however_it_is_spelled() -> None:
    redactor = Redactor(
        secrets=["correct horse/1", 'q"uote', "abc"], names=["Ada", "root", "al"], home="/home/ada/"
    )

    assert redactor("x correct horse/1 y correct%20horse%2F1 z") == "x *** y *** z"
    assert redactor(r'{"said": "q\"uote"}') == '{"said": "***"}'
    assert redactor("/home/ada/.config and /home/ada2 of ADA") == "~/.config and /home/ada2 of ***"
    assert redactor("abc al root adaptor") == "abc al root adaptor", "too short, or everybody's"
    assert redactor.data({"Ada": [{"x": "correct horse/1"}, 3, None, ("x", True)]}) == {
        "***": [{"x": "***"}, 3, None, ["x", True]]
    }
    assert redactor.data({"code_verifier": "x", "token-endpoint": "y"}) == {
        "code_verifier": "***", "token-endpoint": "y"
    }  # fmt: skip


@pytest.mark.parametrize(
    "piece", ["a-", "a?", "x:", "://", "token-", 'token="', "?=", "a:b@", "aA1", "eyJaaaaa."]
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """Names and reasons in a log are somebody else's words."""
    began = time.perf_counter()
    redacted(piece * (4000 // len(piece)))
    assert time.perf_counter() - began < 2
