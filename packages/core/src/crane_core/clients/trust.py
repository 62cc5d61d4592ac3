"""What a child process trusts: what it did before, and the one authority of its view.

Nothing is added to any store of the system's or the user's: the child gets a file.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_core.errors import TrustBroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Each names the file that takes the place of a tool's own roots, and is set for every child:
# OpenSSL, uv, Go, wget; requests, Poetry; curl; pip; Node, npm; git; cargo.
VARIABLES = (
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
)  # fmt: skip
# These beat one of the above in their tool, so they count where the user has set them.
OVERRIDING = (
    "AWS_CA_BUNDLE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "CONDA_SSL_VERIFY", "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE",
    "NPM_CONFIG_CAFILE", "npm_config_cafile",
)  # fmt: skip
FOLDER = "SSL_CERT_DIR"  # left as it is; uv and OpenSSL read it beside SSL_CERT_FILE
# As Go looks for them (crypto/x509/root_linux.go, root_bsd.go).
SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem", "/usr/local/share/certs/ca-root-nss.crt",
)  # fmt: skip
MAC_KEYCHAINS = (
    "/System/Library/Keychains/SystemRootCertificates.keychain",
    "/Library/Keychains/System.keychain",
)
SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"
LARGEST = 16 << 20  # bytes of a file of certificates

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----"
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # the names that OpenSSL looks for in a folder


def trust_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are to name the child's file."""
    return (*VARIABLES, *(name for name in OVERRIDING if _is_file(environ.get(name))))


def make_bundle(environ: Mapping[str, str], authority: str, *more: str | None) -> bytes:
    """Return the certificates for a child, each once: the view's authority comes first.

    `more` are files that the settings of pip or another tool name. Where SSL_CERT_FILE is set, it
    stands in place of the system's roots, as it does for the child's tools. Raises `TrustBroken`.
    """
    found: dict[bytes, None] = {}
    for content in (authority.encode(), *_contents(environ, more)):
        for body in _CERTIFICATE.findall(content):
            found[b"".join(body.split())] = None
    return b"".join(map(_block, found))


def _block(body: bytes) -> bytes:
    lines = (body[i : i + 64] for i in range(0, len(body), 64))
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----\n"))


def _contents(environ: Mapping[str, str], more: Iterable[str | None]) -> Iterator[bytes]:
    named = {value: name for name in trust_variables(environ) if (value := environ.get(name))}
    named |= {str(Path(value).expanduser()): "a tool's configuration" for value in more if value}
    for value, name in named.items():
        yield _named_file(name, value)
    roots = [] if environ.get("SSL_CERT_FILE") else list(system_roots())
    yield from (content for _, content in roots)
    beside = {str(Path(path).parent) for path, _ in roots}
    # The system's own folder holds what its file does, in hundreds of small files.
    for folder in filter(None, environ.get(FOLDER, "").split(os.pathsep)):
        if str(Path(folder)) not in beside:
            yield b"\n".join(_in_folder(Path(folder), _HASHED))


def _named_file(name: str, value: str) -> bytes:
    path = Path(value)
    try:
        # requests takes a folder too.
        content = b"\n".join(_in_folder(path)) if path.is_dir() else _read(path)
    except OSError as error:
        raise _broken(name, value, error.strerror or "it cannot be read") from error
    if not _CERTIFICATE.search(content):
        raise _broken(name, value, "it holds no certificate (PEM)")
    return content


def _broken(name: str, value: str, reason: str) -> TrustBroken:
    return TrustBroken(f"{name} names {value}: {reason}", hint="correct it, or take it out")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


def _in_folder(folder: Path, names: re.Pattern[str] | None = None) -> Iterator[bytes]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if names is None or names.fullmatch(entry.name):
            try:
                yield _read(Path(entry.path))
            except OSError:  # a link that leads nowhere, or a folder
                continue


def _is_file(value: str | None) -> bool:
    return bool(value) and Path(value or "").is_file()


def system_roots(*, system: str = sys.platform) -> Iterator[tuple[str, bytes]]:
    """Yield what the system trusts, and certifi if we have it, which many Python tools use."""
    if system == "win32":
        yield from _windows_roots()
    elif system == "darwin":
        yield from _mac_roots()
    else:
        yield from _first_file(SYSTEM_FILES)
    for folder in sys.path:
        path = Path(folder, "certifi", "cacert.pem")
        if path.is_file():
            yield str(path), _read(path)
            return


def _first_file(paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        try:
            yield path, _read(Path(path))
        except OSError:
            continue
        return
    import ssl

    if path := ssl.get_default_verify_paths().cafile:
        yield path, _read(Path(path))


def _windows_roots() -> Iterator[tuple[str, bytes]]:
    import ssl

    # `ssl` has it on Windows only. These two stores are what Python itself trusts there.
    listed: Any = getattr(ssl, "enum_certificates")  # noqa: B009 - for checks on other systems
    for store in ("ROOT", "CA"):
        for content, encoding, trust in listed(store):
            may_serve = trust is True or (trust and SERVER_AUTHENTICATION in trust)
            if encoding == "x509_asn" and may_serve:
                yield store, ssl.DER_cert_to_PEM_cert(content).encode()


def _mac_roots() -> Iterator[tuple[str, bytes]]:
    import subprocess

    command = ["/usr/bin/security", "find-certificate", "-a", "-p", *MAC_KEYCHAINS]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        found = b""
    else:
        found = done.stdout
    if _CERTIFICATE.search(found):
        yield "keychain", found
    else:  # a child that trusts nothing could reach nobody: macOS has a file for OpenSSL, too
        yield from _first_file(SYSTEM_FILES)
