"""`crane index list|show|set|remove|import`: what is registered, and how it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from idp.oidc import Realm
from support.world import User

from crane_core.config.crane_pip import read_servers
from crane_core.config.model import Configuration, Index
from crane_core.config.store import ConfigStore
from crane_core.errors import ConfigBroken, NotRegistered, UsageError

ISSUER = "https://sso.example/r"
FIRM = Index("firm", "https://crane.example/python", issuer=ISSUER)
LAB = Index("lab", "https://lab.example/x/simple", issuer=ISSUER, private=("lab-*",), default=True)
BOTH = Configuration({"firm": FIRM, "lab": LAB})
ENTRY = {
    "client_id": "crane",
    "token_url": "https://sso.example/token",
    "device_url": "https://sso.example/device",
}


@pytest.fixture
def owner(user: User) -> User:
    """Give a user with two indexes."""
    for index in (FIRM, LAB):
        ConfigStore(user.config_file).save(index)
    return user


def known(user: User) -> dict[str, Index]:
    """Return what is registered."""
    return ConfigStore(user.config_file).load().indexes


def data(user: User, *arguments: str) -> Any:
    """Return the data of a command's JSON."""
    return json.loads(user.crane(*arguments, "--json", check=True).stdout)["data"]


def test_list(owner: User) -> None:
    """One line an index, the default marked; as JSON with every setting."""
    lines = owner.crane("index", "list", check=True).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["firm", FIRM.url],
        ["lab", LAB.url, "(default)"],
    ]
    assert [entry["name"] for entry in data(owner, "index", "list")] == ["firm", "lab"]


def test_list_one_url(owner: User) -> None:
    """However the URL is written."""
    url = "HTTPS://lab.example:443/x/"
    assert [e["name"] for e in data(owner, "index", "list", "--url", url)] == ["lab"]


def test_list_nothing(user: User) -> None:
    """No error, and the next step."""
    done = user.crane("index", "list", check=True)
    assert "crane index register" in done.stdout
    assert data(user, "index", "list") == []


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("frm", 'Did you mean: "firm"?'),
        ("https://crane.example/pyhton", 'Did you mean: "https://crane.example/python"?'),
        ("https://far.away/zzz", "run: crane index register https://far.away/zzz"),
        ("qqq", "see: crane index list"),
    ],
)
def test_a_near_miss_is_suggested(wanted: str, hint: str) -> None:
    """Exit code 5, and what was probably meant."""
    with pytest.raises(NotRegistered) as caught:
        BOTH.find(wanted)
    assert caught.value.exit_code == 5
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "command", [("show",), ("set",), ("remove",), ("list", "--url")], ids=lambda c: c[0]
)
def test_an_unknown_index_for_the_user(owner: User, command: tuple[str, ...]) -> None:
    """Each command says so in one line, and changes nothing."""
    before = owner.config_file.read_bytes()
    done = owner.crane("index", *command, "https://crane.example/pyton")
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert f'Did you mean: "{FIRM.url}"?' in done.stderr
    assert owner.config_file.read_bytes() == before


def test_the_index_to_use_where_none_is_named() -> None:
    """The only one or the default one; else the names are listed."""
    assert BOTH.only_or_default() == LAB
    assert Configuration({"firm": FIRM}).only_or_default() == FIRM
    with pytest.raises(NotRegistered, match="no index is registered"):
        Configuration().only_or_default()
    with pytest.raises(NotRegistered, match="firm, other"):
        Configuration({"firm": FIRM, "other": replace(FIRM, name="other")}).only_or_default()


def test_show(owner: User) -> None:
    """By name or by URL: every setting that has a value."""
    shown = owner.crane("index", "show", f"{LAB.url}/", check=True).stdout.splitlines()
    assert "private = lab-*" in shown
    assert "default = yes" in shown
    assert not any(line.startswith("audience") for line in shown)
    assert data(owner, "index", "show", "lab")["audience"] is None


def test_set_changes_what_is_given_and_nothing_else(owner: User) -> None:
    """Lists replace, `--no-…` unsets."""
    owner.crane("index", "set", "lab", "--fallback", "none", "--no-default", check=True)
    owner.crane("index", "set", "lab", "--private", "a-*", "--private", "b", check=True)
    lab = known(owner)["lab"]
    assert (lab.fallback, lab.default, lab.private) == ("none", False, ("a-*", "b"))
    assert (lab.issuer, lab.url) == (LAB.issuer, LAB.url)
    owner.crane("index", "set", "lab", "--no-private", check=True)
    assert known(owner)["lab"].private == ()
    assert known(owner)["firm"] == FIRM


def test_set_what_counts_while_it_cannot_be_asked(owner: User) -> None:
    """Both are off unless set, and can be taken back."""
    assert (FIRM.stale_limit, FIRM.keep_pages) == (None, False)
    owner.crane("index", "set", "firm", "--stale-limit", "30d", "--keep-pages", check=True)
    firm = known(owner)["firm"]
    assert (firm.stale_limit, firm.keep_pages) == ("30d", True)
    assert firm.stale_seconds(5) == 30 * 86_400
    shown = owner.crane("index", "show", "firm", check=True).stdout.splitlines()
    assert {"stale-limit = 30d", "keep-pages = yes"} <= set(shown)
    owner.crane("index", "set", "firm", "--no-stale-limit", "--no-keep-pages", check=True)
    assert known(owner)["firm"] == FIRM
    assert FIRM.stale_seconds(5) == 5
    assert known(owner)["lab"] == LAB


def test_set_where_uploads_go(owner: User) -> None:
    """With its slash, which tells two places apart; and how it was before."""
    url = "HTTPS://Up.example:443/legacy/"
    settings = ("--upload-url", url, "--publish", "crane", "--upload-layout", "{file}")
    owner.crane("index", "set", "firm", *settings, check=True)
    assert known(owner)["firm"] == replace(
        FIRM, upload_url="https://up.example/legacy/", publish="crane", upload_layout="{file}"
    )
    firm = known(owner)["firm"]
    assert firm.covers("https://up.example/legacy/")
    assert firm.covers(f"{FIRM.url}/x")
    assert not firm.covers("https://up.example/")

    unset = ("--upload-url", "", "--publish", "auto", "--upload-layout", "auto")
    owner.crane("index", "set", "firm", *unset, check=True)
    assert known(owner)["firm"] == FIRM
    plain = owner.crane("index", "set", "firm", "--upload-url", "http://up.example/")
    assert plain.returncode == 7


def test_set_a_name(owner: User) -> None:
    """The entry is renamed, not doubled."""
    owner.crane("index", "set", "firm", "--name", "company", check=True)
    assert sorted(known(owner)) == ["company", "lab"]


def test_set_a_name_that_is_taken(owner: User) -> None:
    """Another index is not overwritten: exit code 2."""
    done = owner.crane("index", "set", "firm", "--name", "lab")
    assert known(owner) == {"firm": FIRM, "lab": LAB}
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--issuer", "http://sso.example", 7),
        ("--issuer", "sso.example", 6),
        ("--fallback", "nowhere", 6),
        ("--fallback", FIRM.url, 2),
        ("--stale-limit", "soon", 2),
        ("--name", "A B", 2),
        ("--name", "simple", 2),
        ("--name", "../x", 2),
    ],
)
def test_set_something_senseless(owner: User, option: str, value: str, code: int) -> None:
    """Refused with its code, and not a byte changes."""
    before = owner.config_file.read_bytes()
    done = owner.crane("index", "set", "firm", option, value)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert owner.config_file.read_bytes() == before


def test_set_an_issuer_takes_the_place_of_endpoints(user: User, realm: Realm) -> None:
    """An index registered with four arguments logs in at the new issuer from then on."""
    user.crane("index", "register", FIRM.url, "crane", "https://a.example/t", "https://a.example/d",
               check=True)  # fmt: skip
    user.crane("index", "set", "python", "--issuer", realm.issuer, check=True)
    user.crane("index", "set", "python", "--client-id", "crane-pip", check=True)
    done = user.crane("login")
    assert done.returncode == 0, done.stderr


def test_set_another_client_drops_the_old_login(logged_in: User) -> None:
    """The tokens of the old settings do not outlive them, where no logout would find them."""
    logged_in.crane("index", "set", "python", "--client-id", "other", check=True)
    assert not list(logged_in.sessions.glob("*.json"))


def test_remove_ends_the_login(logged_in: User, realm: Realm) -> None:
    """Revoked, deleted, forgotten."""
    done = logged_in.crane("index", "remove", "python", check=True)
    assert done.stdout == "removed python\n"
    assert known(logged_in) == {}
    assert not list(logged_in.sessions.glob("*.json"))
    assert realm.requests("revocation")[0].params["token_type_hint"] == "refresh_token"


def test_remove_while_the_provider_is_down(logged_in: User, realm: Realm) -> None:
    """Removed all the same, and said."""
    realm.quirk("drop_request", endpoint="revocation", times=None)
    done = logged_in.crane("index", "remove", "python", check=True)
    assert "not revoked" in done.stdout
    assert known(logged_in) == {}


def test_remove_one_of_two_that_share_a_login(logged_in: User) -> None:
    """The other one stays logged in."""
    (index,) = known(logged_in).values()
    other = Index("other", f"{index.url}-2", issuer=index.issuer)
    ConfigStore(logged_in.config_file).save(other)
    logged_in.crane("index", "remove", "other", check=True)
    logged_in.crane("token", check=True)


# --- import of crane-pip's registrations -------------------------------------------------------


def servers(user: User, content: Any) -> Path:
    """Write crane-pip's file."""
    path = user.home / ".local" / "share" / "crane" / "python" / "servers.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_import(user: User) -> None:
    """Every entry gets a name of its own; the file is left alone."""
    urls = ["https://crane.example/python", "https://other.example/python/simple"]
    path = servers(user, dict.fromkeys(urls, ENTRY))
    before = path.read_bytes()
    user.crane("index", "import", check=True)
    assert [(i.name, i.url) for i in known(user).values()] == [
        ("python", urls[0]),
        ("other.example", urls[1]),
    ]
    assert known(user)["python"].client_id == "crane"
    assert known(user)["python"].token_endpoint == ENTRY["token_url"]
    assert path.read_bytes() == before


def test_import_of_a_known_index_keeps_its_settings(user: User) -> None:
    """What protects the user's names must not go with an import."""
    ConfigStore(user.config_file).save(
        Index("firm", FIRM.url, issuer=ISSUER, fallback="none", private=("acme-*",))
    )
    servers(user, {f"{FIRM.url}/": ENTRY})
    user.crane("index", "import", check=True)
    firm = known(user)["firm"]
    assert (firm.fallback, firm.private) == ("none", ("acme-*",))


def test_import_without_a_file(user: User) -> None:
    """The place that was looked at is named, and nothing about writing is said."""
    done = user.crane("index", "import")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "servers.json" in done.stderr
    assert "write" not in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "null", "5", '"x"', "{", '{"https://a.example/x": null}',
        '{"https://a.example/x": []}', '{"https://a.example/x": {}}', "[" * 100_000,
        {"not a url": ENTRY}, {"http://a.example/x": ENTRY},
        {FIRM.url: ENTRY | {"token_url": "http://sso.example/t"}},
        {FIRM.url: ENTRY | {"token_url": None}}, {FIRM.url: ENTRY | {"token_url": 5}},
        {FIRM.url: ENTRY | {"token_url": ""}}, {FIRM.url: ENTRY | {"device_url": ["x"]}},
        {FIRM.url: ENTRY | {"client_id": 5}}, {FIRM.url: ENTRY | {"client_id": None}},
    ],
    ids=lambda c: ascii(c)[:40],
)  # fmt: skip
def test_import_of_something_else(tmp_path: Path, content: Any) -> None:
    """Exit code 3 names the file, whatever stands in it."""
    path = tmp_path / "servers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigBroken) as caught:
        read_servers(path, Configuration())
    assert str(path) in caught.value.message


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://crane.example/python", "python"),
        ("https://crane.example/python/simple/", "python"),
        ("https://crane.example/", "crane.example"),
        ("https://crane.example/simple", "crane.example"),
        ("https://crane.example/files", "crane.example"),
        ("https://crane.example/Data%20Science", "data-20science"),
        ("https://crane.example/firm", "crane.example"),
        ("https://[::1]/-", "1"),
    ],
)
def test_the_name_of_a_new_index(url: str, name: str) -> None:
    """Its last path segment, else its host; never one that is taken or reserved."""
    assert BOTH.free_name(url) == name


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "-a", ".", "simple", "files", "ä", "a\n"])
def test_no_name_of_an_index(name: str) -> None:
    """It stands in paths and tables."""
    with pytest.raises(UsageError):
        Index(name, FIRM.url, issuer=ISSUER)


@pytest.mark.parametrize(
    ("pattern", "project", "private"),
    [
        ("acme-*", "acme-lib", True),
        ("acme-*", "Acme_Lib", True),
        ("Acme_*", "acme.lib", True),
        ("acme-*", "acme", False),
        ("acme-*", "notacme-lib", False),
        ("acme", "acme", True),
        ("*", "anything", True),
    ],
)
def test_names_that_never_fall_back(pattern: str, project: str, private: bool) -> None:
    """Patterns are spelled like names (PEP 503)."""
    index = Index("firm", FIRM.url, issuer=ISSUER, private=(pattern,))
    assert index.is_private_name(project) is private
