"""How an index says who logs its users in, and what is not believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from idp.oidc import Idp, Realm

from crane_core.auth.discovery import discover_issuer, provider_metadata
from crane_core.auth.model import ProviderMetadata
from crane_core.errors import (
    CraneError,
    DiscoveryFailed,
    IndexUnreachable,
    InsecureURL,
    IssuerRejected,
    ProviderAnswer,
    ProviderUnreachable,
)
from crane_core.http import new_client
from crane_devserver.behaviour import CRANE, Behaviour
from crane_devserver.crane import CraneServer
from crane_devserver.faults import Fault
from crane_devserver.repository import Repository
from crane_devserver.running import serve_in_thread

STANDARD = Behaviour(challenge=True, resource_metadata=True)
METADATA = "/.well-known/oauth-protected-resource"


@contextmanager
def index_of(
    realm: Realm, folder: Path, *, issuer: str | None = None, behaviour: Behaviour = CRANE
) -> Iterator[tuple[CraneServer, str]]:
    """Serve an index that names this issuer. Yields the server and the index URL."""
    folder.mkdir(exist_ok=True)
    repository = Repository("python", folder, read_groups=frozenset({"everyone"}))
    keys = f"{realm.issuer}/jwks"
    server = CraneServer([repository], keys=keys, issuer=issuer, behaviour=behaviour)
    with serve_in_thread(server) as url:
        yield server, f"{url}/python"


def found(index_url: str) -> str:
    """Return the issuer that is found for an index."""

    async def ask() -> str:
        async with new_client() as client:
            return await discover_issuer(client, index_url)

    return asyncio.run(ask())


def metadata(issuer: str) -> ProviderMetadata:
    """Return an issuer's metadata."""

    async def ask() -> ProviderMetadata:
        async with new_client() as client:
            return await provider_metadata(client, issuer)

    return asyncio.run(ask())


# --- who is named ------------------------------------------------------------------------------


def test_a_crane_server_redirects_to_its_provider(realm: Realm, tmp_path: Path) -> None:
    """The redirect names the issuer; no token and no cookie is sent."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer) as (server, url):
        assert found(url) == realm.issuer
        assert all(r.authorized_user is None for r in server.requests)
    assert realm.requests() == []


def test_an_index_that_challenges_as_the_standard_says(realm: Realm, tmp_path: Path) -> None:
    """RFC 9728: the challenge names metadata, which name the issuer; Crane's way is not asked."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer, behaviour=STANDARD) as (server, url):
        assert found(url) == realm.issuer
        paths = [r.path for r in server.requests]
    assert paths == ["/python/", f"{METADATA}/python"]


def test_a_challenge_without_metadata_is_not_the_end(realm: Realm, tmp_path: Path) -> None:
    """A bare 401 leads on to Crane's own way."""
    behaviour = Behaviour(challenge=True)
    with index_of(realm, tmp_path / "i", issuer=realm.issuer, behaviour=behaviour) as (_, url):
        assert found(url) == realm.issuer


def test_the_index_may_be_its_own_provider(idp: Idp) -> None:
    """The origin answers metadata: it is the issuer."""
    issuer = idp["bare"].issuer
    assert found(f"{issuer}/python") == issuer


def test_an_index_that_says_nothing(realm: Realm, tmp_path: Path) -> None:
    """Exit code 17, and the option to add."""
    with index_of(realm, tmp_path / "i") as (_, url), pytest.raises(DiscoveryFailed) as caught:
        found(url)
    assert caught.value.exit_code == 17
    assert "--issuer" in caught.value.hint


def test_an_index_that_is_down() -> None:
    """Exit code 20 names the host, not the identity provider."""
    with pytest.raises(IndexUnreachable, match=r"127\.0\.0\.1:9") as caught:
        found("http://127.0.0.1:9/python")
    assert caught.value.exit_code == 20


@pytest.mark.parametrize("status", [200, 404, 500, 401])
def test_a_page_in_the_place_of_the_redirect(realm: Realm, tmp_path: Path, status: int) -> None:
    """Login pages and error pages name nobody."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer) as (server, url):
        server.faults.append(Fault("/.well-known", status=status, body="<html>log in</html>"))
        with pytest.raises(DiscoveryFailed):
            found(url)


def test_a_redirect_to_a_login_page_names_nobody(realm: Realm, tmp_path: Path) -> None:
    """Only a redirect to a discovery document counts."""
    with index_of(realm, tmp_path / "i") as (server, url):
        headers = (("location", "https://sso.example/login"),)
        server.faults.append(Fault("/.well-known", status=302, headers=headers))
        with pytest.raises(DiscoveryFailed):
            found(url)


# --- what is not believed ----------------------------------------------------------------------


def challenge(location: str) -> Fault:
    """Return a challenge that names resource metadata at this address."""
    value = f'Bearer realm="x", resource_metadata="{location}"'
    return Fault("/python", status=401, headers=(("www-authenticate", value),))


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/.well-known/oauth-protected-resource",
        "http://127.0.0.1:1/.well-known/oauth-protected-resource",
        "http://localhost/.well-known/oauth-protected-resource",
    ],
)
def test_resource_metadata_on_another_host(realm: Realm, tmp_path: Path, location: str) -> None:
    """Exit code 18: whoever can add a header must not name the provider."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer) as (server, url):
        server.faults.append(challenge(location))
        with pytest.raises(IssuerRejected) as caught:
            found(url)
    assert caught.value.exit_code == 18
    assert location in caught.value.message


@pytest.mark.parametrize("location", ["/relative", "javascript:x", "https://[", "://", "\t"])
def test_resource_metadata_at_no_url(realm: Realm, tmp_path: Path, location: str) -> None:
    """Whatever stands in the header, the answer is one error with a next step."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer) as (server, url):
        server.faults.append(challenge(location))
        with pytest.raises(CraneError) as caught:
            found(url)
    assert caught.value.hint


@pytest.mark.parametrize(
    "resource",
    ["https://other.example/python", "/python", "", None, 5, ["x"], "{origin}/other"],
)
def test_metadata_about_another_resource(realm: Realm, tmp_path: Path, resource: object) -> None:
    """RFC 9728 §3.3: the document must be about the index that was asked for."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer, behaviour=STANDARD) as (server, url):
        if isinstance(resource, str):
            resource = resource.replace("{origin}", url.removesuffix("/python"))
        body = json.dumps({"resource": resource, "authorization_servers": ["https://evil.example"]})
        server.faults.append(Fault(METADATA, status=200, body=body))
        with pytest.raises(CraneError) as caught:
            found(url)
    assert caught.value.exit_code in {6, 18}


@pytest.mark.parametrize("servers", [None, [], {}, "https://sso.example", [5], [None], [""]])
def test_metadata_that_name_no_provider(realm: Realm, tmp_path: Path, servers: object) -> None:
    """The next way is tried: here Crane's redirect."""
    with index_of(realm, tmp_path / "i", issuer=realm.issuer, behaviour=STANDARD) as (server, url):
        body = json.dumps({"resource": url, "authorization_servers": servers})
        server.faults.append(Fault(METADATA, status=200, body=body))
        assert found(url) == realm.issuer


def test_an_issuer_over_plain_http_elsewhere(realm: Realm, tmp_path: Path) -> None:
    """Exit code 7, before that host is asked anything."""
    with (
        index_of(realm, tmp_path / "i", issuer="http://sso.example") as (_, url),
        pytest.raises(InsecureURL) as caught,
    ):
        found(url)
    assert caught.value.exit_code == 7


def test_metadata_that_name_another_issuer(realm: Realm) -> None:
    """RFC 8414 §3.3: exit code 18, with both names."""
    realm.patch({"issuer": "https://other.example"}, endpoint="discovery")
    with pytest.raises(IssuerRejected) as caught:
        metadata(realm.issuer)
    assert caught.value.exit_code == 18
    assert realm.issuer in caught.value.message
    assert "https://other.example" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda issuer: issuer.upper(),
        lambda issuer: issuer + "/x",
        lambda issuer: issuer + "?x",
        lambda issuer: issuer.replace("127.0.0.1", "localhost"),
        lambda _: None,
        lambda _: 5,
        lambda issuer: [issuer],
    ],
)
def test_an_issuer_must_be_the_same_to_the_letter(realm: Realm, change: object) -> None:
    """No spelling counts as the same but a slash at the end."""
    realm.patch({"issuer": change(realm.issuer)}, endpoint="discovery")  # type: ignore[operator]
    with pytest.raises(IssuerRejected):
        metadata(realm.issuer)


def test_a_slash_at_the_end_of_an_issuer_does_not_matter(realm: Realm) -> None:
    """Auth0 writes it, people leave it out; what the provider says is kept."""
    assert metadata(f"{realm.issuer}/").issuer == realm.issuer


def test_the_documents_of_a_provider(realm: Realm) -> None:
    """Every endpoint crane needs is taken from the document."""
    known = metadata(realm.issuer)
    assert known.token_endpoint == realm.token_url
    assert known.device_authorization_endpoint == realm.device_url
    assert known.revocation_endpoint


@pytest.mark.parametrize("body", ["<html>not found</html>", {"error": "Not Found", "status": 404}])
def test_the_form_of_rfc_8414_is_tried_where_openid_has_none(
    realm: Realm, body: str | dict[str, object]
) -> None:
    """The first document is missing, in whichever format that is said; the second is there."""
    realm.respond(404, body, endpoint="discovery")
    assert metadata(realm.issuer).token_endpoint == realm.token_url
    paths = [r.status for r in realm.requests("discovery")]
    assert paths == [404, 200]


@pytest.mark.parametrize("body", ["<html>not found</html>", {"error": "Realm does not exist"}])
def test_an_issuer_that_publishes_nothing(realm: Realm, body: str | dict[str, object]) -> None:
    """Exit code 17 with the option to check: most likely a mistyped realm."""
    realm.respond(404, body, endpoint="discovery", times=None)
    with pytest.raises(DiscoveryFailed, match="publishes no metadata"):
        metadata(realm.issuer)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<html>log in</html>", ProviderAnswer),
        (200, "{", ProviderAnswer),
        (302, "", ProviderAnswer),
        (500, "", ProviderUnreachable),
        (503, "<html>", ProviderUnreachable),
    ],
)
def test_metadata_that_cannot_be_read(
    realm: Realm, status: int, body: str, expected: type[Exception]
) -> None:
    """A page or a failure is no metadata, and no reason to look elsewhere."""
    realm.respond(status, body, endpoint="discovery")
    with pytest.raises(expected):
        metadata(realm.issuer)
