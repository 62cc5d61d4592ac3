"""What an upload must be before an index sees it: what it is called, says and holds is one thing.

What two readers read differently is how a wrong file gets under a good name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from crane_core.gateway.uploads.form import value_of
from crane_core.gateway.uploads.refusal import UploadRefused
from crane_core.index.sdist_metadata import SDIST_SUFFIXES, metadata_of_sdist
from crane_core.index.wheel_metadata import NoMetadata, metadata_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from crane_core.gateway.uploads.form import Part

UPLOAD = "file_upload"
LONGEST_NAME = 255  # bytes, as file systems have it
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?", re.ASCII)
_DIGESTS = {"sha256_digest": "sha256", "md5_digest": "md5", "blake2_256_digest": "blake2_256"}
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a file's name says of it."""

    filename: str
    project: str
    version: Version

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is an sdist."""
        return self.filename.endswith(".whl")


def distribution_of(filename: str) -> Distribution:
    """Return what a file name says (binary distribution format, PEP 625).

    Raises `UploadRefused` for a name that is none, or that a path could be made of.
    """
    name, version = _parts_of(filename)
    try:
        return Distribution(filename, canonicalize_name(name, validate=True), Version(version))
    except ValueError:  # InvalidName, InvalidVersion
        raise _no_name(filename) from None


def _parts_of(filename: str) -> tuple[str, str]:
    if len(filename) > LONGEST_NAME or not _NAME.fullmatch(filename) or ".." in filename:
        raise _no_name(filename)
    if filename.endswith(".whl"):
        parts = filename.removesuffix(".whl").split("-")
        # Not packaging's parser: that would make every tag of a compressed set, of any length.
        if len(parts) not in {5, 6} or (len(parts) == 6 and not parts[2][:1].isdigit()):
            raise _no_name(filename)
        return parts[0], parts[1]
    suffix = next((s for s in SDIST_SUFFIXES if filename.endswith(s)), None)
    if suffix is None:
        raise _no_name(filename)
    name, _, version = filename.removesuffix(suffix).rpartition("-")
    return name, version


def _no_name(filename: str) -> UploadRefused:
    suffixes = ", ".join((".whl", *SDIST_SUFFIXES))
    shown = filename[:_SHOWN]
    return UploadRefused(400, f"{shown!r} is no name of a wheel or sdist ({suffixes})")


def check_fields(distribution: Distribution, parts: Sequence[Part], *, whole: bool) -> None:
    """Raise `UploadRefused` unless the form's fields are of this file.

    As long as the form is not `whole`, what is missing may still come.
    """
    action = value_of(parts, ":action")
    if action != UPLOAD and (whole or action is not None):
        raise UploadRefused(400, f"the upload form has the :action {action}, and not {UPLOAD}")
    name, version = value_of(parts, "name"), value_of(parts, "version")
    filename = distribution.filename
    if whole and (name is None or version is None):
        raise UploadRefused(400, "the upload form has no name, or no version")
    if name is not None and canonicalize_name(name) != distribution.project:
        raise UploadRefused(400, f"{filename} is no file of {name[:_SHOWN]}, as the form says")
    if version is not None and not _is_version(version, distribution.version):
        raise UploadRefused(400, f"{filename} is not of version {version[:_SHOWN]}")
    kind = value_of(parts, "filetype")
    wanted = "bdist_wheel" if distribution.is_wheel else "sdist"
    if kind not in {None, wanted}:
        raise UploadRefused(400, f"{filename} is no {(kind or '')[:_SHOWN]}")


def check_digests(filename: str, parts: Sequence[Part], digests: Mapping[str, str]) -> None:
    """Raise `UploadRefused` unless the bytes that came have the digests that the form states."""
    for field, algorithm in _DIGESTS.items():
        stated = value_of(parts, field)
        if stated and stated.strip().lower() != digests[algorithm]:
            raise UploadRefused(400, f"{filename} came with another {algorithm} than its form says")


def read_metadata(distribution: Distribution, path: Path) -> bytes:
    """Return the file's own metadata, which is of its name and version; for a thread.

    Raises `UploadRefused`.
    """
    filename = distribution.filename
    try:
        if distribution.is_wheel:
            return metadata_of_file(path, filename)
        return metadata_of_sdist(path, filename, (distribution.project, distribution.version))
    except NoMetadata as error:
        raise UploadRefused(400, f"{filename} is not what it is called: {error.reason}") from None


def _is_version(text: str, wanted: Version) -> bool:
    try:
        return Version(text) == wanted
    except ValueError:  # InvalidVersion, or a number of thousands of digits
        return False
