"""A real Keycloak from Maven Central, with a realm of our own; absent, it says why."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2
from filelock import FileLock

VERSION = "26.7.3"
OLDEST_JAVA = 21
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
CACHE = Path(__file__).resolve().parents[2] / ".cache"
# As it was before the tests emptied it: Maven needs its home and the way to the registry.
ENVIRON = dict(os.environ)
FETCH_SECONDS = 240
START_SECONDS = 150


class Missing(Exception):
    """What Keycloak needs is not on this machine."""


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak and its realm `crane`."""

    url: str
    keys: dict[str, Any] = field(repr=False)

    @property
    def issuer(self) -> str:
        """The realm's issuer."""
        return f"{self.url}/realms/crane"

    @property
    def jwks_url(self) -> str:
        """The realm's published keys."""
        return f"{self.issuer}/protocol/openid-connect/certs"


@contextmanager
def running_keycloak(realm: dict[str, Any], keys: dict[str, Any]) -> Iterator[Keycloak]:
    """Start Keycloak with this realm on a free port. Raises `Missing`."""
    java, home, port = find_java(), _distribution(), _free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "log").open("w+") as log,
    ):
        # The first start compiles its configuration into its own folder.
        with FileLock(CACHE / "keycloak.lock", timeout=START_SECONDS):
            process = _start(home, java, port, realm, log)
            try:
                keycloak = Keycloak(f"http://127.0.0.1:{port}", keys)
                _wait(process, keycloak, Path(log.name))
            except BaseException:
                _stop(process)
                raise
        try:
            yield keycloak
        finally:
            _stop(process)


def _start(
    home: Path, java: Path, port: int, realm: dict[str, Any], log: IO[str]
) -> subprocess.Popen[bytes]:
    (home / "data" / "import").mkdir(parents=True, exist_ok=True)
    (home / "data" / "import" / "crane-realm.json").write_text(json.dumps(realm))
    return subprocess.Popen(
        [
            home / "bin" / "kc.sh", "start-dev", "--import-realm", "--db=dev-mem",
            "--cache=local", "--http-host=127.0.0.1", f"--http-port={port}",
        ],
        env={
            **{k: v for k, v in ENVIRON.items() if not k.startswith(("KC_", "JAVA_"))},
            "JAVA_HOME": str(java),
            # Half a minute in all is too short a life for the second compiler.
            "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
        },
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], keycloak: Keycloak, log: Path) -> None:
    """Ask until the realm answers: Keycloak tells nobody when it is ready."""
    deadline = time.monotonic() + START_SECONDS
    with httpx2.Client(trust_env=False, timeout=5) as http:
        while True:
            try:
                if http.get(keycloak.issuer).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Keycloak did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)


@functools.cache
def find_java() -> Path:
    """Return the home of a Java that is new enough. Raises `Missing`."""
    places = [Path(ENVIRON["JAVA_HOME"])] if ENVIRON.get("JAVA_HOME") else []
    places += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    if on_path := shutil.which("java", path=ENVIRON.get("PATH")):
        places.append(Path(on_path).resolve().parents[1])
    for home in places:
        program = home / "bin" / "java"
        if not program.exists():
            continue
        said = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=30, check=False
        ).stderr
        found = re.search(r'version "(\d+)', said)
        if found and int(found[1]) >= OLDEST_JAVA:
            return home
    raise Missing(f"Keycloak {VERSION} needs Java {OLDEST_JAVA} or newer; none is here")


def _distribution() -> Path:
    """Return Keycloak's folder, fetched by Maven once. Raises `Missing`."""
    if os.name == "nt":
        raise Missing("Keycloak's start script is run on Unix only")
    home = CACHE / f"keycloak-{VERSION}"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "keycloak-fetch.lock", timeout=FETCH_SECONDS):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            file = _fetch()
            with zipfile.ZipFile(file) as archive:
                archive.extractall(CACHE)
            file.unlink()
            (home / "bin" / "kc.sh").chmod(0o755)
            (home / "complete").touch()
    return home


def _fetch() -> Path:
    maven = shutil.which("mvn", path=ENVIRON.get("PATH"))
    if maven is None:
        raise Missing("Keycloak comes from Maven Central; mvn is not on PATH")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
    command = [maven, "-B", "-q", goal, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={CACHE}"]
    try:
        done = subprocess.run(
            command, env=ENVIRON, cwd=CACHE, capture_output=True, text=True, timeout=FETCH_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Missing(f"Maven Central did not give {ARTIFACT} in {FETCH_SECONDS} s") from None
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise Missing(f"Maven Central did not give {ARTIFACT}: {' '.join(errors)[:300]}")
    return CACHE / f"keycloak-quarkus-dist-{VERSION}.zip"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
