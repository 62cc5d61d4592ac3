"""Requirements files whose index lines would lead pip past the gateway.

pip lets an `--index-url` in such a file beat its command line. So those lines are taken out of a
private copy, and count as if they stood on the command line.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.clients.pip_options import Option, parse
from crane_core.files import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INDEX_OPTIONS = frozenset({"--index-url", "--extra-index-url"})
NESTED_OPTIONS = frozenset({"--requirement", "--constraint", "--build-constraint"})
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_COMMENT = re.compile(r"(^|\s+)#.*$")


@dataclass
class RequirementsRewriter:
    """Copies the files that name indexes, with everything they name; leaves the others alone."""

    folder: Path
    environ: Mapping[str, str]
    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    _copies: dict[Path, Path] = field(default_factory=dict)

    def rewrite(self, name: str) -> str:
        """Return the file to give to pip: itself, or a copy without index lines.

        A file that is not there, not text, or behind a URL is left to pip.
        """
        if "://" in name:
            return name
        path = Path(name).expanduser().resolve()
        if path in self._copies:
            return str(self._copies[path])
        self._copies[path] = path  # a file may name itself
        try:
            lines = list(_logical_lines(path.read_text(encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError):
            return name
        rewritten = [self._line(line, path.parent) for line in lines]
        if rewritten == lines:
            return name
        copy = self.folder / f"{len(self._copies)}-{path.name}"
        write_private(copy, "".join(f"{line}\n" for line in rewritten).encode())
        self._copies[path] = copy
        return str(copy)

    def _line(self, line: str, folder: Path) -> str:
        text = _VARIABLE.sub(self._expanded, _COMMENT.sub("", line)).strip()
        if not text.startswith("-"):
            return line
        try:
            words = shlex.split(text)
        except ValueError:
            return line
        kept = words
        for option in reversed(parse(words).options):
            if option.value is not None:
                kept = [*kept[: option.start], *self._kept(option, folder), *kept[option.end :]]
        return line if kept == words else shlex.join(kept)

    def _kept(self, option: Option, folder: Path) -> list[str]:
        value = option.value or ""
        if option.name == "--index-url":
            self.index_url = value
        elif option.name == "--extra-index-url":
            self.extra_index_urls.append(value)
        elif option.name in NESTED_OPTIONS:
            # Relative to the file that names it; the copy lies elsewhere.
            nested = value if "://" in value else str(folder / value)
            return [option.name, self.rewrite(nested)]
        else:
            if option.name == "--find-links":
                self.find_links.append(value)
            return [option.name, value]
        return []

    def _expanded(self, match: re.Match[str]) -> str:
        return self.environ.get(match.group(1), match.group(0))


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1]
            continue
        yield pending + line
        pending = ""
    if pending:
        yield pending
