"""The identity provider of the tests: starts it, drives it, and stands in for the user's browser.

    with start_idp(["keycloak", RealmSpec("fast", options=Options(access_token_seconds=1))]) as idp:
        realm = idp["keycloak"]
        ...                                  # crane asks for a device code
        approve_device(realm.issuer, user_code, user="bob")
        assert realm.requests("token")[-1].status == 200

The provider is a real one (npm `oidc-provider`); `server.mjs` beside this file hosts its realms in
one Node process, which ends when this process closes its standard input or dies.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from .browser import (
    TRUSTS_NOBODY,
    approve_authorization,
    approve_device,
    deny_authorization,
    deny_device,
)
from .errors import IdpError
from .node import HERE, ensure_node, ensure_packages
from .options import PRESETS, Options, Preset, RealmSpec
from .realm import DEVICE_GRANT, Control, Endpoint, Realm, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "DEVICE_GRANT",
    "PRESETS",
    "Endpoint",
    "Idp",
    "IdpError",
    "Options",
    "Preset",
    "Realm",
    "RealmSpec",
    "Request",
    "Tls",
    "approve_authorization",
    "approve_device",
    "deny_authorization",
    "deny_device",
    "ensure_node",
    "ensure_packages",
    "start_idp",
]

START_SECONDS = 20.0


@dataclass(frozen=True)
class Tls:
    """A certificate for the issuers' host, its key, and the CA that signed it (PEM files)."""

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class Idp:
    """A running identity provider, its realms by name."""

    realms: Mapping[str, Realm]
    pid: int

    def __getitem__(self, name: str) -> Realm:
        return self.realms[name]

    def reset(self) -> None:
        """Resets every realm."""
        for realm in self.realms.values():
            realm.reset()


@contextmanager
def start_idp(
    realms: Iterable[Preset | RealmSpec] = PRESETS,
    *,
    tls: Tls | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Idp]:
    """Starts the realms; they answer on `host`, which must be a name of 127.0.0.1."""
    specs = [spec if isinstance(spec, RealmSpec) else RealmSpec(spec) for spec in realms]
    ensure_packages()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NODE_", "IDP_"))}
    if tls:
        environment |= {"IDP_TLS_CERT": str(tls.cert), "IDP_TLS_KEY": str(tls.key)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [ensure_node(), HERE / "server.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        try:
            line = {"realms": [spec.as_json() for spec in specs], "host": host}
            ready = _ready(process, json.dumps(line), errors)
            verify = ssl.create_default_context(cafile=tls.ca) if tls else TRUSTS_NOBODY
            yield _idp(ready, verify, process.pid)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[str], line: str, errors: IO[str]) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    # Killing the process ends the read below, on every operating system.
    alarm = threading.Timer(START_SECONDS, process.kill)
    alarm.start()
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(line + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
    finally:
        alarm.cancel()
    if not answer:
        process.wait()
        errors.seek(0)
        raise IdpError(
            f"the identity provider did not start (exit code {process.returncode}, "
            f"limit {START_SECONDS} s):\n{errors.read()}"
        )
    ready: dict[str, Any] = json.loads(answer)
    return ready


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _idp(ready: dict[str, Any], verify: ssl.SSLContext, pid: int) -> Idp:
    control = Control(**ready["control"])
    found = [Realm(**realm, verify=verify, control=control) for realm in ready["realms"]]
    return Idp({realm.name: realm for realm in found}, pid)
