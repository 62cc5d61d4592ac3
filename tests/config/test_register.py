"""`crane index register`: find the identity provider, have it confirmed, remember both."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from idp.oidc import Idp, Realm
from support.world import User, World, make_world

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_devserver.behaviour import Behaviour

URL = "https://crane.example/python"
BY_HAND = ("crane-pip", "https://sso.example/token", "https://sso.example/device")


def kept(user: User) -> dict[str, Any]:
    """Return what stands in the user's file."""
    tables: dict[str, Any] = tomllib.loads(user.config_file.read_text()).get("index", {})
    return tables


def known(user: User, world: World, **settings: Any) -> None:
    """Let the world's index be registered already."""
    index = Index("python", world.index_url, **({"issuer": world.realm.issuer} | settings))
    ConfigStore(user.config_file).save(index)


def test_the_url_is_enough(user: User, world: World, realm: Realm) -> None:
    """Issuer and name are found, shown, and written to a private file."""
    done = user.crane("index", "register", world.index_url, "--yes", check=True)
    assert f"{world.index_url} sends its users to {realm.issuer} to log in" in done.stderr
    assert done.stdout.startswith(f"registered python ({world.index_url})\n")
    assert kept(user) == {"python": {"url": world.index_url, "issuer": realm.issuer}}
    assert realm.requests("token") == realm.requests("device_authorization") == []
    assert all(r.authorized_user is None for r in world.crane.requests)


def test_an_index_that_challenges_as_the_standard_says(
    user: User, realm: Realm, tmp_path: Path
) -> None:
    """RFC 9728 instead of Crane's own redirect."""
    behaviour = Behaviour(challenge=True, resource_metadata=True)
    with make_world(tmp_path / "other", realm, behaviour=behaviour) as world:
        user.crane("index", "register", f"{world.index_url}/simple/", "--yes", check=True)
    assert kept(user)["python"]["issuer"] == realm.issuer


def test_a_found_issuer_needs_a_yes(user: User, world: World) -> None:
    """Without a terminal nobody can say it: exit code 2 names the option, nothing is kept."""
    done = user.crane("index", "register", world.index_url)
    assert done.returncode == 2
    assert "--yes" in done.stderr.splitlines()[-1]
    assert not user.config_file.exists()


def test_an_issuer_given_by_hand_needs_no_yes(user: User, world: World, realm: Realm) -> None:
    """The user has named it; the index is not asked."""
    user.crane("index", "register", world.index_url, "--issuer", realm.issuer, check=True)
    assert kept(user)["python"]["issuer"] == realm.issuer
    assert not list(world.crane.requests)


def test_a_changed_issuer_is_refused(user: User, world: World, idp: Idp) -> None:
    """Exit code 18, also with `--yes`: the pair of index and issuer is pinned."""
    known(user, world, issuer=idp["fast"].issuer)
    before = user.config_file.read_bytes()
    done = user.crane("index", "register", world.index_url, "--yes")
    assert done.returncode == 18
    assert world.realm.issuer in done.stderr
    assert idp["fast"].issuer in done.stderr
    assert "--issuer" in done.stderr
    assert user.config_file.read_bytes() == before
    user.crane("index", "register", world.index_url, "--issuer", world.realm.issuer, check=True)


def test_an_index_registered_twice_with_an_issuer_that_ends_in_a_slash(
    user: User, world: World
) -> None:
    """The index writes the slash, the provider does not: that is no change of issuer."""
    world.crane.issuer = f"{world.realm.issuer}/"
    user.crane("index", "register", world.index_url, "--yes", check=True)
    done = user.crane("index", "register", world.index_url, "--yes")
    assert done.returncode == 0, done.stderr


def test_an_issuer_that_claims_to_be_another(user: User, world: World, realm: Realm) -> None:
    """Exit code 18, and nothing is kept."""
    realm.patch({"issuer": "https://other.example"}, endpoint="discovery", times=None)
    done = user.crane("index", "register", world.index_url, "--yes")
    assert done.returncode == 18
    assert done.stderr.splitlines()[-1].startswith("crane: the metadata of")
    assert not user.config_file.exists()


@pytest.mark.parametrize("how", ["found", "given"])
def test_an_issuer_over_plain_http_elsewhere(user: User, world: World, how: str) -> None:
    """Exit code 7, whoever named it."""
    world.crane.issuer = "http://sso.example"
    more = ("--issuer", "http://sso.example") if how == "given" else ("--yes",)
    done = user.crane("index", "register", world.index_url, *more)
    assert done.returncode == 7
    assert not user.config_file.exists()


def test_an_index_that_says_nothing(user: User, world: World) -> None:
    """Exit code 17, with the option to add."""
    world.crane.issuer = None
    done = user.crane("index", "register", world.index_url, "--yes")
    assert done.returncode == 17
    assert "--issuer" in done.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("crane.example/python", 6),
        ("ftp://crane.example/python", 6),
        ("https://ada:secret@crane.example/python", 6),
        ("https://crane.example/python?x=1", 6),
        ("http://crane.example/python", 7),
        ("http://127.0.0.1.example/python", 7),
        ("http://127.0.0.1:9/python", 20),
    ],
)
def test_a_url_that_cannot_be_registered(user: User, url: str, code: int) -> None:
    """One line, one code, nothing kept, and no password repeated."""
    done = user.crane("index", "register", url, "--yes")
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert not user.config_file.exists()


@pytest.mark.parametrize("issuer", ["https://sso.example/a\nb", "sso.example", "https://", "\x1b"])
def test_an_issuer_that_is_no_url(user: User, world: World, issuer: str) -> None:
    """Exit code 6 in one line, before anybody is asked."""
    done = user.crane("index", "register", world.index_url, "--issuer", issuer)
    assert done.returncode == 6, done.stderr
    assert done.stderr.count("\n") == 1


def test_the_form_with_four_arguments(user: User, realm: Realm) -> None:
    """As crane-pip had it: nothing is asked on the network, and the login works."""
    user.crane("index", "register", URL, "crane-pip", realm.token_url, realm.device_url, check=True)
    assert kept(user)["python"] == {
        "url": URL,
        "token-endpoint": realm.token_url,
        "device-authorization-endpoint": realm.device_url,
    }
    assert realm.requests() == []
    user.crane("login", check=True)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_part_of_the_four_arguments(user: User, count: int) -> None:
    """All or none: exit code 2."""
    done = user.crane("index", "register", URL, *(BY_HAND * 2)[:count])
    assert done.returncode == 2
    assert not user.config_file.exists()


@pytest.mark.parametrize("place", [1, 2])
def test_four_arguments_with_plain_http(user: User, place: int) -> None:
    """Each endpoint must be https or on this machine: exit code 7."""
    endpoints = list(BY_HAND)
    endpoints[place] = endpoints[place].replace("https", "http")
    done = user.crane("index", "register", URL, *endpoints)
    assert done.returncode == 7
    user.crane("index", "register", URL, *endpoints, "--insecure-http", check=True)


def test_registering_again_updates_and_keeps_the_rest(user: User, world: World) -> None:
    """What is not named stays as it was, the name included, however the URL is written."""
    index = Index("firm", world.index_url, issuer=world.realm.issuer, fallback="none",
                  private=("acme-*",), default=True)  # fmt: skip
    ConfigStore(user.config_file).save(index)
    done = user.crane(
        "index", "register", f"{world.index_url}/simple/", "--scope", "openid", "--yes", check=True
    )
    assert done.stdout.startswith("updated firm ")
    (table,) = kept(user).values()
    assert table["fallback"] == "none"
    assert table["private"] == ["acme-*"]
    assert table["default"] is True
    assert table["scope"] == "openid"
    assert table["issuer"] == world.realm.issuer


def test_registering_again_may_rename(user: User, world: World) -> None:
    """One index, one entry."""
    known(user, world)
    user.crane("index", "register", world.index_url, "--name", "firm", "--yes", check=True)
    assert list(kept(user)) == ["firm"]


def test_a_name_that_is_taken(user: User, world: World) -> None:
    """Another index is not overwritten: exit code 2 names whose it is."""
    ConfigStore(user.config_file).save(Index("python", URL, issuer="https://sso.example"))
    done = user.crane("index", "register", world.index_url, "--name", "python", "--yes")
    assert done.returncode == 2
    assert URL in done.stderr
    user.crane("index", "register", world.index_url, "--yes", check=True)
    assert len(kept(user)) == 2


def test_another_client_drops_the_old_login(logged_in: User, world: World) -> None:
    """The tokens of the old registration do not outlive it."""
    logged_in.crane(
        "index", "register", world.index_url, "--client-id", "other", "--yes", check=True
    )
    assert not list(logged_in.sessions.glob("*.json"))
    assert world.realm.requests("revocation")


def test_json(user: User, world: World) -> None:
    """The envelope holds the settings under the names of the file; people's text is on stderr."""
    done = user.crane("index", "register", world.index_url, "--yes", "--json", check=True)
    envelope = json.loads(done.stdout)
    assert envelope["status"] == "success"
    assert envelope["data"]["url"] == world.index_url
    assert envelope["data"]["client-id"] == "crane-pip"
