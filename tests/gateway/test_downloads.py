"""One fetch for everybody who wants the same file, and what it comes to when something breaks."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import AsyncMock

import httpx2
import pytest
from auth.disks import small_disk
from gateway.depot import PATH, Depot, File, depot, http_date, noise, sha256
from gateway.upstream import SECONDS, start, whole

from crane_core.gateway.downloads import LARGEST_WINDOW as WINDOW
from crane_core.gateway.downloads import Downloads
from crane_core.gateway.file_answers import StreamBroken

MIB = 1 << 20
BIG = noise(4 * MIB)
BREAK = (httpx2.RemoteProtocolError, httpx2.ReadError)
# The index's server sets the Date itself.
OLD, YOUNG = http_date(time.time() - 7200), http_date(time.time() + 7200)
Serve = Callable[..., Depot]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give a function that serves one file, or files by path, through a gateway."""
    with ExitStack() as stack:

        def begin(file: Any, **options: Any) -> Depot:
            files = file if isinstance(file, dict) else {PATH: file}
            serving: AbstractContextManager[Depot] = depot(tmp_path, files, **options)
            return stack.enter_context(serving)

        yield begin


class TestOneFetch:
    def test_a_hundred_tools_at_once_get_a_100_mb_wheel_as_it_comes_from_one_request(
        self, serve: Serve
    ) -> None:
        content = noise(MIB) * 100
        file = File(content, pause_at=2 * MIB)
        site = serve(file)
        begun = threading.Barrier(101)

        def download() -> bool:
            tool = site.open()
            first = tool.read(MIB)
            begun.wait(60)
            return first == content[:MIB] and tool.reads(content, MIB)

        with ThreadPoolExecutor(100) as tools:
            downloads = [tools.submit(download) for _ in range(100)]
            begun.wait(60)
            # Each has the beginning, and the index has not sent the rest.
            file.opened.set()
            assert all(tool.result(120) for tool in downloads)
        assert len(site.asked()) == 1
        site.settle()
        assert [path.read_bytes() == content for path in site.cached()] == [True]

    def test_whoever_comes_later_gets_it_from_the_beginning(self, serve: Serve) -> None:
        file = File(BIG, pause_at=3 * MIB)
        site = serve(file)
        first = site.begin()
        assert first.read(2 * MIB) == BIG[: 2 * MIB]
        second = site.begin()
        assert second.read(2 * MIB) == BIG[: 2 * MIB]
        file.opened.set()
        assert first.read() == second.read() == BIG[2 * MIB :]
        assert len(site.asked()) == 1

    def test_a_slow_tool_keeps_nobody_waiting(self, serve: Serve) -> None:
        content = noise(32 * MIB)
        site = serve(File(content))
        slow = site.begin()
        assert site.get().content == content
        assert slow.read() == content
        assert len(site.asked()) == 1

    def test_without_a_cache_those_who_came_before_the_first_byte_share_it(
        self, serve: Serve
    ) -> None:
        file = File(BIG, pause_at=0)
        site = serve(file, size=0)
        with ThreadPoolExecutor(3) as tools:
            answers = [tools.submit(site.get) for _ in range(3)]
            site.until_readers(3)
            file.opened.set()
            assert {answer.result(SECONDS).content for answer in answers} == {BIG}
        assert len(site.asked()) == 1

    def test_without_a_cache_who_comes_later_has_a_fetch_of_its_own(self, serve: Serve) -> None:
        file = File(BIG, pause_at=3 * MIB)
        site = serve(file, size=0)
        first = site.begin()
        assert first.read(2 * MIB) == BIG[: 2 * MIB]
        second = site.begin()
        file.opened.set()
        assert second.read() == BIG
        assert first.read() == BIG[2 * MIB :]
        assert len(site.asked()) == 2

    def test_two_logins_share_nothing(self, serve: Serve) -> None:
        file = File(BIG, pause_at=2 * MIB)
        site = serve(file)
        ada = site.begin()
        assert ada.read(MIB) == BIG[:MIB]
        site.log_in("bob")
        bob = site.begin()
        file.opened.set()
        assert bob.read() == BIG
        assert ada.read() == BIG[MIB:]
        tokens = [headers["authorization"] for headers in site.asked()]
        assert tokens == ["Bearer ada-token", "Bearer bob-token"]

    def test_an_error_of_the_index_reaches_everybody(self, serve: Serve) -> None:
        asked, answer = threading.Event(), threading.Event()

        async def refusing(scope: Any, receive: Any, send: Any) -> None:
            asked.set()
            assert await asyncio.to_thread(answer.wait, SECONDS)
            await whole(403, b"")(scope, receive, send)

        site = serve({PATH: refusing})
        with ThreadPoolExecutor(4) as tools:
            answers = [tools.submit(site.get) for _ in range(4)]
            site.until_readers(4)
            answer.set()
            assert {answer.result(SECONDS).status_code for answer in answers} == {403}
        assert len(site.asked()) == 1

    def test_a_small_and_an_empty_file_come_as_well(self, serve: Serve) -> None:
        site = serve({PATH: File(b"x"), f"{PATH}.metadata": File(b"", sized=False)})
        assert site.get().content == b"x"
        assert site.get(f"{PATH}.metadata").content == b""
        site.settle()
        assert site.streamer._downloads._shared == {}, "nothing is held on to"


class TestLeaving:
    def test_the_one_who_came_first_may_leave(self, serve: Serve) -> None:
        file = File(BIG, pause_at=2 * MIB)
        site = serve(file)
        leaving = site.begin()
        assert leaving.read(MIB) == BIG[:MIB]
        staying = site.begin()
        assert staying.read(MIB) == BIG[:MIB]
        leaving.leave()
        file.opened.set()
        assert staying.read() == BIG[MIB:]
        assert len(site.asked()) == 1

    def test_the_last_one_to_leave_ends_the_fetch_and_leaves_nothing(self, serve: Serve) -> None:
        """The index is silent meanwhile, and would be for ever."""
        begun, left = BIG[: 2 * MIB], threading.Event()

        async def endless(scope: Any, receive: Any, send: Any) -> None:
            await send(start(200, content_type="application/zip"))
            await send({"type": "http.response.body", "body": begun, "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        site = serve({PATH: endless})
        tools = [site.begin(size=MIB) for _ in range(3)]
        for tool in tools:
            assert not left.is_set()
            tool.leave()
        assert left.wait(SECONDS), "the gateway still reads"
        site.settle()
        assert (site.spools(), site.cached()) == ([], [])

    def test_it_is_noticed_before_the_index_has_answered(self, serve: Serve) -> None:
        asked, answer = threading.Event(), threading.Event()

        async def silent(scope: Any, receive: Any, send: Any) -> None:
            asked.set()
            await asyncio.to_thread(answer.wait, SECONDS)

        site = serve({PATH: silent})
        tool = site.open()
        assert asked.wait(SECONDS)
        tool.leave()
        site.settle()
        answer.set()

    def test_who_comes_right_after_gets_a_fetch_of_its_own(self, serve: Serve) -> None:
        file = File(BIG, pause_at=2 * MIB)
        site = serve(file)
        tool = site.begin()
        assert tool.read(MIB)
        tool.leave()
        site.settle()
        file.opened.set()
        assert site.get().content == BIG
        assert len(site.asked()) == 2

    def test_a_file_that_is_nearly_here_is_finished_for_the_next_one(self, serve: Serve) -> None:
        file = File(BIG, pause_at=int(0.95 * len(BIG)))
        site = serve(file)
        tool = site.begin()
        assert tool.read(int(0.92 * len(BIG)))
        tool.leave()
        site.until_readers(0)
        file.opened.set()
        site.settle()
        assert [path.read_bytes() for path in site.cached()] == [BIG]
        assert site.get().content == BIG
        assert len(site.asked()) == 1


class TestAnIndexThatBreaksOff:
    def resumed(self, site: Depot, file: File) -> list[dict[str, str]]:
        assert site.get().content == file.content
        site.settle()
        assert [path.read_bytes() for path in site.cached()] == [file.content]
        return site.asked()

    def broken(self, site: Depot) -> None:
        with pytest.raises(BREAK):
            site.get()
        site.settle()
        assert (site.spools(), site.cached()) == ([], [])
        assert site.provenance.sha256(site.url()) is None
        assert site.problems

    def test_is_asked_for_the_rest_by_its_strong_etag(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB + 7])
        site = serve(file)
        first, second = self.resumed(site, file)
        assert "range" not in first
        assert second["if-range"] == '"one"'
        assert 0 < int(second["range"].removeprefix("bytes=").removesuffix("-")) <= MIB + 7
        assert second["authorization"] == "Bearer ada-token"

    def test_is_asked_for_the_rest_by_a_date_that_is_old_enough(self, serve: Serve) -> None:
        file = File(BIG, last_modified=OLD, ranges=True, cuts=[MIB])
        assert self.resumed(serve(file), file)[1]["if-range"] == OLD

    @pytest.mark.parametrize("date", [{"last_modified": YOUNG}, {"etag": 'W/"1"'}, {}])
    def test_is_not_asked_where_no_validator_is_strong(
        self, serve: Serve, date: dict[str, str]
    ) -> None:
        site = serve(File(BIG, ranges=True, cuts=[MIB], **date))
        self.broken(site)
        assert len(site.asked()) == 1

    def test_is_asked_all_the_same_where_the_hash_will_tell(self, serve: Serve) -> None:
        file = File(BIG, last_modified=YOUNG, ranges=True)
        site = serve(file)
        assert site.get().content == BIG
        site.settle()
        site.cached()[0].unlink()
        file.cuts = [MIB]
        _, _, third = self.resumed(site, file)
        assert third["range"].startswith("bytes=")
        assert "if-range" not in third

    def test_and_knows_no_ranges_is_a_broken_transfer(self, serve: Serve) -> None:
        site = serve(File(BIG, cuts=[MIB]))
        self.broken(site)

    def test_without_having_said_how_long_the_file_is_is_a_broken_transfer(
        self, serve: Serve
    ) -> None:
        site = serve(File(BIG, etag='"one"', ranges=True, sized=False, cuts=[MIB]))
        self.broken(site)
        assert len(site.asked()) == 1

    @pytest.mark.parametrize(
        "lies",
        [
            {"content_range": f"bytes {MIB // 2}-{4 * MIB - 1}/{4 * MIB}"},
            {"content_range": f"bytes {MIB}-{4 * MIB - 1}/{4 * MIB + 1}"},
            {"content_range": f"bytes {MIB}-{4 * MIB - 1}/*"},
            {"content_range": ""},
            {"content_type": "multipart/byteranges; boundary=x", "content_range": "x"},
            {"content_encoding": "gzip"},
            {"etag": '"two"'},
        ],
    )
    def test_and_gives_another_part_than_the_rest_is_a_broken_transfer(
        self, serve: Serve, lies: dict[str, str]
    ) -> None:
        site = serve(File(BIG, etag='"one"', ranges=True, cuts=[MIB], lies=lies))
        self.broken(site)
        assert len(site.asked()) == 2

    def test_and_gives_a_later_part_than_the_rest_is_a_broken_transfer(self, serve: Serve) -> None:
        site = serve(File(BIG, etag='"one"', ranges=True, cuts=[MIB], shift=1))
        self.broken(site)
        assert len(site.asked()) == 2

    def test_and_gives_the_rest_in_parts_is_asked_for_each(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[2 * MIB], at_most=2 * MIB - 1)
        assert 3 <= len(self.resumed(serve(file), file)) <= 4

    def test_and_has_another_file_by_then_is_a_broken_transfer(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB], pause_at=MIB // 2)
        site = serve(file)
        tool = site.begin()
        file.etag, file.content = '"two"', BIG[::-1]
        file.opened.set()
        with pytest.raises(http.client.IncompleteRead):
            tool.read()
        site.settle()
        assert site.cached() == []

    def test_three_times_is_resumed_with_growing_pauses(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB, MIB, 7])
        site = serve(file)
        assert len(self.resumed(site, file)) == 4
        assert site.clock.pauses == sorted(site.clock.pauses)
        assert len(site.clock.pauses) == 3

    def test_a_fourth_time_is_a_broken_transfer(self, serve: Serve) -> None:
        site = serve(File(BIG, etag='"one"', ranges=True, cuts=[MIB, MIB, 7, 7]))
        self.broken(site)
        assert len(site.asked()) == 4

    def test_and_is_down_for_a_moment_is_waited_for(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB], pause_at=MIB // 2)
        site = serve(file)
        tool = site.begin()
        file.statuses["GET"] = [503, 503, 503, 503]
        file.opened.set()
        assert tool.read() == BIG

    def test_and_refuses_then_is_a_broken_transfer(self, serve: Serve) -> None:
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB], pause_at=MIB // 2)
        site = serve(file)
        tool = site.begin()
        file.refused.add("ada-token")
        file.opened.set()
        with pytest.raises(http.client.IncompleteRead):
            tool.read()

    def test_breaks_off_for_everybody(self, serve: Serve) -> None:
        file = File(BIG, pause_at=MIB, cuts=[2 * MIB])
        site = serve(file)
        tools = [site.begin() for _ in range(5)]
        file.opened.set()
        for tool in tools:
            with pytest.raises(http.client.IncompleteRead):
                tool.read()
        assert len(site.asked()) == 1

    def test_sends_more_than_it_announced_is_a_broken_transfer(self, serve: Serve) -> None:
        """It cannot within HTTP/1.1, but by resuming."""
        lies = {"content_range": f"bytes {MIB}-{4 * MIB - 1}/{4 * MIB}"}
        file = File(BIG, etag='"one"', ranges=True, cuts=[MIB], pause_at=MIB // 2, lies=lies)
        site = serve(file)
        tool = site.begin()
        file.sized, file.content = False, BIG + b"more"
        file.opened.set()
        with pytest.raises(http.client.IncompleteRead):
            tool.read()
        site.settle()
        assert site.cached() == []


class TestADiskThatIsFull:
    @pytest.fixture
    def full(self, tmp_path: Path) -> Iterator[Callable[[File], AbstractContextManager[Depot]]]:
        with small_disk(tmp_path / "disk", "2m") as disk:
            yield lambda file: depot(disk, {PATH: file})

    def test_in_mid_body_stops_nobody(self, full: Any) -> None:
        content = noise(24 * MIB)
        # Without a length nobody knows beforehand that it will not fit.
        file = File(content, sized=False, pause_at=MIB)
        with full(file) as site:
            tools = [site.begin() for _ in range(3)]
            file.opened.set()
            with ThreadPoolExecutor(3) as threads:
                read = [threads.submit(tool.read) for tool in tools]
                assert all(each.result(SECONDS) == content for each in read)
            assert len(site.asked()) == 1
            site.settle()
            assert (site.spools(), site.cached()) == ([], [])

    def test_is_asked_again_by_whoever_comes_once_the_beginning_is_lost(self, full: Any) -> None:
        content = noise(24 * MIB)
        file = File(content, sized=False, pause_at=12 * MIB)
        with full(file) as site:
            first = site.begin()
            assert first.read(8 * MIB) == content[: 8 * MIB]
            second = site.begin()
            file.opened.set()
            with ThreadPoolExecutor(1) as threads:
                rest = threads.submit(first.read)
                assert second.read() == content
                assert rest.result(SECONDS) == content[8 * MIB :]
            assert len(site.asked()) == 2


class TestWrongBytes:
    def test_lack_their_last_piece_for_everybody(self, serve: Serve) -> None:
        file = File(BIG, pause_at=MIB)
        site = serve(file)
        site.provenance.record_file(
            site.url(),
            "0" * 64,
            index_url=site.index.token_prefix,
            project="lib",
        )
        tools = [site.begin() for _ in range(3)]
        file.opened.set()
        for tool in tools:
            with pytest.raises(http.client.IncompleteRead) as error:
                tool.read()
            assert len(error.value.partial) < len(BIG)
        site.settle()
        assert (site.spools(), site.cached()) == ([], [])
        assert "is not the file it was before" in site.problems[-1]
        assert site.get().status_code != 200
        assert len(site.asked()) == 1, "refused without asking"

    def test_are_those_that_the_page_does_not_name(self, serve: Serve, monkeypatch: Any) -> None:
        site = serve(File(BIG))
        deliver = site.streamer.deliver
        monkeypatch.setattr(
            site.streamer, "deliver", lambda *a: deliver(*a, expected=sha256(b"another"))
        )
        with pytest.raises(BREAK):
            site.get()
        site.settle()
        assert site.cached() == []
        assert "is not what the index's page says" in site.problems[-1]
        monkeypatch.setattr(site.streamer, "deliver", lambda *a: deliver(*a, expected=sha256(BIG)))
        assert site.get().content == BIG

    def test_of_a_second_login_are_compared_with_those_of_the_first(self, serve: Serve) -> None:
        """Both began before either hash was known."""
        file = File(BIG, pause_at=MIB)
        site = serve(file)
        ada = site.begin()
        file.content = BIG[::-1]
        site.log_in("bob")
        bob = site.begin()
        file.opened.set()
        ended = []
        for tool in (ada, bob):
            try:
                ended.append(len(tool.read()))
            except http.client.IncompleteRead:
                ended.append(-1)
        assert sorted(ended) == [-1, len(BIG)]


class _Piecewise:
    """A source whose pieces a test hands over."""

    start: ClassVar[dict[str, Any]] = {"type": "http.response.start"}
    size = None

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.verified: list[str] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Any]:
        yield self

    async def pour(self, take: Callable[[bytes], Any]) -> None:
        for piece in self.pieces:
            await take(piece)

    async def verify(self, sha256: str) -> None:
        self.verified.append(sha256)

    async def kept(self, sha256: str) -> None:
        raise AssertionError("there is no cache")


class TestInStep:
    """Without a cache the index is read no faster than the slowest tool reads."""

    def test_a_tool_that_takes_nothing_is_left_behind_once_others_wait_for_it(self) -> None:
        pieces = [noise(256 << 10, str(number)) for number in range(20)]

        async def scenario() -> tuple[bytes, type[BaseException]]:
            downloads = Downloads(None, patience=0.01)
            source = _Piecewise(*pieces)
            first = downloads.shared("lib", lambda: source)
            second = downloads.shared("lib", lambda: source)
            received, taking = [], asyncio.Event()

            async def take(message: dict[str, Any]) -> None:
                received.append(message.get("body", b""))

            async def take_nothing(message: dict[str, Any]) -> None:
                await taking.wait()

            stuck = asyncio.create_task(second.deliver(take_nothing, lambda: False))
            await first.deliver(take, lambda: False)
            taking.set()
            (error,) = await asyncio.gather(stuck, return_exceptions=True)
            assert source.verified == [sha256(b"".join(pieces))]
            await downloads.close()
            return b"".join(received), type(error)

        assert asyncio.run(scenario()) == (b"".join(pieces), StreamBroken)

    def test_a_tool_that_is_alone_may_take_its_time(self) -> None:
        pieces = [noise(256 << 10, str(number)) for number in range(6)]

        async def scenario() -> bytes:
            downloads = Downloads(None, patience=0.001)
            reader = downloads.alone(_Piecewise(*pieces))
            received = []

            async def take(message: dict[str, Any]) -> None:
                await asyncio.sleep(0.01)
                received.append(message.get("body", b""))

            await reader.deliver(take, lambda: False)
            return b"".join(received)

        assert asyncio.run(scenario()) == b"".join(pieces)

    @pytest.mark.parametrize("size", [1, WINDOW, 3 * WINDOW])
    def test_no_more_than_a_window_and_a_piece_is_in_memory(self, size: int) -> None:
        pieces = [bytes([number]) * size for number in range(8)]

        async def scenario() -> list[int]:
            downloads = Downloads(None)
            reader = downloads.alone(_Piecewise(*pieces))
            kept, received = [], bytearray()

            async def take(message: dict[str, Any]) -> None:
                received.extend(message.get("body", b""))
                for _ in range(50):
                    await asyncio.sleep(0)
                kept.append(reader._download._window.size)

            await reader.deliver(take, lambda: False)
            assert received == b"".join(pieces)
            return kept

        assert max(asyncio.run(scenario())) <= WINDOW + 2 * size

    def test_a_fault_of_our_own_leaves_nobody_waiting(self) -> None:
        class Faulty(_Piecewise):
            async def pour(self, take: Callable[[bytes], Any]) -> None:
                raise RuntimeError("a fault")

        async def scenario() -> BaseException:
            reader = Downloads(None).alone(Faulty())
            send = AsyncMock()
            (error,) = await asyncio.gather(
                reader.deliver(send, lambda: False), return_exceptions=True
            )
            assert isinstance(error, BaseException)
            return error

        assert isinstance(asyncio.run(scenario()), StreamBroken)


KILLED = """\
import sys, threading
from pathlib import Path
from gateway.depot import File, depot, noise, PATH
file = File(noise(4 << 20), pause_at=3 << 20)
with depot(Path(sys.argv[1]), {PATH: file}) as site:
    site.begin(size=2 << 20)
    print(len(site.spools()), flush=True)
    threading.Event().wait()
"""


def test_a_kill_in_mid_download_leaves_no_file_and_nothing_for_long(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.send_signal(signal.SIGKILL)
    with depot(tmp_path, {PATH: File(BIG)}) as site:
        assert site.cached() == []
        assert site.get().content == BIG
        site.settle()
        site.quiet()
        assert site.delivered[0].is_hit is False
        assert site.spools() == []
        assert len(site.cached()) == 1


def test_an_end_of_the_gateway_ends_its_downloads(tmp_path: Path) -> None:
    file = File(BIG, pause_at=2 * MIB)
    with depot(tmp_path, {PATH: file}) as site:
        tool = site.begin()
        assert tool.read(MIB)
        site.run(site.streamer.close())
        with pytest.raises(http.client.IncompleteRead):
            tool.read()
        file.opened.set()
    assert (site.spools(), site.cached()) == ([], [])
