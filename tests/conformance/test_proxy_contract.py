"""The contract of an HTTP intermediary (RFC 9110, 9112), for files, line by line.

Each line holds for a file that comes from the index (`cold`) and for one from the cache (`warm`).
"""

from __future__ import annotations

import hashlib
import re

import httpx2
import pytest
from conformance.front import Front
from conformance.origin import MODIFIED, TYPE, Broken, File
from conformance.states import CONTENT, SIZE, both, path_of, prepared
from gateway.upstream import ask, send_raw

HOP_BY_HOP = (
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "upgrade",
)  # fmt: skip


class TestHopByHop:
    """RFC 9110 §7.6.1: fields of one connection end with it, those named in Connection too."""

    def test_of_the_request_stay_with_the_tool(self, front: Front) -> None:
        path = path_of(front, File(CONTENT))
        lines = [f"{name}: x" for name in HOP_BY_HOP]
        answer = ask(front.gate, f"/python/files{path}", *lines, "connection: x-own", "x-own: 1")
        assert answer.status == 200
        (seen,) = front.seen(path)
        assert not {*HOP_BY_HOP, "x-own", "transfer-encoding"} & set(seen)
        assert "x-own" not in seen.get("connection", "")

    def test_no_via_is_sent_since_nginx_would_send_pages_unpacked(self, front: Front) -> None:
        """A deviation from §7.6.3, on purpose: docs/reference/protocol.md."""
        name = front.add('<a href="lib-1.0.zip">x</a>')
        assert ask(front.gate, f"/python/simple/{name}/", "via: 1.1 other").status == 200
        (seen,) = front.seen(f"/simple/{name}/")
        assert "via" not in seen

    @both
    def test_of_the_answer_stay_with_the_index(self, front: Front, state: str) -> None:
        extra = {name.replace("-", "_"): "x" for name in HOP_BY_HOP}
        file = File(CONTENT, extra={**extra, "connection": "x-own", "x_own": "1"})
        headers = front.gate.get(prepared(front, state, file)).headers
        assert not {*HOP_BY_HOP, "x-own"} & set(headers)
        assert "x-own" not in headers.get("connection", "")

    @both
    def test_cookies_and_logins_stay_where_they_are(self, front: Front, state: str) -> None:
        file = File(CONTENT, extra={"set_cookie": "a=b", "www_authenticate": "Bearer"})
        url = prepared(front, state, file)
        headers = front.gate.get(url, cookie="c=d", authorization="Basic eDp5").headers
        assert not {"set-cookie", "www-authenticate"} & set(headers)
        seen = front.seen(url.removeprefix(f"{front.gate.url}/python/files"))
        assert all("cookie" not in headers for headers in seen)
        assert all(headers["authorization"].startswith("Bearer ") for headers in seen)


class TestFraming:
    """RFC 9112 §6: one length, and no end that is none."""

    @both
    @pytest.mark.parametrize("sized", [True, False])
    def test_there_is_a_length_or_there_are_chunks_never_both(
        self, front: Front, state: str, sized: bool
    ) -> None:
        url = prepared(front, state, File(CONTENT, sized=sized))
        answer = front.gate.get(url)
        lengths = answer.headers.get_list("content-length")
        chunked = answer.headers.get("transfer-encoding") == "chunked"
        assert len(lengths) + chunked == 1
        assert answer.content == CONTENT

    @pytest.mark.parametrize("sized", [True, False])
    def test_a_file_that_breaks_off_breaks_off_for_the_tool(
        self, front: Front, sized: bool
    ) -> None:
        path = path_of(front, Broken(CONTENT * 20, sized))
        with pytest.raises(httpx2.HTTPError):
            front.gate.get(f"{front.gate.url}/python/files{path}")
        host = f"host: 127.0.0.1:{front.gate.port}"
        request = f"GET /python/files{path} HTTP/1.1\r\n{host}\r\nconnection: close\r\n\r\n"
        raw = send_raw(front.gate, request.encode())
        assert not raw.data.endswith(b"0\r\n\r\n"), "no clean end"
        assert len(raw.body) < 2 * len(CONTENT * 20)

    @both
    def test_head_has_no_body_and_the_files_length(self, front: Front, state: str) -> None:
        url = prepared(front, state, File(CONTENT))
        raw = ask(front.gate, url.removeprefix(front.gate.url), method="HEAD")
        assert raw.status == 200
        assert raw.body == b""
        assert f"content-length: {SIZE}" in raw.head.lower()


class TestWhatIsSaidOfAFile:
    """Representation metadata comes through as the index says it."""

    @both
    def test_its_validators_type_and_caching_are_intact(self, front: Front, state: str) -> None:
        file = File(CONTENT, extra={"cache_control": "max-age=5, private"})
        headers = front.gate.get(prepared(front, state, file)).headers
        assert headers["etag"] == '"one"'
        assert headers["last-modified"] == MODIFIED
        assert headers["content-type"] == TYPE
        assert headers["cache-control"] == "max-age=5, private"

    def test_an_encoding_that_nobody_asked_for_is_refused(self, front: Front) -> None:
        """Files are asked for as they are: their hash is of these bytes."""
        path = path_of(front, File(CONTENT, extra={"content_encoding": "gzip"}))
        answer = front.gate.get(f"{front.gate.url}/python/files{path}", accept_encoding="gzip")
        assert answer.status_code in {502, 504}
        (seen,) = front.seen(path)
        assert seen["accept-encoding"] == "identity"


class TestMethodsAndStatuses:
    """RFC 9110 §9, §15."""

    @pytest.mark.parametrize(
        "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
    )
    def test_another_method_is_a_405_that_says_which_there_are(
        self, front: Front, method: str
    ) -> None:
        raw = ask(front.gate, "/python/simple/", method=method)
        assert raw.status == 405
        assert "allow: GET, HEAD" in raw.head

    @both
    def test_every_answer_has_one_date(self, front: Front, state: str) -> None:
        url = prepared(front, state, File(CONTENT))
        assert len(front.gate.get(url).headers.get_list("date")) == 1

    def test_metadata_is_served_where_it_is_announced(self, front: Front) -> None:
        """PEP 658: MUST serve the Core Metadata file alongside the distribution."""
        path = path_of(front, File(CONTENT))
        metadata = b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"
        front.put(f"{path}.metadata", metadata)
        digest = hashlib.sha256(metadata).hexdigest()
        anchor = f'<a href="{path}" data-core-metadata="sha256={digest}">x</a>'
        (file,) = front.get(front.add(anchor)).json()["files"]
        answer = front.gate.get(f"{file['url']}.metadata")
        assert answer.status_code == 200
        assert answer.content.startswith(b"Metadata-Version: 2.1")
        assert re.fullmatch(r"/python/files/files/.*", file["url"].removeprefix(front.gate.url))

    def test_a_signature_is_alongside_its_file(self, front: Front) -> None:
        """PEP 503: the same name with .asc appended."""
        path = path_of(front, File(CONTENT))
        front.put(f"{path}.asc", b"-----BEGIN PGP SIGNATURE-----")
        (file,) = front.get(front.add(f'<a href="{path}" data-gpg-sig="true">x</a>')).json()[
            "files"
        ]
        assert front.gate.get(f"{file['url']}.asc").content.startswith(b"-----BEGIN")

    def test_provenance_that_the_index_keeps_can_be_had_and_may_change(self, front: Front) -> None:
        """PEP 740: attestations are added later; the file stays the same, this one does not."""
        path = path_of(front, File(CONTENT))
        front.put(f"{path}.provenance", b'{"version":1}')
        anchor = f'<a href="{path}" data-provenance="{path}.provenance">x</a>'
        page = front.add(anchor.replace('provenance="', f'provenance="{front.upstream_url}'))
        (file,) = front.get(page).json()["files"]
        assert front.gate.get(file["provenance"]).content == b'{"version":1}'
        front.put(f"{path}.provenance", b'{"version":1,"more":2}')
        assert front.gate.get(file["provenance"]).content == b'{"version":1,"more":2}'
