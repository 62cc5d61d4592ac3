"""Index URLs: one spelling each, and what may carry a token."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.config.model import Configuration, Index
from crane_core.errors import InsecureURL, InvalidURL
from crane_core.urls import canonical, require_secure, same_index, within, without_simple

BASE = "https://crane.example/python"


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        (BASE, BASE),
        (f"{BASE}/", BASE),
        (f"{BASE}//", BASE),
        (f"  {BASE}\n", BASE),
        ("HTTPS://Crane.EXAMPLE/python", BASE),
        ("https://crane.example:443/python", BASE),
        ("https://crane.example:/python", BASE),
        ("https://crane.example./python", BASE),
        ("https://crane.example//python", BASE),
        ("https://crane.example/p%79thon", BASE),
        ("https://crane.example/Python", "https://crane.example/Python"),
        ("https://crane.example:8443/python", "https://crane.example:8443/python"),
        ("http://crane.example:80/x", "http://crane.example/x"),
        ("http://crane.example:443/x", "http://crane.example:443/x"),
        ("https://crane.example", "https://crane.example"),
        ("https://crane.example/", "https://crane.example"),
        ("https://crane.example/?", "https://crane.example"),
        ("https://crane.example/a%20b", "https://crane.example/a%20b"),
        ("https://crane.example/%c3%a4", "https://crane.example/%C3%A4"),
        ("https://crane.example/ä", "https://crane.example/%C3%A4"),
        ("https://crane.example/%7euser", "https://crane.example/~user"),
        ("https://crane.example/a%2fb", "https://crane.example/a%2Fb"),
        ("https://crane.example/100%25", "https://crane.example/100%25"),
        ("https://crane.example/a:b@c", "https://crane.example/a:b@c"),
        ("https://BÜCHER.example/x", "https://xn--bcher-kva.example/x"),
        ("https://xn--bcher-kva.example/x", "https://xn--bcher-kva.example/x"),
        ("https://faß.example/x", "https://xn--fa-hia.example/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x"),
    ],
)
def test_one_spelling(given_url: str, expected: str) -> None:
    """However it is written."""
    assert canonical(given_url) == expected


def test_an_escaped_byte_that_is_no_text_stays_that_byte() -> None:
    """Old servers name folders in Latin-1: such a path is kept or refused, never another one."""
    try:
        kept = canonical("https://crane.example/%e4")
    except InvalidURL:
        return
    assert kept == "https://crane.example/%E4"


@pytest.mark.parametrize(
    "bad",
    [
        "", " ", "crane.example", "crane.example/python", "//crane.example", "https:", "https:/",
        "https://", "https:///python", "https:crane.example", "ftp://crane.example/x",
        "file:///etc/passwd", "javascript:alert(1)", "https://:443/x", "https://.", "https://./x",
        "https://crane.example:0/x", "https://crane.example:99999/x", "https://crane.example:x/",
        "https://[::1/x", "https://[nonsense]/x", "https://crane example/x",
        "https://ada:secret@crane.example/x", "https://token@crane.example/x",
        "https://crane.example/x?key=1", "https://crane.example/x#top",
        "https://crane.example/../x", "https://crane.example/./x", "https://crane.example/%2e%2e/x",
        "https://crane.example/x/%2E", "https://crane.ex\x00ample/", "https://crane.example/a b", "https://crane.example/\x1b[2J",
        "https://crane.example/\x7f", "https://crane.example/a\nb", "https://cra\nne.example/x",
        "https://" + "x" * 70 + "ü.example/x", "https://good.example\\@evil.example/x",
    ],
)  # fmt: skip
def test_no_index_url(bad: str) -> None:
    """Exit code 6, one printable line with a next step, and never another exception."""
    with pytest.raises(InvalidURL) as caught:
        canonical(bad)
    assert caught.value.exit_code == 6
    assert caught.value.hint
    assert caught.value.line.isprintable()


def test_a_password_in_a_url_is_not_repeated() -> None:
    """It would end up in logs."""
    with pytest.raises(InvalidURL) as caught:
        canonical("https://ada:hunter2@crane.example/x")
    assert "hunter2" not in caught.value.line


SAME = [
    BASE, f"{BASE}/", f"{BASE}/simple", f"{BASE}/simple/", "https://CRANE.example:443/python",
    "https://crane.example/p%79thon/simple/",
]  # fmt: skip
OTHER = [
    "https://crane.example", "https://crane.example/python/x", "https://crane.example/Python",
    "https://crane.example:8443/python", "http://crane.example/python",
    "https://crane.example.evil.example/python", "https://crane.example/pythonx",
    "https://crane.example/python/simple/simple", "https://crane.example/simple/python",
    "https://crane.example/python%2Fsimple",
]  # fmt: skip


@pytest.mark.parametrize("one", SAME)
@pytest.mark.parametrize("other", SAME)
def test_spellings_of_one_index_match(one: str, other: str) -> None:
    """Whatever was registered, whatever is asked for."""
    index = Index("firm", one, issuer="https://sso.example")
    assert Configuration({"firm": index}).match(other) == index


@pytest.mark.parametrize("one", SAME)
@pytest.mark.parametrize("other", OTHER)
def test_another_index_does_not_match(one: str, other: str) -> None:
    """A near miss would get the token."""
    index = Index("firm", one, issuer="https://sso.example")
    assert Configuration({"firm": index}).match(other) is None


@pytest.mark.parametrize("host", ["simple", "simple.", "simple:443"])
def test_a_host_named_simple_is_a_host(host: str) -> None:
    """Only a path segment is taken off."""
    assert without_simple(canonical(f"https://{host}/")) == "https://simple"
    assert same_index(f"https://{host}/simple/", "https://simple")
    assert Configuration().free_name(f"https://{host}/") != ""


# --- properties --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["https://", "http://", "HTTPS://", "crane", "example", ".", "..", "/", "//", ":", "443", "80",
     "%", "%2F", "%2e", "%25", "%E4", "%C3%A4", "simple", "ä", "ß", "。", "İ", "\u212a", "\u200d",
     "@", "[", "]", "::1", "?", "#", "\\", " ", "\n", "\t", "~", "xn--", "-", "_", "A", "\ud800"]
)  # fmt: skip
URLS = st.lists(PIECES, max_size=12).map("".join) | st.text().map(lambda t: f"https://{t}")
HOSTED = st.lists(PIECES, max_size=8).map(lambda p: f"https://crane.example/{''.join(p)}")


@given(URLS | HOSTED)
@example("https://./x")
@example("https://a。/x")
@example("https://a/\udce4")
def test_canonical_is_idempotent_or_refuses(url: str) -> None:
    """The one spelling of the one spelling is itself; only `InvalidURL` comes out otherwise."""
    try:
        once = canonical(url)
    except InvalidURL:
        return
    assert canonical(once) == once
    assert canonical(once + "/") == once
    assert same_index(once, once + "/simple/") or once.endswith("/simple")
    assert within(once + "/x", once) or "%2F" in once or "%5C" in once


@pytest.mark.parametrize(
    "path", ["api/v4/projects/group%2Fproject/packages/pypi", "a%5Cb", "a%2fb/simple"]
)
def test_what_can_be_registered_gets_its_token(path: str) -> None:
    """An escaped slash, as in GitLab's addresses, is refused at once or works to the end."""
    try:
        url = canonical(f"https://gitlab.example/{path}")
    except InvalidURL:
        return
    assert within(f"{url}/a/a-1.0.tar.gz", url)


# --- where a token may go ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://crane.example/", "http://127.0.0.1:8000/", "http://127.8.8.8/", "http://[::1]:1/",
     "http://localhost/", "http://LOCALHOST./"],
)  # fmt: skip
def test_a_token_may_go_there(url: str) -> None:
    """Over TLS, or to this machine."""
    assert require_secure(url, what="it") == url


@pytest.mark.parametrize(
    "url",
    ["http://crane.example/", "http://10.0.0.1/", "http://0.0.0.0/", "http://127.0.0.1.example/",
     "http://localhost.example/", "http://[2001:db8::1]/", "http://2130706433.example/"],
)  # fmt: skip
def test_a_token_may_not_go_there(url: str) -> None:
    """Exit code 7; the user may insist."""
    with pytest.raises(InsecureURL) as caught:
        require_secure(url, what="the index URL")
    assert caught.value.exit_code == 7
    assert "--insecure-http" in caught.value.hint
    assert require_secure(url, what="it", insecure_http=True) == url


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        (f"{BASE}/simple/a/", True),
        (BASE, True),
        (f"{BASE}/a?x=1#y", True),
        ("https://CRANE.example:443/python/a", True),
        ("https://crane.example/pythonx/a", False),
        ("https://crane.example/", False),
        ("https://crane.example/python/../other", False),
        ("https://crane.example/python/%2e%2e/other", False),
        ("https://crane.example/python/%2E%2E/other", False),
        ("https://crane.example/python/..%2fother", False),
        ("https://crane.example/python/..\\other", False),
        ("https://crane.example/python/%5c..%5cother", False),
        ("https://crane.example:8443/python/a", False),
        ("http://crane.example/python/a", False),
        ("https://crane.example@evil.example/python/a", False),
        ("https://evil.example/https://crane.example/python/a", False),
    ],
)
def test_what_lies_below_an_index(url: str, inside: bool) -> None:
    """Only there goes its token; a path that a server may read in two ways lies nowhere."""
    assert within(url, BASE) is inside


def test_a_prefix_without_a_host_is_none() -> None:
    """Servers write some of them (RFC 9728)."""
    with pytest.raises(InvalidURL):
        within("https://crane.example/python", "https:/")
