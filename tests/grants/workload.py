"""Token services and command line tools of CI systems and clouds, as small real ones."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from idp.oidc import Realm
from joserfc import jwt
from joserfc.jwk import ECKey

from crane_core.auth.workload.commands import run_command
from crane_core.auth.workload.detect import WorkloadToken, detect
from crane_core.auth.workload.model import Surroundings
from crane_core.http import Client, new_client

AUDIENCE = "https://sso.example/realms/main"


def identity(audience: str = AUDIENCE, **claims: Any) -> str:
    """Return an identity token as a CI system would sign it; nobody here looks at the signature."""
    parts: list[object] = [{"alg": "RS256"}, {"aud": audience, "sub": "job", **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
    return b".".join([*encoded, b"signature"]).decode()


def signed_identity(realm: Realm, audience: str, subject: str = "repo:acme/app") -> str:
    """Return an identity token that the realm's token exchange takes."""
    assert realm.ci_jwt_key
    now = int(time.time())
    claims = {"sub": subject, "aud": audience, "iat": now, "exp": now + 300}
    return jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(dict(realm.ci_jwt_key)))


TOKEN = identity()


@dataclass(frozen=True)
class Asked:
    """A request that a token service saw."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


Answer = Callable[[Asked], tuple[int, str]]


@dataclass
class TokenService:
    """A running token service."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def token_service(answer: Answer) -> Iterator[TokenService]:
    """Serve tokens over plain http on this machine, as a metadata service does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            headers = {k.lower(): v for k, v in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers)
            service.asked.append(asked)
            status, body = answer(asked)
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            if 300 <= status < 400:
                self.send_header("location", "http://elsewhere.example/")
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = TokenService(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def make_tool(folder: Path, name: str, script: str) -> Path:
    """Write a command of a CI system; it leaves its arguments, one a line, in `NAME.asked`."""
    folder.mkdir(exist_ok=True)
    tool = folder / name
    asked = folder / f"{name}.asked"
    tool.write_text(f'#!/bin/sh\nfor a; do echo "$a"; done > {asked}\n{script}\n')
    tool.chmod(0o755)
    return asked


@dataclass
class Place:
    """Where a job runs: a root folder, a folder of commands, a token service."""

    root: Path
    bin: Path
    service: TokenService
    answer: list[tuple[int, str]] = field(default_factory=list)

    def put(self, path: str, content: str) -> None:
        """Mount a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)

    def ask(self, environ: Mapping[str, str], audience: str = AUDIENCE) -> WorkloadToken | None:
        """Ask every detector in order."""

        def direct() -> Client:
            return new_client(proxies=False)

        async def run() -> WorkloadToken | None:
            async with new_client() as client:
                here = Surroundings(environ, client, direct, run_command, self.root)
                return await detect(here, audience)

        return asyncio.run(run())

    def token(self, environ: Mapping[str, str], audience: str = AUDIENCE) -> str:
        """Return the token that is here."""
        found = self.ask(environ, audience)
        assert found is not None
        return found.token.reveal()


def github(place: Place) -> dict[str, str]:
    """Return the environment of a GitHub Actions job that may ask for a token."""
    place.answer.append((200, json.dumps({"value": TOKEN})))
    return {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{place.service.url}/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-token",
    }


def gitlab(place: Place) -> dict[str, str]:
    return {"GITLAB_CI": "true", "CRANE_ID_TOKEN": TOKEN}


def buildkite(place: Place) -> dict[str, str]:
    make_tool(place.bin, "buildkite-agent", f"echo {TOKEN}")
    return {"BUILDKITE": "true"}


def circleci(place: Place) -> dict[str, str]:
    make_tool(place.bin, "circleci", f"echo {TOKEN}")
    return {"CIRCLECI": "true"}


def azure_pipelines(place: Place) -> dict[str, str]:
    place.answer.append((200, json.dumps({"oidcToken": TOKEN})))
    return {
        "SYSTEM_OIDCREQUESTURI": f"{place.service.url}/oidctoken",
        "SYSTEM_ACCESSTOKEN": "job-token",
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "c 1",
    }


def azure(place: Place) -> dict[str, str]:
    place.answer.append((200, json.dumps({"access_token": TOKEN})))
    return {"IDENTITY_ENDPOINT": f"{place.service.url}/msi/token", "IDENTITY_HEADER": "h"}


def azure_workload(place: Place) -> dict[str, str]:
    place.put("var/run/secrets/azure/tokens/azure-identity-token", f"{TOKEN}\n")
    return {"AZURE_FEDERATED_TOKEN_FILE": "var/run/secrets/azure/tokens/azure-identity-token"}


def google(place: Place) -> dict[str, str]:
    place.answer.append((200, TOKEN))
    return {"K_SERVICE": "our-service"}


def google_machine(place: Place) -> dict[str, str]:
    place.answer.append((200, TOKEN))
    place.put("sys/class/dmi/id/product_name", "Google Compute Engine\n")
    return {}


def named_file(place: Place) -> dict[str, str]:
    place.put("token", f"{TOKEN}\n")
    return {"CRANE_ID_TOKEN_FILE": "token"}


def mounted_secret(place: Place) -> dict[str, str]:
    place.put("run/secrets/crane-token", TOKEN)
    return {}


def projected_token(place: Place) -> dict[str, str]:
    place.put("run/secrets/crane/token", TOKEN)
    return {}


Here = Callable[[Place], dict[str, str]]
HERE: list[tuple[str, Here]] = [
    ("file", named_file), ("file", mounted_secret), ("file", projected_token),
    ("github", github), ("gitlab", gitlab), ("buildkite", buildkite), ("circleci", circleci),
    ("azure-pipelines", azure_pipelines), ("azure", azure), ("azure", azure_workload),
    ("google", google), ("google", google_machine),
]  # fmt: skip


@pytest.fixture
def github_job(realm: Realm) -> Iterator[dict[str, str]]:
    """Give the environment of a GitHub Actions job, whose tokens the realm trusts."""

    def answer(asked: Any) -> tuple[int, str]:
        return 200, json.dumps({"value": signed_identity(realm, asked.query["audience"])})

    with token_service(answer) as service:
        yield {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{service.url}/token?v=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-token",
        }
