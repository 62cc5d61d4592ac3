"""wget built with GnuTLS reads no variable for its certificates, only a file of settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "WGETRC"
_CERTIFICATES = re.compile(r"^\s*ca[-_]?certificate\s*=\s*(.*?)\s*$", re.MULTILINE | re.IGNORECASE)


def read_wgetrc(environ: Mapping[str, str], home: Path) -> str:
    """Return the user's own settings, empty if there are none that can be read."""
    path = Path(environ.get(VARIABLE) or home / ".wgetrc")
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def certificates_of(settings: str) -> str | None:
    """Return the file of certificates that settings name, if it is there."""
    named = _CERTIFICATES.findall(settings)
    return named[-1] if named and Path(named[-1]).is_file() else None


def wgetrc_for(settings: str, bundle: str) -> bytes:
    """Return a child's settings: the user's own, with the child's certificates."""
    return f"{settings}\nca_certificate = {bundle}\n".encode("utf-8", "surrogateescape")


def wgetrc_beside(bundle: str) -> str:
    """Return where the settings of a bundle's child are."""
    return f"{bundle.removesuffix('.pem')}.wgetrc"
