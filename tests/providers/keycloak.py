"""A real Keycloak from Maven Central, with a realm of our own; absent, it says why.

Run as a program it fetches and builds Keycloak below `.cache`, says on standard error how long
that took, and prints why there is no Keycloak here, or nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2
from filelock import FileLock

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
OLDEST_JAVA = 21
NAME = "keycloak-quarkus-dist"
CACHE = Path(__file__).resolve().parents[2] / ".cache"
REPOSITORY = CACHE / "maven"
ARCHIVE = REPOSITORY / "org" / "keycloak" / NAME / VERSION / f"{NAME}-{VERSION}.zip"
# As it was before the tests emptied it: Maven needs its home and the way to the registry.
ENVIRON = dict(os.environ)
FETCH_SECONDS = 240
FETCH_ATTEMPTS = 4
STALLED_SECONDS = 20
BUILD_SECONDS = 120
START_SECONDS = 120


class Missing(Exception):
    """What Keycloak needs is not on this machine."""


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak and its realm `crane`."""

    url: str
    keys: dict[str, Any] = field(repr=False)
    log: Path = field(repr=False)

    @property
    def issuer(self) -> str:
        """The realm's issuer."""
        return f"{self.url}/realms/crane"

    @property
    def jwks_url(self) -> str:
        """The realm's published keys."""
        return f"{self.issuer}/protocol/openid-connect/certs"

    @property
    def token_url(self) -> str:
        """The realm's token endpoint."""
        return f"{self.issuer}/protocol/openid-connect/token"

    @property
    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:]


@contextmanager
def running_keycloak(realm: dict[str, Any], keys: dict[str, Any]) -> Iterator[Keycloak]:
    """Start Keycloak with this realm on a free port. Raises `Missing`."""
    java = find_java()
    home, port = prepared(java), _free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "log").open("w+") as log,
    ):
        # It imports from its own folder only, which runs of the tests share.
        with FileLock(CACHE / "keycloak.lock", timeout=START_SECONDS):
            process = _start(home, java, port, realm, log)
            try:
                keycloak = Keycloak(f"http://127.0.0.1:{port}", keys, Path(log.name))
                _wait(process, keycloak)
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
    command = [
        "sh", str(home / "bin" / "kc.sh"), "start", "--optimized", "--import-realm",
        "--cache=local", "--hostname-strict=false",
        "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}",
    ]  # fmt: skip
    return _popen(command, _java_environ(java), log)


def _java_environ(java: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in ENVIRON.items() if not k.startswith(("KC_", "JAVA_"))},
        "JAVA_HOME": str(java),
        # Half a minute in all is too short a life for the second compiler.
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
    }


def _popen(
    command: Sequence[str], environ: Mapping[str, str], log: IO[str]
) -> subprocess.Popen[bytes]:
    """Start a command with a process group of its own, since scripts leave their Java behind."""
    return subprocess.Popen(
        command,
        env=environ,
        cwd=CACHE,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _run(
    command: Sequence[str], environ: Mapping[str, str], seconds: float
) -> tuple[int | None, str]:
    """Run a command so long at most; return its exit code, if it came to one, and its output."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = _popen(command, environ, log)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            code = process.poll()
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.seek(0)
        return code, log.read()


def _wait(process: subprocess.Popen[bytes], keycloak: Keycloak) -> None:
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
                raise AssertionError(
                    f"Keycloak ended, or did not start in {START_SECONDS} s:\n{keycloak.said}"
                )
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


def prepared(java: Path) -> Path:
    """Return Keycloak's folder, fetched and built once. Raises `Missing`."""
    if os.name == "nt":
        raise Missing("Keycloak's start script is run on Unix only")
    home = CACHE / f"keycloak-{VERSION}"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "keycloak-prepare.lock", timeout=FETCH_SECONDS + BUILD_SECONDS):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            if not _whole():
                with _timed("fetched"):
                    _fetch()
            with _timed("built"):
                _build(home, java)
            (home / "complete").touch()
    return home


def _fetch() -> None:
    """Have Maven bring the archive; where it fails or nothing comes any more, once again."""
    maven = shutil.which("mvn", path=ENVIRON.get("PATH"))
    if maven is None:
        raise Missing("Keycloak comes from Maven Central; mvn is not on PATH")
    stalled = STALLED_SECONDS * 1000
    command = [
        maven, "-B", "-q", "-U", "--strict-checksums", f"-Dmaven.repo.local={REPOSITORY}",
        # Its own patience is half an hour. Maven 3.8 reads the first name, later ones the second.
        f"-Dmaven.wagon.rto={stalled}", f"-Daether.connector.requestTimeout={stalled}",
        f"-Daether.connector.connectTimeout={stalled}",
        "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get",
        f"-Dartifact=org.keycloak:{NAME}:{VERSION}:zip", "-Dtransitive=false",
    ]  # fmt: skip
    # Maven takes what is there for whole.
    ARCHIVE.unlink(missing_ok=True)
    began = time.monotonic()
    for attempt in range(1, FETCH_ATTEMPTS + 1):
        code, said = _run(command, ENVIRON, began + FETCH_SECONDS - time.monotonic())
        if code == 0:
            break
        if code is None or attempt == FETCH_ATTEMPTS:
            error = re.search(r"\[ERROR\] (.+?)(?: -> |$)", said, re.MULTILINE)
            raise Missing(
                f"Maven Central did not give Keycloak {VERSION} (attempt {attempt}, after "
                f"{time.monotonic() - began:.0f} s): {error[1] if error else 'no end in time'}"
            )
        time.sleep(1)
    if not _whole():
        raise AssertionError(f"what Maven fetched is not the {ARCHIVE.name} of SHA-256 {SHA256}")


def _whole() -> bool:
    if not ARCHIVE.exists():
        return False
    with ARCHIVE.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def _build(home: Path, java: Path) -> None:
    """Unpack Keycloak, and have it compile its configuration, which every start would check."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(CACHE)
    command = ["sh", str(home / "bin" / "kc.sh"), "build", "--db=dev-mem"]
    code, said = _run(command, _java_environ(java), BUILD_SECONDS)
    if code != 0:
        how = f"took over {BUILD_SECONDS} s" if code is None else f"ended with {code}"
        raise AssertionError(f"Keycloak's build {how}:\n{said[-4000:]}")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"Keycloak {VERSION}: {what} in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    try:
        prepared(find_java())
    except Missing as reason:
        print(reason)
