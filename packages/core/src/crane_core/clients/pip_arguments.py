"""What a pip command line says about indexes, and the same line with the gateway in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from crane_core.clients.pip_options import Option, parse
from crane_core.clients.pip_requirements import NESTED_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

# Commands that fetch from an index. `list` does with --outdated and --uptodate only.
INDEX_COMMANDS = frozenset({"install", "download", "wheel", "index", "lock"})
LISTING = frozenset({"--outdated", "--uptodate"})
REPLACED = frozenset({"--index-url", "--extra-index-url", "--proxy"})


@dataclass(frozen=True)
class PipCommand:
    """A pip command line."""

    arguments: tuple[str, ...]

    @cached_property
    def _parsed(self) -> tuple[tuple[Option, ...], str | None, int]:
        parsed = parse(list(self.arguments))
        return parsed.options, parsed.command, parsed.command_at

    @property
    def command(self) -> str | None:
        """The command, such as `install`."""
        return self._parsed[1]

    @property
    def index_url(self) -> str | None:
        """The last `--index-url`, which is the one that counts."""
        return values[-1] if (values := self._values("--index-url")) else None

    @property
    def extra_index_urls(self) -> tuple[str, ...]:
        """Every `--extra-index-url`."""
        return tuple(self._values("--extra-index-url"))

    @property
    def find_links(self) -> tuple[str, ...]:
        """Every `--find-links`."""
        return tuple(self._values("--find-links"))

    @property
    def proxy(self) -> str | None:
        """The last `--proxy`."""
        return values[-1] if (values := self._values("--proxy")) else None

    @property
    def needs_index(self) -> bool:
        """Whether the command fetches from an index."""
        names = {option.name for option in self._parsed[0]}
        fetches = self.command in INDEX_COMMANDS or (self.command == "list" and names & LISTING)
        return bool(fetches) and not names & {"--no-index", "--help", "--version"}

    def with_indexes(self, index_url: str, extra_index_urls: list[str]) -> list[str]:
        """Return the line with these indexes in place of those it names, and without a proxy.

        They stand directly behind the command: at the end they might become the value of an
        option that lacks one.
        """
        options, _, command_at = self._parsed
        kept = {position: [argument] for position, argument in enumerate(self.arguments)}
        for option in options:
            if option.name in REPLACED:
                kept |= {position: [] for position in range(option.start, option.end)}
                kept[option.start] = option.left
        indexes = ["--index-url", index_url]
        for url in extra_index_urls:
            indexes += ["--extra-index-url", url]
        before = [a for i, words in kept.items() if i <= command_at for a in words]
        behind = [a for i, words in kept.items() if i > command_at for a in words]
        return [*before, *indexes, *behind]

    def with_requirements(self, rewrite: Callable[[str], str]) -> PipCommand:
        """Return the line with each requirements and constraints file replaced by another."""
        arguments = list(self.arguments)
        for option in reversed(self._parsed[0]):
            if option.name in NESTED_OPTIONS and option.value is not None:
                name = rewrite(option.value)
                if name != option.value:
                    arguments[option.start : option.end] = [*option.left, option.name, name]
        return PipCommand(tuple(arguments))

    def _values(self, name: str) -> list[str]:
        return [o.value for o in self._parsed[0] if o.name == name and o.value is not None]


def read_arguments(arguments: list[str]) -> PipCommand:
    """Return a pip command line."""
    return PipCommand(tuple(arguments))
