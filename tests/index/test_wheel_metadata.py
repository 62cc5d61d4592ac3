"""METADATA from a wheel's tail: little is read, and whatever a wheel is, it breaks nothing else."""

from __future__ import annotations

import copy
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crane_core.index.wheel_metadata import (
    MAX_BYTES,
    MAX_FILES,
    MAX_HEAD,
    MAX_METADATA,
    MAX_RANGES,
    MAX_REQUIREMENTS,
    TAIL,
    Dependencies,
    NoMetadata,
    TailReader,
    dependencies_of,
    metadata_of_file,
    tail_of,
)
from crane_devserver import make_wheel, wheel_metadata

NAME = "lib-1.0-py3-none-any.whl"
INFO = "lib-1.0.dist-info"
ENTRY = f"{INFO}/METADATA"
METADATA = b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\nRequires-Dist: dep>=1\n\nText.\n"
FILES = {"lib/__init__.py": b"x = 1\n", ENTRY: METADATA, f"{INFO}/RECORD": b"lib/__init__.py,,\n"}
PADDING = bytes(range(256)) * 4096  # 1 MiB
Change = Callable[[zipfile.ZipFile], None]


def short(value: object) -> str:
    return repr(value)[:40]


def zipped(
    files: dict[str, bytes] = FILES, change: Change | None = None, how: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Make a zip; `change` may spoil its directory before that is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in files.items():
            stored = name.endswith(".bin")
            archive.writestr(name, data, zipfile.ZIP_STORED if stored else how)
        if change:
            change(archive)
    return buffer.getvalue()


def read(data: bytes, filename: str = NAME) -> tuple[bytes, list[range]]:
    """Return what a reader finds, and which ranges it wanted."""
    reader, ranges = TailReader(filename, len(data)), []
    while (wanted := reader.needed()) is not None:
        assert 0 <= wanted.start < wanted.stop <= len(data)
        ranges.append(wanted)
        reader.feed(wanted.start, data[wanted.start : wanted.stop])
    return reader.metadata(), ranges


def refusal(data: bytes, filename: str = NAME) -> str:
    with pytest.raises(NoMetadata) as raised:
        read(data, filename)
    assert raised.value.reason == str(raised.value)
    return raised.value.reason


def many(count: int) -> dict[str, bytes]:
    return {f"lib/a_file_with_a_longish_name_{n}.py": b"" for n in range(count)}


def zip64_entry(archive: zipfile.ZipFile) -> None:
    with archive.open(zipfile.ZipInfo(ENTRY), "w", force_zip64=True) as member:
        member.write(METADATA)


def left_out(archive: zipfile.ZipFile) -> None:
    """Leave a gap in the zip: what was there is no entry any more."""
    archive.filelist.remove(archive.getinfo("gap.bin"))


def zip64_entry_and_gap(archive: zipfile.ZipFile) -> None:
    zip64_entry(archive)
    archive.writestr("gap.bin", PADDING, zipfile.ZIP_STORED)
    left_out(archive)


def commented(archive: zipfile.ZipFile) -> None:
    archive.comment = b"c" * 60_000


READABLE = {
    "small": (zipped(), 1),
    "stored": (zipped(how=zipfile.ZIP_STORED), 1),
    "behind much else": (zipped({"lib/a.bin": PADDING} | FILES), 1),
    "before much else": (zipped(FILES | {"lib/a.bin": PADDING}), 2),
    "a directory longer than the tail": (zipped(many(1000) | FILES), 2),
    "a long directory, and METADATA first": (zipped(FILES | many(5000) | {"a.bin": PADDING}), 3),
    "a comment longer than the tail": (zipped(change=commented), 2),
    "after something that is no zip": (b"#!/bin/sh\n" * 9 + zipped(), 1),
    "between much else": (zipped({"a.bin": PADDING} | FILES | {"b.bin": PADDING}), 2),
    "before a gap": (zipped({ENTRY: METADATA, "gap.bin": PADDING, "a.py": b""}, left_out), 2),
    "an entry in zip64 form before a gap": (zipped({"lib/x.py": b""}, zip64_entry_and_gap), 2),
    "an entry in zip64 form": (zipped({"lib/__init__.py": b""}, zip64_entry), 1),
}


@pytest.mark.parametrize("case", READABLE)
def test_metadata_is_read_in_few_ranges(case: str) -> None:
    data, ranges = READABLE[case]
    found, wanted = read(data)
    assert found == METADATA
    assert len(wanted) == ranges


@pytest.mark.parametrize("case", ["before much else", "between much else", "before a gap"])
def test_the_first_range_is_the_tail_and_the_rest_only_what_is_missing(case: str) -> None:
    data = READABLE[case][0]
    _, (first, second) = read(data)
    assert first == range(len(data) - TAIL, len(data))
    assert second.stop <= first.start
    assert len(second) < 4096


@pytest.mark.parametrize(
    ("size", "tail"),
    [
        (None, TAIL), ("9000000", TAIL), (True, TAIL), (-1, TAIL), (40 * TAIL, TAIL),
        (41 * TAIL, 41 * TAIL // 40), (10**12, 512 << 10),
    ],
)  # fmt: skip
def test_large_wheels_have_long_ends(size: object, tail: int) -> None:
    assert tail_of(size) == tail


def test_a_wheel_of_the_devserver_is_read_as_it_is(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "Acme.Lib", "1.5", requires=["dep>=2"], size=200_000)
    found, ranges = read(wheel.read_bytes(), wheel.name)
    assert found == wheel_metadata(wheel) == metadata_of_file(wheel)
    assert len(ranges) == 1
    assert [str(r) for r in dependencies_of(found).requires] == ["dep>=2"]


@pytest.mark.parametrize("step", [7, 100, 1000])
def test_a_reader_that_gets_less_than_it_asked_for_asks_for_the_rest(step: int) -> None:
    data = zipped()
    reader = TailReader(NAME, len(data))
    cut = len(data) - step
    reader.feed(max(cut, 0), data[max(cut, 0) :])
    while (wanted := reader.needed()) is not None:
        assert wanted.stop <= max(cut, 0)
        reader.feed(wanted.start, data[wanted.start : wanted.stop])
    assert reader.metadata() == METADATA


def test_a_reader_that_gets_the_whole_file_at_once_is_content() -> None:
    data = READABLE["before much else"][0]
    reader = TailReader(NAME, len(data))
    reader.feed(0, data)
    assert reader.needed() is None
    assert reader.metadata() == METADATA


def test_answers_that_bring_nothing_new_end() -> None:
    data = READABLE["before much else"][0]
    reader = TailReader(NAME, len(data))
    for _ in range(MAX_RANGES):
        reader.feed(len(data) - TAIL, data[-TAIL:])
        assert reader.needed() is not None
    with pytest.raises(NoMetadata, match="too many ranges"):
        reader.feed(len(data) - TAIL, data[-TAIL:])
    assert reader.needed() is None


@pytest.mark.parametrize(
    ("start", "data"), [(-1, b"x"), (0, b""), (99, b"xy"), (100, b"x"), (1 << 70, b"x")]
)
def test_bytes_that_are_not_of_the_file_are_refused(start: int, data: bytes) -> None:
    with pytest.raises(NoMetadata, match="not of this file"):
        TailReader(NAME, 100).feed(start, data)


def test_more_than_the_limit_is_not_held() -> None:
    data = zipped({"lib/a.bin": PADDING * (MAX_BYTES // len(PADDING))} | FILES)
    with pytest.raises(NoMetadata, match="too much"):
        TailReader(NAME, len(data)).feed(0, data)
    assert read(data)[0] == METADATA


def test_nothing_is_told_before_all_is_read() -> None:
    reader = TailReader(NAME, 1000)
    with pytest.raises(NoMetadata, match="not read to the end"):
        reader.metadata()
    with pytest.raises(NoMetadata):
        reader.feed(0, b"x" * 1000)
    assert reader.needed() is None
    with pytest.raises(NoMetadata, match="not read to the end"):
        reader.metadata()


@pytest.mark.parametrize("size", [-1, 0, 1, 21])
def test_a_file_too_short_for_a_zip_is_not_asked_for(size: int) -> None:
    with pytest.raises(NoMetadata, match="too short"):
        TailReader(NAME, size)


def test_the_shortest_zip_is_asked_for() -> None:
    assert TailReader(NAME, 22).needed() == range(22)
    assert "0 .dist-info" in refusal(zipped({}))


@pytest.mark.parametrize(
    "filename",
    [
        "", ".whl", "lib.whl", "lib-1.0.whl", "lib-1.0-py3-none.whl", "lib-1.0-py3-none-any.zip",
        "lib-1.0-py3-none-any", "lib-1.0-1-2-py3-none-any.whl", "lib-x.y-py3-none-any.whl",
        "-1.0-py3-none-any.whl", "_-1.0-py3-none-any.whl", "../lib-1.0-py3-none-any.whl",
        "lib-" + "1" * 5000 + "-py3-none-any.whl", "l/b-1.0-py3-none-any.whl",
        "é-1-py3-none-any.whl",
    ],
    ids=short,
)  # fmt: skip
def test_a_name_that_is_no_wheels_is_refused(filename: str) -> None:
    with pytest.raises(NoMetadata, match="file name"):
        TailReader(filename, 1000)


def test_a_name_with_very_many_tags_costs_nothing() -> None:
    tags = ".".join(["a"] * 5000)
    found, _ = read(zipped(), f"lib-1.0-{tags}-{tags}-{tags}.whl")
    assert found == METADATA


@pytest.mark.parametrize(
    ("filename", "folder", "name", "version"),
    [
        ("lib-1.0-py3-none-any.whl", "lib-1.0", "lib", "1.0"),
        ("lib-1.0-2-py3-none-any.whl", "lib-1.0", "lib", "1.0"),
        ("acme_lib-1.0-py3-none-any.whl", "Acme.Lib-1.0", "ACME-lib", "1.0"),
        ("Acme.Lib-1.0-py3-none-any.whl", "acme_lib-1.0", "acme__lib", "1.0"),
        ("lib-1.0-py3-none-any.whl", "lib-1.0.0", "lib", "1"),
        ("lib-1.0.post1-py3-none-any.whl", "lib-1.0.post1", "lib", "1.0-1"),
        ("lib-1.0+local.1-py3-none-any.whl", "lib-1.0+local.1", "lib", "1.0+local-1"),
        ("lib-1!1.0rc1-py3-none-any.whl", "lib-1!1.0rc1", "lib", "v1!1.0-RC.1"),
    ],
)
def test_name_and_version_are_compared_as_such(
    filename: str, folder: str, name: str, version: str
) -> None:
    metadata = f"Name: {name}\nVersion: {version}\n".encode()
    assert read(zipped({f"{folder}.dist-info/METADATA": metadata}), filename)[0] == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        b"Name: lib\r\nVersion: 1.0\r\n\r\nText\r\n",
        b"name: lib\nVERSION:1.0",
        b"Version: 1.0\nName:  lib \nLicense: a\n\tb\n  c\n",
        b"Name: lib\nVersion: 1.0\nSummary: \xc3\xa9\n",
        b"Name: lib\nVersion: 1.0\n\n\xff\xfe no UTF-8, but nobody reads this as a head",
        b"Name: lib\nVersion: 1.0\n\n" + b"x" * (MAX_METADATA - 100),
        b"Name: lib\nVersion: 1.0\nthis is no header\n",
    ],
    ids=short,
)
def test_heads_that_pip_understands_are_understood(metadata: bytes) -> None:
    assert read(zipped({ENTRY: metadata}))[0] == metadata


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (b"", "another name"),
        (b"\nName: lib\nVersion: 1.0\n", "another name"),
        (b"Name: lib\n", "another name"),
        (b"Version: 1.0\n", "another name"),
        (b"Name: lib\n\nVersion: 1.0\n", "another name"),
        (b"Name: bil\nVersion: 1.0\n", "another name"),
        (b"Name: lib\nVersion: 1.0.1\n", "another name"),
        (b"Name: lib\nVersion: 1.0+x\n", "another name"),
        (b"Name: lib\nVersion: one\n", "another name"),
        (b"Name: lib\nName: lib\nVersion: 1.0\n", "another name"),
        (b"Name: lib\nVersion: 1.0\nVersion: 1.0\n", "another name"),
        (b"Name: lib\nName: 1.0\n", "another name"),
        (b"Name: lib/../x\nVersion: 1.0\n", "another name"),
        (b"no header\nName: lib\nVersion: 1.0\n", "another name"),
        (b"\x00\x01\x02", "another name"),
        (b"Name: lib\nVersion: 1.0\nSummary: \xff\n", "no UTF-8"),
        (METADATA.decode().encode("utf-16"), "no UTF-8"),
        (b"Name: lib\nVersion: 1.0\n" + b"Classifier: x\n" * (MAX_HEAD // 14), "too long"),
        (b"Name: lib\nVersion: 1.0\n\n" + b"x" * MAX_METADATA, "too large"),
    ],
    ids=short,
)
def test_a_metadata_that_is_not_this_wheels_is_refused(metadata: bytes, reason: str) -> None:
    assert reason in refusal(zipped({ENTRY: metadata}))


def without(name: str) -> dict[str, bytes]:
    return {key: value for key, value in FILES.items() if key != name}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"lib/__init__.py": b""}, "0 .dist-info"),
        ({}, "0 .dist-info"),
        (without(ENTRY), "no METADATA"),
        (FILES | {"other-1.0.dist-info/METADATA": METADATA}, "2 .dist-info"),
        (FILES | {"lib-1.0.post1.dist-info/RECORD": b""}, "2 .dist-info"),
        (FILES | {"LIB-1.0.dist-info/METADATA": METADATA}, "2 .dist-info"),
        (FILES | {"x.dist-info": b""}, "2 .dist-info"),
        ({"bil-1.0.dist-info/METADATA": METADATA}, "another name"),
        ({"lib-1.1.dist-info/METADATA": METADATA}, "another name"),
        ({"lib.dist-info/METADATA": METADATA}, "another name"),
        ({".dist-info/METADATA": METADATA}, "another name"),
        ({"lib-1.0-1.dist-info/METADATA": METADATA}, "another name"),
        ({f"sub/{ENTRY}": METADATA}, "0 .dist-info"),
        ({f"{INFO}/sub/METADATA": METADATA}, "no METADATA"),
        ({f"{INFO}/metadata": METADATA}, "no METADATA"),
        (FILES | {"../evil.py": b""}, "lead out"),
        (FILES | {"lib/../../evil.py": b""}, "lead out"),
        (FILES | {"..": b""}, "lead out"),
        (FILES | {"/etc/passwd": b""}, "lead out"),
        (FILES | {"..\\evil.py": b""}, "lead out"),
        ({f"{INFO}\\METADATA": METADATA}, "lead out"),
        ({f"/{ENTRY}": METADATA}, "lead out"),
    ],
)
def test_a_wheel_with_a_wrong_layout_is_refused(files: dict[str, bytes], reason: str) -> None:
    assert reason in refusal(zipped(files))


@pytest.mark.parametrize(
    "name", ["lib/..x/a..py", "lib/...", "a.dist-info.d/x", "lib/x.dist-info/y"]
)
def test_names_that_only_look_strange_are_none_of_our_business(name: str) -> None:
    assert read(zipped(FILES | {name: b""}))[0] == METADATA


def on_entry(**values: int | str | bytes) -> Change:
    """Return a change after which the directory says something else of METADATA."""

    def change(archive: zipfile.ZipFile) -> None:
        for name, value in values.items():
            setattr(archive.getinfo(ENTRY), name, value)

    return change


def twice(archive: zipfile.ZipFile) -> None:
    archive.filelist.append(archive.getinfo(ENTRY))


def overlapped(archive: zipfile.ZipFile) -> None:
    shadow = copy.copy(archive.getinfo(ENTRY))
    shadow.filename = "lib/shadow.py"
    archive.filelist.append(shadow)


def overlapped_within(archive: zipfile.ZipFile) -> None:
    overlapped(archive)
    archive.filelist[-1].header_offset += 40


def ends_at_nul(archive: zipfile.ZipFile) -> None:
    archive.getinfo("lib/__init__.py").filename = f"{ENTRY}\0.py"


def renamed_by_extra_field(archive: zipfile.ZipFile) -> None:
    entry = archive.getinfo("lib/__init__.py")
    name = b"lib/other.py"
    crc = zipfile.crc32(entry.filename.encode())  # type: ignore[attr-defined]
    entry.extra = struct.pack("<HHBL", 0x7075, 5 + len(name), 1, crc) + name


def unknown_extra_field(archive: zipfile.ZipFile) -> None:
    archive.getinfo(ENTRY).extra = struct.pack("<HH", 0x1234, 0xFFFF)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (twice, "has it twice"),
        (overlapped, "lies over"),
        (overlapped_within, "lies over"),
        (on_entry(header_offset=0), "lies over"),
        (on_entry(compress_size=5000), "lies over"),
        (on_entry(compress_size=0xFFFF_FFFE), "lies over"),
        (on_entry(compress_size=1 << 50), "lies over"),
        (on_entry(header_offset=1 << 50), "lies over"),
        (on_entry(header_offset=0xFFFF_FFF0), "lies over"),
        (on_entry(compress_size=5), "no zip"),
        (on_entry(file_size=5), "no zip"),
        (on_entry(CRC=5), "no zip"),
        (on_entry(flag_bits=0x1), "encrypted"),
        (on_entry(flag_bits=0x40), "encrypted"),
        (on_entry(flag_bits=0x2000), "encrypted"),
        (on_entry(flag_bits=0x20), "no zip"),
        (on_entry(compress_type=zipfile.ZIP_BZIP2), "compressed in a way"),
        (on_entry(compress_type=93), "compressed in a way"),
        (on_entry(compress_type=zipfile.ZIP_STORED), "no zip"),
        (on_entry(filename=f"{INFO}/METADATA2"), "no METADATA"),
        (on_entry(extract_version=200), "no zip"),
        (ends_at_nul, "two readings"),
        (unknown_extra_field, "no zip"),
    ],
)
def test_a_directory_that_lies_is_refused(change: Change, reason: str) -> None:
    assert reason in refusal(zipped(change=change))


def test_the_reason_is_told_as_it_is() -> None:
    assert refusal(zipped(change=on_entry(flag_bits=1))) == "METADATA is encrypted"


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_tools_need_not_know_is_refused(how: int) -> None:
    assert "compressed in a way" in refusal(zipped(how=how))


def test_a_name_that_an_extra_field_changes_is_not_believed() -> None:
    """Python 3.12 and later follow the field; before, the name is the one everybody sees."""
    data = zipped(change=renamed_by_extra_field)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        follows = "lib/other.py" in archive.namelist()
    if follows:
        assert "two readings" in refusal(data)
    else:
        assert read(data)[0] == METADATA


def test_an_offset_before_the_beginning_is_refused() -> None:
    data = zipped()
    offset = struct.unpack_from("<L", data, len(data) - 6)[0]
    assert "lies over" in refusal(data[:-6] + struct.pack("<LH", offset + 1000, 0))


def test_data_that_cannot_be_unpacked_is_refused() -> None:
    data = zipped()
    at = data.index(ENTRY.encode()) + len(ENTRY)
    assert "no zip" in refusal(data[:at] + b"\xff" * 8 + data[at + 8 :])


def test_names_that_are_no_text_are_refused() -> None:
    data = zipped({"lib/é.py": b""} | FILES)
    assert "no zip" in refusal(data.replace("é".encode(), b"\xff\xff"))


def test_a_local_header_of_another_file_is_refused() -> None:
    data = zipped()
    at = data.index(ENTRY.encode())
    reason = refusal(data[:at] + b"bil" + data[at + 3 :])
    assert reason == "no zip that can be read (BadZipFile)"


def peak_of(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("claimed", [64 << 20, 100, MAX_METADATA - 1, MAX_METADATA, 0xFFFF_FFFF])
def test_a_bomb_is_unpacked_only_to_the_limit(claimed: int) -> None:
    bomb = METADATA + b"\0" * (64 << 20)
    data = zipped({ENTRY: bomb}, on_entry(file_size=claimed))
    assert len(data) < 1 << 20
    peak = peak_of(lambda: refusal(data))
    assert peak < 4 * MAX_METADATA


def end(directory_size: int, offset: int, count: int = 1) -> bytes:
    """Return the end record of a zip."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, directory_size, offset, 0)


def end64(directory_size: int, offset: int, record_at: int = 0) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, directory_size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, record_at, 1)
    return record + locator + end(0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF)


HUGE = 1 << 40


@pytest.mark.parametrize(
    "tail",
    [
        end(16 << 20, 0), end(MAX_BYTES - 21, 0), end(0xFFFF_FFFF, 0),
        end(0xFFFF_FFFF, 0xFFFF_FFFF),
        end64(16 << 20, 0), end64(HUGE - 98, 0), end64(HUGE - 97, 0), end64((1 << 64) - 1, 0),
        end64((1 << 64) - 1, (1 << 64) - 1, (1 << 64) - 1),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_directory_larger_than_the_limit_is_not_asked_for(tail: bytes) -> None:
    reader = TailReader(NAME, HUGE)
    with pytest.raises(NoMetadata, match=r"too much|no zip"):
        reader.feed(HUGE - TAIL, tail.rjust(TAIL, b"\0"))


@pytest.mark.parametrize("size", [1 << 20, 5 << 20, 7 << 20, MAX_BYTES - 22])
def test_a_directory_is_asked_for_up_to_the_limit(size: int) -> None:
    reader = TailReader(NAME, HUGE)
    reader.feed(HUGE - TAIL, end(size, 0).rjust(TAIL, b"\0"))
    wanted = reader.needed()
    assert wanted is not None
    assert wanted.start <= HUGE - 22 - size < wanted.stop == HUGE - TAIL
    assert len(wanted) <= MAX_BYTES - TAIL


def test_a_directory_of_very_many_files_is_not_unfolded() -> None:
    one = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, *[0] * 8, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = one * (MAX_FILES + 1)
    data = directory + end(len(directory), 0, 0xFFFF)
    assert len(data) < MAX_BYTES
    assert peak_of(lambda: refusal(data)) < 4 * len(data)
    assert "too many files" in refusal(data)


def test_a_file_on_disk_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(zipped())
    peak = peak_of(lambda: metadata_of_file(path))
    assert metadata_of_file(path) == METADATA
    assert peak < 1 << 20


def test_a_file_on_disk_may_have_another_name(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 64)
    path.write_bytes(zipped())
    assert metadata_of_file(path, NAME) == METADATA
    with pytest.raises(NoMetadata, match="file name"):
        metadata_of_file(path)
    with pytest.raises(NoMetadata, match="another name"):
        metadata_of_file(path, "bil-1.0-py3-none-any.whl")


@pytest.mark.parametrize("make", [lambda _: None, Path.mkdir, Path.touch])
def test_a_file_that_cannot_be_read_is_no_other_error(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / NAME
    make(path)
    with pytest.raises(NoMetadata):
        metadata_of_file(path)


def read_or_refuse(data: bytes, filename: str = NAME) -> bytes | None:
    """Read within the promised limits; anything else that is raised fails the test."""
    total = 0
    try:
        reader = TailReader(filename, len(data))
        for _ in range(MAX_RANGES + 1):
            wanted = reader.needed()
            if wanted is None:
                break
            assert 0 <= wanted.start < wanted.stop <= len(data)
            total += len(wanted)
            reader.feed(wanted.start, data[wanted.start : wanted.stop])
        assert total <= MAX_BYTES
        return reader.metadata()
    except NoMetadata:
        return None


SEEDS = [
    zipped(),
    READABLE["an entry in zip64 form"][0],
    zipped(FILES | {"a.bin": PADDING[:40_000]}),
]
SEEDS += [zipped(how=zipfile.ZIP_STORED), zipped(change=on_entry(header_offset=1 << 50))]
WORDS = st.sampled_from(
    [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\xff" * 8, b"\0" * 8]
)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 99))
@example(b"PK\5\6" + b"\0" * 18, 0)
def test_random_bytes_are_refused(data: bytes, padding: int) -> None:
    assert read_or_refuse(data + bytes(padding)) is None


@settings(max_examples=400)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4) | WORDS), max_size=6),
)
def test_a_spoilt_wheel_is_refused_or_its_metadata_is_right(
    seed: bytes, edits: list[tuple[int, bytes]]
) -> None:
    data = bytearray(seed)
    for from_end, value in edits:
        at = max(0, len(data) - 1 - from_end)
        data[at : at + len(value)] = value
    found = read_or_refuse(bytes(data))
    assert found is None or (b"Name: lib" in found and b"Version: 1.0" in found)


@given(st.sampled_from(SEEDS), st.integers(0, 700), st.integers(0, 700))
def test_a_cut_wheel_is_refused(seed: bytes, front: int, back: int) -> None:
    found = read_or_refuse(seed[front : max(front + 1, len(seed) - back)] or b"x")
    assert back == 0 or found is None


NUMBERS = st.sampled_from(
    [0, 1, 45, 98, 300, 0xFFFF, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, (1 << 64) - 1]
)
NUMBERS |= st.integers(0, (1 << 64) - 1)


@given(st.sampled_from(SEEDS), NUMBERS, NUMBERS, NUMBERS)
def test_end_records_may_say_anything(seed: bytes, size: int, offset: int, at: int) -> None:
    read_or_refuse(seed[:-22] + end64(size, offset, at))
    read_or_refuse(seed[:-22] + end(size & 0xFFFF_FFFF, offset & 0xFFFF_FFFF))


@given(st.lists(st.integers(0, 40_000), max_size=5))
def test_whatever_is_fed_in_whatever_order_nothing_else_is_raised(starts: list[int]) -> None:
    seed = SEEDS[2]
    reader = TailReader(NAME, len(seed))
    try:
        for start in starts:
            reader.feed(start, seed[start : start + 9000])
        assert reader.metadata() == METADATA
    except NoMetadata:
        pass


def field(name: str, *values: str) -> bytes:
    return b"Name: lib\nVersion: 1.0\n" + "".join(f"{name}: {v}\n" for v in values).encode()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a"], ["a"]),
        (["a (>=1.0)"], ["a>=1.0"]),
        (["A.b_c[x,y]>=1,<2; python_version < '3'"], ['A.b_c[x,y]<2,>=1; python_version < "3"']),
        (["a>=1;\n  python_version < '3'"], ['a>=1; python_version < "3"']),
        (["a", "not a requirement at all", "b"], ["a", "b"]),
        (["a; extra == 'x'", "", "b>=one", "c;", "d; nonsense == '1'"], ['a; extra == "x"']),
        (["a", "b; " + "(" * 4000, "c; " + "(" * 900 + "os_name == 'x'" + ")" * 900], ["a"]),
        (["a; os_name in '" + "x" * 5000 + "'", "b"], ["b"]),
    ],
    ids=short,
)  # fmt: skip
def test_requirements_are_read_leniently(lines: list[str], expected: list[str]) -> None:
    found = dependencies_of(field("Requires-Dist", *lines)).requires
    assert [str(requirement) for requirement in found] == expected


def test_only_so_many_requirements_are_read() -> None:
    found = dependencies_of(field("Requires-Dist", *(f"a{n}" for n in range(2000)))).requires
    assert len(found) == MAX_REQUIREMENTS
    assert found[-1].name == f"a{MAX_REQUIREMENTS - 1}"


def test_extras_are_normalised_and_requires_python_is_kept() -> None:
    metadata = field("Provides-Extra", "Foo_Bar", "x", "foo.bar") + b"Requires-Python: >=3.8,<4 \n"
    found = dependencies_of(metadata)
    assert found == Dependencies((), frozenset({"foo-bar", "x"}), ">=3.8,<4")


def test_the_description_is_not_read() -> None:
    metadata = field("Requires-Dist", "a") + b"\nRequires-Dist: b\n" + b"x\n" * 1_000_000
    assert [r.name for r in dependencies_of(metadata).requires] == ["a"]


@pytest.mark.parametrize(
    "metadata",
    [b"", b"\n", b"Name: \xff\nRequires-Dist: a\n", b"Requires-Dist: a\n" * 100_000],
    ids=short,
)
def test_a_head_that_cannot_be_read_has_no_dependencies(metadata: bytes) -> None:
    assert dependencies_of(metadata) == Dependencies()


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_dependencies_of_anything_are_dependencies(lines: list[bytes]) -> None:
    keys = [b"Requires-Dist: ", b"Provides-Extra: ", b"Requires-Python: ", b""]
    text = b"\n".join(keys[n % 4] + line for n, line in enumerate(lines))
    assert isinstance(dependencies_of(text), Dependencies)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_the_wheels_that_the_fuzz_starts_from_are_read(seed: bytes) -> None:
    """All but the last, which lies; else the fuzz would only ever look at refusals."""
    assert (read_or_refuse(seed) == METADATA) is (seed is not SEEDS[-1])
