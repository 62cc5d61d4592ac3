"""The OpenID relying-party cases (anchors B4): whom an ID token may name, and what it decides.

The token endpoint gives it over TLS, so its signature is not checked; whether it is for this client
and this login is. It lets nobody in: the index does that, by the access token. `docs/security/
oauth.md` has the whole table, and says which cases do not apply and why.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from grants.kit import (
    NOBODY,
    Desk,
    Person,
    at_desk,
    claims_at,
    index_at,
    logging_in,
    redirect_of,
    register,
)
from grants.workload import signed_identity
from idp.oidc import Idp, Options, Realm, approve_authorization
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from support.world import User

from crane_core.auth.model import Identity
from crane_core.errors import LoginNeeded, ProviderAnswer

KEY = RSAKey.generate_key(2048, {"kid": "nobody-knows-this-one"})
Forge = Callable[[dict[str, Any]], str]


def signed(key: Any, algorithm: str, **header: Any) -> Forge:
    """Sign the claims with a key that is not the provider's."""
    return lambda claims: jwt.encode({"alg": algorithm, **header}, claims, key)


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token with `alg: none`."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts) + "."


def without(name: str) -> Forge:
    return lambda claims: unsigned({k: v for k, v in claims.items() if k != name})


def having(**changed: Any) -> Forge:
    return lambda claims: unsigned(claims | changed)


REFUSED: dict[str, Forge] = {
    "NonceInvalid": having(nonce="another"),
    "NonceMissing": without("nonce"),
    "MissingAud": without("aud"),
    "InvalidAud": having(aud="somebody-else"),
    "InvalidAudOfSeveral": having(aud=["somebody", "else"]),
    "InvalidAzp": having(aud=["crane-pip", "somebody-else"], azp="somebody-else"),
    "InvalidIssuerInIdToken": having(iss="https://evil.example"),
    "Expired": having(exp=int(time.time()) - 600),
    "NoClaims": lambda _: "a.b.c",
}
# The signature, and what is only of use where one is checked.
TAKEN: dict[str, Forge] = {
    "KidAbsentSingleJwks": signed(RSAKey.generate_key(2048), "RS256"),
    "KidAbsentMultipleMatchingKeysInJwks": signed(RSAKey.generate_key(2048), "RS256"),
    "MissingIat": without("iat"),
    "IdTokenSigAlgNone": unsigned,
    "MissingSub": without("sub"),
    "MissingIss": without("iss"),
    "MissingExp": without("exp"),
    "InvalidIdTokenSignatureWithRS256": signed(KEY, "RS256", kid="nobody-knows-this-one"),
    "InvalidIdTokenSignatureWithHS256": signed(OctKey.import_key("crane-pip-" * 8), "HS256"),
    "InvalidIdTokenSignatureWithES256": signed(ECKey.generate_key("P-256"), "ES256"),
    "InvalidAtHash": having(at_hash="bm90LXRoaXMtb25l"),
    "MissingAtHash": without("at_hash"),
    "SeveralAudiences": having(aud=["somebody-else", "crane-pip"], azp="crane-pip"),
    "OpaqueToken": lambda _: "opaque",
    "EncryptedToken": lambda _: "a.b.c.d.e",
    "AnotherAccount": having(preferred_username="root", sub="root"),
}


def claims_of(realm: Realm, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {"iss": realm.issuer, "aud": "crane-pip", "sub": "ada", "iat": now, "exp": now + 300}
    return good | more


def nonce_in(url: str) -> dict[str, str]:
    """Return the nonce of a login, as a claim."""
    return {"nonce": parse_qs(urlsplit(url).query)["nonce"][0]}


def forging(realm: Realm, forge: Forge) -> Person:
    """Return a person who logs in while the provider forges their ID token."""

    def act(url: str) -> None:
        forged = forge(claims_of(realm, **nonce_in(url)))
        realm.patch({"id_token": forged}, grant="authorization_code")
        approve_authorization(url)

    return Person(act)


@pytest.mark.parametrize("case", REFUSED)
def test_an_id_token_of_another_login_is_refused(realm: Realm, tmp_path: Path, case: str) -> None:
    """Exit code 15, one line, and nothing is stored."""

    async def job(desk: Desk) -> None:
        with pytest.raises(ProviderAnswer) as caught:
            await desk.login()
        assert caught.value.exit_code == 15
        assert caught.value.line.isprintable()
        assert desk.broker.session(desk.index) is None

    at_desk(tmp_path, index_at(realm), job, person=forging(realm, REFUSED[case]))
    assert [r.status for r in realm.requests("token")] == [200]


@pytest.mark.parametrize("case", TAKEN)
def test_a_forged_id_token_changes_a_name_at_most(realm: Realm, tmp_path: Path, case: str) -> None:
    """The access token that is stored and sent is the provider's, and still ada's."""

    async def job(desk: Desk) -> tuple[str | None, str]:
        session = await desk.login()
        return session.tokens.account, await desk.token()

    person = forging(realm, TAKEN[case])
    account, token = at_desk(tmp_path, index_at(realm), job, person=person)
    assert claims_at(realm, token)["preferred_username"] == "ada"
    assert account == ("root" if case == "AnotherAccount" else "ada")


def test_the_user_and_the_tab_learn_of_a_refused_id_token(person: User, realm: Realm) -> None:
    """Before the tab says that the login is there."""
    realm.patch({"id_token": unsigned(claims_of(realm))}, grant="authorization_code")
    with logging_in(person) as login:
        target = parse_qs(urlsplit(redirect_of(login.url)).query)
        page = login.come_back(code=target["code"][0], iss=target["iss"][0])
        ended = login.end()
    assert ended.code == 15
    assert "ID token is refused: it is of another login (nonce)" in ended.last_line
    assert "The login failed" in page.text
    assert not list(person.sessions.glob("*.json"))


@pytest.mark.parametrize(
    ("scope", "sent"), [("openid", True), ("openid offline_access", True), ("read", False)]
)
def test_a_nonce_is_sent_where_an_id_token_is_asked_for(
    user: User, realm: Realm, scope: str, sent: bool
) -> None:
    """256 bits, new for each login; elsewhere the parameter means nothing."""
    register(user, index_at(realm, scope=scope))
    seen = set()
    for _ in range(2):
        with logging_in(user) as login:
            seen.add(login.parameters.get("nonce"))
    assert len(seen) == (2 if sent else 1)
    assert seen == {None} or all(nonce and len(nonce) >= 43 for nonce in seen)


@pytest.mark.parametrize("issuer", [None, "elsewhere"])
def test_endpoints_that_were_given_by_hand(realm: Realm, tmp_path: Path, issuer: str) -> None:
    """Without an issuer none is compared; with one it is, though nothing was discovered."""
    index = index_at(
        realm, issuer=issuer and "https://elsewhere.example", token_endpoint=realm.token_url,
        device_authorization_endpoint=realm.device_url, grant="device",
    )  # fmt: skip
    realm.patch({"interval": 0.1}, endpoint="device_authorization", times=None)

    async def job(desk: Desk) -> None:
        if issuer is None:
            identity = (await desk.login()).identity
            assert identity == Identity(realm.issuer, "ada", ("crane-pip",))
        else:
            with pytest.raises(ProviderAnswer, match="https://elsewhere"):
                await desk.login()

    def act(url: str) -> None:
        realm.approve_device(parse_qs(urlsplit(url).query)["user_code"][0])

    at_desk(tmp_path, index, job, person=Person(act))


def test_an_id_token_is_not_needed_and_not_kept(person: User, realm: Realm) -> None:
    """Of it stays what later ones are compared with; and without `openid` there is none."""
    person.crane("login", check=True)
    (file,) = person.sessions.glob("*.json")
    assert set(json.loads(file.read_text())["tokens"]) == {
        "access_token", "refresh_token", "account", "scope",
        "issued_at", "expires_at", "refresh_expires_at",
    }  # fmt: skip
    identity = {"issuer": realm.issuer, "subject": "ada", "audiences": ["crane-pip"]}
    assert json.loads(file.read_text())["identity"] == identity


def test_discovery_jwks_uri_keys(person: User, realm: Realm) -> None:
    """No signature is checked here, so the provider's keys are not fetched, whatever they are."""
    realm.respond(500, "", endpoint="jwks", times=None)
    person.crane("login", check=True)
    assert realm.requests("jwks") == []


def test_scope_userinfo_claims(person: User, realm: Realm) -> None:
    """The userinfo endpoint is not asked: the index decides by the access token alone."""
    person.crane("login", check=True)
    assert realm.requests("userinfo") == []


CHANGED: dict[str, Forge] = {
    "RefreshTokenInvalidIssuer": having(iss="https://evil.example"),
    "RefreshTokenInvalidSub": having(sub="mallory"),
    "RefreshTokenInvalidAud": having(aud="somebody-else"),
    "AnotherAudienceMore": having(aud=["crane-pip", "somebody-else"], azp="crane-pip"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_refresh_token_with_another_issuer_or_subject(
    realm: Realm, tmp_path: Path, case: str
) -> None:
    """Core §12.2: not used, not stored, and a login is asked for; the old token lives on."""
    realm.patch({"id_token": CHANGED[case](claims_of(realm))}, grant="refresh_token")

    async def job(desk: Desk) -> None:
        before = await desk.login()
        desk.watch.offset = 280  # due, but good for a while yet
        assert await desk.token() == before.tokens.access_token.reveal()
        desk.watch.offset = 301
        for _ in range(2):
            with pytest.raises(LoginNeeded):
                await desk.token()
        after = desk.broker.session(desk.index)
        assert after is not None
        assert after.tokens.access_token == before.tokens.access_token
        assert after.tokens.refresh_token is None
        assert (await desk.login()).tokens.access_token != before.tokens.access_token

    at_desk(tmp_path, index_at(realm), job, person=Person(approve_authorization))
    # It was redeemed, and providers end a login whose refresh token comes twice.
    assert len(realm.requests("token", grant="refresh_token")) == 1


def test_a_refused_refresh_says_why(realm: Realm, tmp_path: Path) -> None:
    """One line, and the command that helps."""
    realm.patch({"id_token": unsigned(claims_of(realm, sub="mallory"))}, grant="refresh_token")

    async def job(desk: Desk) -> None:
        await desk.login()
        desk.watch.offset = 301
        with pytest.raises(LoginNeeded, match="it names somebody else than before") as caught:
            await desk.token()
        assert caught.value.hint == "run: crane login firm"

    at_desk(tmp_path, index_at(realm), job, person=Person(approve_authorization))


@pytest.mark.parametrize(
    "id_token",
    [
        lambda claims: unsigned(claims | {"exp": 1, "iat": 0, "nonce": "any"}),
        without("sub"),
        lambda _: "opaque",
        lambda _: None,
    ],
    ids=["the first one again", "no subject", "opaque", "none"],
)
def test_a_refresh_that_changes_nobody(realm: Realm, tmp_path: Path, id_token: Forge) -> None:
    """End and nonce were looked at when it began; what is not there is not compared."""
    realm.patch({"id_token": id_token(claims_of(realm))}, grant="refresh_token", times=None)

    async def job(desk: Desk) -> None:
        before = await desk.login()
        for _ in range(2):
            desk.watch.offset += 301
            await desk.token()
        after = desk.broker.session(desk.index)
        assert after is not None
        assert after.tokens.access_token != before.tokens.access_token
        assert after.identity == before.identity

    at_desk(tmp_path, index_at(realm), job, person=Person(approve_authorization))


@pytest.mark.parametrize("began", ["token-exchange", "client-credentials"])
def test_a_services_id_token_is_nobodys_login(realm: Realm, tmp_path: Path, began: str) -> None:
    """An exchanged token may be for another client, and nobody has logged in here."""
    forged = unsigned(claims_of(realm, aud="somebody-else", iss="https://evil.example"))
    identity = tmp_path / "identity"
    identity.write_text(signed_identity(realm, realm.issuer))
    secret = {"CRANE_CLIENT_SECRET_FIRM": realm.ci_client_secret}
    service = began == "client-credentials"
    environ = secret if service else {"CRANE_ID_TOKEN_FILE": str(identity)}
    index = index_at(realm, client_id=realm.ci_client_id) if service else index_at(realm)
    realm.patch({"id_token": forged, "refresh_token": "r"}, times=None)

    async def job(desk: Desk) -> None:
        first = await desk.token()
        for session in (desk.broker.session(desk.index), await desk.login()):
            assert session is not None
            assert (session.grant, session.identity) == (began, None)
        answer = {"access_token": "second", "token_type": "Bearer", "id_token": forged}
        realm.respond(200, answer, grant="refresh_token")
        desk.watch.offset = 301
        assert await desk.token() == "second" != first

    at_desk(tmp_path, index, job, person=NOBODY, environ=environ)


def test_refresh_token(idp: Idp, tmp_path: Path) -> None:
    """RefreshToken: a new access token by it, and the rotated one is used the next time."""
    realm = idp["keycloak"]
    realm.configure(Options(access_token_seconds=60))

    async def job(desk: Desk) -> list[str]:
        await desk.login()
        seen = []
        for _ in range(3):
            seen.append(await desk.token())
            desk.watch.offset += 61
        return seen

    tokens = at_desk(tmp_path, index_at(realm), job, person=Person(approve_authorization))
    assert len(set(tokens)) == 3
    used = [r.params["refresh_token"] for r in realm.requests("token", grant="refresh_token")]
    assert len(set(used)) == 2


def test_no_token_travels_in_a_url(person: User, realm: Realm) -> None:
    """RFC 6750 §2.3, RFC 9700 §4.3.2: login, refresh and revocation send tokens in forms only."""
    with logging_in(person) as login:
        approve_authorization(login.url)
        assert login.end().code == 0
    (file,) = person.sessions.glob("*.json")
    tokens = json.loads(file.read_text())["tokens"]
    person.crane("logout", check=True)
    for request in realm.requests():
        if request.method == "GET":
            sent = json.dumps([request.path, *request.params.values()])
            assert tokens["access_token"] not in sent
            assert tokens["refresh_token"] not in sent
