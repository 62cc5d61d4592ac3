"""Which index is set up: named, in a team's file, registered already, or asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crane_cli.onboarding.team import PYPROJECT, read_team_file
from crane_core.errors import UsageError
from crane_core.urls import same_index

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.config.model import Configuration, Index

WHAT = "the URL of your index"
QUESTION = "The URL of your index, as you would give it to pip -i:"
HINT = "run: crane setup https://HOST/PATH"


def chosen_index(args: argparse.Namespace, here: Context) -> tuple[Index, bool]:
    """Return the index, registered by now, and whether that is new. Raises a `CraneError`.

    What a file says counts only after a person has agreed, or has named the file and said --yes.
    """
    configuration = here.config.load()
    named: str | None = args.url
    if named is not None and "://" not in named and named in configuration.indexes:
        args.url = configuration.indexes[named].url
        return _registered(args, here, configuration)
    if named is not None and "://" not in named:
        return _of_file(args, here, configuration, Path(named))
    if named is None:
        project = Path(PYPROJECT)
        may_ask = here.prompt.can_type or not configuration.indexes
        if may_ask and project.is_file() and read_team_file(project):
            return _of_file(args, here, configuration, project, is_named=False)
        if configuration.indexes:
            return configuration.only_or_default(), False
        args.url = here.prompt.ask(QUESTION, what=WHAT, hint=HINT)
    return _registered(args, here, configuration)


def _of_file(
    args: argparse.Namespace,
    here: Context,
    configuration: Configuration,
    path: Path,
    *,
    is_named: bool = True,
) -> tuple[Index, bool]:
    from crane_core.clients.checkout import claimed_index, question

    where = f"[tool.crane] in {path}" if path.name == PYPROJECT else str(path)
    if not path.exists():
        is_file = path.suffix == ".toml"
        hint = (
            "check its name, or write the URL of an index" if is_file else f"write https://{path}"
        )
        raise UsageError(f"{path} is no URL, no registered index and no file here", hint=hint)
    table = read_team_file(path)
    if table is None:
        raise UsageError(f"{path} names no index", hint=HINT)
    claimed = claimed_index(table, configuration, where)
    if claimed is None:
        index = configuration.match(table["index"])
        assert index is not None
        return index, False
    if not (args.yes and is_named):
        asked = question(claimed, where)
        if not here.prompt.can_type:
            raise UsageError(f"{asked}", hint=f"to agree, run: crane setup {path} --yes")
        if not here.prompt.confirm(asked):
            raise UsageError(f"{claimed.url} is not trusted, so nothing was changed", hint=HINT)
    args.url, args.issuer = claimed.url, claimed.issuer
    args.client_id = args.client_id or claimed.client_id
    args.name = args.name or claimed.name
    return _registered(args, here, configuration)


def _registered(
    args: argparse.Namespace, here: Context, configuration: Configuration
) -> tuple[Index, bool]:
    """Register as `crane index register` does, unless all that is said is so already."""
    from crane_cli.commands import register

    before = configuration.match(args.url)
    if before is not None and all(
        getattr(before, name) == value for name, value in register.given(args).items()
    ):
        return before, False
    args.endpoints = []
    register.run(args, here)
    found = next((i for i in here.config.load() if same_index(i.url, args.url)), None)
    assert found is not None
    return found, True
