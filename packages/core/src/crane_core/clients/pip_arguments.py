"""pip's command line, read as pip reads it and changed as little as possible."""

from __future__ import annotations

from dataclasses import dataclass

# Commands that fetch from an index. `list` does with --outdated and --uptodate only.
INDEX_COMMANDS = frozenset({"install", "download", "wheel", "index", "lock"})
LIST_FLAGS = frozenset({"-o", "--outdated", "-u", "--uptodate"})
# Options before the command that take a value (pip --help, "General Options").
GENERAL_WITH_VALUE = frozenset({
    "--cache-dir", "--cert", "--client-cert", "--exists-action", "--keyring-provider", "--log",
    "--log-file", "--local-log", "--proxy", "--python", "--resume-retries", "--retries",
    "--timeout", "--default-timeout", "--trusted-host", "--use-deprecated", "--use-feature",
})  # fmt: skip
# Short options with a value, of the commands above; in a cluster the rest is the value.
SHORT_WITH_VALUE = frozenset("bcdefirtw")
INDEX_URL = ("--index-url", "--pypi-url")
EXTRA_INDEX_URL = ("--extra-index-url",)
PROXY = ("--proxy",)


@dataclass(frozen=True, slots=True)
class PipCommand:
    """A pip command line and what of it concerns crane."""

    arguments: tuple[str, ...]
    command: str | None
    index_url: str | None
    extra_index_urls: tuple[str, ...]
    proxy: str | None
    needs_index: bool

    def with_options(self, *options: str) -> list[str]:
        """Return the arguments with options that beat earlier ones: for pip the last one counts."""
        arguments = list(self.arguments)
        end = arguments.index("--") if "--" in arguments else len(arguments)
        return [*arguments[:end], *options, *arguments[end:]]


def read_arguments(arguments: list[str]) -> PipCommand:
    """Return what pip would make of these arguments, as far as indexes go."""
    command, position = _command(arguments)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    indexes = _values(options, INDEX_URL, short="i")
    proxies = _values(options, PROXY)
    listing = command == "list" and any(flag in LIST_FLAGS for flag in options[position:])
    fetches = command in INDEX_COMMANDS or listing
    offline = "--no-index" in options or "--help" in options or "-h" in options
    return PipCommand(
        arguments=tuple(arguments),
        command=command,
        index_url=indexes[-1] if indexes else None,
        extra_index_urls=tuple(_values(options, EXTRA_INDEX_URL)),
        proxy=proxies[-1] if proxies else None,
        needs_index=fetches and not offline,
    )


def _command(arguments: list[str]) -> tuple[str | None, int]:
    skip = False
    for position, argument in enumerate(arguments):
        if skip:
            skip = False
        elif not argument.startswith("-"):
            return argument, position
        else:
            skip = argument in GENERAL_WITH_VALUE
    return None, len(arguments)


def _values(arguments: list[str], names: tuple[str, ...], short: str = "") -> list[str]:
    """Return the values of an option: `--name V`, `--name=V`, `--na V`, `-iV`, `-i V`, `-qiV`."""
    values = []
    following = iter(arguments)
    for argument in following:
        if argument.startswith("--"):
            spelled, equals, value = argument.partition("=")
            if _abbreviates(spelled, names):
                values.append(value if equals else next(following, ""))
        elif short and argument.startswith("-"):
            cluster = _short_value(argument[1:], short)
            if cluster is not None:
                values.append(cluster or next(following, ""))
    return values


def _abbreviates(spelled: str, names: tuple[str, ...]) -> bool:
    # optparse takes any unambiguous beginning; these lengths are unambiguous in every pip.
    return any(name.startswith(spelled) and len(spelled) >= min(len(name), 5) for name in names)


def _short_value(cluster: str, short: str) -> str | None:
    for position, letter in enumerate(cluster):
        if letter == short:
            return cluster[position + 1 :]
        if letter in SHORT_WITH_VALUE:
            return None
    return None
