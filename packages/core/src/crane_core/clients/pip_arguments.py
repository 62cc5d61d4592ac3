"""What a pip command line says about indexes, and the same line with the gateway in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from crane_core.clients.pip_options import Option, Parsed, parse, substituted
from crane_core.clients.pip_requirements import NESTED_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

# Commands that fetch from an index. `list` does with --outdated and --uptodate only.
INDEX_COMMANDS = frozenset({"install", "download", "wheel", "index", "lock"})
LISTING = frozenset({"--outdated", "--uptodate"})
REPLACED = frozenset({"--index-url", "--extra-index-url", "--proxy"})
# These would beat what the environment says of the way to the network.
NETWORK = frozenset({"--proxy", "--cert"})


@dataclass(frozen=True)
class PipCommand:
    """A pip command line."""

    arguments: tuple[str, ...]

    @cached_property
    def _parsed(self) -> Parsed:
        return parse(self.arguments)

    @property
    def command(self) -> str | None:
        """The command, such as `install`."""
        return self._parsed.command

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
    def cert(self) -> str | None:
        """The last `--cert`."""
        return values[-1] if (values := self._values("--cert")) else None

    @property
    def is_isolated(self) -> bool:
        """Whether pip is to pass over its variables and the user's configuration file."""
        return any(option.name == "--isolated" for option in self._parsed.options)

    @property
    def needs_hashes(self) -> bool:
        """Whether pip writes hashes down of what it need not download otherwise.

        `pip lock` of 26.3 breaks off where it has none.
        """
        names = {option.name for option in self._parsed.options}
        return self.command == "lock" or {"--dry-run", "--report"} <= names

    @property
    def needs_index(self) -> bool:
        """Whether the command fetches from an index."""
        names = {option.name for option in self._parsed.options}
        fetches = self.command in INDEX_COMMANDS or (self.command == "list" and names & LISTING)
        return bool(fetches) and not names & {"--no-index", "--help", "--version"}

    def with_indexes(self, index_url: str, extra_index_urls: list[str]) -> list[str]:
        """Return the line with these indexes in place of those it names, and without a proxy."""
        indexes = ["--index-url", index_url]
        for url in extra_index_urls:
            indexes += ["--extra-index-url", url]
        return self._changed(REPLACED, indexes)

    def without_network(self, index_url: str | None) -> list[str]:
        """Return the line without a proxy and a certificate file; with this index, if any."""
        return self._changed(NETWORK, ["--index-url", index_url] if index_url else [])

    def _changed(self, gone: frozenset[str], added: list[str]) -> list[str]:
        """Return the line without some options, and with others.

        Those stand directly behind the command: at the end they might become the value of an
        option that lacks one.
        """
        steads: list[tuple[Option, list[str]]] = [
            (option, []) for option in self._parsed.options if option.name in gone
        ]
        places = substituted(self.arguments, steads)
        places.insert(self._parsed.command_at + 1, added)
        return list(chain.from_iterable(places))

    def with_requirements(self, rewrite: Callable[[str], str]) -> PipCommand:
        """Return the line with each requirements and constraints file replaced by another."""
        named = [o for o in self._parsed.options if o.name in NESTED_OPTIONS]
        # In pip's order, since the last index URL of all these files counts: constraints first.
        named.sort(key=lambda option: option.name == "--requirement")
        steads = [
            (option, [option.name, name])
            for option in named
            if option.value is not None and (name := rewrite(option.value)) != option.value
        ]
        return PipCommand(tuple(chain.from_iterable(substituted(self.arguments, steads))))

    def _values(self, name: str) -> list[str]:
        return [o.value for o in self._parsed.options if o.name == name and o.value is not None]


def read_arguments(arguments: list[str]) -> PipCommand:
    """Return a pip command line."""
    return PipCommand(tuple(arguments))
