"""Services that log in as themselves, and clients that prove themselves (RFC 6749 §2.3, 7523)."""

from __future__ import annotations

import base64
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from grants.kit import NOBODY, Desk, Watch, at_desk, claims_at, index_at, register
from idp.oidc import Idp, Realm
from joserfc import jwt
from joserfc.jwk import ECKey, import_key
from support.world import User

from crane_core.auth.client_authentication import ClientSecretBasic, PrivateKeyJWT
from crane_core.config.model import Index
from crane_core.errors import ConfigBroken
from crane_core.secret import Secret

PROVEN = {"device_authorization", "token", "revocation"}
TOKEN_URL = "https://sso.example/token"


def service(realm: Realm, **settings: Any) -> Index:
    """Return a registration for the realm's service client."""
    return index_at(realm, client_id=realm.ci_client_id, **settings)


def name_in(realm: Realm, access_token: str) -> str:
    return str(claims_at(realm, access_token)["preferred_username"])


@pytest.mark.parametrize(
    ("how", "seen"),
    [(None, "client_secret_basic"), ("basic", "client_secret_basic"),
     ("post", "client_secret_post")],
)  # fmt: skip
def test_a_secret_of_the_environment(user: User, realm: Realm, how: str | None, seen: str) -> None:
    """`crane token` in CI: no login before it, and nobody is asked."""
    register(user, service(realm, client_auth=how))
    secret = {"CRANE_CLIENT_SECRET_FIRM": realm.ci_client_secret}
    done = user.crane("token", CI="true", check=True, **secret)
    assert name_in(realm, done.stdout.strip()) == "service-account-crane-ci"
    (asked,) = realm.requests("token")
    assert (asked.grant, asked.auth) == ("client_credentials", seen)
    # Nobody is there whose offline access could be granted.
    assert "scope" not in asked.params


@pytest.mark.parametrize("realm_name", ["basiconly", "postonly"])
def test_a_secret_with_odd_characters(user: User, idp: Idp, realm_name: str) -> None:
    """RFC 6749 §2.3.1: form-encoded before Basic; and the way that the provider names is taken."""
    realm = idp[realm_name]
    assert realm.client_secret
    assert set("@:%+&=/ ~?") & set(realm.client_secret)
    register(user, service(realm))
    user.crane("token", CI="true", CRANE_CLIENT_SECRET_FIRM=realm.client_secret, check=True)
    (asked,) = realm.requests("token")
    assert (asked.auth, asked.status) == (realm.client_auth, 200)


def test_basic_is_encoded_twice() -> None:
    """Id and secret are form-encoded each, then joined and encoded as Basic."""
    headers: dict[str, str] = {}
    ClientSecretBasic("a b:c", Secret("ü &%")).apply({}, headers, TOKEN_URL)
    pair = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "a%20b%3Ac:%C3%BC%20%26%25"


def test_a_secret_in_a_file(user: User, realm: Realm, tmp_path: Path) -> None:
    """As mounted by a container platform, with a line's end."""
    (tmp_path / "secret").write_text(f"{realm.ci_client_secret}\n")
    register(user, service(realm, client_secret_file=str(tmp_path / "secret")))
    assert user.crane("token", CI="true", check=True).stdout.count(".") == 2


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_file_that_holds_none(
    user: User, realm: Realm, tmp_path: Path, content: str | None
) -> None:
    """Exit code 3, with the file's name; the provider is not bothered."""
    if content is not None:
        (tmp_path / "secret").write_text(content)
    register(user, service(realm, client_secret_file=str(tmp_path / "secret")))
    done = user.crane("token", CI="true")
    assert done.returncode == 3
    assert "client-secret-file" in done.stderr
    assert realm.requests("token") == []


def test_a_secret_in_the_vault(user: User, realm: Realm) -> None:
    """`crane index secret` takes it from standard input, never from an argument."""
    register(user, service(realm))
    given = user.run(
        "sh", "-c", f"printf '%s' '{realm.ci_client_secret}' | crane index secret firm",
        PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin", check=True,
    )  # fmt: skip
    assert realm.ci_client_secret not in given.stdout + given.stderr
    assert user.crane("token", CI="true", check=True).stdout.count(".") == 2
    user.crane("index", "secret", "firm", "--delete", check=True)
    user.crane("logout", check=True)
    assert user.crane("token", CI="true").returncode == 4


def test_a_wrong_secret(user: User, realm: Realm) -> None:
    """Exit code 13, one line, and neither secret nor traceback in it."""
    register(user, service(realm))
    done = user.crane("token", CI="true", CRANE_CLIENT_SECRET_FIRM="wrong-secret")
    assert done.returncode == 13
    assert done.stderr.count("\n") == 1
    assert "invalid_client" in done.stderr
    assert "wrong-secret" not in done.stderr + done.stdout


def test_a_secret_that_is_missing(user: User, realm: Realm) -> None:
    """A registration that says how to prove and nothing to prove with: exit code 3, what to set."""
    register(user, service(realm, grant="client-credentials", client_auth="basic"))
    done = user.crane("token", CI="true")
    assert done.returncode == 3
    assert "CRANE_CLIENT_SECRET_FIRM" in done.stderr


def test_a_token_that_has_expired_is_renewed_without_a_person(realm: Realm, tmp_path: Path) -> None:
    """Also before its end while it is good, it is not asked for again."""

    async def job(desk: Desk) -> list[str]:
        first, again = await desk.token(), await desk.token()
        desk.watch.offset = 301
        return [first, again, await desk.token()]

    secret = {"CRANE_CLIENT_SECRET_FIRM": realm.ci_client_secret}
    first, again, later = at_desk(tmp_path, service(realm), job, person=NOBODY, environ=secret)
    assert first == again != later
    assert len(realm.requests("token", grant="client_credentials")) == 2


def ci_key(realm: Realm) -> str:
    """Return the key of the realm's `private_key_jwt` client, as a PEM."""
    assert realm.ci_jwt_key
    return ECKey.import_key(dict(realm.ci_jwt_key)).as_pem(private=True).decode()


def test_private_key_jwt(user: User, realm: Realm, tmp_path: Path) -> None:
    """The provider takes the assertion (ES256), and each request has another one."""
    (tmp_path / "key.pem").write_text(ci_key(realm))
    index = index_at(
        realm, client_id=realm.ci_jwt_client_id, client_key_file=str(tmp_path / "key.pem")
    )
    register(user, index)
    for _ in range(2):
        done = user.crane("token", CI="true", check=True)
        assert name_in(realm, done.stdout.strip()) == "service-account-crane-ci-jwt"
        user.crane("logout", check=True)
    asked = realm.requests("token")
    assert {r.auth for r in asked} == {"private_key_jwt"}
    assert len({r.params["client_assertion"] for r in asked}) == 2


def test_another_key_than_the_registered_one(user: User, realm: Realm, tmp_path: Path) -> None:
    """Exit code 13, as with a wrong secret."""
    (tmp_path / "key.pem").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    index = index_at(
        realm, client_id=realm.ci_jwt_client_id, client_key_file=str(tmp_path / "key.pem")
    )
    register(user, index)
    done = user.crane("token", CI="true")
    assert done.returncode == 13
    assert "PRIVATE KEY" not in done.stderr + done.stdout


def pem(key: Any, encryption: Any = None) -> str:
    """Return a private key in PEM form."""
    encoded: bytes = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    )
    return encoded.decode()


KEYS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_assertion_of_each_kind_of_key(algorithm: str) -> None:
    """Signed with the key's own algorithm, for one audience, a minute long, with an id (§3)."""
    key = KEYS[algorithm]()
    watch = Watch()
    form: dict[str, str] = {}
    headers: dict[str, str] = {}
    PrivateKeyJWT("ci", Secret(pem(key)), watch).apply(form, headers, TOKEN_URL)
    assert headers == {}
    assert form["client_assertion_type"].endswith(":client-assertion-type:jwt-bearer")
    kind = {"R": "RSA", "E": "EC"}[algorithm[0]] if algorithm != "EdDSA" else "OKP"
    public = import_key(pem(key), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc's about the name EdDSA
        decoded = jwt.decode(form["client_assertion"], public, algorithms=[algorithm])
    assert decoded.header["alg"] == algorithm
    claims = decoded.claims
    assert claims["iss"] == claims["sub"] == form["client_id"] == "ci"
    assert claims["aud"] == TOKEN_URL
    assert claims["exp"] - claims["iat"] <= 60
    assert len(claims["jti"]) >= 20


@pytest.mark.parametrize(
    "content",
    [
        "not a key",
        pem(ec.generate_private_key(ec.SECP256K1())),
        pem(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"password")),
    ],
    ids=["no key", "a curve that JWS lacks", "an encrypted key"],
)
def test_a_key_that_cannot_sign(content: str) -> None:
    """Exit code 3, with what is wanted and nothing of the key."""
    with pytest.raises(ConfigBroken) as caught:
        PrivateKeyJWT("ci", Secret(content), Watch()).apply({}, {}, TOKEN_URL)
    assert "RSA, EC or Ed25519" in caught.value.hint
    assert content not in caught.value.line


@pytest.mark.parametrize("realm_name", ["basiconly", "postonly"])
@pytest.mark.parametrize("grant", ["device", "authorization-code"])
def test_a_person_logs_in_through_a_client_with_a_secret(
    user: User, idp: Idp, realm_name: str, grant: str
) -> None:
    """Login, refresh and revocation each prove the client, in the one way that is allowed."""
    realm = idp[realm_name]
    realm.patch({"interval": 0.2}, endpoint="device_authorization", times=None)
    user.issuer = realm.issuer
    index = register(user, index_at(realm, client_id=realm.client_id))
    secret = {"CRANE_CLIENT_SECRET_FIRM": realm.client_secret or ""}
    said = user.crane("login", "--grant", grant, "--json", check=True, **secret)
    assert json.loads(said.stdout)["data"]["account"] == "ada"
    register(user, replace(index, grant=grant))
    age(user)
    token = user.crane("token", check=True, **secret).stdout.strip()
    assert name_in(realm, token) == "ada"
    assert user.crane("logout", check=True, **secret).stderr == ""
    asked = [r for r in realm.requests() if r.endpoint in PROVEN]
    assert {r.auth for r in asked} == {realm.client_auth}
    # A JWT access token ends by itself; oidc-provider says so.
    assert {r.error for r in asked} <= {None, "authorization_pending", "unsupported_token_type"}
    assert len(realm.requests("token", grant="refresh_token")) == 1
    assert realm.requests("revocation")


def age(user: User) -> None:
    """Make the stored access token one that has to be refreshed."""
    (file,) = user.sessions.glob("*.json")
    record = json.loads(file.read_text())
    record["tokens"]["expires_at"] = record["tokens"]["issued_at"]
    file.write_text(json.dumps(record, indent=1))
