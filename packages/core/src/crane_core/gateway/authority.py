"""A view's certificate authority: short-lived, in memory, and good for the opened hosts only.

What a client does with each field is written down in docs/decisions/0010-forward-route.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crane_core.clock import Clock

AUTHORITY_LIFE = timedelta(days=30)
LEAF_LIFE = timedelta(hours=24)
RENEW_AFTER = 12 * 3600.0  # seconds
# Containers and virtual machines may be behind the clock of the machine that they run on.
BACKDATED = timedelta(hours=1)
ALPN = ["http/1.1"]
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


class Authority:
    """A CA for a few hosts, and the TLS contexts of servers that stand in for them.

    Its name constraints (RFC 5280 §4.2.1.10) are critical: even with its key nobody could make a
    certificate for another host that a client of this view would accept. The key itself is never
    written anywhere.
    """

    def __init__(self, hosts: Iterable[str], clock: Clock) -> None:
        self._hosts = frozenset(hosts)
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = self._now()
        self._ends = now + AUTHORITY_LIFE
        self._certificate = self._new_certificate(now)
        self._leaves: dict[str, _Leaf] = {}

    @property
    def pem(self) -> str:
        """The certificate, as a bundle of trusted CAs has it."""
        return self._certificate.public_bytes(Encoding.PEM).decode("ascii")

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return the context of a server that stands in for `host`, renewed when it grows old."""
        if host not in self._hosts:
            raise ValueError(f"{host} is not opened")
        leaf = self._leaves.get(host)
        if leaf is None or self._clock.now() - leaf.made_at >= RENEW_AFTER:
            leaf = self._leaves[host] = _Leaf(self._new_context(host), self._clock.now())
        return leaf.context

    def issue(self, host: str) -> tuple[bytes, bytes]:
        """Return a certificate for a host, and its key, both as PEM.

        Nothing here looks at which host it is: the constraints have to hold by themselves.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = self._now()
        certificate = (
            # RFC 5280 §4.2.1.6: the subject is empty, so the alternative name is critical.
            _builder(x509.Name([]), self._certificate.subject, key.public_key())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + LEAF_LIFE, self._ends))
            .add_extension(x509.SubjectAlternativeName([_name_of(host)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), secret

    def _new_context(self, host: str) -> ssl.SSLContext:
        certificate, key = self.issue(host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _as_file(certificate + key) as path:
            context.load_cert_chain(path)
        # Of HTTP/2 a tool gains nothing on this machine, and uv would choose it.
        context.set_alpn_protocols(ALPN)
        if not _is_address(host):
            context.sni_callback = _require_name(host)
        return context

    def _new_certificate(self, now: datetime) -> x509.Certificate:
        public = self._key.public_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"crane {os.getpid()}")])
        return (
            _builder(name, name, public)
            .not_valid_before(now - BACKDATED)
            .not_valid_after(self._ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_constraints(self._hosts), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


@dataclass(frozen=True, slots=True)
class _Leaf:
    context: ssl.SSLContext
    made_at: float


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
    )


def _constraints(hosts: Iterable[str]) -> x509.NameConstraints:
    """Return constraints that permit these hosts and nothing else.

    A kind of name of which nothing is permitted must be excluded, or it would be free; the empty
    DNS name stands for all.
    """
    permitted: list[x509.GeneralName] = []
    excluded: list[x509.GeneralName] = []
    names = [host for host in hosts if not _is_address(host)]
    addresses = [ipaddress.ip_address(host) for host in hosts if _is_address(host)]
    permitted += map(x509.DNSName, sorted(names))
    permitted += [x509.IPAddress(ipaddress.ip_network(a)) for a in sorted(addresses, key=str)]
    if not names:
        excluded.append(x509.DNSName(""))
    versions = {address.version for address in addresses}
    every = map(ipaddress.ip_network, _EVERY_ADDRESS)
    excluded += [x509.IPAddress(all_of) for all_of in every if all_of.version not in versions]
    return x509.NameConstraints(permitted or None, excluded or None)


def _name_of(host: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(host)) if _is_address(host) else x509.DNSName(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _require_name(host: str) -> Callable[[Any, str, Any], int | None]:
    def check(_: object, name: str | None, __: object) -> int | None:
        # RFC 6066 §3: whoever asks for a tunnel to one host and speaks to another is refused.
        if name is None or name.lower().rstrip(".") == host:
            return None
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return check


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file with this content: OpenSSL takes certificates from files only."""
    if hasattr(os, "memfd_create"):
        # In memory, and reachable by this process alone.
        with open(os.memfd_create("crane", os.MFD_CLOEXEC), "wb") as memory:  # noqa: PTH123
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
        return
    with tempfile.TemporaryDirectory(prefix="crane-") as folder:  # 0700
        path = Path(folder, "leaf.pem")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(content)
        yield str(path)
