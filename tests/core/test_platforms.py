"""What differs between systems, tried here with the system's name as an argument.

None of it has run on macOS or Windows: docs/reference/platforms.md says what that leaves open.
"""

from __future__ import annotations

import ast
import ctypes
import io
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from crane_cli.colours import has_colours
from crane_cli.main import print_anything
from crane_cli.progress import is_moving
from crane_cli.shells import guess_shell
from crane_core.agent import start
from crane_core.agent.process import _alone, _forget
from crane_core.agent.runtime import Place, Runtime
from crane_core.clients.person import Person
from crane_core.clients.pip_files import pip_files
from crane_core.clients.trust import SERVER_AUTHENTICATION, system_roots
from crane_core.clients.uv_indexes import uv_files
from crane_core.config.store import ConfigStore
from crane_core.errors import UnsafePermissions
from crane_core.files import private_folder
from crane_core.gateway.guard import Guard
from crane_core.gateway.peer import peer_uid
from crane_core.gateway.server import loopback_address, sharing_option
from crane_core.http import clock_skew
from crane_core.platform import (
    detached,
    exit_code,
    readable_by_others,
    user_paths,
    windows_mark,
    writable_by_others,
)
from crane_core.programs import find_program
from crane_core.secret import Secret
from crane_core.sharing import patiently

SYSTEMS = ("linux", "darwin", "win32")
LIBRARY = "Library/Application Support/pip"


@pytest.mark.parametrize(
    ("system", "variables", "folders", "expected"),
    [
        ("linux", {}, (), ("/etc/xdg/pip/pip.conf /etc/pip.conf ~/.pip/pip.conf"
         " ~/.config/pip/pip.conf")),
        ("linux", {"XDG_CONFIG_DIRS": "/a:/b", "XDG_CONFIG_HOME": "/c", "VIRTUAL_ENV": "/v"}, (),
         ("/a/pip/pip.conf /b/pip/pip.conf /etc/pip.conf ~/.pip/pip.conf /c/pip/pip.conf"
         " /v/pip.conf")),
        # An empty variable is as good as none (XDG Base Directory Specification).
        ("linux", {"XDG_CONFIG_DIRS": "", "XDG_CONFIG_HOME": ""}, (LIBRARY,),
         "/etc/xdg/pip/pip.conf /etc/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf"),
        ("darwin", {"XDG_CONFIG_DIRS": "/a", "XDG_CONFIG_HOME": "/c"}, (),
         "/Library/Application_Support/pip/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf"),
        ("darwin", {}, (LIBRARY,),
         ("/Library/Application_Support/pip/pip.conf ~/.pip/pip.conf"
         " ~/Library/Application_Support/pip/pip.conf")),
        ("win32", {"PROGRAMDATA": "D:/P", "APPDATA": "D:/A", "VIRTUAL_ENV": "D:/v"}, (LIBRARY,),
         "D:/P/pip/pip.ini ~/pip/pip.ini D:/A/pip/pip.ini D:/v/pip.ini"),
        ("win32", {"XDG_CONFIG_HOME": "/c"}, (),
         "C:/ProgramData/pip/pip.ini ~/pip/pip.ini ~/AppData/Roaming/pip/pip.ini"),
        # The user's own files do not count beside one that is named, if that is there.
        ("darwin", {"PIP_CONFIG_FILE": "/"}, (), "/Library/Application_Support/pip/pip.conf /"),
        ("win32", {"PIP_CONFIG_FILE": "/nowhere"}, (),
         "C:/ProgramData/pip/pip.ini ~/pip/pip.ini ~/AppData/Roaming/pip/pip.ini /nowhere"),
    ],
)  # fmt: skip
def test_where_pip_looks(
    system: str, variables: Mapping[str, str], folders: tuple[str, ...], expected: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    wanted = [place.replace("~", str(tmp_path)) for place in expected.split()]

    found = [path.as_posix().replace(" ", "_") for path in pip_files(variables, tmp_path,
                                                                   system=system)]  # fmt: skip

    assert found == wanted


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {}, "~/.config/uv/uv.toml /etc/uv/uv.toml"),
        ("darwin", {"APPDATA": "D:/A", "XDG_CONFIG_HOME": "/c"}, "/c/uv/uv.toml /etc/uv/uv.toml"),
        ("linux", {"XDG_CONFIG_DIRS": "/nowhere:~/all"},
         "~/.config/uv/uv.toml ~/all/uv/uv.toml"),
        ("win32", {"APPDATA": "D:/A", "PROGRAMDATA": "D:/P", "XDG_CONFIG_HOME": "/c"},
         "D:/A/uv/uv.toml D:/P/uv/uv.toml"),
        ("win32", {}, "~/AppData/Roaming/uv/uv.toml C:/ProgramData/uv/uv.toml"),
    ],
)  # fmt: skip
def test_where_uv_looks(
    system: str, variables: dict[str, str], expected: str, tmp_path: Path
) -> None:
    shared = tmp_path / "all" / "uv" / "uv.toml"
    shared.parent.mkdir(parents=True)
    shared.touch()
    environ = {name: value.replace("~", str(tmp_path)) for name, value in variables.items()}

    found = list(uv_files(environ, Path("/"), home=tmp_path, system=system))[2:]

    assert [f.as_posix() for f in found] == expected.replace("~", str(tmp_path)).split()


@pytest.mark.parametrize(
    ("system", "failures", "tries"), [("win32", 2, 3), ("linux", 0, 1), ("darwin", 0, 1)]
)
def test_a_file_that_others_have_open(system: str, failures: int, tries: int) -> None:
    left, tried = [failures], []

    def action() -> str:
        tried.append(1)
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file")
        return "done"

    assert patiently(action, system=system, pauses=(0, 0, 0)) == "done"
    assert len(tried) == tries
    left[0], tried[:] = 9, []
    with pytest.raises(PermissionError):
        patiently(action, system=system, pauses=(0, 0, 0))
    assert len(tried) == (4 if system == "win32" else 1)
    tried.clear()
    with pytest.raises(FileNotFoundError):  # no wait will bring it
        patiently(lambda: tried.append(1) or Path("/nowhere").unlink(), system=system)
    assert len(tried) == 1


def test_what_goes_wrong_at_an_agents_end_leaves_the_lock(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    private_folder(place.folder)
    for error in (PermissionError("in use"), UnsafePermissions("foreign")):
        with _alone(place) as is_alone:
            assert is_alone
            with _alone(place) as is_another:
                assert not is_another
            raise error


@pytest.mark.parametrize(
    ("system", "ended", "expected"),
    [
        ("linux", 0, 0), ("linux", 3, 3), ("darwin", -15, 143), ("linux", -2, 130),
        ("win32", 0, 0), ("win32", 3, 3), ("win32", 0xC000013A, -0x3FFFFEC6),
        ("win32", 0x7FFFFFFF, 0x7FFFFFFF), ("win32", 0xFFFFFFFF, -1),
    ],
)  # fmt: skip
def test_what_a_childs_end_is_to_a_shell(system: str, ended: int, expected: int) -> None:
    code = exit_code(ended, system=system)
    assert code == expected
    assert -(1 << 31) <= code < 1 << 31  # what sys.exit takes
    assert system != "win32" or code & 0xFFFFFFFF == ended


def test_what_keeps_an_agent_apart_from_its_starters_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        "CREATE_NEW_PROCESS_GROUP": 0x200,
        "CREATE_NO_WINDOW": 0x08000000,
        "CREATE_BREAKAWAY_FROM_JOB": 0x01000000,
    }
    free, bound = (way["creationflags"] for way in detached(system="win32"))
    for name, value in values.items():
        assert value == getattr(subprocess, name, value)  # on Windows: as its own names say
        assert free & value
        assert bool(bound & value) is (name != "CREATE_BREAKAWAY_FROM_JOB")
    assert not (free | bound) & 0x8  # DETACHED_PROCESS, beside which CREATE_NO_WINDOW is ignored
    for system in ("linux", "darwin"):
        assert detached(system=system) == ({"start_new_session": True, "umask": 0o077},)

    tried: list[object] = []

    def popen(command: list[str], **options: object) -> str:
        tried.append(options["way"])
        if options["way"] == "forbidden":
            raise PermissionError(5, "Access is denied")
        return command[0]

    ways = ({"way": "forbidden"}, {"way": "permitted"})
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(start.platform, "detached", lambda: ways)
    assert start._detached(["program"], stdin=None) == "program"
    assert tried == ["forbidden", "permitted"]
    monkeypatch.setattr(start.platform, "detached", lambda: ways[:1])
    with pytest.raises(PermissionError):
        start._detached(["program"])


class Kernel:
    """The functions of kernel32 that tell of processes, for one process."""

    def __init__(self, exit_code: int | None, *, asks_in_vain: bool = False) -> None:
        self._exit_code = exit_code
        self._asks_in_vain = asks_in_vain
        self.closed: list[object] = []
        # As ctypes' functions, these can be given attributes.
        self.OpenProcess = lambda access, inherit, pid: 0 if exit_code is None else 0x1_0000_0004

    def GetExitCodeProcess(self, handle: object, code: Any) -> int:  # noqa: N802
        code._obj.value = self._exit_code
        return 1

    def GetProcessTimes(self, handle: object, created: Any, *others: Any) -> int:  # noqa: N802
        created._obj.dwHighDateTime, created._obj.dwLowDateTime = 0x1DB2C3D, 0xA0
        return 0 if self._asks_in_vain else 1

    def CloseHandle(self, handle: Any) -> None:  # noqa: N802
        self.closed.append(handle.value)


@pytest.mark.parametrize(
    ("kernel", "error", "mark"),
    [
        (Kernel(259), 0, "1db2c3d000000a0"), (Kernel(0), 0, None), (Kernel(1), 0, None),
        (Kernel(None), 87, None), (Kernel(None), 5, "running"),
        (Kernel(259, asks_in_vain=True), 0, "running"),
    ],
)  # fmt: skip
def test_whether_windows_has_a_process(
    kernel: Kernel, error: int, mark: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    assert windows_mark(42, kernel) == mark
    assert kernel.closed == ([] if error else [0x1_0000_0004])  # a handle has 64 bits


def test_programs_of_the_folder_that_we_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    for folder in (checkout, tools):
        folder.mkdir()
        for name in ("pip.exe", "pip.bat", "script.py", "pip"):
            (folder / name).touch(mode=0o755)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATHEXT", ".COM;.EXE;.BAT")
    path = os.pathsep.join(["", ".", f'"{tools}"', str(checkout)])

    def found(name: str, path: str | None = path) -> str | None:
        return find_program(name, path, system="win32")

    assert found("pip") == str(tools / "pip.exe")
    assert found("pip.bat") == str(tools / "pip.bat")
    assert found("script.py") is None  # no program, says PATHEXT
    assert found("pip", "") is None
    monkeypatch.setenv("PATH", str(tools))
    assert found("pip", None) == str(tools / "pip.exe")
    if sys.platform != "win32":
        assert found("./pip", "") == "./pip"  # whoever names a place means it
        assert find_program("pip", ".") == "./pip"


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_mode_bits_say(system: str) -> None:
    status = os.stat_result((0o100666, *[0] * 9))
    assert readable_by_others(status, system=system) is (system != "win32")
    assert writable_by_others(status, system=system) is (system != "win32")


def test_where_agents_keep_their_files(tmp_path: Path) -> None:
    for system in SYSTEMS:
        paths = user_paths({"XDG_RUNTIME_DIR": str(tmp_path)}, system=system)
        is_linux = system == "linux"
        assert paths.runtime == (tmp_path / "crane" if is_linux else paths.data / "agents")


def test_a_port_is_ours_alone() -> None:
    assert sharing_option(system="win32") == getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)
    assert {loopback_address(system=name) for name in ("darwin", "win32")} == {"127.0.0.1"}
    assert {sharing_option(system=name) for name in ("linux", "darwin")} == {socket.SO_REUSEADDR}


def test_a_pipe_without_our_characters() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252")
    print_anything(stream)
    print_anything(io.StringIO())  # which takes all, and has nothing to set
    print("✓ über", file=stream, flush=True)
    assert written.getvalue().split(os.linesep.encode())[0] == b"\\u2713 \xfcber"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("system", "variables", "coloured", "moving"),
    [
        ("linux", {}, False, True), ("linux", {"TERM": "xterm"}, True, True),
        ("darwin", {"TERM": "dumb", "WT_SESSION": "1"}, False, False),
        ("win32", {}, False, False), ("win32", {"WT_SESSION": "1"}, True, True),
        ("win32", {"TERM_PROGRAM": "vscode"}, True, True),
        ("win32", {"TERM": "xterm"}, True, True),
    ],
)  # fmt: skip
def test_terminals(system: str, variables: dict[str, str], coloured: bool, moving: bool) -> None:
    assert has_colours(Terminal(), variables, system=system) is coloured
    assert is_moving(Terminal(), variables, system=system) is moving
    assert not is_moving(io.StringIO(), variables, system=system)


@pytest.mark.parametrize(
    ("system", "variables", "shell"),
    [
        ("win32", {}, "cmd"), ("win32", {"PSModulePath": "C:"}, "powershell"),
        ("win32", {"SHELL": r"C:\Git\usr\bin\bash.exe", "PSModulePath": "C:"}, "bash"),
        ("darwin", {"SHELL": "/bin/zsh"}, "zsh"), ("darwin", {}, "bash"),
    ],
)  # fmt: skip
def test_shells(system: str, variables: dict[str, str], shell: str) -> None:
    assert guess_shell(variables, system=system) == shell


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_a_browser_opens_where_the_screen_is(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Person, "system", system)
    monkeypatch.setattr("crane_core.clients.person._in_container", lambda: False)
    assert Person({}).has_browser
    assert not Person({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}).has_browser


def test_what_windows_and_macos_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = {
        "ROOT": [(b"all", "x509_asn", True), (b"mail", "x509_asn", {"1.3.6.1.5.5.7.3.4"})],
        "CA": [(b"server", "x509_asn", {SERVER_AUTHENTICATION}), (b"other", "pkcs_7_asn", True)],
    }
    monkeypatch.setattr(ssl, "enum_certificates", stores.__getitem__, raising=False)
    monkeypatch.setattr(sys, "path", [])  # without certifi
    found = [ssl.PEM_cert_to_DER_cert(pem.decode()) for _, pem in system_roots(system="win32")]
    assert found == [b"all", b"server"]

    keychain = ssl.DER_cert_to_PEM_cert(b"mac").encode()
    asked: list[list[str]] = []

    def security(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, keychain)

    monkeypatch.setattr(subprocess, "run", security)
    monkeypatch.setattr("crane_core.clients.trust.SYSTEM_FILES", (__file__,))
    assert list(system_roots(system="darwin")) == [("keychain", keychain)]
    assert asked[0][:4] == ["/usr/bin/security", "find-certificate", "-a", "-p"]
    keychain = b"SecKeychainSearchCreateFromAttributes: the keychain could not be found."
    assert [place for place, _ in system_roots(system="darwin")] == [__file__]


@pytest.mark.parametrize(
    ("words", "is_skew"),
    [
        ("certificate verify failed: certificate is not yet valid (_ssl.c:1006)", True),
        (("A required certificate is not within its validity period when verifying against the "
         "current system clock or the timestamp in the signed file."), True),
        ("“index.example.com” certificate is expired", True),
        ("“index.example.com” certificate is not trusted", False),
    ],
)  # fmt: skip
def test_a_clock_that_is_wrong(words: str, is_skew: bool) -> None:
    assert (clock_skew(OSError(words), "https://index.example.com") is not None) is is_skew


def test_a_mark_before_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[index.firm]\nurl = "https://a.example/python"\nissuer = "https://sso.example"\n',
        encoding="utf-8-sig",
    )
    file.chmod(0o600)
    assert [index.name for index in ConfigStore(file).load()] == ["firm"]


def test_how_agents_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that somebody has open stays; the agent's end goes on, and the place is free."""
    place, runtime = Place(tmp_path / "place"), cast("Runtime", object())
    private_folder(place.folder)
    tried: list[Path] = []

    def remove(path: Path) -> None:
        tried.append(path)
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Place, "read", lambda _: runtime)
    monkeypatch.setattr("crane_core.agent.process.remove", remove)
    _forget(place, runtime)
    assert tried == [place.file]
    with _alone(place) as is_alone:
        assert is_alone


@pytest.mark.parametrize(
    ("secret", "method", "path", "status"),
    [
        (None, "GET", "/firm/simple/", None), (None, "POST", "/legacy/", 403),
        ("s", "GET", "/firm/simple/", 403), ("s", "POST", "/legacy/", 403),
    ],
)  # fmt: skip
def test_where_nobody_knows_who_connects(
    secret: str | None, method: str, path: str, status: int | None
) -> None:
    """Where no user id can be known, the secret decides; without any, nothing is uploaded."""
    guard = Guard(None, Secret(secret) if secret else None, frozenset({1000, 0}))
    scope = {"method": method, "path": path, "headers": [], "extensions": {}}
    refusal = guard.check(scope, lambda: None)
    assert (refusal and refusal.status) == status
    assert guard.check(scope, lambda: 1001) is not None
    assert peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2), system="darwin") is None


def test_the_page_names_what_is_there() -> None:
    root = Path(__file__).parents[2]
    rows = re.findall(
        r"^\|(.+)\|$", (root / "docs/reference/platforms.md").read_text("utf-8"), re.MULTILINE
    )
    names = [name for name in globals() if name.startswith("test_")]
    packages = {"core": "packages/core/src/crane_core", "cli": "packages/cli/src/crane_cli"}
    seen = 0
    for row in rows:
        if " | " not in row:  # the line below a head
            continue
        *_, code, _, test = row.split(" | ")
        for word in re.findall(r"`([^`]+)`", test):
            seen += 1
            known = (root / word).exists() or any(word in name for name in names)
            assert known, f"{word} in: {row}"
        for word in re.findall(r"`((?:core|cli)/[^`]+)`", code):
            package, _, rest = word.partition("/")
            assert (root / packages[package] / rest).exists(), word
    assert seen > 30


POSIX_MODULES = {"fcntl", "grp", "pexpect", "pty", "pwd", "resource", "termios", "tty", "uvloop"}
POSIX_NAMES = {
    "SIGHUP", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGPIPE", "SIGALRM", "fork", "geteuid",
    "getuid", "getgid", "killpg", "mkfifo", "setsid", "uname", "AF_UNIX",
}  # fmt: skip


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported, unless it is behind a look at the system."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.If, ast.BoolOp, ast.IfExp)) and re.search(
            r"sys\.platform|hasattr|TYPE_CHECKING|os\.name", ast.unparse(node)
        ):
            continue
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in (*node.decorator_list, node.args):
                yield part
                yield from at_import(part)
        elif not isinstance(node, ast.Lambda):
            yield from at_import(node)


def test_everything_can_be_imported_on_windows() -> None:
    """A name that Windows lacks would end a command there, or the collection of all tests."""
    root = Path(__file__).parents[2]
    words = re.compile("|".join(sorted(POSIX_MODULES | POSIX_NAMES)))
    found = []
    for folder in ("packages", "tests"):
        for path in (root / folder).rglob("*.py"):
            if "node_modules" in path.parts or not words.search(text := path.read_text("utf-8")):
                continue
            tree = ast.parse(text)
            if "importorskip(" in text or "from support.terminals" in text:
                continue  # skipped before it comes to that
            for node in at_import(tree):
                names = (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import)
                    else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                )  # fmt: skip
                if POSIX_MODULES & set(names):
                    found.append(f"{path}: imports {names}")
                if isinstance(node, ast.Attribute) and node.attr in POSIX_NAMES:
                    found.append(f"{path}:{node.lineno} {node.attr}")
    assert found == []
