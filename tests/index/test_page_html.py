"""Project pages in HTML: PEP 503 and what later PEPs hung on its anchors, and folder listings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.errors import IndexBroken
from crane_core.index.page import parse_html

URL = "https://index.example/simple/lib/"
WHEEL = "lib-1.0-py3-none-any.whl"
HASH = "a" * 64


def page(body: str, *, url: str = URL) -> list[dict[str, Any]]:
    return parse_html(f"<title>Links for lib</title>{body}".encode(), url, "lib").files


def one(attributes: str = "", href: str = WHEEL) -> dict[str, Any]:
    (file,) = page(f'<a href="{href}" {attributes}>{WHEEL}</a>')
    return file


@pytest.mark.parametrize(
    ("href", "url"),
    [
        (WHEEL, f"{URL}{WHEEL}"),
        (f"./{WHEEL}", f"{URL}{WHEEL}"),
        (f"../../files/{WHEEL}", f"https://index.example/files/{WHEEL}"),
        (f"/files/{WHEEL}", f"https://index.example/files/{WHEEL}"),
        (f"//cdn.example/{WHEEL}", f"https://cdn.example/{WHEEL}"),
        (f"https://cdn.example/a/{WHEEL}", f"https://cdn.example/a/{WHEEL}"),
        (f"{WHEEL}?sig=a&amp;b=c", f"{URL}{WHEEL}?sig=a&b=c"),
        (f"  {WHEEL}\n", f"{URL}{WHEEL}"),
        (f"{WHEEL}#sha256={HASH}", f"{URL}{WHEEL}"),
    ],
)
def test_a_link_is_resolved_against_the_pages_own_url(href: str, url: str) -> None:
    assert one(href=href)["url"] == url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://cdn.example/files/", f"https://cdn.example/files/{WHEEL}"),
        ("/files/", f"https://index.example/files/{WHEEL}"),
        ("../other/", f"https://index.example/simple/other/{WHEEL}"),
        ("", f"{URL}{WHEEL}"),
    ],
)
def test_a_base_tag_counts(base: str, url: str) -> None:
    (file,) = page(f'<head><base href="{base}"></head><a href="{WHEEL}">x</a>')
    assert file["url"] == url


def test_the_first_of_several_base_tags_counts() -> None:
    (file,) = page(f'<base href="/one/"><base href="/two/"><a href="{WHEEL}">x</a>')
    assert file["url"] == f"https://index.example/one/{WHEEL}"


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        (f"#sha256={HASH}", {"sha256": HASH}),
        (f"#md5={'b' * 32}", {"md5": "b" * 32}),
        (f"#sha256={HASH}&amp;egg=lib", {"sha256": HASH}),
        ("", {}),
        ("#", {}),
        ("#top", {}),
    ],
)
def test_the_fragment_holds_the_hash(fragment: str, hashes: dict[str, str]) -> None:
    assert one(href=f"{WHEEL}{fragment}")["hashes"] == hashes


def test_a_fragment_that_names_no_hash_is_none() -> None:
    """Such links are pip's old convention; `egg` is no algorithm."""
    assert one(href=f"{WHEEL}#egg=lib-1.0")["hashes"] == {}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('data-requires-python="&gt;=3.8,&lt;4"', {"requires-python": ">=3.8,<4"}),
        ('data-requires-python=">=3.8"', {"requires-python": ">=3.8"}),
        ("data-yanked", {"yanked": True}),
        ('data-yanked=""', {"yanked": True}),
        ('data-yanked="broken &amp; old"', {"yanked": "broken & old"}),
        (f'data-core-metadata="sha256={HASH}"', {"core-metadata": {"sha256": HASH}}),
        (f'data-dist-info-metadata="sha256={HASH}"', {"core-metadata": {"sha256": HASH}}),
        ('data-core-metadata="true"', {"core-metadata": True}),
        ('data-dist-info-metadata="true"', {"core-metadata": True}),
        ("data-core-metadata", {"core-metadata": True}),
        ('data-core-metadata="false"', {}),
        (
            f'data-dist-info-metadata="true" data-core-metadata="sha256={HASH}"',
            {"core-metadata": {"sha256": HASH}},
        ),
        ('data-gpg-sig="true"', {"gpg-sig": True}),
        ('data-gpg-sig="false"', {"gpg-sig": False}),
        ('data-gpg-sig="maybe"', {}),
        (
            'data-provenance="https://index.example/p"',
            {"provenance": "https://index.example/p"},
        ),
        ("", {}),
    ],
)
def test_attributes_become_the_keys_that_json_has_for_them(
    attributes: str, expected: dict[str, Any]
) -> None:
    file = one(attributes)
    assert {k: file[k] for k in file if k not in {"filename", "url", "hashes"}} == expected


@pytest.mark.parametrize(
    "href",
    [
        f"javascript:alert(1)//{WHEEL}", f"file:///etc/{WHEEL}", f"data:text/html,{WHEEL}",
        f"ftp://index.example/{WHEEL}", f"JAVASCRIPT:{WHEEL}", f"java&#10;script:{WHEEL}",
        f"vbscript:{WHEEL}", f"blob:https://index.example/{WHEEL}", f"http://[::1/{WHEEL}",
        f"http:///{WHEEL}", f"https://index.example:port/{WHEEL}", f"https://:443/{WHEEL}",
    ],
)  # fmt: skip
def test_links_with_another_scheme_or_without_a_host_are_left_out(href: str) -> None:
    assert page(f'<a href="{href}">x</a><a href="{WHEEL}">y</a>') == [
        {"filename": WHEEL, "url": f"{URL}{WHEEL}", "hashes": {}}
    ]


@pytest.mark.parametrize(
    "href",
    ["../", "/", "other/", "lib-1.0.tar.gz.asc", "SHA256SUMS", "?C=M", "#top", "", WHEEL + "/"],
)
def test_links_that_are_no_distributions_are_left_out(href: str) -> None:
    assert page(f'<a href="{href}">x</a>') == []


def test_an_anchor_without_href_is_left_out() -> None:
    assert page("<a name='x'>lib-1.0.tar.gz</a>") == []


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".egg"])
def test_all_kinds_of_distribution_are_files(suffix: str) -> None:
    assert [file["filename"] for file in page(f'<a href="lib-1.0{suffix}">x</a>')] == [
        f"lib-1.0{suffix}"
    ]


def test_the_file_name_is_that_of_the_url_not_the_text_and_is_decoded() -> None:
    (file,) = page('<a href="lib-1.0%2Blocal.tar.gz">something else</a>')
    assert file["filename"] == "lib-1.0+local.tar.gz"
    assert file["url"] == f"{URL}lib-1.0%2Blocal.tar.gz"


def test_a_metadata_file_beside_a_wheel_counts_as_its_metadata() -> None:
    files = page(
        f'<a href="{WHEEL}">x</a><a href="{WHEEL}.metadata">x</a><a href="lib-1.0.tar.gz">x</a>'
    )
    assert [(f["filename"], f.get("core-metadata")) for f in files] == [
        (WHEEL, True),
        ("lib-1.0.tar.gz", None),
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.9"])
def test_a_page_in_html_is_read_as_version_1_0(version: str) -> None:
    """As JSON, a later version would promise sizes (PEP 700), which HTML has no place for."""
    body = f'<meta name="pypi:repository-version" content="{version}"><a href="{WHEEL}">x</a>'
    document = parse_html(body.encode(), URL, "lib").document
    assert document["meta"]["api-version"] == "1.0"


@pytest.mark.parametrize("version", ["2.0", "10.0", "0.9", "x"])
def test_another_major_version_is_refused(version: str) -> None:
    body = f'<meta name="pypi:repository-version" content="{version}">'
    with pytest.raises(IndexBroken, match="speaks version"):
        parse_html(body.encode(), URL, "lib")


@pytest.mark.parametrize(
    "body",
    [
        "<title>Links for lib</title>",
        "<h1>Simple index</h1>",
        "<title>Index of /lib</title>",
        '<meta name="pypi:repository-version" content="1.0">',
        "<h1>Directory <code>/python/lib/</code></h1>",
        '<a href="notes.txt">notes.txt</a>',
    ],
)
def test_an_index_page_may_have_no_files(body: str) -> None:
    assert parse_html(body.encode(), URL, "lib").document == {
        "meta": {"api-version": "1.0"},
        "name": "lib",
        "files": [],
    }


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<h1>Down for maintenance</h1>",
        "<html><body><div id=app></div><script src=/app.js></script></body></html>",
        '<title>Sign in</title><a href="https://sso.example/login">Continue</a>',
        '<p><a href="/">Back to the start</a></p>',
    ],
)
def test_another_page_without_files_is_broken_and_never_a_project_without_versions(
    body: str,
) -> None:
    with pytest.raises(IndexBroken):
        parse_html(body.encode(), URL, "lib")


@pytest.mark.parametrize("base", ["http://[::1", "https://index.example:port/", "//[", "http://"])
def test_a_base_tag_that_is_no_url_breaks_the_page_and_not_the_gateway(base: str) -> None:
    body = f'<base href="{base}"><a href="{WHEEL}">x</a>'.encode()
    try:
        files = parse_html(body, URL, "lib").files
    except IndexBroken:
        return
    assert all(file["url"].startswith("http") for file in files)


@given(st.binary(max_size=300))
@example(b'<base href="http://[">')
@example(b'<a href="http://[/x.whl">')
@example(b'<a href="\xff\xfe.whl">')
@example(b"<a href=x.whl data-yanked=\x00>")
def test_any_bytes_are_a_page_or_a_broken_one(body: bytes) -> None:
    try:
        found = parse_html(body, URL, "lib")
    except IndexBroken:
        return
    found.to_json()
    found.to_html()


HREFS = st.text(
    st.sampled_from(list("ab/.:#?&%[]@\\<>\"' \té€\x00")) | st.characters(), max_size=30
)


@given(HREFS, HREFS)
def test_any_link_is_resolved_or_left_out(href: str, base: str) -> None:
    import html

    body = f'<base href="{html.escape(base)}"><a href="{html.escape(href)}.whl">x</a>'
    try:
        files = parse_html(body.encode(errors="replace"), URL, "lib").files
    except IndexBroken:
        return
    assert all(file["url"].startswith(("http://", "https://")) for file in files)
