"""Where sessions are kept: the operating system's keyring, or private files."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from crane_core.errors import ConfigBroken, NotWritable, UsageError
from crane_core.files import read_private, require_room, storage_errors, write_private
from crane_core.sharing import remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

T = TypeVar("T")
Notice = Callable[[str], None]
# Returns the keyring's backend if one works, and says why not otherwise.
FindBackend = Callable[[Notice], Any]

SERVICE = "crane"
KEYRING_SECONDS = 3.0
# Windows keeps 2,560 bytes a credential, as UTF-16: half as many characters (CREDENTIALW).
CHUNK = 1_200
MOST_CHUNKS = 64
ROOM = 16 << 10  # bytes; a login with three long tokens


# Changes whenever a file that is replaced as a whole has changed.
FileMark = tuple[int, ...]


class Vault(Protocol):
    """Keeps one secret document under each name."""

    @property
    def place(self) -> str:
        """Where it keeps them, for people."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the document, None if there is none. Raises `StorageError`."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Replace the document; after a crash the old or the new one is there, whole."""
        ...

    def require_writable(self, name: str) -> None:
        """Raise what a write would raise, as far as can be known. Nothing is changed."""
        ...

    def delete(self, name: str) -> None:
        """Remove the document, if there is one."""
        ...


def mark_of(path: Path) -> FileMark | None:
    """Return the mark of a file as it is now, None if it cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


class FileVault:
    """Private files in one folder, replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """The folder."""
        return f"private files in {self._folder}"

    def read(self, name: str) -> bytes | None:
        """Return the file's content. Raises `UnsafePermissions` if others may read it."""
        return read_private(self._folder / f"{name}.json")

    def write(self, name: str, content: bytes) -> None:
        """Replace the file."""
        write_private(self._folder / f"{name}.json", content)

    def require_writable(self, name: str) -> None:
        """Raise what a write would raise, of a document that is no longer than most."""
        require_room(self._folder / f"{name}.json", ROOM)

    def delete(self, name: str) -> None:
        """Remove the file."""
        path = self._folder / f"{name}.json"
        with storage_errors(path):
            remove(path)
            for temporary in self._folder.glob(
                f".{name}.json.*.tmp"
            ):  # of a writer that was killed
                remove(temporary)


class MemoryVault:
    """Nothing outlives the process."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    @property
    def place(self) -> str:
        """This process."""
        return "memory, until this process ends"

    def read(self, name: str) -> bytes | None:
        """Return the document."""
        return self._documents.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep the document."""
        self._documents[name] = content

    def require_writable(self, name: str) -> None:
        """Do nothing: there is room."""

    def delete(self, name: str) -> None:
        """Forget the document."""
        self._documents.pop(name, None)


class KeyringVault:
    """The keyring of the operating system, through the `keyring` library.

    A document is split into parts that every backend takes, below one head entry, which names
    the number of parts and a generation. New parts are written first, then the head, then the
    old parts are removed: a crash leaves the old or the new document.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    @property
    def place(self) -> str:
        """The backend's name."""
        return f"the keyring ({type(self._backend).__module__.rsplit('.', 1)[-1]})"

    def read(self, name: str) -> bytes | None:
        """Return the document, None if it is not there or not whole."""
        head = self._get(name)
        if head is None:
            return None
        generation, count = _read_head(head)
        parts = [self._get(_part(name, generation, i)) for i in range(count)]
        whole = [part for part in parts if part is not None]
        if count == 0 or len(whole) < count:
            # Another process may have replaced it while we read.
            return None if self._get(name) == head else self.read(name)
        try:
            return base64.b64decode("".join(whole))
        except ValueError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replace the document."""
        before = _read_head(self._get(name) or "")[0]
        generation = before + 1
        text = base64.b64encode(content).decode()
        parts = [text[i : i + CHUNK] for i in range(0, len(text), CHUNK)]
        if len(parts) > MOST_CHUNKS:
            raise NotWritable("the login is too large for the keyring", hint="set CRANE_VAULT=file")
        self._delete_parts(name, before - 1)  # if the last writer was killed
        for i, part in enumerate(parts):
            self._set(_part(name, generation, i), part)
        self._set(name, f"{generation}:{len(parts)}")
        self._delete_parts(name, generation, start=len(parts))
        self._delete_parts(name, before)

    def require_writable(self, name: str) -> None:
        """Make sure that the keyring answers; whether it takes anything, only a write tells."""
        self._get(name)

    def delete(self, name: str) -> None:
        """Remove the parts, and those that a crash has left, then the head, which knows them."""
        generation = _read_head(self._get(name) or "")[0]
        for number in (generation, generation + 1, generation - 1):
            self._delete_parts(name, number)
        self._remove(name)

    def _delete_parts(self, name: str, generation: int, start: int = 0) -> None:
        # From the last to the first, so that a crash leaves no gap to stop at.
        end = start
        while self._get(_part(name, generation, end)) is not None:
            end += 1
        for i in reversed(range(start, end)):
            self._remove(_part(name, generation, i))

    def _get(self, entry: str) -> str | None:
        value = limited(lambda: self._backend.get_password(SERVICE, entry))
        return value if isinstance(value, str) else None

    def _set(self, entry: str, value: str) -> None:
        limited(lambda: self._backend.set_password(SERVICE, entry, value))

    def _remove(self, entry: str) -> None:
        if self._get(entry) is not None:
            limited(lambda: self._backend.delete_password(SERVICE, entry))


def _part(name: str, generation: int, number: int) -> str:
    return f"{name}.{generation}.{number}"


def _read_head(head: str) -> tuple[int, int]:
    generation, _, count = head.partition(":")
    if not (generation.isdecimal() and count.isdecimal()):
        return 0, 0
    return int(generation), min(int(count), MOST_CHUNKS)


def limited(call: Callable[[], T]) -> T:
    """Return what a keyring call returns, in three seconds at most.

    A locked keyring may ask its user on a screen that nobody looks at. The thread is left
    behind then, since nothing can end it. Raises `NotWritable`.
    """
    answer: list[T] = []
    failure: list[Exception] = []

    def work() -> None:
        try:
            answer.append(call())
        except Exception as error:  # noqa: BLE001 - whatever a third party's backend raises
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(KEYRING_SECONDS)
    if answer:
        return answer[0]
    reason = type(failure[0]).__name__ if failure else "no answer in 3 seconds"
    raise NotWritable(
        f"the keyring does not work ({reason})", hint="unlock it, or set CRANE_VAULT=file"
    )


CHOICE = "vault"  # the file that says where the user's sessions are
VAULTS = ("file", "keyring", "memory")


class RecordedVault:
    """The vault that the file `vault` names at this moment.

    `crane vault` moves everything and writes that file; a process that has begun before it then
    looks in the new place. Before the first login nothing is named, and there is nothing to
    read: the private files stand in.
    """

    def __init__(self, folder: Path, find_backend: FindBackend) -> None:
        self._folder = folder
        self._find_backend = find_backend
        self._mark: FileMark | None = None
        self._name = ""
        self._vault: Vault = FileVault(folder / "sessions")

    @property
    def current(self) -> Vault:
        """The vault of this moment.

        Raises `ConfigBroken` if the file names none, `NotWritable` if its keyring does not work.
        """
        # Looked at before it is read: what is written in between shows at the next look.
        mark = mark_of(self._folder / CHOICE)
        if mark != self._mark:
            name = recorded_name(self._folder)
            if name != self._name:
                self._vault = self._open(name)
            self._mark, self._name = mark, name
        return self._vault

    @property
    def place(self) -> str:
        """Where it keeps them now."""
        return self.current.place

    def read(self, name: str) -> bytes | None:
        """Return the document, wherever it is."""
        vault = self.current
        content = vault.read(name)
        if content is None and (now := self.current) is not vault:
            return now.read(name)  # moved between the look and the read
        return content

    def write(self, name: str, content: bytes) -> None:
        """Replace the document at the place of now."""
        self.current.write(name, content)

    def require_writable(self, name: str) -> None:
        """Raise what a write at the place of now would raise."""
        self.current.require_writable(name)

    def delete(self, name: str) -> None:
        """Remove the document at the place of now."""
        self.current.delete(name)

    def settle(self, notice: Notice) -> Vault:
        """Decide for good, if nothing has: for the keyring where one works. Returns itself."""
        vault = self.current
        if not self._name:
            backend = self._find_backend(notice)
            name = "file" if backend is None else "keyring"
            remember_vault(self._folder, name)
            self._name, self._vault = name, vault if backend is None else KeyringVault(backend)
        return self

    def _open(self, name: str) -> Vault:
        sessions = self._folder / "sessions"
        if name and name not in VAULTS:
            raise ConfigBroken(
                f"{self._folder / CHOICE} says {name[:20]!r}, which is no place for logins",
                hint="write file or keyring into it, whichever they are in, "
                "or delete it and log in again",
            )
        return named_vault(name or "file", sessions, self._find_backend)


def open_vault(
    environ: Mapping[str, str], folder: Path, find_backend: FindBackend
) -> tuple[Vault, Callable[[Notice], Vault] | None]:
    """Return the vault, and what decides for good if nothing has decided yet.

    `CRANE_VAULT` decides, else what was decided at the first login, in the file `vault`. Raises
    `UsageError`, `ConfigBroken` or `NotWritable`.
    """
    recorded_name(folder)  # a file that others may have written is said in any case
    if chosen := environ.get("CRANE_VAULT"):
        return named_vault(chosen, folder / "sessions", find_backend), None
    recorded = RecordedVault(folder, find_backend)
    _ = recorded.current  # what does not work is said before anything is begun
    return recorded, recorded.settle


def present_vault(vault: Vault) -> Vault:
    """Return the vault that counts at this moment, and stays what it is."""
    return vault.current if isinstance(vault, RecordedVault) else vault


def named_vault(name: str, sessions: Path, find_backend: FindBackend) -> Vault:
    """Return the vault of that name. Raises `UsageError`, `NotWritable` without a keyring."""
    if name == "file":
        return FileVault(sessions)
    if name == "memory":
        return MemoryVault()
    if name != "keyring":
        raise UsageError(f"{name!r} is no vault", hint="use file, keyring or memory")
    backend = find_backend(lambda _: None)
    if backend is None:
        raise NotWritable(
            "no keyring works here, and logins are kept in one",
            hint="unlock it, or set CRANE_VAULT=file and log in again",
        )
    return KeyringVault(backend)


def remember_vault(folder: Path, name: str) -> None:
    """Use this vault from now on."""
    write_private(folder / CHOICE, f"{name}\n".encode())


def recorded_name(folder: Path) -> str:
    """Return what the file `vault` says, empty if nothing is decided.

    Raises `UnsafePermissions`: who can change it could send the next login to another place.
    """
    content = read_private(folder / CHOICE) or b""
    return content.decode("utf-8", "replace").strip()


def disagreement(environ: Mapping[str, str], folder: Path) -> str | None:
    """Say that `CRANE_VAULT` is set to another place than the recorded one, None if it is not."""
    chosen, recorded = environ.get("CRANE_VAULT"), recorded_name(folder)
    if not chosen or not recorded or chosen == recorded:
        return None
    return (
        f"CRANE_VAULT={chosen} is set here, but {folder / CHOICE} says {recorded[:20]}: "
        "without the variable crane finds other logins"
    )


def move(names: Iterable[str], source: Vault, target: Vault, remember: Callable[[], None]) -> int:
    """Move documents from one vault to another. Returns how many there were.

    All are written, then it is remembered where they are, then the old ones are deleted: a crash
    loses none.
    """
    found = {name: content for name in names if (content := source.read(name)) is not None}
    for name, content in found.items():
        target.write(name, content)
    remember()
    for name in found:
        source.delete(name)
    return len(found)
