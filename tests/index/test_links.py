"""Links of a page: the short cuts lead where RFC 3986 leads."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.errors import InvalidURL
from crane_core.gateway.localise import _Ours
from crane_core.index.links import Links, best_hash, filename_in, hashes_in
from crane_core.urls import are_plainly_within, join, within

BASES = st.sampled_from(
    ["https://h.example/simple/lib/", "https://h.example/simple/lib", "https://h.example",
     "http://h.example:8080/a/../b/./c/?q=/x/y", "https://h.example//x//", "https://h.example/é/"]
)  # fmt: skip
PIECES = st.sampled_from(
    ["a", "lib-1.0.whl", ".", "..", "/", "//", "?", "=", "&", ":", ";", "@", "%2F", "%2f", "%", "+",
     "%2B", "%20", "h.example", "https:", "https://h.example/", "http://h.example:8080/", "1", "-",
     "_", "~", "!", "(", ",", "\\", "|", "[", "'", ":65536", ":70000", ":0", "evil.example", "A"]
)  # fmt: skip
TARGETS = st.lists(PIECES, max_size=8).map("".join)


def by_the_book(base: str, target: str) -> str | None:
    try:
        return join(base, target).partition("#")[0]
    except InvalidURL:
        return None


def resolved(base: str, target: str) -> str | None:
    try:
        return Links(base).url(target)
    except InvalidURL:
        return None


@given(BASES, TARGETS)
@example("https://h.example/simple/lib/", "lib-1.0.whl")
@example("https://h.example/simple/lib/", "https://h.example:70000/x")
@example("https://h.example/simple/lib/", "https://h.example/?")
def test_a_short_cut_leads_where_the_long_way_leads(base: str, target: str) -> None:
    if base.isascii():
        assert resolved(base, target) == by_the_book(base, target)


ALIKE = st.builds(
    lambda start, rests: [start + rest for rest in rests],
    st.sampled_from(["", "/", "../", "https://h.example/", "https://h.example:80"]),
    st.lists(TARGETS | st.sampled_from(["a/b", "lib-1.0.whl"]), min_size=1, max_size=3),
)


@given(BASES, ALIKE)
@example("https://h.example/simple/lib/", ["../a", "../../a"])
@example("https://h.example/simple/lib/", ["a", "/a"])
@example("https://h.example/simple/lib/", ["https://h.example/a", "https://i.example/a"])
@example("https://h.example/simple/lib/", ["https://h.example/a", "https://h.example/?"])
def test_what_all_links_begin_with_leads_where_each_of_them_leads(
    base: str, targets: list[str]
) -> None:
    if found := Links(base).common_start(targets):
        start, leads_to = found
        for target in targets:
            assert target.startswith(start)
            assert resolved(base, target) == leads_to + target[len(start) :]


@given(st.text(max_size=40), BASES)
def test_any_text_is_an_ascii_path_on_an_http_host_or_no_link(target: str, base: str) -> None:
    url = resolved(base, target)
    if url is not None:
        assert url.startswith(("http://", "https://"))
        assert "#" not in url
        assert url.split("/", 3)[-1].isascii() or url.count("/") < 3
        assert " " not in url


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("a b/lib.whl", "https://h.example/s/a%20b/lib.whl"),
        ("\n lib.whl\t", "https://h.example/s/lib.whl"),
        ("é/lib%20é.whl", "https://h.example/s/%C3%A9/lib%20%C3%A9.whl"),
        ("https://bücher.example/é.whl", "https://bücher.example/%C3%A9.whl"),
        ("x.whl?a=é&b=%C3%A9", "https://h.example/s/x.whl?a=%C3%A9&b=%C3%A9"),
    ],
)
def test_spaces_and_other_characters_are_escaped_once(target: str, url: str) -> None:
    assert Links("https://h.example/s/").url(target) == url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.example/a/lib%2B1.whl?x=/y.zip", "lib+1.whl"),
        ("https://lib.zip", ""),
        ("https://h.example/a/", ""),
        ("https://h.example/é.whl", "é.whl"),
    ],
)
def test_the_file_name_is_the_last_segment_of_the_path(url: str, name: str) -> None:
    assert filename_in(url) == name


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        ("sha256=a", {"sha256": "a"}),
        ("SHA256=a", {"sha256": "a"}),
        ("egg=lib&sha256=a&md5=b", {"sha256": "a", "md5": "b"}),
        ("sha256=", {}),
        ("sha256", {}),
        ("egg=lib", {}),
        ("", {}),
        ("&&=&=x", {}),
    ],
)
def test_a_fragment_holds_hashes_among_other_things(fragment: str, hashes: dict[str, str]) -> None:
    assert hashes_in(fragment) == hashes


@pytest.mark.parametrize(
    ("hashes", "best"),
    [
        ({}, None),
        (None, None),
        ("sha256", None),
        ({"md5": "1", "sha256": "2"}, ("sha256", "2")),
        ({"x": "1", "md5": "2"}, ("md5", "2")),
        ({"x": "1"}, ("x", "1")),
        ({"SHA512": "1"}, ("sha512", "1")),
        ({"sha256": None, "md5": "2"}, ("md5", "2")),
        ({"sha256": "", "md5": "2"}, ("md5", "2")),
        ({"sha256": 7}, None),
        ({7: "x", "": "y"}, None),
    ],
)
def test_one_hash_is_chosen(hashes: object, best: tuple[str, str] | None) -> None:
    assert best_hash(hashes) == best


class FakeIndex:
    name = "python"

    def __init__(self, prefix: str) -> None:
        self.token_prefix = prefix


@given(TARGETS, st.sampled_from(["https://h.example", "https://h.example/python"]))
@example("/python/lib/..%2f..%2fx.whl", "https://h.example/python")
@example("/python/lib/../../x.whl", "https://h.example/python")
@example("/python/lib/x;y.whl", "https://h.example/python")
@example("/lib/x%2fy.whl", "https://h.example")
@example("/lib/x\\y.whl", "https://h.example")
@example("/lib/x.whl?a=../b;c%2f", "https://h.example")
def test_what_is_linked_through_the_gateway_is_what_lies_below_the_prefix(
    path: str, prefix: str
) -> None:
    url = f"https://h.example{path}"
    local = _Ours(FakeIndex(prefix), "http://127.0.0.1:1").local_url(url)  # type: ignore[arg-type]
    assert (local is not None) == within(url, prefix)
    if local is not None:
        assert local.startswith("http://127.0.0.1:1/python/files")


@given(st.lists(TARGETS, max_size=3), st.sampled_from(["https://h.example/python", "https://h"]))
@example(["/a", "/../a"], "https://h.example/python")
@example(["/a", "a"], "https://h.example/python")
@example(["/a/%2e%2e/b"], "https://h.example/python")
def test_what_is_plainly_within_is_within(paths: list[str], prefix: str) -> None:
    urls = [f"https://h.example/python{path}" for path in paths]
    if are_plainly_within(urls, prefix):
        assert all(within(url, prefix) for url in urls)


def test_plain_files_of_an_index_need_no_closer_look() -> None:
    urls = [f"https://h.example/python/files/a%2Bb/lib-{n}.0.whl" for n in range(3)]
    assert are_plainly_within(urls, "https://h.example/python")


@pytest.mark.parametrize(
    "text",
    ["a" * 50_000 + " ", "a%2B" * 20_000 + "\\", "a/" * 30_000 + "..", "https://" + "a." * 30_000,
     "https://h.example/" + "%2B" * 30_000 + "%", "https://h.example/" + "a" * 50_000 + "\x00"],
    ids=range(6),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    """A page's author must not be able to keep the gateway busy (ReDoS)."""
    begun = time.process_time()
    resolved("https://h.example/simple/", text)
    ours = _Ours(FakeIndex("https://h.example"), "http://127.0.0.1:1")  # type: ignore[arg-type]
    ours.local_url(f"https://h.example/{text}")
    Links("https://h.example/simple/").common_start([text, text])
    are_plainly_within([f"https://h.example/{text}"] * 2, "https://h.example")
    assert time.process_time() - begun < 2
