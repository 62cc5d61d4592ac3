"""pip's options: which take a value, and how optparse reads them.

The table is the union of `install`, `download`, `wheel`, `index`, `lock` and `list` of pip 22.2 to
26.3, which no version contradicts. An option that is missing here counts as one without a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
SHORT_WITH_VALUE = {
    "C": "--config-settings", "c": "--constraint", "d": "--dest", "e": "--editable",
    "f": "--find-links", "i": "--index-url", "o": "--output", "r": "--requirement",
    "t": "--target", "w": "--wheel-dir",
}  # fmt: skip
SHORT_WITHOUT_VALUE = {"h": "--help", "V": "--version"}
# Gone since pip 23.1. Where it still is, a beginning that it shares is pip's to refuse.
REMOVED = frozenset({"--install-option"})
# These make beginnings ambiguous for `pip list` only.
LIST_ONLY = frozenset({
    "--exclude", "--exclude-editable", "--format", "--include-editable", "--json", "--local",
    "--not-required", "--outdated", "--path", "--uptodate",
})  # fmt: skip
# `pip list` uses three letters of its own.
LIST_SHORT = {"e": "--editable", "o": "--outdated", "u": "--uptodate"}
SYNONYMS = {"--pypi-url": "--index-url"}


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


def parse(arguments: list[str]) -> Parsed:
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
        elif argument.startswith("-") and argument != "-":
            found = list(_read(arguments, position, command))
            options += found
            position = max((option.end for option in found), default=position + 1)
        else:
            if command is None:
                command, command_at = argument, position
            position += 1
    return Parsed(tuple(options), command, command_at)


def _read(arguments: list[str], position: int, command: str | None) -> Iterator[Option]:
    argument = arguments[position]
    following = arguments[position + 1] if position + 1 < len(arguments) else None
    if argument.startswith("--"):
        spelled, equals, value = argument.partition("=")
        name = _full_name(spelled, command)
        if name not in WITH_VALUE or (name == "--editable" and command == "list"):
            yield Option(name, None, position, position + 1)
        elif equals:
            yield Option(_plain(name), value, position, position + 1)
        else:
            end = position + (1 if following is None else 2)
            yield Option(_plain(name), following, position, end)
        return
    yield from _cluster(argument[1:], following, position, command)


def _cluster(
    letters: str, following: str | None, position: int, command: str | None
) -> Iterator[Option]:
    for number, letter in enumerate(letters):
        if command == "list" and letter in LIST_SHORT:
            yield Option(LIST_SHORT[letter], None, position, position + 1)
        elif letter in SHORT_WITH_VALUE:
            rest = letters[number + 1 :]
            value = rest or following
            end = position + (1 if rest or following is None else 2)
            yield Option(SHORT_WITH_VALUE[letter], value, position, end, letters[:number])
            return
        else:
            name = SHORT_WITHOUT_VALUE.get(letter, f"-{letter}")
            yield Option(name, None, position, position + 1)


def _full_name(spelled: str, command: str | None) -> str:
    known = WITH_VALUE | WITHOUT_VALUE
    if spelled in known:
        return spelled
    known -= REMOVED if command == "list" else REMOVED | LIST_ONLY
    names = sorted({_plain(name) for name in known if name.startswith(spelled)}, key=len)
    # An ambiguous beginning is pip's to refuse; for us it is no option that we know. But a later
    # pip may have added a longer name to one that was alone.
    if names and all(name.startswith(names[0]) for name in names):
        return names[0]
    return spelled


def _plain(name: str) -> str:
    return SYNONYMS.get(name, name)
