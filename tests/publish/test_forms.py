"""The form and the archives, as somebody writes them who means harm."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from crane_core.gateway.uploads import form as forms
from crane_core.gateway.uploads.checks import check_fields, distribution_of, read_metadata
from crane_core.gateway.uploads.form import FormReader, Part, head_of
from crane_core.gateway.uploads.refusal import UploadRefused
from crane_core.index.sdist_metadata import metadata_of_sdist
from crane_core.index.wheel_metadata import NoMetadata

IDENTITY = ("firm-lib", Version("1.0"))
PKG_INFO = b"Metadata-Version: 2.2\nName: firm-lib\nVersion: 1.0\n"


class Kept:
    """Keeps what a form holds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.filename = ""
        self.content = b""

    def part(self, part: Part) -> None:
        self.parts.append(part)

    def file_begins(self, filename: str) -> None:
        self.filename = filename

    def file_piece(self, data: bytes) -> None:
        self.content += data


def read(body: bytes, sizes: list[int]) -> Kept:
    kept = Kept()
    reader = FormReader(b"multipart/form-data; boundary=b", kept)
    at = 0
    for size in [*sizes, len(body)]:
        reader.feed(body[at : at + size])
        at += size
    reader.finish()
    return kept


@given(
    content=st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--b", b"\r\n--", b"x", b"\0"])),
    value=st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
    sizes=st.lists(st.integers(1, 40), max_size=20),
)
def test_in_whatever_pieces_it_comes(content: list[bytes], value: str, sizes: list[int]) -> None:
    """Also such bytes as look like the form's own."""
    data = b"".join(content)
    if b"\r\n--b" in b"\r\n" + data:
        data = data.replace(b"--b", b"")
    body = head_of("b", "summary") + value.encode() + b"\r\n"
    body += head_of("b", "content", "a.whl") + data + b"\r\n--b--\r\n"
    kept = read(body, sizes)
    assert kept.content == data
    assert [(p.name, p.text) for p in kept.parts] == [("summary", value)]


FILE = head_of("b", "content", "a.whl")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "broke off"),
        (FILE + b"data", "broke off"),
        (b"rubbish", "cannot be read"),
        (head_of("b", "x") + b"1\r\n--b--\r\n", "has no file"),
        (head_of("b", "content") + b"1\r\n--b--\r\n", "without a file name"),
        (FILE + b"1\r\n" + FILE + b"2\r\n--b--\r\n", "two files"),
        (b"--b\r\n" + b"x: y\r\n" * 100 + b"\r\n1\r\n--b--\r\n", "cannot be read"),
        (b"--b\r\nx: " + b"y" * 100_000, "cannot be read"),
        ((head_of("b", "x") + b"\r\n") * 20_000, "too many parts"),
    ],
    ids=range(9),
)
def test_broken_forms(body: bytes, why: str) -> None:
    with pytest.raises(UploadRefused, match=why):
        read(body, [])


def test_fields_of_any_size_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_BYTES", 1000)
    with pytest.raises(UploadRefused, match="more than"):
        read(head_of("b", "x") + b"1" * 2000, [])
    twice = [Part("name", b"firm-lib"), Part("name", b"other-lib")]
    with pytest.raises(UploadRefused, match="name twice"):
        check_fields(distribution_of("firm_lib-1.0.tar.gz"), twice, whole=False)
    for kind in (b"text/plain", b"multipart/form-data", b"multipart/form-data; boundary="):
        with pytest.raises(UploadRefused, match="no multipart"):
            FormReader(kind, Kept())
    # What is written into a form of ours cannot end it.
    assert head_of("b", 'a"\r\nx: y', "\r\n--b--").count(b"\r\n") == 4


def sdist(path: Path, **entries: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_sdists(tmp_path: Path) -> None:
    """Read to their end, but no further than a source distribution goes."""
    path = tmp_path / "firm_lib-1.0.tar.gz"

    def why() -> str:
        with pytest.raises(NoMetadata) as caught:
            metadata_of_sdist(path, path.name, IDENTITY)
        return caught.value.reason

    sdist(path, firm__PKG_INFO=PKG_INFO)
    assert "no PKG-INFO" in why()
    good = {"firm__PKG-INFO": PKG_INFO, "firm__a__PKG-INFO": b"another's"}
    assert metadata_of_sdist(sdist(path, **good), path.name, IDENTITY) == PKG_INFO
    sdist(path, **{"firm__PKG-INFO": PKG_INFO, "other__PKG-INFO": PKG_INFO})
    assert "twice" in why()
    sdist(path, **good, **{"firm__..__..__evil": b""})
    assert "lead out" in why()
    sdist(path, **{"firm__PKG-INFO": PKG_INFO.replace(b"1.0", b"2.0")})
    assert "another name or version" in why()
    sdist(path, **{"firm__PKG-INFO": PKG_INFO + b"x" * (3 << 20)})
    assert "too large" in why()

    path.write_bytes(gzip.compress(bytes(100 << 20), 9))
    assert "unpacks to more" in why()
    whole = sdist(path, **good, firm__bomb=bytes(100 << 20)).read_bytes()
    assert "unpacks to more" in why()
    path.write_bytes(whole[:200])
    assert "no archive" in why()
    path.write_bytes(b"PK\x03\x04")
    assert "no archive" in why()


def test_a_zip_of_sources(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "firm_lib-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("firm_lib-1.0/PKG-INFO", PKG_INFO)
    assert read_metadata(distribution_of(path.name), path) == PKG_INFO
