"""A private authority, and a server's certificate from it, for an index over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

HOST = "localhost"


@dataclass(frozen=True)
class Certificates:
    """Where they are, in PEM."""

    authority: Path
    chain: Path
    key: Path

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        """Make them for `HOST`."""
        made = cls(*(folder / name for name in ("ca.pem", "chain.pem", "key.pem")))
        authority = trustme.CA()
        own = authority.issue_cert(HOST)
        authority.cert_pem.write_to_path(made.authority)
        own.private_key_pem.write_to_path(made.key)
        made.chain.write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))
        return made

    def directives(self) -> str:
        """Return what nginx has to know of them."""
        return f"    ssl_certificate {self.chain};\n    ssl_certificate_key {self.key};\n"

    def environ(self) -> dict[str, str]:
        """Return what makes a program trust the authority."""
        return {"SSL_CERT_FILE": str(self.authority)}
