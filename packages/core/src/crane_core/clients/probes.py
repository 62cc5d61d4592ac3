"""For the tools that we know: a command that makes them ask an index for one project's page.

The project is one that nobody has. Nothing is installed, and nothing outside `folder` is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROJECT = "crane-doctor-asks-for-this"  # a name for pages that are not there
_SUFFIX = re.compile(r"(?:\.exe)?$", re.IGNORECASE)
_VERSION = re.compile(r"[0-9.]+$")  # pip3.12


@dataclass(frozen=True, slots=True)
class Probe:
    """Arguments for a tool, the files that it needs in its folder, and its further variables."""

    arguments: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


def probe_of(program: str, index_url: str) -> Probe | None:
    """Return the probe of a tool, by the name of its program; None if we know none."""
    name = _VERSION.sub("", _SUFFIX.sub("", PurePath(program).name)).lower()
    make = _PROBES.get(name)
    return make(index_url.rstrip("/")) if make else None


def known_tools() -> list[str]:
    """Return the names of the tools that have a probe."""
    return sorted(_PROBES)


def _pip(url: str) -> Probe:
    arguments = ("download", "--no-deps", "--no-cache-dir", "--dest", ".", "--index-url", url)
    # What the user's settings say of indexes is not what is looked at here.
    variables = {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": ""}
    return Probe((*arguments, PROJECT), variables=variables)


def _uv(url: str) -> Probe:
    arguments = ("pip", "compile", "--no-cache", "--no-config", "--default-index", url)
    return Probe((*arguments, "asked.in"), {"asked.in": f"{PROJECT}\n"}, {"UV_INDEX": ""})


def _poetry(url: str) -> Probe:
    text = f"""\
[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "asked"
url = "{url}"
priority = "primary"

[tool.poetry.dependencies]
python = ">=3.9"
{PROJECT} = "*"
"""
    # Its caches know the index by its URL, and would answer in its place.
    return Probe(("lock", "--no-interaction", "--no-cache"), {"pyproject.toml": text})


def _pdm(url: str) -> Probe:
    text = f"""\
[project]
requires-python = ">=3.9"
dependencies = ["{PROJECT}"]

[[tool.pdm.source]]
name = "pypi"
url = "{url}"
verify_ssl = true

[tool.pdm]
distribution = false
"""
    return Probe(("lock",), {"pyproject.toml": text}, {"PDM_CACHE_DIR": "cache"})


def _curl(url: str) -> Probe:
    return Probe(("--silent", "--show-error", "--output", "page", f"{url}/{PROJECT}/"))


def _wget(url: str) -> Probe:
    return Probe(("--quiet", "--tries=1", "--output-document", "page", f"{url}/{PROJECT}/"))


_PROBES: Mapping[str, Callable[[str], Probe]] = {
    "curl": _curl,
    "pdm": _pdm,
    "pip": _pip,
    "poetry": _poetry,
    "uv": _uv,
    "wget": _wget,
}
