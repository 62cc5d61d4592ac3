"""requirements.txt, as pip reads it: what is pinned there, with its hashes and indexes."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from crane_cli.locks.model import Wanted, WantedFile, broken, split_hash
from crane_core.clients.pip_options import parse_line
from crane_core.clients.pip_requirements import decode, plain_lines
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crane_core.clients.pip_options import Option


@dataclass
class _Files:
    """What has been read so far, of a file and those that it names."""

    environ: Mapping[str, str]
    wanted: list[Wanted] = field(default_factory=list)
    index: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def read(self, path: Path) -> None:
        """Read one."""
        if (known := path.resolve()) in self.seen:
            return
        self.seen.add(known)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}", hint="check the path"
            ) from None
        for line in plain_lines(decode(content, str(path)), self.environ):
            self._line(line, path)

    def _line(self, line: str, path: Path) -> None:
        if not line:
            return
        if not line.startswith("-"):
            self.wanted.append(_requirement(line, str(path)))
            return
        for option in _options(line, str(path)):
            self._option(option, path)

    def _option(self, option: Option, path: Path) -> None:
        value = option.value or ""
        if option.name == "--index-url":
            self.index = [value]
        elif option.name == "--extra-index-url":
            self.extra.append(value)
        elif option.name == "--requirement":
            if "://" in value:
                raise UsageError(
                    f"{path} names {value}, which crane does not look into",
                    hint="fetch that file, and name it: -r FILE",
                )
            self.read(path.parent / value)
        elif option.name == "--editable":
            self.wanted.append(Wanted(project=value, elsewhere="from a folder"))


def read_requirements(path: Path, environ: Mapping[str, str]) -> list[Wanted]:
    """Return what a requirements file pins. Raises `UsageError`.

    Constraints are not read: they install nothing.
    """
    files = _Files(environ)
    files.read(path)
    sources = (*files.index, *files.extra)
    return [replace(wanted, sources=sources) for wanted in files.wanted]


def _options(line: str, where: str) -> list[Option]:
    try:
        return parse_line(shlex.split(line))
    except ValueError as error:
        raise broken(where, f"{line[:80]!r}: {error}") from None


def _requirement(line: str, where: str) -> Wanted:
    text, options = re.match(r"(.*?)(?:\s+(--?\w.*))?$", line).groups()  # type: ignore[union-attr]
    hashes = frozenset(
        split_hash(option.value or "", where)
        for option in _options(options or "", where)
        if option.name == "--hash"
    )
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        # pip takes paths and bare URLs too.
        return Wanted(project=text, elsewhere="from a folder or URL")
    project = canonicalize_name(requirement.name)
    if requirement.url is not None:
        name = requirement.url.partition("#")[0].rpartition("/")[2]
        file = WantedFile(name, requirement.url.partition("#")[0], dict(hashes))
        return Wanted(project, files=(file,), asks_page=False)
    pins = [s.version for s in requirement.specifier if s.operator in {"==", "==="}]
    version = pins[0] if pins and not pins[0].endswith(".*") else ""
    return Wanted(project, version, hashes=hashes)
