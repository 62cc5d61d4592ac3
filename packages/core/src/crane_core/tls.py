"""What a connection to one index and its provider trusts and shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """Paths of PEM files: a CA beside the system's trust, a client certificate and its key."""

    ca_file: str | None = None
    client_certificate: str | None = None
    client_certificate_key: str | None = None
