"""Files from the cache: only right bytes, and only to whom the index gives them."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from gateway.depot import NOON, PATH, Clock, Depot, File, depot, gateway_of, noise, sha256
from gateway.tools import until
from gateway.upstream import SECONDS, whole

from crane_core.config.model import Index
from crane_core.errors import IndexUnreachable, LoginNeeded
from crane_core.gateway import keeper
from crane_core.gateway.file_answers import StreamBroken
from crane_core.gateway.file_hashes import FileHashes
from crane_core.secret import Secret

CONTENT = noise(700_000)
AGAIN = 601.0  # seconds after which the index is asked whether its word still counts
DAY = 86_400.0
WEB_PAGE = b"<form><input type=password></form>"
ETAG, MODIFIED = '"one"', "Mon, 06 Jul 2026 10:00:00 GMT"
BREAK = (httpx2.RemoteProtocolError, httpx2.ReadError)
Serve = Callable[..., Depot]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give a function that serves a file which is in the cache already, for ada."""
    with ExitStack() as stack:

        def begin(file: Any, **options: Any) -> Depot:
            site = stack.enter_context(depot(tmp_path, {PATH: file}, **options))
            fetch(site)
            return site

        yield begin


def fetch(site: Depot, content: bytes = CONTENT) -> None:
    """Get the file, wait until the cache has it, and forget that the index was asked."""
    assert site.get().content == content
    site.settle()
    site.quiet()
    site.upstream.requests.clear()
    site.delivered.clear()


def methods(site: Depot) -> list[str]:
    """Return how the index was asked for the file."""
    return [method for method, path, _ in site.upstream.requests if path == PATH]


def how(site: Depot) -> tuple[bool, bool]:
    """Whether the last answer came from the cache, and was stale."""
    site.quiet()
    return site.delivered[-1].is_hit, site.delivered[-1].is_stale


async def silence(scope: Any, receive: Any, send: Any) -> None:
    """Close the connection without an answer."""


class TestWhoeverWasGivenTheFile:
    def test_gets_it_again_without_asking(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        for method in ("GET", "HEAD"):
            assert site.get(method=method).status_code == 200
        assert site.get().content == CONTENT
        assert methods(site) == []
        assert how(site) == (True, False)
        assert [each.size for each in site.delivered] == [len(CONTENT), 0, len(CONTENT)]

    @pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-9"}, {"if_none_match": ETAG}])
    def test_gets_it_from_the_cache_while_it_is_still_being_noted_down(
        self, tmp_path: Path, monkeypatch: Any, headers: dict[str, str]
    ) -> None:
        with depot(tmp_path, {PATH: File(CONTENT, etag=ETAG)}) as site:
            downloads, give = site.streamer._downloads, site.streamer._grants.give
            has_ended = downloads.has_ended_since
            is_asked = asyncio.Event()

            async def asked(*arguments: Any) -> bool:
                if site.delivered:
                    is_asked.set()
                return await has_ended(*arguments)

            async def late(*arguments: Any) -> None:
                await is_asked.wait()
                await give(*arguments)

            monkeypatch.setattr(downloads, "has_ended_since", asked)
            monkeypatch.setattr(site.streamer._grants, "give", late)
            assert site.get().content == CONTENT
            site.quiet()
            status = {"range": 206, "if_none_match": 304}.get(next(iter(headers), ""), 200)
            assert site.get(**headers).status_code == status
            assert methods(site) == ["GET"]
            assert how(site) == (True, False)

    def test_gets_the_same_head_as_before(self, tmp_path: Path) -> None:
        file = File(CONTENT, etag=ETAG, last_modified=MODIFIED)
        with depot(tmp_path, {PATH: file}) as site:
            before = site.get().headers
            site.settle()
            after = site.get().headers
        added = {"accept-ranges": "bytes"}
        ours = {k: v for k, v in after.items() if k != "date"}
        assert ours == {**{k: v for k, v in before.items() if k != "date"}, **added}

    def test_gets_it_after_a_while_if_the_index_says_yes(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.clock.time += AGAIN
        assert site.get().content == CONTENT
        assert methods(site) == ["HEAD"]
        assert site.asked("HEAD")[0]["authorization"] == "Bearer ada-token"
        assert how(site) == (True, False)
        site.clock.time += AGAIN - 2
        site.get()
        assert methods(site) == ["HEAD"], "its word counts anew"

    def test_asks_once_however_many_ask_at_once(self, serve: Serve, monkeypatch: Any) -> None:
        file = File(CONTENT)
        site = serve(file)
        site.clock.time += AGAIN
        waiting, all_wait = itertools.count(1), threading.Event()
        shared = site.streamer._admission._shared

        async def counted(*arguments: Any) -> Any:
            if next(waiting) == 8:
                asyncio.get_running_loop().call_soon(all_wait.set)
            return await shared(*arguments)

        async def slowly(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.to_thread(all_wait.wait, SECONDS)
            await file(scope, receive, send)

        monkeypatch.setattr(site.streamer._admission, "_shared", counted)
        site.upstream.routes[PATH] = slowly
        with ThreadPoolExecutor(8) as tools:
            answers = [tools.submit(site.get) for _ in range(8)]
            assert {a.result(SECONDS).content for a in answers} == {CONTENT}
        assert methods(site) == ["HEAD"]

    def test_may_not_be_answered_before_its_time(self, serve: Serve) -> None:
        """The clock was set back: nobody knows how old the index's word is."""
        site = serve(File(CONTENT))
        site.clock.time -= DAY
        assert site.get().content == CONTENT
        assert methods(site) == ["HEAD"]

    def test_gets_its_metadata_the_same_way(self, tmp_path: Path) -> None:
        path = f"{PATH}.metadata"
        with depot(tmp_path, {path: whole(200, b"beside", "text/plain")}) as site:
            for _ in range(2):
                assert site.get(path).content == b"beside"
                site.settle()
            assert len(site.asked(path=path)) == 1

    def test_gets_it_from_the_next_gateway_too(self, serve: Serve, tmp_path: Path) -> None:
        site = serve(File(CONTENT))
        with gateway_of(tmp_path, site.index, site.upstream) as later:
            assert later.get().content == CONTENT
        assert methods(site) == []


class TestARefusal:
    @pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
    def test_is_handed_on_and_remembered(self, serve: Serve, status: int) -> None:
        # The true time, or a 401 would be laid to the clock.
        site = serve(File(CONTENT), clock=Clock(time.time()), reauthorise_after=-1.0)
        site.upstream.routes[PATH] = whole(status, b"")
        answer = site.get()
        assert answer.status_code in {403, 404}
        assert methods(site)[0] == "HEAD"
        # The index is down now, and whoever was refused has no right to be served meanwhile.
        site.upstream.routes[PATH] = silence
        assert site.get().status_code not in {200, 304}

    def test_reaches_whoever_asks_for_a_part_or_the_head(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.clock.time += AGAIN
        site.upstream.routes[PATH] = whole(404, b"")
        assert site.get(method="HEAD").status_code == 404
        assert site.get(range="bytes=0-9").status_code == 404
        assert site.get(if_none_match=f'"{sha256(CONTENT)}"').status_code == 404

    def test_by_a_login_page_is_one(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.clock.time += AGAIN
        site.upstream.routes[PATH] = whole(200, WEB_PAGE, "text/html")
        answer = site.get()
        assert answer.status_code == 403
        assert CONTENT[:100] not in answer.content

    def test_of_the_file_itself_counts_too(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.cached()[0].unlink()
        site.upstream.routes[PATH] = whole(404, b"")
        assert site.get().status_code == 404
        assert site.cache.files.record(site.url(), "ada") is None

    def test_ends_with_it(self, serve: Serve) -> None:
        file = File(CONTENT)
        site = serve(file)
        site.clock.time += AGAIN
        file.refused.add("ada-token")
        assert site.get().status_code == 404
        file.refused.clear()
        site.upstream.requests.clear()
        assert site.get().content == CONTENT
        assert methods(site) == ["HEAD"]

    def test_of_head_alone_is_none(self, serve: Serve) -> None:
        """A signed redirect is often good for GET only. Its body is not read."""
        file = File(CONTENT, pause_at=0)
        file.opened.set()
        site = serve(file)
        file.opened.clear()
        for status in (403, 404, 405, 501, 400, 406):
            site.clock.time += AGAIN
            site.upstream.requests.clear()
            file.statuses["HEAD"] = [status]
            assert site.get().content == CONTENT
            assert methods(site) == ["HEAD", "GET"]
            assert how(site) == (True, False)
        file.opened.set()


class TestAnotherLogin:
    def test_is_asked_about_and_served_what_is_there(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.log_in("bob")
        assert site.get().content == CONTENT
        assert methods(site) == ["HEAD"]
        assert site.asked("HEAD")[0]["authorization"] == "Bearer bob-token"

    def test_gets_nothing_that_the_index_does_not_give_it(self, serve: Serve) -> None:
        file = File(CONTENT, refused={"bob-token"})
        site = serve(file)
        site.log_in("bob")
        for method in ("GET", "HEAD"):
            assert site.get(method=method).status_code == 404
        assert site.get(range="bytes=0-9").status_code == 404
        assert site.cache.files.record(site.url(), "bob") is None
        site.log_in("ada")
        site.upstream.requests.clear()
        assert site.get().content == CONTENT
        assert methods(site) == [], "ada's right is her own"

    def test_does_not_wait_for_an_answer_to_the_first(self, serve: Serve) -> None:
        file = File(CONTENT, refused={"bob-token"})
        site = serve(file)
        site.clock.time += AGAIN
        both = threading.Event()

        async def slowly(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.to_thread(both.wait, SECONDS)
            await file(scope, receive, send)

        site.upstream.routes[PATH] = slowly
        with ThreadPoolExecutor(2) as tools:
            ada = tools.submit(site.get)
            until(lambda: len(methods(site)) == 1, "the question for ada")
            site.log_in("bob")
            bob = tools.submit(site.get)
            until(lambda: len(methods(site)) == 2, "the question for bob")
            both.set()
            assert bob.result(SECONDS).status_code == 404
            assert ada.result(SECONDS).content == CONTENT

    def test_may_have_been_given_another_file_than_the_first(self, serve: Serve) -> None:
        """What is said of the file, and for how long, is of the bytes that came with it."""
        file = File(CONTENT, etag=ETAG)
        site = serve(file)
        site.provenance.release(site.index.token_prefix, "lib")
        file.content, file.etag = CONTENT[::-1], '"two"'
        site.log_in("bob")
        assert site.get().content == CONTENT[::-1]
        site.settle()
        site.log_in("ada")
        answer = site.get()
        assert (answer.content, answer.headers["etag"]) == (CONTENT[::-1], '"two"')
        assert methods(site) == ["GET", "HEAD"]

    def test_gets_nothing_while_the_index_cannot_be_asked(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.upstream.routes[PATH] = silence
        site.log_in("bob")
        assert site.get().status_code == 504

    def test_that_is_none_gets_nothing(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.log_in(None)
        for method in ("GET", "HEAD"):
            assert site.get(method=method).status_code == 403
        assert methods(site) == []
        assert "nobody is logged in" in site.problems[-1]

    def test_that_is_not_known_gets_the_file_from_the_index(
        self, serve: Serve, monkeypatch: Any
    ) -> None:
        site = serve(File(CONTENT))
        monkeypatch.setattr(site.streamer, "_identity", lambda _: None)
        assert site.get().content == CONTENT
        assert methods(site) == ["GET"]
        assert how(site) == (False, False)

    def test_in_the_middle_of_a_download_does_not_inherit_it(self, tmp_path: Path) -> None:
        file = File(CONTENT, pause_at=300_000)
        with depot(tmp_path, {PATH: file}) as site:
            tool = site.begin()
            site.log_in("bob")
            file.opened.set()
            assert tool.read() == CONTENT
            site.settle()
            assert len(site.cached()) == 1
            assert site.cache.files.record(site.url(), "ada") is None
            assert site.cache.files.record(site.url(), "bob") is None


class TestAnIndexThatCannotBeAsked:
    @pytest.mark.parametrize("answer", [silence, whole(503, b""), whole(500, b"")])
    def test_has_given_its_word_for_a_week(self, serve: Serve, answer: Any) -> None:
        site = serve(File(CONTENT, etag=ETAG))
        site.clock.time += 7 * DAY - 1
        site.upstream.routes[PATH] = answer
        got = site.get()
        assert got.content == CONTENT
        assert got.headers["warning"].startswith("111 ")
        assert how(site) == (True, True)
        assert site.get(if_none_match=ETAG).headers["warning"].startswith("111 ")
        assert site.get(range="bytes=0-9").content == CONTENT[:10]

    def test_has_not_refused_the_login_meanwhile(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.clock.time += AGAIN
        site.cache.contacts.drop(site.index.token_prefix, "ada")  # as a refused page does
        site.upstream.routes[PATH] = silence
        assert site.get().status_code == 504

    def test_has_refused_the_login_where_it_refuses_a_file(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        prefix = site.index.token_prefix
        assert site.cache.contacts.last(prefix, "ada") == NOON
        site.get(f"{PATH}.asc")
        assert site.cache.contacts.last(prefix, "ada") == NOON, "it was only not there"
        site.upstream.routes[f"{PATH}.asc"] = whole(403, b"")
        assert site.get(f"{PATH}.asc").status_code == 403
        assert site.cache.contacts.last(prefix, "ada") is None

    def test_has_given_it_for_no_longer(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.clock.time += 7 * DAY + 1
        site.upstream.routes[PATH] = silence
        assert site.get().status_code == 504

    def test_gets_as_long_as_the_user_wants(self, serve: Serve) -> None:
        site = serve(File(CONTENT), stale_limit=0.0)
        site.clock.time += AGAIN
        site.upstream.routes[PATH] = silence
        assert site.get().status_code == 504

    def test_is_not_asked_by_whoever_is_offline(self, serve: Serve, tmp_path: Path) -> None:
        site = serve(File(CONTENT))
        site.clock.time += DAY
        with gateway_of(
            tmp_path, site.index, site.upstream, clock=site.clock, offline=True
        ) as offline:
            assert offline.get().content == CONTENT
            assert how(offline) == (True, True)
            answer = offline.get(f"{PATH}.metadata")
            assert answer.status_code == 504
            assert b"offline, and the cache has no lib-1.0" in answer.content
            offline.log_in("bob")
            assert offline.get().status_code == 504
        assert site.upstream.requests == []


class TestWhatIsInTheCache:
    def test_is_not_served_once_its_bytes_are_others(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        (path,) = site.cached()
        path.chmod(0o600)
        path.write_bytes(CONTENT[::-1])
        assert site.get().content == CONTENT
        assert methods(site) == ["GET"]
        assert how(site) == (False, False)

    def test_may_have_been_removed(self, serve: Serve) -> None:
        site = serve(File(CONTENT))
        site.cached()[0].unlink()
        assert site.get().content == CONTENT
        site.settle()
        assert methods(site) == ["GET"]
        assert len(site.cached()) == 1

    def test_may_be_removed_while_it_is_looked_at(self, serve: Serve, monkeypatch: Any) -> None:
        site = serve(File(CONTENT))
        find = site.cache.files.find

        def found_and_gone(digest: str) -> Any:
            found = find(digest)
            assert found is not None
            found.path.unlink()
            return found

        monkeypatch.setattr(site.cache.files, "find", found_and_gone)
        assert site.get().content == CONTENT
        assert methods(site) == ["GET"]

    def test_gets_there_where_an_open_file_cannot_be_renamed(
        self, tmp_path: Path, monkeypatch: Any
    ) -> None:
        """As on Windows: readers who are behind go on with the file under its new name."""
        monkeypatch.setattr(keeper, "RENAMES_OPEN_FILES", False)
        content = noise(40_000_000)
        with depot(tmp_path, {PATH: File(content)}) as site:
            slow = site.begin()
            assert site.get().content == content
            site.settle()
            assert slow.read() == content
            assert [path.read_bytes() for path in site.cached()] == [content]

    def test_may_be_removed_while_it_is_sent(self, tmp_path: Path) -> None:
        content = noise(40_000_000)
        with depot(tmp_path, {PATH: File(content)}) as site:
            fetch(site, content)
            tool = site.begin(size=1000)
            site.cached()[0].unlink()
            assert tool.reads(content, 1000)
            assert how(site) == (True, False)

    def test_that_is_cut_while_it_is_sent_is_a_broken_transfer(self, tmp_path: Path) -> None:
        content = noise(40_000_000)
        with depot(tmp_path, {PATH: File(content)}) as site:
            fetch(site, content)
            tool = site.begin(size=1000)
            with site.cached()[0].open("r+b") as file:
                file.truncate(1000)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                tool.read()
            site.quiet()
            assert site.problems == ["a file of the cache ends too early"]

    def test_is_read_no_further_once_the_tool_has_left(self, tmp_path: Path) -> None:
        content = noise(40_000_000)
        with depot(tmp_path, {PATH: File(content)}) as site:
            fetch(site, content)
            site.begin(size=1000).leave()
            assert how(site) == (True, False)
            assert site.delivered[-1].size < len(content)

    def test_is_not_served_for_a_url_that_has_been_released(self, serve: Serve) -> None:
        file = File(CONTENT)
        site = serve(file)
        file.content = CONTENT[::-1]
        assert site.provenance.release(site.index.token_prefix, "lib")
        assert site.get().content == CONTENT[::-1]
        site.settle()
        assert site.get().content == CONTENT[::-1]
        assert methods(site) == ["GET"]

    def test_is_not_the_file_that_the_page_names(self, serve: Serve, monkeypatch: Any) -> None:
        site = serve(File(CONTENT))
        deliver = site.streamer.deliver
        wrong = sha256(b"another")
        monkeypatch.setattr(site.streamer, "deliver", lambda *a: deliver(*a, expected=wrong))
        with pytest.raises(BREAK):
            site.get()
        assert methods(site) == ["GET"]

    @pytest.mark.parametrize("change", ["length", "etag", "last_modified"])
    def test_may_be_old_as_a_head_shows(self, serve: Serve, change: str) -> None:
        file = File(CONTENT, etag=ETAG, last_modified=MODIFIED)
        site = serve(file)
        site.clock.time += AGAIN
        if change == "length":
            file.content = CONTENT + b"x"
        else:
            setattr(file, change, '"two"' if change == "etag" else "Tue, 07 Jul 2026 10:00:00 GMT")
            file.content = CONTENT[::-1]
        with pytest.raises(BREAK):
            site.get()
        assert methods(site) == ["HEAD", "GET"]
        answer = site.get()
        assert answer.status_code != 200
        assert b"crane index release python lib" in answer.content

    def test_stays_when_only_its_date_has_changed(self, serve: Serve) -> None:
        file = File(CONTENT, last_modified=MODIFIED)
        site = serve(file)
        site.clock.time += AGAIN
        file.last_modified = "Tue, 07 Jul 2026 10:00:00 GMT"
        assert site.get().content == CONTENT
        site.settle()
        assert methods(site) == ["HEAD", "GET"]
        site.clock.time += AGAIN
        assert site.get().headers["last-modified"] == file.last_modified
        assert methods(site) == ["HEAD", "GET", "HEAD"]

    def test_was_found_before_the_download_of_it_had_ended(
        self, tmp_path: Path, monkeypatch: Any
    ) -> None:
        """Who looked too early, and asks when the download is over, needs no second one."""
        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            look, early = site.streamer._look, threading.Event()

            def looked(wanted: Any) -> Any:
                found = look(wanted)
                if not early.is_set():
                    early.set()
                    assert site.get().content == CONTENT
                    site.settle()
                return found

            monkeypatch.setattr(site.streamer, "_look", looked)
            assert site.get().content == CONTENT
            assert methods(site) == ["GET"]


class TestWhatDoesNotGoIntoTheCache:
    def check(self, site: Depot) -> None:
        site.settle()
        assert (site.spools(), site.cached()) == ([], [])

    def test_nothing_where_there_is_none(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}, size=0) as site:
            for _ in range(2):
                assert site.get().content == CONTENT
            self.check(site)
            assert methods(site) == ["GET", "GET"]

    def test_a_file_that_is_larger(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}, size=100_000) as site:
            assert site.get().content == CONTENT
            self.check(site)

    def test_an_answer_to_a_question_about_a_part(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT, ranges=False)}) as site:
            assert site.get(range="bytes=0-").content == CONTENT
            self.check(site)
            assert site.provenance.sha256(site.url()) == sha256(CONTENT)

    @pytest.mark.parametrize("status", [304, 416])
    def test_an_answer_to_a_question_that_was_not_asked(self, tmp_path: Path, status: int) -> None:
        with depot(tmp_path, {PATH: whole(status, b"")}) as site:
            assert site.get().status_code == 504
            self.check(site)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("in the way")
        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            assert site.get().content == CONTENT

    def test_the_answer_to_a_head(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            assert site.get(method="HEAD").headers["content-length"] == str(len(CONTENT))
            self.check(site)


class TestFetchedForItsMetadata:
    """A wheel that was offered and has left the cache is brought back, without a tool."""

    def test_it_is_there_then_and_once_for_all_who_wait(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT, pause_at=0)}) as site:
            file = site.upstream.routes[PATH]
            waiting = [site.start(site.streamer.fetch(site.url(), site.index)) for _ in range(3)]
            until(lambda: methods(site) == ["GET"], "it is asked for")
            file.opened.set()  # type: ignore[attr-defined]
            for task in waiting:
                task.result(SECONDS)
            hit = site.run(site.streamer.admit(site.url(), site.index))
            assert hit.file.path.read_bytes() == CONTENT
            assert methods(site) == ["GET"]

    def test_it_goes_on_when_who_waited_has_left(self, tmp_path: Path) -> None:
        """A tool gives up after 15 s of silence, and asks again."""
        with depot(tmp_path, {PATH: File(CONTENT, pause_at=0)}) as site:
            file = site.upstream.routes[PATH]
            waiting = site.start(site.streamer.fetch(site.url(), site.index))
            until(lambda: methods(site) == ["GET"], "it is asked for")
            waiting.cancel()
            file.opened.set()  # type: ignore[attr-defined]
            site.settle()
            assert site.run(site.streamer.admit(site.url(), site.index)) is not None

    def test_nobody_who_is_not_logged_in_gets_it_so(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            site.log_in(None)
            with pytest.raises(LoginNeeded):
                site.run(site.streamer.fetch(site.url(), site.index))
            assert site.upstream.requests == []
            assert site.cached() == []

    def test_who_logs_in_for_it_has_it_then(self, tmp_path: Path) -> None:
        """Whose it is must be known before, or it would be kept for nobody."""

        async def token(*_: object, **__: object) -> Secret:
            site.log_in("ada")
            return Secret("ada-token")

        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            site.log_in(None)
            site.streamer._upstream._tokens = Mock(token=token)
            site.run(site.streamer.fetch(site.url(), site.index))
            assert site.run(site.streamer.admit(site.url(), site.index)) is not None
            assert methods(site) == ["HEAD", "GET"]

    def test_other_bytes_than_before_are_none(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}) as site:
            fetch(site)
            for path in site.cached():
                path.unlink()
            site.upstream.routes[PATH] = File(CONTENT[:-1] + b"!")
            with pytest.raises(StreamBroken):
                site.run(site.streamer.fetch(site.url(), site.index))
            assert site.cached() == []

    def test_offline_it_is_not_asked_for(self, tmp_path: Path) -> None:
        with depot(tmp_path, {PATH: File(CONTENT)}, offline=True) as site:
            with pytest.raises(IndexUnreachable):
                site.run(site.streamer.fetch(site.url(), site.index))
            assert site.upstream.requests == []


class TestWhatMayChange:
    """PEP 740: a `.provenance` is no distribution. Nor is a signature."""

    @pytest.mark.parametrize("suffix", [".provenance", ".asc", ".metadata.asc"])
    def test_is_what_the_index_has_now_and_is_not_kept(self, tmp_path: Path, suffix: str) -> None:
        path = PATH + suffix
        with depot(tmp_path, {path: File(b"one")}) as site:
            assert site.get(path).content == b"one"
            site.settle()
            site.upstream.routes[path] = File(b"two")
            assert site.get(path).content == b"two"
            assert site.get(path, if_none_match='"x"').content == b"two"
            site.settle()
            assert len(site.asked(path=path)) == 3
            assert site.asked(path=path)[-1]["if-none-match"] == '"x"'
            assert site.cached() == []
            assert site.provenance.sha256(site.url(path)) is None

    def test_its_metadata_may_not(self, tmp_path: Path) -> None:
        path = f"{PATH}.metadata"
        with depot(tmp_path, {path: File(b"one")}) as site:
            assert site.get(path).content == b"one"
            site.settle()
            site.upstream.routes[path] = File(b"two")
            assert site.get(path).content == b"one"
            assert len(site.asked(path=path)) == 1


def test_of_two_hashes_at_once_the_first_one_counts() -> None:
    provenance = Mock()
    provenance.sha256.side_effect = [None, sha256(b"first")]
    index = Index("python", "https://crane.example.com/python", issuer="https://sso.example.com")
    with pytest.raises(StreamBroken, match="is not the file it was before"):
        FileHashes(provenance).verify(f"{index.url}/lib-1.0.whl", index, sha256(b"second"), None)
    assert provenance.record_file.call_count == 1


def test_the_clock_of_these_tests_stands_still(serve: Serve) -> None:
    site = serve(File(CONTENT))
    record = site.cache.files.record(site.url(), "ada")
    assert record is not None
    assert record.authorised_at == NOON
