"""The configuration file: the user's to edit, never overwritten if it cannot be read."""

from __future__ import annotations

import sys
import threading
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from auth.disks import fill, make_read_only, small_disk
from support.world import User

from crane_core.config.durations import show_duration
from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_core.errors import ConfigBroken, DiskFull, NotWritable

ISSUER = "https://sso.example/r"
COMMENTED = """\
# my indexes, by hand

[index.firm]            # the main one
url = "https://Crane.example/python/"   # as on the wiki
issuer = "https://sso.example/r"
client-id = "crane-pip"  # the default, on purpose
fallback = 'pypi'

# an old one
[index.old]
url    =   "https://old.example/x"
issuer = "https://sso.example/r"
private = [
    "acme-*",  # ours
]
"""


def store_of(tmp_path: Path, text: str) -> ConfigStore:
    """Return a store on a file with this content."""
    path = tmp_path / "config" / "config.toml"
    path.parent.mkdir()
    path.write_text(text)
    return ConfigStore(path)


def index(name: str, **settings: object) -> Index:
    """Return an index of that name."""
    return Index(name, f"https://{name}.example/x", **({"issuer": ISSUER} | settings))  # type: ignore[arg-type]


BROKEN = {
    '[index.a]\nurl = "https://a.example"\nprivate = yes\n': 3,
    "[index.a\n": 1,
    'x = 1\n[index.a]\nurl = "https://a.example"\n[index.a]\nurl = "https://b.example"\n': 4,
    'x = 1\n\n[index.a]\nissuer = "https://sso.example"\n': 3,
    '[index.a]\nurl = "not a url"\n': 1,
    '[index.a]\nurl = "http://a.example/"\n': 1,
    "[index.a]\nurl = 5\n": 1,
    '[index.a]\nurl = ""\n': 1,
    '# note\n[index.a]\nurl = "https://a.example"\nissuer = "https://s.example"\nfoo = 1\n': 2,
    '[index.a]\nurl = "https://a.example"\nprivate = "acme"\n': 1,
    '[index.a]\nurl = "https://a.example"\ndefault = "yes"\n': 1,
    '[index.a]\nurl = "https://a.example"\nissuer = "http://sso.example"\n': 1,
    '[index.a]\nurl = "https://a.example"\nissuer = "https://s.example"\nstale-limit = "soon"\n': 1,
    '[index.a]\nurl = "https://a.example"\nissuer = "https://s.example"\nkeep-pages = "yes"\n': 1,
    '[index.Firm]\nurl = "https://a.example"\n': 1,
    '[index.simple]\nurl = "https://a.example"\n': 1,
    '[index."a b"]\nurl = "https://a.example"\n': 1,
    '[index.a]\nurl = "https://a.example"\nfallback = "https://a.example/simple"\n': 1,
}


@pytest.mark.parametrize(("text", "line"), BROKEN.items())
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str, line: int) -> None:
    """File, line and reason; and whatever is to be changed, not a byte of it is."""
    store = store_of(tmp_path, text)
    for act in (store.load, lambda: store.save(index("new")), lambda: store.remove("a")):
        with pytest.raises(ConfigBroken) as caught:
            act()
        assert caught.value.exit_code == 3
        message = caught.value.message
        assert f"{store.path}:{line}:" in message or f"line {line}" in message
        assert "correct the file" in caught.value.hint
    assert store.path.read_text() == text


@pytest.mark.parametrize(
    "content", [b"\xff\xfe[\x00i\x00", b"[index.a]\nurl = '\xe4'\n", b"index = 5\n", b"\0\0"]
)
def test_bytes_that_are_no_configuration(tmp_path: Path, content: bytes) -> None:
    """Another encoding, another kind of value: refused, and left as it is."""
    store = store_of(tmp_path, "")
    store.path.write_bytes(content)
    with pytest.raises(ConfigBroken) as caught:
        store.save(index("new"))
    assert str(store.path) in caught.value.message
    assert store.path.read_bytes() == content


def test_an_index_without_a_way_to_log_in_is_said_when_the_file_is_read(tmp_path: Path) -> None:
    """Neither issuer nor endpoints: the file is at fault, with its line."""
    store = store_of(tmp_path, '[index.a]\nurl = "https://a.example"\n')
    with pytest.raises(ConfigBroken, match="issuer"):
        store.load()


def test_an_index_without_an_issuer_is_no_traceback_for_the_user(user: User) -> None:
    """`crane login` names what is missing in the file."""
    user.config_file.parent.mkdir(parents=True)
    user.config_file.write_text('[index.a]\nurl = "https://a.example"\n')
    done = user.crane("login")
    assert "Traceback" not in done.stderr
    assert done.returncode == 3


def test_every_line_of_the_user_is_kept_when_an_index_is_added(tmp_path: Path) -> None:
    """Comments, spaces, spellings and defaults written on purpose are theirs."""
    store = store_of(tmp_path, COMMENTED)
    store.save(index("new"))
    assert store.path.read_text().startswith(COMMENTED)
    assert list(store.load().indexes) == ["firm", "old", "new"]


def test_every_other_line_is_kept_when_an_index_is_changed(tmp_path: Path) -> None:
    """One setting changes one line."""
    store = store_of(tmp_path, COMMENTED)
    store.save(replace(store.load().indexes["old"], fallback="none"))
    after = store.path.read_text().splitlines()
    assert [line for line in COMMENTED.splitlines() if line not in after] == []
    assert [line for line in after if line not in COMMENTED.splitlines()] == ['fallback = "none"']


def test_only_its_own_table_goes_when_an_index_is_removed(tmp_path: Path) -> None:
    """Everything before it is byte for byte the same."""
    store = store_of(tmp_path, COMMENTED)
    store.remove("old")
    assert store.path.read_text().startswith(COMMENTED[: COMMENTED.index("# an old one")])
    assert list(store.load().indexes) == ["firm"]


def test_line_ends_of_windows_are_kept(tmp_path: Path) -> None:
    """Notepad writes them; a change of one line is no change of all."""
    store = store_of(tmp_path, "")
    content = COMMENTED.replace("\n", "\r\n").encode()
    store.path.write_bytes(content)
    store.remove("old")
    assert store.path.read_bytes().startswith(content[: content.index(b"# an old one")])


OUT_OF_ORDER = """\
[index.a]
url = "https://a.example/x"
issuer = "https://sso.example/r"
[other]
x = 1
[index.b]
url = "https://b.example/x"
issuer = "https://sso.example/r"
"""


@pytest.mark.parametrize(
    "text",
    [
        'index.a = {url = "https://a.example/x", issuer = "https://sso.example/r"}\n',
        '[index]\na = {url = "https://a.example/x", issuer = "https://sso.example/r"}\n',
        '[index]\n[index.a]\nurl = "https://a.example/x"\nissuer = "https://sso.example/r"\n',
        'index.a.url = "https://a.example/x"\nindex.a.issuer = "https://sso.example/r"\n',
        '[index."a"]\nurl = "https://a.example/x"\nissuer = "https://sso.example/r"\n',
        OUT_OF_ORDER,
    ],
)
def test_any_way_to_write_the_same_in_toml(tmp_path: Path, text: str) -> None:
    """Adding, changing and removing work on every form that TOML has."""
    store = store_of(tmp_path, text)
    known = store.load()
    store.save(index("new"))
    assert store.load() == known.with_index(index("new"))
    changed = index("a", fallback="none", private=("acme-*",))
    store.save(changed)
    assert store.load().indexes["a"] == changed
    store.remove("a")
    assert "a" not in store.load().indexes
    assert store.load().indexes["new"] == index("new")


def test_settings_survive_a_round_trip(tmp_path: Path) -> None:
    """Every setting is written and read; defaults are not written."""
    store = ConfigStore(tmp_path / "c" / "config.toml")
    full = Index(
        "firm",
        "http://crane.example/python",
        client_id="id",
        token_endpoint="https://t.example/t",
        device_authorization_endpoint="https://t.example/d",
        scope="openid",
        audience="aud",
        resource="https://res.example",
        grant="device",
        account="ada",
        share_login=True,
        redirect_uri="http://localhost/back",
        client_auth="post",
        client_secret_file="~/secret",
        client_key_file="~/key.pem",
        workload_audience="https://job.example",
        token_command="print-token --for firm",
        ca_file="~/ca.pem",
        client_certificate="~/client.pem",
        client_certificate_key="~/client.key",
        fallback="https://m.example/simple",
        private=("acme-*", "x"),
        root_required=False,
        stale_limit="12h",
        keep_pages=True,
        publish="warehouse",
        upload_url="https://up.example/legacy/",
        upload_layout="simple/{project}/{file}",
        insecure_http=True,
        default=True,
    )
    unset = {f.name for f in fields(Index) if getattr(full, f.name) == f.default}
    assert unset == {"issuer"}  # which excludes the two endpoints
    store.save(full)
    store.save(index("plain"))
    assert store.load().indexes == {"firm": full, "plain": index("plain")}
    table = tomllib.loads(store.path.read_text())["index"]["plain"]
    assert table == {"url": "https://plain.example/x", "issuer": ISSUER}


def test_there_is_one_default(tmp_path: Path) -> None:
    """A new default takes the place of the old one."""
    store = ConfigStore(tmp_path / "c" / "config.toml")
    store.save(index("a", default=True))
    store.save(index("b", default=True))
    assert [i.name for i in store.load() if i.default] == ["b"]


def test_two_who_register_at_once_are_both_there(tmp_path: Path) -> None:
    """As a script that sets up several indexes in parallel does."""
    path = tmp_path / "c" / "config.toml"
    names = [f"n{i}" for i in range(8)]
    start = threading.Barrier(len(names))

    def save(name: str) -> None:
        start.wait()
        ConfigStore(path).save(index(name))

    threads = [threading.Thread(target=save, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ConfigStore(path).load().indexes) == names


def test_a_linked_file_stays_linked(tmp_path: Path) -> None:
    """People keep their configuration in a repository and link to it."""
    real = tmp_path / "dotfiles.toml"
    real.write_text(COMMENTED)
    store = store_of(tmp_path, "")
    store.path.unlink()
    store.path.symlink_to(real)
    store.save(index("new"))
    assert store.path.is_symlink()
    assert "[index.new]" in real.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")
def test_a_full_disk(tmp_path: Path) -> None:
    """Exit code 9, and the old file is whole."""
    with small_disk(tmp_path / "config") as disk:
        store = ConfigStore(disk / "config.toml")
        store.save(index("a"))
        before = store.path.read_bytes()
        fill(disk)
        with pytest.raises(DiskFull):
            store.save(index("b"))
        with pytest.raises(DiskFull):
            store.remove("a")
        assert store.path.read_bytes() == before
        assert not list(disk.glob(".*.tmp"))


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")
def test_a_user_with_a_read_only_configuration(user: User) -> None:
    """Exit code 8 in one line; reading works."""
    with small_disk(user.config_file.parent) as disk:
        ConfigStore(user.config_file).save(index("a"))
        make_read_only(disk)
        done = user.crane("index", "set", "a", "--fallback", "none")
        assert done.returncode == 8
        assert done.stderr.startswith(f"crane: cannot write {user.config_file}")
        assert done.stderr.count("\n") == 1
        user.crane("index", "show", "a", check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")
def test_a_user_with_a_full_disk(user: User) -> None:
    """Exit code 9 in one line; what was registered is still there."""
    with small_disk(user.config_file.parent) as disk:
        ConfigStore(user.config_file).save(index("a"))
        fill(disk)
        done = user.crane("index", "set", "a", "--fallback", "none")
        assert (done.returncode, done.stderr.count("\n")) == (9, 1)
        user.crane("index", "show", "a", check=True)


def test_a_configuration_folder_below_a_file(tmp_path: Path) -> None:
    """It can neither be read nor made: exit code 8."""
    (tmp_path / "file").write_text("in the way")
    store = ConfigStore(tmp_path / "file" / "crane" / "config.toml")
    with pytest.raises(NotWritable):
        store.load()
    with pytest.raises(NotWritable):
        store.save(index("a"))


def test_lengths_of_time_for_people() -> None:
    shown = {
        -1: "0 s", 59.9: "59 s", 60: "1 min", 3_599: "59 min", 3_600: "1 h", 3_665: "1 h 1 min",
        86_400: "1 d", 8 * 86_400 + 7_200: "8 d 2 h",
    }  # fmt: skip
    assert {seconds: show_duration(seconds) for seconds in shown} == shown
