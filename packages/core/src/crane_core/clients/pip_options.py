"""pip's options: which take a value, and how optparse reads them.

The table is the union of `install`, `download`, `wheel`, `index`, `lock` and `list` of pip 22.2 to
26.3, which no version contradicts. An option that is missing here counts as one without a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WITH_VALUE = frozenset({
    "--abi", "--all-releases", "--build-constraint", "--build-option", "--cache-dir", "--cert",
    "--client-cert", "--config-settings", "--constraint", "--default-timeout", "--dest",
    "--destination-dir", "--destination-directory", "--editable", "--exclude", "--exists-action",
    "--extra-index-url", "--find-links", "--format", "--global-option", "--group",
    "--implementation", "--index-url", "--install-option", "--keyring-provider", "--local-log",
    "--log", "--log-file", "--no-binary", "--only-binary", "--only-final", "--output", "--path",
    "--platform", "--prefix", "--progress-bar", "--proxy", "--pypi-url", "--python",
    "--python-version", "--refresh-package", "--report", "--requirement",
    "--requirements-from-script", "--resume-retries", "--retries", "--root", "--root-user-action",
    "--source", "--source-dir", "--source-directory", "--src", "--target", "--timeout",
    "--trusted-host", "--upgrade-strategy", "--uploaded-prior-to", "--use-deprecated",
    "--use-feature", "--wheel-dir",
})  # fmt: skip
WITHOUT_VALUE = frozenset({
    "--break-system-packages", "--check-build-dependencies", "--compile", "--debug",
    "--disable-pip-version-check", "--dry-run", "--exclude-editable", "--force-reinstall",
    "--help", "--ignore-installed", "--ignore-requires-python", "--include-editable", "--isolated",
    "--json", "--local", "--no-build-isolation", "--no-cache-dir", "--no-clean", "--no-color",
    "--no-compile", "--no-dependencies", "--no-deps", "--no-index", "--no-input",
    "--no-proxy-env", "--no-python-version-warning", "--no-require-hashes", "--no-use-pep517",
    "--no-user", "--no-verify", "--no-warn-conflicts", "--no-warn-script-location",
    "--not-required", "--only-dependencies", "--only-deps", "--outdated", "--pre",
    "--prefer-binary", "--quiet", "--require-hashes", "--require-venv", "--require-virtualenv",
    "--upgrade", "--uptodate", "--use-pep517", "--user", "--verbose", "--version",
})  # fmt: skip
SYNONYMS = {"--pypi-url": "--index-url"}


@dataclass(frozen=True, slots=True)
class Table:
    """The options of one place: long names with and without a value, and what letters mean."""

    with_value: frozenset[str]
    without_value: frozenset[str]
    letters: dict[str, str]
    # Spelled out only: a beginning that they share with another is that other's.
    no_beginnings: frozenset[str] = frozenset()

    def full_name(self, spelled: str) -> str:
        """Return the long name that optparse takes `spelled` for."""
        known = self.with_value | self.without_value
        if spelled in known:
            return spelled
        beginning = {n for n in known - self.no_beginnings if n.startswith(spelled)}
        names = sorted({_plain(name) for name in beginning}, key=len)
        # An ambiguous beginning is pip's to refuse; for us it is no option that we know. But a
        # later pip may have added a longer name to one that was alone.
        if names and all(name.startswith(names[0]) for name in names):
            return names[0]
        return spelled


LETTERS = {
    "C": "--config-settings", "c": "--constraint", "d": "--dest", "e": "--editable",
    "f": "--find-links", "i": "--index-url", "o": "--output", "r": "--requirement",
    "t": "--target", "w": "--wheel-dir", "h": "--help", "V": "--version",
}  # fmt: skip
# These make beginnings ambiguous for `pip list` only.
LIST_ONLY = frozenset({
    "--exclude", "--exclude-editable", "--format", "--include-editable", "--json", "--local",
    "--not-required", "--outdated", "--path", "--uptodate",
})  # fmt: skip
# Gone since pip 23.1. Where it still is, a beginning that it shares is pip's to refuse.
REMOVED = frozenset({"--install-option"})
COMMANDS = Table(WITH_VALUE, WITHOUT_VALUE, LETTERS, REMOVED | LIST_ONLY)
LIST = Table(
    WITH_VALUE - {"--editable"},
    WITHOUT_VALUE | {"--editable"},
    {**LETTERS, "e": "--editable", "o": "--outdated", "u": "--uptodate"},
    REMOVED,
)
# What may stand in a requirements file (pip's req_file.py, the same from 22.2 to 26.3).
REQUIREMENTS = Table(
    frozenset({
        "--index-url", "--pypi-url", "--extra-index-url", "--constraint", "--requirement",
        "--editable", "--find-links", "--no-binary", "--only-binary", "--trusted-host",
        "--use-feature", "--global-option", "--hash", "--config-settings", "--config-setting",
        "--install-option", "--all-releases", "--only-final",
    }),
    frozenset({"--no-index", "--prefer-binary", "--require-hashes", "--pre"}),
    {letter: LETTERS[letter] for letter in "Ccefir"},
    REMOVED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """An option as pip understands it; `start` and `end` are its place in the arguments.

    `value` is None for one that takes none, or whose value is missing. `before` are the letters
    that stand before it in one argument, as in `-qr FILE`.
    """

    name: str
    value: str | None
    start: int
    end: int
    before: str = ""

    @property
    def left(self) -> list[str]:
        """What stays of its arguments when it is taken out."""
        return [f"-{self.before}"] if self.before else []


@dataclass(frozen=True, slots=True)
class Parsed:
    """Options and the command; `command_at` is the command's place."""

    options: tuple[Option, ...]
    command: str | None
    command_at: int


def parse(arguments: Sequence[str]) -> Parsed:
    """Read arguments as optparse does: abbreviations, clusters, `--` and values that look odd."""
    options: list[Option] = []
    command, command_at = None, len(arguments)
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if argument == "--":
            # Before the command it ends pip's own options; behind it, the command's.
            if command is not None:
                break
            position += 1
        elif found := read_options(arguments, position, LIST if command == "list" else COMMANDS):
            options += found
            position = found[-1].end
        else:
            if command is None:
                command, command_at = argument, position
            position += 1
    return Parsed(tuple(options), command, command_at)


def parse_line(words: list[str]) -> list[Option]:
    """Read the words of a requirements file's option line, or of a requirement with options."""
    options: list[Option] = []
    position = 0
    while position < len(words):
        found = read_options(words, position, REQUIREMENTS)
        options += found
        position = found[-1].end if found else position + 1
    return options


def substituted(
    words: Sequence[str], steads: Iterable[tuple[Option, list[str]]]
) -> list[list[str]]:
    """Return what stands at each word's place once options are replaced by other words."""
    places = [[word] for word in words]
    for option, stead in steads:
        for position in range(option.start, option.end):
            places[position] = []
        places[option.start] = [*option.left, *stead]
    return places


def read_options(arguments: Sequence[str], position: int, table: Table) -> list[Option]:
    """Return the options of one argument: one, those of a cluster of letters, or none."""
    argument = arguments[position]
    if not argument.startswith("-") or argument == "-":
        return []
    following = arguments[position + 1] if position + 1 < len(arguments) else None
    if not argument.startswith("--"):
        return list(_cluster(argument[1:], following, position, table))
    spelled, equals, value = argument.partition("=")
    name = table.full_name(spelled)
    if name not in table.with_value:
        return [Option(name, None, position, position + 1)]
    if equals:
        return [Option(_plain(name), value, position, position + 1)]
    return [Option(_plain(name), following, position, position + (1 if following is None else 2))]


def _cluster(letters: str, following: str | None, position: int, table: Table) -> Iterator[Option]:
    for number, letter in enumerate(letters):
        name = table.letters.get(letter, f"-{letter}")
        if name in table.with_value:
            rest = letters[number + 1 :]
            end = position + (1 if rest or following is None else 2)
            yield Option(name, rest or following, position, end, letters[:number])
            return
        yield Option(name, None, position, position + 1)


def _plain(name: str) -> str:
    return SYNONYMS.get(name, name)
