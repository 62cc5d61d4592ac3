"""A plain client of the provider: every grant in a few lines, to check the provider itself with."""

from __future__ import annotations

import base64
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import KeySet

from .oidc import (
    DEVICE_GRANT,
    Realm,
    Tls,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

SCOPE = "openid offline_access"


def discover(http: httpx2.Client, realm: Realm) -> dict[str, Any]:
    found: dict[str, Any] = http.get(realm.discovery_url).json()
    return found


def ask_device(http: httpx2.Client, realm: Realm) -> dict[str, Any]:
    data, headers = authenticated(realm, {"scope": SCOPE})
    answer = http.post(realm.device_url, data=data, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def token(http: httpx2.Client, realm: Realm, **params: str) -> httpx2.Response:
    data, headers = authenticated(realm, params)
    return http.post(realm.token_url, data=data, headers=headers)


def poll(http: httpx2.Client, realm: Realm, device_code: str) -> httpx2.Response:
    return token(http, realm, grant_type=DEVICE_GRANT, device_code=device_code)


def refresh(http: httpx2.Client, realm: Realm, refresh_token: str) -> httpx2.Response:
    return token(http, realm, grant_type="refresh_token", refresh_token=refresh_token)


def log_in(http: httpx2.Client, realm: Realm, user: str = "ada") -> dict[str, Any]:
    device = ask_device(http, realm)
    realm.approve_device(device["user_code"], user)
    answer = poll(http, realm, device["device_code"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def authenticated(realm: Realm, params: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    if realm.client_auth == "client_secret_basic":
        return params, basic(realm.client_id, realm.client_secret or "")
    if realm.client_auth == "client_secret_post":
        secret = realm.client_secret or ""
        return {**params, "client_id": realm.client_id, "client_secret": secret}, {}
    return {**params, "client_id": realm.client_id}, {}


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def verified(http: httpx2.Client, realm: Realm, access_token: str) -> jwt.Token:
    keys = KeySet.import_key_set(http.get(discover(http, realm)["jwks_uri"]).json())
    decoded = jwt.decode(access_token, keys, algorithms=["RS256"])
    assert decoded.header["typ"] == "JWT"
    assert decoded.claims["iss"] == realm.issuer
    assert decoded.claims["aud"] == realm.audience
    return decoded


def error(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {answer.json().get('error')}"


class Loopback:
    """A native client's redirect listener."""

    def __enter__(self) -> Loopback:
        seen: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.seen = seen
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.uri = f"http://127.0.0.1:{self.server.server_port}/callback"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def came_back(self) -> dict[str, str]:
        (path,) = self.seen
        return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


VERIFIER = "a-verifier-of-at-least-forty-three-characters-it-is"


def authorization_url(http: httpx2.Client, realm: Realm, redirect_uri: str) -> str:
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": realm.client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPE,
        "prompt": "consent",
        "state": "xyz",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{discover(http, realm)['authorization_endpoint']}?{urlencode(query)}"


def self_signed(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crane test identity provider")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    tls = Tls(folder / "cert.pem", folder / "key.pem", folder / "cert.pem")
    tls.cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    tls.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    return tls
