"""A distribution as the legacy upload form (docs.pypi.org/api/upload), by its own metadata."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import compat32
from typing import TYPE_CHECKING

from crane_core.errors import NotPublished
from crane_core.gateway.uploads.checks import UPLOAD, Distribution, distribution_of, read_metadata
from crane_core.gateway.uploads.form import CONTENT, head_of
from crane_core.gateway.uploads.refusal import UploadRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STEP = 256 << 10
ATTESTATION = ".attestation"
# Core metadata fields whose names in the form are not just theirs in lower case.
_RENAMED = {"classifier": "classifiers", "project_url": "project_urls"}


@dataclass(frozen=True, slots=True)
class Form:
    """A form that can be sent: the file, what its name says, and the fields."""

    path: Path
    distribution: Distribution
    fields: Sequence[tuple[str, str]]
    sha256: str
    boundary: str = field(default_factory=lambda: f"crane-{secrets.token_hex(16)}")

    @property
    def content_type(self) -> str:
        """The form's media type."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def length(self) -> int:
        """How long it is, in bytes."""
        return len(self._head) + self.path.stat().st_size + len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        """Yield the form's bytes; the file is read as they are asked for."""
        yield self._head
        with self.path.open("rb") as file:
            while data := file.read(STEP):
                yield data
        yield self._tail

    @property
    def _head(self) -> bytes:
        parts = [head_of(self.boundary, k) + v.encode() + b"\r\n" for k, v in self.fields]
        return b"".join(parts) + head_of(self.boundary, CONTENT, self.path.name)

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()


def form_of(path: Path, attestations: Sequence[Path] = ()) -> Form:
    """Return the form of a wheel or sdist, with what attests it (PEP 740). Raises `NotPublished`.

    The file is checked as the gateway will check it.
    """
    try:
        distribution = distribution_of(path.name)
        metadata = read_metadata(distribution, path)
        digests = _digests(path)
        fields = [*_fixed(distribution), *digests, *_described(metadata)]
        if attestations:
            attested = ", ".join(_read_json(path) for path in attestations)
            fields.append(("attestations", f"[{attested}]"))
    except UploadRefused as refusal:
        raise NotPublished(refusal.text, hint="nothing was sent") from None
    except OSError as error:
        raise NotPublished(
            f"{path} cannot be read: {error.strerror}", hint="nothing was sent"
        ) from None
    return Form(path, distribution, fields, dict(digests)["sha256_digest"])


def _fixed(distribution: Distribution) -> list[tuple[str, str]]:
    stem = distribution.filename.removesuffix(".whl").split("-")
    kind, python = ("bdist_wheel", stem[-3]) if distribution.is_wheel else ("sdist", "source")
    return [
        (":action", UPLOAD),
        ("protocol_version", "1"),
        ("filetype", kind),
        ("pyversion", python),
    ]


def _digests(path: Path) -> list[tuple[str, str]]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    blake2 = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while data := file.read(STEP):
            for digest in (sha256, md5, blake2):
                digest.update(data)
    return [
        ("sha256_digest", sha256.hexdigest()),
        ("md5_digest", md5.hexdigest()),
        ("blake2_256_digest", blake2.hexdigest()),
    ]


def _described(metadata: bytes) -> list[tuple[str, str]]:
    message = BytesParser(policy=compat32).parsebytes(metadata)
    found = []
    for name, value in message.items():
        key = name.lower().replace("-", "_")
        found.append((_RENAMED.get(key, key), _text(str(value))))
    body = message.get_payload(decode=True)
    has_own = any(key == "description" for key, _ in found)
    if isinstance(body, bytes) and body.strip() and not has_own:
        found.append(("description", body.decode("utf-8", "replace")))
    return found


def _text(value: str) -> str:
    # The parser reads bytes beyond ASCII as surrogates; core metadata is UTF-8.
    return value.encode("ascii", "surrogateescape").decode("utf-8", "replace")


def _read_json(path: Path) -> str:
    try:
        return json.dumps(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        why = "it is no JSON" if isinstance(error, ValueError) else "it is nested too deeply"
        raise NotPublished(f"{path} is no attestation: {why}", hint="nothing was sent") from None
