"""The OpenID relying-party cases (anchors B4): an ID token decides nothing, so none may be forged.

crane asks an index with the access token and shows the account's name; it never reads an ID token
to let anybody in. Each case of the conformance suite that forges one therefore has the same
outcome: the login is as good as the access token, and only the name that is shown may be wrong.
`docs/security/oauth.md` says which cases do not apply, and why.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grants.kit import Desk, Person, at_desk, claims_at, index_at, logging_in
from idp.oidc import Idp, Options, Realm, approve_authorization
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from support.world import User

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


FORGED: dict[str, Forge] = {
    "NonceInvalid": having(nonce="another"),
    "KidAbsentSingleJwks": signed(RSAKey.generate_key(2048), "RS256"),
    "KidAbsentMultipleMatchingKeysInJwks": signed(RSAKey.generate_key(2048), "RS256"),
    "MissingIat": without("iat"),
    "MissingAud": without("aud"),
    "InvalidAud": having(aud="somebody-else"),
    "IdTokenSigAlgNone": unsigned,
    "MissingSub": without("sub"),
    "InvalidIdTokenSignatureWithRS256": signed(KEY, "RS256", kid="nobody-knows-this-one"),
    "InvalidIdTokenSignatureWithHS256": signed(OctKey.import_key("crane-pip-" * 8), "HS256"),
    "InvalidIdTokenSignatureWithES256": signed(ECKey.generate_key("P-256"), "ES256"),
    "InvalidIssuerInIdToken": having(iss="https://evil.example"),
    "InvalidAtHash": having(at_hash="bm90LXRoaXMtb25l"),
    "MissingAtHash": without("at_hash"),
    "NoJWTAtAll": lambda _: "a.b.c",
    "AnotherAccount": having(preferred_username="root", sub="root"),
}


def claims_of(realm: Realm) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": realm.issuer, "aud": "crane-pip", "sub": "ada", "iat": now, "exp": now + 300}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_id_token_changes_a_name_at_most(realm: Realm, tmp_path: Path, case: str) -> None:
    """The access token that is stored and sent is the provider's, and still ada's."""
    realm.patch({"id_token": FORGED[case](claims_of(realm))}, grant="authorization_code")

    async def job(desk: Desk) -> tuple[str | None, str]:
        session = await desk.login()
        return session.tokens.account, await desk.token()

    person = Person(approve_authorization)
    account, token = at_desk(tmp_path, index_at(realm), job, person=person)
    assert claims_at(realm, token)["preferred_username"] == "ada"
    assert account == ("root" if case == "AnotherAccount" else "ada")


def test_an_id_token_is_not_needed_and_not_kept(person: User, realm: Realm) -> None:
    """Without `openid` in the scope there is none; and with it none is written to disk."""
    person.crane("login", check=True)
    (file,) = person.sessions.glob("*.json")
    assert set(json.loads(file.read_text())["tokens"]) == {
        "access_token", "refresh_token", "account", "scope",
        "issued_at", "expires_at", "refresh_expires_at",
    }  # fmt: skip


def test_discovery_jwks_uri_keys(person: User, realm: Realm) -> None:
    """No signature is checked here, so the provider's keys are not fetched, whatever they are."""
    realm.respond(500, "", endpoint="jwks", times=None)
    person.crane("login", check=True)
    assert realm.requests("jwks") == []


def test_scope_userinfo_claims(person: User, realm: Realm) -> None:
    """The userinfo endpoint is not asked: the index decides by the access token alone."""
    person.crane("login", check=True)
    assert realm.requests("userinfo") == []


@pytest.mark.parametrize(
    "forge", [having(iss="https://evil.example"), having(sub="mallory")], ids=["Issuer", "Sub"]
)
def test_refresh_token_with_another_issuer_or_subject(
    realm: Realm, tmp_path: Path, forge: Forge
) -> None:
    """RefreshTokenInvalidIssuer, RefreshTokenInvalidSub: the token is the provider's answer."""
    forged = forge(claims_of(realm))
    realm.patch({"id_token": forged}, grant="refresh_token")

    async def job(desk: Desk) -> str:
        await desk.login()
        desk.watch.offset = 301
        return await desk.token()

    token = at_desk(tmp_path, index_at(realm), job, person=Person(approve_authorization))
    assert claims_at(realm, token)["sub"] == "ada"


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
