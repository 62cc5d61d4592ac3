"""One contract for every vault: private files, memory, and the keyring on several backends."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from auth.backends import MOST_BYTES, DictBackend, DyingBackend, WindowsLike
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyrings.alt.file import PlaintextKeyring

from crane_core.auth import vault as vault_module
from crane_core.auth.model import ProviderMetadata, Session, SessionKey, TokenSet
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import (
    CHUNK,
    MOST_CHUNKS,
    FileVault,
    KeyringVault,
    MemoryVault,
    Vault,
    disagreement,
    move,
    open_vault,
    present_vault,
    remember_vault,
)
from crane_core.errors import ConfigBroken, NotWritable
from crane_core.secret import Secret

BIG = bytes(range(256)) * 40  # 10 KiB, as with tokens that list many groups


def real_keyring(folder: Path) -> PlaintextKeyring:
    """Return the real file backend of keyrings.alt, on a file of the test's."""
    backend = PlaintextKeyring()
    backend.file_path = str(folder / "keyring.cfg")
    return backend


def windows_like(folder: Path, monkeypatch: pytest.MonkeyPatch) -> WindowsLike:
    """Return a backend with the limit of Windows."""
    monkeypatch.setenv("CRANE_TEST_KEYRING", str(folder / "windows.json"))
    return WindowsLike()


@pytest.fixture(params=["file", "memory", "dict keyring", "file keyring", "windows keyring"])
def vault(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """Give each kind of vault, empty."""
    make: dict[str, Callable[[], Vault]] = {
        "file": lambda: FileVault(tmp_path / "sessions"),
        "memory": MemoryVault,
        "dict keyring": lambda: KeyringVault(DictBackend()),
        "file keyring": lambda: KeyringVault(real_keyring(tmp_path)),
        "windows keyring": lambda: KeyringVault(windows_like(tmp_path, monkeypatch)),
    }
    return make[request.param]()


class TestContract:
    """What the store of sessions relies on."""

    def test_nothing_is_there_at_first(self, vault: Vault) -> None:
        assert vault.read("a") is None

    @pytest.mark.parametrize("content", [b"x", b"{}", BIG, b"\0\xff\r\n", "ä€😀".encode()])
    def test_what_is_written_is_read(self, vault: Vault, content: bytes) -> None:
        vault.write("a", content)
        assert vault.read("a") == content

    def test_a_later_document_takes_the_place_of_an_earlier_one(self, vault: Vault) -> None:
        for content in (b"small", BIG, b"small again", BIG[:4000], BIG):
            vault.write("a", content)
            assert vault.read("a") == content

    def test_documents_do_not_disturb_each_other(self, vault: Vault) -> None:
        vault.write("a", BIG)
        vault.write("b", b"b")
        vault.write("a", b"a")
        vault.delete("b")
        assert (vault.read("a"), vault.read("b")) == (b"a", None)

    def test_what_is_deleted_is_gone(self, vault: Vault) -> None:
        vault.write("a", BIG)
        vault.delete("a")
        assert vault.read("a") is None
        vault.write("a", b"new")
        assert vault.read("a") == b"new"

    def test_deleting_nothing_is_no_error(self, vault: Vault) -> None:
        vault.delete("a")
        vault.delete("a")

    def test_the_place_is_words_for_people(self, vault: Vault) -> None:
        assert vault.place.isprintable()
        assert len(vault.place) > 5


@pytest.mark.skipif(sys.platform == "win32", reason="no mode bits on Windows")
def test_the_real_file_backend_keeps_its_file_private(tmp_path: Path) -> None:
    KeyringVault(real_keyring(tmp_path)).write("a", b"x")
    assert stat.S_IMODE((tmp_path / "keyring.cfg").stat().st_mode) == 0o600


# --- the keyring's parts -----------------------------------------------------------------------


def test_no_part_is_longer_than_windows_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = windows_like(tmp_path, monkeypatch)
    KeyringVault(backend).write("a", BIG)
    sizes = [len(value.encode("utf-16-le")) for value in backend.entries.values()]
    assert max(sizes) <= MOST_BYTES
    assert len(sizes) > 5


def test_a_document_beyond_every_keyring_is_refused_and_the_old_one_stays() -> None:
    backend = DictBackend()
    vault = KeyringVault(backend)
    vault.write("a", b"old")
    with pytest.raises(NotWritable, match="too large") as caught:
        vault.write("a", b"x" * (CHUNK * MOST_CHUNKS))
    assert "CRANE_VAULT=file" in caught.value.hint
    assert vault.read("a") == b"old"


def test_nothing_is_left_of_earlier_documents() -> None:
    backend = DictBackend()
    vault = KeyringVault(backend)
    for content in (BIG, b"small", BIG[:5000], b"small"):
        vault.write("a", content)
    assert len(backend.entries) == 2
    vault.delete("a")
    assert backend.entries == {}


@pytest.mark.parametrize("old", [None, b"old", BIG])
@pytest.mark.parametrize("new", [b"new", BIG[::-1], None], ids=["small", "big", "deleted"])
def test_killed_at_any_step(old: bytes | None, new: bytes | None) -> None:
    """The old document is there or the new one, whole; and a logout leaves nothing of either."""

    def act(vault: Vault) -> None:
        if new is None:
            vault.delete("a")
        else:
            vault.write("a", new)

    def before() -> DictBackend:
        backend = DictBackend()
        if old is not None:
            KeyringVault(backend).write("a", old)
        backend.changes = 0
        return backend

    whole = before()
    act(KeyringVault(whole))
    for step in range(1, whole.changes + 1):
        entries = before().entries
        with pytest.raises(NotWritable):
            act(KeyringVault(DyingBackend(entries, step)))
        backend = DictBackend()
        backend.entries = entries
        vault = KeyringVault(backend)
        assert vault.read("a") in {old, new}
        act(vault)
        assert vault.read("a") == new
        vault.delete("a")
        assert backend.entries == {}, f"left after step {step}"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 6000)), st.integers(1, 30)), max_size=6)
)
def test_any_row_of_writes_and_deaths(acts: list[tuple[int | None, int]]) -> None:
    """However often processes have died: the last whole write counts, and a logout cleans up."""
    backend = DictBackend()
    allowed: set[bytes | None] = {None}
    for number, (size, dies_at) in enumerate(acts):
        dying = DyingBackend(backend.entries, dies_at)
        content = None if size is None else bytes([number]) * size + b"."
        try:
            if content is None:
                KeyringVault(dying).delete("a")
            else:
                KeyringVault(dying).write("a", content)
        except NotWritable:
            allowed.add(content)
        else:
            allowed = {content}
        found = KeyringVault(backend).read("a")
        assert found in allowed
    KeyringVault(backend).write("a", b"last")
    assert KeyringVault(backend).read("a") == b"last"
    KeyringVault(backend).delete("a")
    assert backend.entries == {}


@pytest.mark.parametrize("head", ["", "1", "x:y", "0:0", "-1:2", "1:2", "1:999999999", "1:64"])
def test_a_head_that_somebody_has_damaged(head: str) -> None:
    """Nobody is logged in then; a new login mends it."""
    backend = DictBackend()
    backend.entries["a"] = head
    vault = KeyringVault(backend)
    assert vault.read("a") is None
    vault.write("a", b"new")
    assert vault.read("a") == b"new"


@pytest.mark.parametrize("part", ["", "!", "abc", "ü", "A" * 5])
def test_a_part_that_somebody_has_damaged(part: str) -> None:
    backend = DictBackend()
    vault = KeyringVault(backend)
    vault.write("a", b"0123456789")
    (name,) = [name for name in backend.entries if name != "a"]
    backend.entries[name] = part
    assert vault.read("a") != b"0123456789"
    vault.write("a", b"new")
    assert vault.read("a") == b"new"


def test_a_document_that_is_replaced_while_it_is_read() -> None:
    """A reader holds no lock: it gets the old or the new one, not *nobody is logged in*."""

    class Busy(DictBackend):
        def get_password(self, service: str, username: str) -> str | None:
            value = super().get_password(service, username)
            if username == "a" and value is not None and self.reads == 0:
                self.reads = 1
                KeyringVault(self).write("a", b"new")
            return value

        reads = -1

    backend = Busy()
    vault = KeyringVault(backend)
    vault.write("a", b"old")
    backend.reads = 0
    assert vault.read("a") == b"new"


@pytest.mark.parametrize("seconds", [0.05])
def test_a_backend_that_hangs_is_given_up(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auth.backends import Hanging

    monkeypatch.setenv("CRANE_TEST_KEYRING", str(tmp_path / "k"))
    monkeypatch.setattr(vault_module, "KEYRING_SECONDS", seconds)
    with pytest.raises(NotWritable, match="no answer in 3 seconds") as caught:
        KeyringVault(Hanging()).read("a")
    assert "CRANE_VAULT=file" in caught.value.hint


# --- moving ------------------------------------------------------------------------------------


def test_a_move_takes_all_that_is_there() -> None:
    source, target = MemoryVault(), KeyringVault(DictBackend())
    source.write("a", b"1")
    source.write("b", BIG)
    said: list[str] = []
    assert move(["a", "b", "c"], source, target, lambda: said.append("here")) == 2
    assert [target.read(n) for n in "abc"] == [b"1", BIG, None]
    assert [source.read(n) for n in "abc"] == [None] * 3
    assert said == ["here"]


@pytest.mark.parametrize("step", range(1, 12))
def test_a_move_that_is_killed_loses_nothing(step: int) -> None:
    """Everything is at the remembered place, at each moment."""
    source, target = DictBackend(), DictBackend()
    documents = {"a": b"1", "b": BIG}
    for name, content in documents.items():
        KeyringVault(source).write(name, content)
    source.changes = 0
    remembered = [source]
    changes = 0

    def count() -> None:
        nonlocal changes
        changes += 1
        if changes >= step:
            raise RuntimeError("killed")

    source.changed = target.changed = count  # type: ignore[method-assign]
    with pytest.raises(NotWritable):
        move(
            documents,
            KeyringVault(source),
            KeyringVault(target),
            lambda: remembered.append(target),
        )
    kept = KeyringVault(remembered[-1])
    assert {name: kept.read(name) for name in documents} == documents


# --- one process that moves, and another that has begun before ---------------------------------

KEY = SessionKey("https://crane.example", "https://sso.example", "crane-pip", "openid")


def session_of(token: str) -> Session:
    """Return a login with this access token."""
    return Session(TokenSet(Secret(token), 0.0), ProviderMetadata("https://sso.example/token"))


class Home:
    """One user's data folder and keyring; each store is that of another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend: DictBackend | None = DictBackend()
        self.asked = 0

    def find_backend(self, _: Callable[[str], None]) -> DictBackend | None:
        """Find the user's keyring, if it works."""
        self.asked += 1
        return self.backend

    def store(self) -> SessionStore:
        """Return what a process opens that starts now."""
        sessions = self.folder / "sessions"
        return SessionStore(sessions, *open_vault({}, self.folder, self.find_backend))

    def move(self, name: str) -> None:
        """Move every login there, as `crane vault` does."""
        files, keyring = FileVault(self.folder / "sessions"), KeyringVault(self.backend)
        source, target = (files, keyring) if name == "keyring" else (keyring, files)
        move([KEY.digest], source, target, lambda: remember_vault(self.folder, name))


@pytest.fixture
def moving(tmp_path: Path) -> Home:
    """Give a home whose logins are in files."""
    home = Home(tmp_path)
    remember_vault(tmp_path, "file")
    return home


def token_in(store: SessionStore) -> str | None:
    """Return the access token that a process finds."""
    session = store.read(KEY)
    return session.tokens.access_token.reveal() if session else None


async def refresh(store: SessionStore, token: str) -> str | None:
    """Write another token as a refresh does; return which one was found under the lock."""
    async with store.lock(KEY, "refresh", timeout=1, notice=lambda: None):
        found = token_in(store)
        store.write(KEY, session_of(token))
    return found


def test_a_process_finds_and_refreshes_what_another_has_moved(moving: Home) -> None:
    """There and back: what it writes is where all later processes look."""
    early = moving.store()
    early.write(KEY, session_of("first"))
    assert token_in(early) == "first"
    for name, before, after in (("keyring", "first", "second"), ("file", "second", "third")):
        moving.move(name)
        assert asyncio.run(refresh(early, after)) == before
        assert token_in(moving.store()) == token_in(early) == after
    assert not moving.backend or moving.backend.entries == {}


def test_a_process_that_had_found_nothing_looks_again(moving: Home) -> None:
    """The mark of the session has not changed, where it is kept has."""
    early = moving.store()
    early.write(KEY, session_of("gone"))
    early.delete(KEY)
    assert token_in(early) is None
    elsewhere = MemoryVault()
    SessionStore(moving.folder / "elsewhere", elsewhere).write(KEY, session_of("there"))
    remember_vault(moving.folder, "keyring")
    moving.store().vault.write(KEY.digest, elsewhere.read(KEY.digest) or b"")
    assert token_in(early) == "there"


def test_what_moves_between_a_look_and_a_read_is_found(moving: Home) -> None:
    """A reader holds no lock: *nobody is logged in* would be wrong at every moment."""
    store = moving.store()
    store.write(KEY, session_of("first"))
    vault = present_vault(store.vault)
    read = vault.read

    def late(name: str) -> bytes | None:
        moving.move("keyring")
        return read(name)

    vault.read = late  # type: ignore[method-assign]
    assert store.vault.read(KEY.digest) is not None


def test_a_keyring_that_does_not_work_in_the_early_process(moving: Home) -> None:
    """It says so, instead of asking for a login; and goes on once the keyring works."""
    early = moving.store()
    early.write(KEY, session_of("first"))
    moving.move("keyring")
    backend, moving.backend = moving.backend, None
    with pytest.raises(NotWritable, match="no keyring works here"):
        token_in(early)
    moving.backend = backend
    assert token_in(early) == "first"


def test_a_keyring_is_looked_for_once(moving: Home) -> None:
    """Each look may take seconds; a file that is written anew with the same word changes none."""
    moving.move("keyring")
    store = moving.store()
    for _ in range(3):
        token_in(store)
        remember_vault(moving.folder, "keyring")
    assert moving.asked == 1


def test_what_another_process_has_decided_meanwhile(tmp_path: Path) -> None:
    """The first login decides, for the processes too that had begun before it."""
    home = Home(tmp_path)
    early, late = home.store(), home.store()
    late.settle(lambda _: None)
    late.write(KEY, session_of("first"))
    assert token_in(early) == "first"
    home.backend = None
    early.settle(lambda _: None)
    assert (tmp_path / "vault").read_text() == "keyring\n"


def test_a_decision_that_becomes_nonsense(moving: Home) -> None:
    """File and remedy are named; it is mended without a new start."""
    store = moving.store()
    store.write(KEY, session_of("first"))
    remember_vault(moving.folder, "cellar\x1b")
    with pytest.raises(ConfigBroken) as caught:
        token_in(store)
    assert caught.value.message.startswith(f"{moving.folder / 'vault'} says 'cellar")
    assert "write file or keyring into it" in caught.value.hint
    remember_vault(moving.folder, "file")
    assert token_in(store) == "first"


@pytest.mark.parametrize(
    ("variable", "recorded", "says"),
    [
        ("", "file", False),
        ("file", "", False),
        ("file", "file", False),
        ("file", "keyring", True),
        ("memory", "keyring", True),
        ("keyring", "cellar", True),
    ],
)
def test_a_variable_against_what_is_recorded(
    tmp_path: Path, variable: str, recorded: str, says: bool
) -> None:
    remember_vault(tmp_path, recorded)
    said = disagreement({"CRANE_VAULT": variable}, tmp_path)
    assert (said is not None) == says
    assert said is None or all(word in said for word in (variable, recorded, str(tmp_path)))
