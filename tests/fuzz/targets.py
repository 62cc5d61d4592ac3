"""What reads bytes of others: one function for each kind of input, and words to make such bytes of.

Each function takes any bytes, and raises nothing but what its reader declares.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from crane_core.auth import crane_pip as crane_pip_tokens
from crane_core.auth import endpoint, sessions
from crane_core.auth.discovery import discover_issuer, provider_metadata
from crane_core.auth.tokens import read_identity, read_token_response
from crane_core.cache.freshness import fresh_until, may_be_stale
from crane_core.cache.model import StoredPage
from crane_core.clients.checkout import claimed_index
from crane_core.clients.pip_files import read_pip_configuration, read_pip_files
from crane_core.clients.pip_index import netrc_text
from crane_core.clients.pip_requirements import RequirementsRewriter
from crane_core.clients.wgetrc import read_wgetrc, wgetrc_for
from crane_core.config.crane_pip import read_servers
from crane_core.config.model import Configuration, Index
from crane_core.config.store import ConfigStore
from crane_core.errors import CraneError
from crane_core.gateway.connect_head import LONGEST_HEAD, ConnectHead
from crane_core.gateway.negotiation import negotiate
from crane_core.gateway.ranges import read_content_range, wanted_spans
from crane_core.gateway.uploads.form import FormReader, Part
from crane_core.gateway.uploads.refusal import UploadRefused
from crane_core.http import json_object
from crane_core.index.answer import Missing, PageAnswer, read_project_answer
from crane_core.index.page import JSON_TYPE, parse_json
from crane_core.index.root import folder_url, read_root
from crane_core.index.wheel_metadata import NoMetadata, dependencies_of, metadata_of_file
from crane_core.secret import Secret

URL = "https://index.firm.test/python/lib/"
ISSUER = "https://sso.firm.test/realms/firm"
NOW = 1_760_000_000.0
CORPUS = Path(__file__).with_name("corpus")
SCRATCH = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes; `words` are what its language is made of."""

    name: str
    read: Callable[[bytes], None]
    words: tuple[bytes, ...]

    @property
    def seeds(self) -> list[bytes]:
        """The kept inputs: some that are right, and all that once did harm."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]


def page(kind: str) -> Callable[[bytes], None]:
    """Return a reader of project pages of one content type."""

    def read(body: bytes) -> None:
        with suppress(CraneError):
            found = read_project_answer(PageAnswer(URL, 200, kind, body), "lib")
            if isinstance(found, Missing):
                return
            for file in found.files:
                assert urlsplit(file["url"]).scheme in {"http", "https"}, file
            assert found.to_html().isascii()
            # What we write, the next reader can read, and it says the same.
            again = parse_json(found.to_json(), URL)
            assert [f["url"] for f in again.files] == [f["url"] for f in found.files]

    return read


def root(kind: str) -> Callable[[bytes], None]:
    """Return a reader of root pages of one content type."""

    def read(body: bytes) -> None:
        async def fetch(url: str, limit: int) -> PageAnswer:
            return PageAnswer(url, 200, kind, body)

        with suppress(CraneError):
            found = asyncio.run(read_root(fetch, URL.rstrip("/")))
            assert found is not None
            json.dumps(found.document).encode()
            for spellings in found.projects.values():
                for spelling in spellings:
                    assert folder_url(URL, spelling).startswith(URL)

    return read


def token_answer(body: bytes) -> None:
    """Read the answer of a token endpoint, with the status that its first byte says."""
    status = (200, 400, 401, 403, 404, 429, 500, 503)[body[0] % 8 if body else 0]
    response = httpx2.Response(status, headers={"content-type": "application/json"})
    form = {"refresh_token": "secret-refresh-token"}
    try:
        payload = endpoint._answer(response, body[1:], f"{ISSUER}/token", form).payload
        tokens = read_token_response(payload, NOW)
        tokens.is_valid(NOW)
        tokens.is_fresh(NOW)
        read_identity(payload, "crane-pip", ISSUER, now=NOW, nonce="n")
    except CraneError as error:
        line = error.line
    else:
        return
    assert "secret-refresh-token" not in line
    assert len(line) < 2_000
    assert line.isprintable()


class OneAnswer:
    """A client that gets the same bytes from everywhere, as header or as body."""

    def __init__(self, body: bytes) -> None:
        head, _, self._body = body.partition(b"\n\n")
        lines = [line.partition(b": ") for line in head.split(b"\n")]
        self._status = (200, 302, 401, 404)[len(head) % 4]
        self._headers = [(k, v) for k, _, v in lines if k.isalnum() or k == b"www-authenticate"]
        self.asked: list[str] = []

    @contextmanager
    def _response(self, method: str, url: str) -> Iterator[httpx2.Response]:
        self.asked.append(url)
        stream = httpx2.ByteStream(b"" if method == "HEAD" else self._body)
        request = httpx2.Request(method, url)
        yield httpx2.Response(self._status, headers=self._headers, stream=stream, request=request)

    def stream(self, method: str, url: str, **_: Any) -> Any:
        return _Entered(self._response(method, url))


class _Entered:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aenter__(self) -> Any:
        return self._inner.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self._inner.__exit__(None, None, None)


def discovery(body: bytes) -> None:
    """Read a discovery document, and the challenge of an index that leads to one."""
    client: Any = OneAnswer(body)

    async def ask() -> None:
        with suppress(CraneError):
            await provider_metadata(client, ISSUER)
        with suppress(CraneError):
            assert urlsplit(await discover_issuer(client, URL.rstrip("/"))).scheme == "https"

    asyncio.run(ask())
    for url in client.asked:
        assert urlsplit(url).hostname in {"sso.firm.test", "index.firm.test"}, url


def connect_head(data: bytes) -> None:
    """Read the head of a CONNECT, in pieces as long as its first byte says."""
    step = data[0] + 1 if data else 1
    head = ConnectHead()
    for start in range(1, len(data), step):
        if head.feed(data[start : start + step]) or head.is_whole:
            break
        assert head.size <= LONGEST_HEAD
    assert len(head.target) <= len(data)


class Kept:
    """Takes what a form holds."""

    def __init__(self) -> None:
        self.size = 0

    def part(self, part: Part) -> None:
        self.size += len(part.value) + len(part.text)

    def file_begins(self, filename: str) -> None:
        self.size += len(filename)

    def file_piece(self, data: bytes) -> None:
        self.size += len(data)


def upload_form(data: bytes) -> None:
    """Read an upload form; its first line is the content type."""
    kind, _, body = data.partition(b"\n")
    kept = Kept()
    step = len(kind) % 40 + 1
    with suppress(UploadRefused):
        reader = FormReader(kind, kept)
        for start in range(0, len(body), step):
            reader.feed(body[start : start + step])
        reader.finish()
    assert kept.size <= 4 * len(data)


@contextmanager
def a_file(content: bytes, name: str = "file") -> Iterator[Path]:
    """Yield a file with this content, in a folder of its own that is in memory."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        yield path


def configuration(data: bytes) -> None:
    """Read the configuration file; what could be read, can be added to without a loss."""
    with a_file(data, "config.toml") as path, suppress(CraneError):
        path.chmod(0o600)
        path.parent.chmod(0o700)
        store = ConfigStore(path)
        before = dict(store.load().indexes)
        store.save(Index("added", "https://added.firm.test/simple", ISSUER))
        after = dict(store.load().indexes)
        assert after.pop("added").issuer == ISSUER
        # Of several there is one default, which may change.
        assert after.keys() == before.keys() - {"added"}
        assert [i.url for i in after.values()] == [before[name].url for name in after]


def checkout(data: bytes) -> None:
    """Read `[tool.crane]` of somebody else's pyproject.toml."""
    with suppress(CraneError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        tool = tomllib.loads(data.decode()).get("tool")
        table = tool.get("crane") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            index = claimed_index(table, Configuration({}))
            assert index is None or not (index.token_command or index.private)


def tool_files(data: bytes) -> None:
    """Read the files of pip, requests and wget, which crane takes settings from."""
    with a_file(data) as path:
        environ = {"NETRC": str(path), "PIP_CONFIG_FILE": str(path), "WGETRC": str(path)}
        read_pip_files(environ, path.parent)
        read_pip_configuration(environ, path.parent)
        wgetrc_for(read_wgetrc(environ, path.parent), "/bundle.pem")
        text = netrc_text(environ, path.parent, "127.0.0.1", Secret("s"))
        assert text.endswith("machine 127.0.0.1 login crane password s\n")


def requirements(data: bytes) -> None:
    """Read a requirements file, as `crane pip` does."""
    with a_file(data, "requirements.txt") as path, suppress(CraneError):
        copies: list[bytes] = []

        def store(name: str, content: bytes) -> str:
            copies.append(content)
            return name

        rewriter = RequirementsRewriter(store, {"A": "b"})
        rewriter.rewrite(str(path))
        assert sum(map(len, copies)) <= 8 * len(data) + 1_000


def crane_pip_files(data: bytes) -> None:
    """Read the files of crane-pip."""
    with a_file(data, "servers.json") as path:
        with suppress(CraneError):
            read_servers(path, Configuration({}))
        index = Index("firm", "https://index.firm.test/python", ISSUER)
        with suppress(CraneError):
            entry = crane_pip_tokens._entry(path, index) or {}
            crane_pip_tokens._seconds_left(entry.get("access_token_exp_time"), NOW)


def session_document(data: bytes) -> None:
    """Read a stored login that somebody has edited, or a crash has cut."""
    found = sessions._decode(data)
    sessions._decode_key(data)
    if found is not None:
        found.tokens.is_fresh(NOW)
        found.tokens.is_valid(NOW)


def wheel(data: bytes) -> None:
    """Read the metadata of a wheel that is no wheel."""
    with a_file(data, "lib-1.0-py3-none-any.whl") as path, suppress(NoMetadata):
        metadata = metadata_of_file(path)
        dependencies_of(metadata)
    dependencies_of(data)


def header_values(data: bytes) -> None:
    """Read what tools and indexes put into header fields."""
    text = data.decode("latin-1")
    first, _, second = text.partition("\n")
    for span in wanted_spans(first, 1_000) or []:
        assert 0 <= span.start < span.stop <= 1_000
    read_content_range(first)
    negotiate({"headers": [(b"accept", data)], "query_string": data})
    stored = StoredPage(URL, {"cache-control": first, "date": second, "expires": first}, b"", NOW)
    fresh_until(stored, NOW)
    may_be_stale(stored, NOW)
    json_object(data)


COMMON = (b"\x00", b"\xff", b"\xc3\xa9", b"\n", b"\r\n", b" ", b"\\ud800", b"9" * 400, b"-1")
JSON_WORDS = (
    *COMMON, b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"1e999", b"NaN",
    b"[" * 999, b'{"a":' * 500, b'"\\ud800"', b'"\\u0000"', b'""', b"{}", b"[]", b"1", b"1.5",
)  # fmt: skip
HTML_WORDS = (
    *COMMON, b"<a href=", b'"', b">", b"</a>", b"<base href=", b"<meta name=", b"<title>", b"<!--",
    b"#sha256=", b"javascript:", b"file:///", b"//[", b"http://[::1", b"\\", b"&#xd800;", b"&#0;",
    b"..", b"%00", b"%2e%2e/", b"?", b"<script>", b"<h1>Links for", b"https://x:99999/", b"@",
    b"data-requires-python=", b"data-core-metadata", b"type=password", b"xn--a",
)  # fmt: skip
TOML_WORDS = (
    *COMMON, b"[index.", b"]", b"[[", b"=", b'"', b"'", b'"""', b"url", b"issuer", b"private",
    b"[]", b"{}", b"true", b"1979-05-27", b"inf", b"#", b".", b'"\\u0000"', b"https://", b"name",
    b"[tool.crane]", b"index", b"client-id", b'["*"]', b"fallback", b"none",
)  # fmt: skip
HTTP_WORDS = (
    *COMMON, b"CONNECT ", b"GET ", b" HTTP/1.1", b"host: ", b"content-length: ", b": ", b"chunked",
    b"transfer-encoding: ", b"http://", b"[::1]:443", b"a" * 20_000, b"0\r\n\r\n", b"\t", b"\x0b",
    b"proxy-authorization: Basic ", b"expect: 100-continue", b"upgrade: h2c", b"bytes=", b"-", b"/",
    b";q=", b"*/*", b"max-age=", b'"', b"no-store", b",", b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Mon, 99 Foo 99999999999", b"format=", b"%", b"+",
)  # fmt: skip
FORM_WORDS = (
    *COMMON, b"--b", b"--b--", b"--", b"content-disposition: form-data; name=", b"content", b'"',
    b"; filename=", b"multipart/form-data; boundary=b", b"filename*=utf-8''x", b"\\", b"=", b";",
    b"name*0=", b"\r", b":", b"a" * 20_000,
)  # fmt: skip
FILE_WORDS = (
    *COMMON, b"machine ", b"login ", b"password ", b"default", b"macdef ", b"[global]",
    b"[DEFAULT]", b"proxy = ", b"%(x)s", b"cert = ", b"${HOME}", b"-r ", b"-c ", b"-i", b"#",
    b"--index-url ", b"# coding: idna\n", b"# coding: undefined\n", b"# coding: zlib\n", b"\\",
    b"# coding: utf-7\n", b"\xff\xfe",
    b"\xfe\xff", b"file://[", b"--extra-index-url=", b"'", b'"', b"ca_certificate=",
    b"requirements.txt", b"https://", b"${A}", b"-e .", b"# coding: punycode\n", b"file:///%00",
)  # fmt: skip
ZIP_WORDS = (
    *COMMON, b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04", b"PK\x06\x06", b"Requires-Dist: ", b"(",
    b"; extra ==", b"lib-1.0.dist-info/METADATA", b"Name: lib\n", b"Version: 1.0\n", b"[",
    b"@ file:", b"Requires-Python: >=",
)  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target("page-html", page("text/html; charset=utf-16"), HTML_WORDS),
        Target("page-json", page(JSON_TYPE), JSON_WORDS),
        Target("page-listing", page("application/json"), JSON_WORDS),
        Target("root-html", root("text/html"), HTML_WORDS),
        Target("root-json", root("application/json"), JSON_WORDS),
        Target("token-answer", token_answer, JSON_WORDS),
        Target("discovery", discovery, (*JSON_WORDS, *HTML_WORDS, b"www-authenticate: ")),
        Target("connect-head", connect_head, HTTP_WORDS),
        Target("upload-form", upload_form, FORM_WORDS),
        Target("configuration", configuration, TOML_WORDS),
        Target("checkout", checkout, TOML_WORDS),
        Target("tool-files", tool_files, FILE_WORDS),
        Target("requirements", requirements, FILE_WORDS),
        Target("crane-pip-files", crane_pip_files, JSON_WORDS),
        Target("session", session_document, JSON_WORDS),
        Target("wheel", wheel, ZIP_WORDS),
        Target("header-values", header_values, HTTP_WORDS),
    )
}
