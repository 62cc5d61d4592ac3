"""`crane uv …`: uv, with the registered indexes behind their real URLs."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.commands.run import chosen_indexes, start
from crane_cli.result import Result
from crane_core.errors import CommandNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from crane_cli.context import Context
    from crane_core.config.model import Configuration, Index

DESCRIPTION = """\
Runs the uv on PATH with its own options, output and exit code; the same as `crane run -- uv …`,
and logs in first at registered indexes that the project's uv configuration names.
"""
VARIABLES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
OPTIONS = ("--index", "--default-index", "--index-url", "-i", "--extra-index-url")
FOLDER_OPTIONS = ("--project", "--directory")
_UNFIT = re.compile(r"[^A-Za-z0-9]")  # in the names that uv makes variables of


def add_parser(commands: Any) -> None:
    """Add the command; what follows it is uv's, to the letter."""
    parser = command(commands, "uv", run, "run uv with the registered indexes")
    parser.description = DESCRIPTION
    parser.prefix_chars = "\0"  # no argument behind `uv` is an option of ours
    parser.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Become uv."""
    program = shutil.which("uv", path=here.environ.get("PATH", os.defpath))
    if program is None:
        raise CommandNotFound(
            "uv: command not found", hint="get it with: pip install uv, or see docs.astral.sh/uv"
        )
    configuration = here.config.load()
    chosen_indexes(configuration, None)  # says it if there is none
    named = named_indexes(configuration, args.arguments, here.environ)
    only = list(configuration) if len(configuration.indexes) == 1 else []
    code = start(
        here, configuration, ["uv", *args.arguments], [], named or only,
        program=program, hides_secrets=True,
        more=placeholders(configuration, args.arguments, here.environ),
    )  # fmt: skip
    return Result(exit_code=code)


def named_indexes(
    configuration: Configuration, arguments: Sequence[str], environ: Mapping[str, str]
) -> list[Index]:
    """Return the registered indexes that arguments, variables or files of this uv name."""
    urls = [
        *_values(arguments, OPTIONS),
        *(url for name in VARIABLES for url in environ.get(name, "").split()),
        *(url for settings in _settings(arguments, environ) for url in _urls(settings)),
    ]
    # uv takes `name=URL` too.
    bare = [url.partition("=")[2] if url.partition("=")[2].startswith("http") else url
            for url in urls]  # fmt: skip
    return configuration.named_by(bare)


def placeholders(
    configuration: Configuration, arguments: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return a login for uv where `authenticate = "always"` makes it insist on one.

    It gets no further than the gateway, which shows the token in its place.
    """
    from crane_core.urls import names_index

    found: dict[str, str] = {}
    for settings in _settings(arguments, environ):
        for index in _listed(settings):
            url, name = str(index.get("url", "")), _UNFIT.sub("_", str(index.get("name", "")))
            variables = [f"UV_INDEX_{name.upper()}_{kind}" for kind in ("USERNAME", "PASSWORD")]
            if (
                index.get("authenticate") == "always"
                and environ.keys().isdisjoint(variables)
                and any(names_index(url, registered.url) for registered in configuration)
            ):
                found |= dict.fromkeys(variables, "crane")
    return found


def _values(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            yield value if equals else "".join(arguments[number + 1 : number + 2])


def _settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    folder = Path.cwd()
    for value in _values(arguments, FOLDER_OPTIONS):
        folder /= value
    # A workspace's root stands above its members, and its settings count for all.
    for above in (folder, *folder.parents):
        tools = _table(above / "pyproject.toml").get("tool", {})
        project = tools.get("uv", {}) if isinstance(tools, dict) else {}
        yield project if isinstance(project, dict) else {}
        yield _table(above / "uv.toml")
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    yield _table(home / "uv" / "uv.toml")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}  # uv says itself what is wrong with it


def _listed(settings: dict[str, Any]) -> list[dict[str, Any]]:
    listed = settings.get("index", [])
    return [i for i in listed if isinstance(i, dict)] if isinstance(listed, list) else []


def _urls(settings: Any) -> Iterator[str]:
    if not isinstance(settings, dict):
        return
    yield from (str(index.get("url", "")) for index in _listed(settings))
    yield str(settings.get("index-url", ""))
    extra = settings.get("extra-index-url", [])
    yield from map(str, extra if isinstance(extra, list) else [extra])
    yield from _urls(settings.get("pip"))
