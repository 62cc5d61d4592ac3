"""Proof Key for Code Exchange, S256 only (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets


def new_verifier() -> str:
    """Return a fresh code verifier (§4.1)."""
    return secrets.token_urlsafe(64)


def challenge_of(verifier: str) -> dict[str, str]:
    """Return the request parameters that commit to a verifier (§4.2, §4.3)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return {
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
