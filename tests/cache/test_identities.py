"""What one login was given is never given to another, nor to nobody, nor after the logout."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cache.kit import (
    ADA,
    BOB,
    FILE_URL,
    INDEX,
    NOON,
    PUBLIC_URL,
    URL,
    Desk,
    Reply,
    Wire,
    sha256,
)

from crane_core.cache.contacts import forget_login
from crane_core.cache.model import PUBLIC, FileRecord, PageKey
from crane_core.errors import IndexRefused, IndexUnreachable, LoginNeeded

KEPT = {"cache-control": "max-age=600", "etag": '"1"'}
DOWN = IndexUnreachable("down")


def test_another_login_asks_for_itself(desk: Desk) -> None:
    """Fresh or not: no page, and no validators, of somebody else's."""
    wire = Wire(desk, Reply(KEPT, b"ada's"), Reply(KEPT, b"bob's"))
    wire.get()

    wire.who = BOB
    assert wire.get().body == b"bob's"
    assert wire.asked == [{}, {}]
    wire.who = ADA
    assert wire.get().body == b"ada's"


def test_nobody_gets_nothing_from_the_cache(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT, b"ada's"))
    wire.get()
    wire.who = None

    wire.later(1, LoginNeeded("nobody is logged in"))
    with pytest.raises(LoginNeeded):
        wire.get()
    wire.later(1, DOWN)
    with pytest.raises(IndexUnreachable):
        wire.get()
    assert wire.asked[1:] == [{}, {}]


def test_nothing_is_kept_of_an_answer_to_nobody(desk: Desk) -> None:
    """Who that was cannot be said, so who may have it cannot either."""
    wire = Wire(desk, Reply(KEPT))
    wire.who = None
    wire.get()
    assert desk.entries() == set()
    assert desk.cache.database.rows("SELECT * FROM contacts") == []


def test_a_login_on_the_way_is_whose_the_page_is(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT))
    wire.who = None
    wire.script.on_request.append(lambda: setattr(wire, "who", ADA))
    wire.get()
    assert desk.pages.read(PageKey(URL, ADA)) is not None


def changing(wire: Wire, who: str | None) -> Callable[[], None]:
    return lambda: setattr(wire, "who", who)


@pytest.mark.parametrize("after", [BOB, None])
def test_an_answer_after_a_change_of_users_is_nobodys(desk: Desk, after: str | None) -> None:
    """It may be the one's or the other's: it is handed on, and not kept."""
    wire = Wire(desk, Reply(KEPT, b"whose?"))
    wire.script.on_request.append(changing(wire, after))
    assert wire.get().body == b"whose?"
    assert desk.entries() == set()
    assert desk.cache.database.rows("SELECT * FROM contacts") == []


@pytest.mark.parametrize("after", [BOB, None])
def test_a_304_after_a_change_of_users_shows_nobody_the_page(desk: Desk, after: str | None) -> None:
    """Ada's validators may fit Bob's page, which lists other files."""
    wire = Wire(desk, Reply({"etag": '"1"'}, b"ada's"))
    wire.get()
    wire.later(1, Reply(status=304), Reply(body=b"bob's"))
    wire.script.on_request.append(changing(wire, after))
    assert wire.get().body == b"bob's"
    assert wire.asked[2] == {}


def test_a_change_of_users_while_the_index_is_down(desk: Desk) -> None:
    wire = Wire(desk, Reply({"etag": '"1"'}, b"ada's"))
    wire.get()
    wire.later(1, DOWN)
    wire.script.on_request.append(changing(wire, BOB))
    with pytest.raises(IndexUnreachable):
        wire.get()


def test_public_pages_are_everybodys(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT, b"public"))
    wire.get(PUBLIC_URL, None)
    wire.who = None
    assert wire.get(PUBLIC_URL, None).body == b"public"
    assert len(wire.asked) == 1


def test_a_public_page_is_no_private_one_of_the_same_url(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT, b"to everybody"), Reply(KEPT, b"to ada"))
    wire.get(URL, None)
    assert wire.get(URL, INDEX).body == b"to ada"


def test_a_refusal_ends_what_was_allowed(desk: Desk) -> None:
    wire = Wire(desk, Reply({"etag": '"1"'}), IndexRefused("no"))
    wire.get()
    with pytest.raises(IndexRefused):
        wire.get()
    assert desk.entries() == set()
    assert desk.contacts.last(INDEX.token_prefix, ADA) is None


def test_files_are_recorded_by_identity(desk: Desk) -> None:
    digest = desk.put(b"wheel", FILE_URL, ADA).sha256
    assert desk.files.record(FILE_URL, ADA) == FileRecord(digest, NOON)
    assert desk.files.record(FILE_URL, BOB) is None
    assert desk.files.record(FILE_URL, PUBLIC) is None
    assert desk.files.record(FILE_URL + "x", ADA) is None


def test_a_denied_file_is_not_recorded_any_more(desk: Desk) -> None:
    digest = desk.put(b"wheel", FILE_URL, ADA).sha256
    desk.files.authorise(FILE_URL, BOB, FileRecord(digest, NOON, {"etag": '"1"'}))
    desk.files.deny(FILE_URL, ADA)
    for view in (desk, desk.another()):
        assert view.files.record(FILE_URL, ADA) is None
        assert view.files.record(FILE_URL, BOB) == FileRecord(digest, NOON, {"etag": '"1"'})
    desk.files.authorise(FILE_URL, ADA, FileRecord(digest, NOON))
    assert desk.files.record(FILE_URL, ADA) is not None


def everything_of(desk: Desk, identity: str, content: bytes) -> None:
    desk.put(content, FILE_URL, identity)
    desk.put_page(URL, identity)
    desk.contacts.note(INDEX.token_prefix, identity, NOON)


def assert_has(desk: Desk, identity: str, *, something: bool) -> None:
    assert (desk.files.record(FILE_URL, identity) is not None) == something
    assert (desk.pages.read(PageKey(URL, identity)) is not None) == something
    assert (desk.contacts.last(INDEX.token_prefix, identity) is not None) == something


@pytest.mark.parametrize("how", ["in this process", "in another process"])
def test_a_logout_forgets_all_of_one_login(desk: Desk, how: str) -> None:
    """The prefix is literal, and a gateway that runs on sees it at once."""
    for identity in ("12%4:ada", "12%4:", "1234:ada", "1_34:ada", PUBLIC):
        everything_of(desk, identity, identity.encode())

    if how == "in this process":
        desk.contacts.forget("12%4:")
    else:
        forget_login(desk.folder, "12%4:")

    for identity in ("12%4:ada", "12%4:"):
        assert_has(desk, identity, something=False)
    for identity in ("1234:ada", "1_34:ada", PUBLIC):
        assert_has(desk, identity, something=True)


def test_after_a_logout_the_contact_is_noted_anew(desk: Desk) -> None:
    """Also within the minute in which it would not be written again."""
    desk.contacts.note(INDEX.token_prefix, ADA, NOON)
    desk.contacts.forget(ADA)
    desk.contacts.note(INDEX.token_prefix, ADA, NOON + 1)
    assert desk.contacts.last(INDEX.token_prefix, ADA) == NOON + 1


def test_a_logout_leaves_no_page_on_the_disk(desk: Desk) -> None:
    """Neither in what SQLite has free, nor in its log."""
    secret, other = b"the names of the firm's secret projects", b"bob's"
    for n in range(100):
        desk.put_page(f"{URL}{n}", ADA, secret * (1 + n))
        desk.put_page(f"{URL}{n}", BOB, other * (1 + n))
    assert secret in on_disk(desk)

    forget_login(desk.folder, ADA)

    assert secret not in on_disk(desk)
    assert other in on_disk(desk)
    assert not (desk.folder / "cache.sqlite3-wal").stat().st_size


def on_disk(desk: Desk) -> bytes:
    return b"".join(path.read_bytes() for path in desk.folder.glob("cache.sqlite3*"))


def test_a_logout_without_a_cache_makes_none(folder: Path) -> None:
    forget_login(folder, ADA)
    assert not folder.exists()


def overwritten(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def damaged_inside(path: Path) -> None:
    """Leave the first page, so that the damage shows only later."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@pytest.mark.parametrize("damage", [overwritten, damaged_inside])
def test_a_logout_with_a_damaged_cache(desk: Desk, damage: Callable[[Path], None]) -> None:
    everything_of(desk, ADA, b"wheel")
    desk.close()
    damage(desk.folder / "cache.sqlite3")
    forget_login(desk.folder, ADA)
    assert_has(desk.another(), ADA, something=False)
    assert not list(desk.folder.glob("*.damaged"))


def test_everything_is_private(desk: Desk) -> None:
    """0600 in 0700, whatever the umask."""
    everything_of(desk, ADA, b"wheel")
    spool = desk.files.spool(10)
    assert spool is not None
    for path in [desk.folder, *desk.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert {p.suffix for p in desk.folder.iterdir()} >= {".sqlite3", ".sqlite3-wal", ".sqlite3-shm"}
    spool.discard()


def test_a_file_is_kept_once_for_all(desk: Desk) -> None:
    desk.put(b"wheel", FILE_URL, ADA)
    desk.put(b"wheel", FILE_URL, BOB)
    assert desk.on_disk() == {sha256(b"wheel")}
