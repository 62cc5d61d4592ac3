"""All that touches Poetry's internals, with the versions for which it holds.

| what | how it is used | held for |
|---|---|---|
| `Authenticator.create_session()` | adapters are mounted on what it returns | 2.0.0 to 2.5.1 |
| `Authenticator.add_repository(name, url)` | tells of each source | 2.0.0 to 2.5.1 |
| `Uploader.make_session()` | as `create_session` | 2.0.0 to 2.5.1 |
| `Poetry.pool.all_repositories`, their `.name` and `.url` | a project's sources | 2.0.0 to 2.5.1 |
| `Poetry.package.all_requires` | what is bound to one source | 2.0.0 to 2.5.1 |
| `Poetry.pyproject.data` | `[tool.crane]` | 2.0.0 to 2.5.1 |
| the event COMMAND, at which Poetry's listeners open the project | logins before | 2.0.0 to 2.5.1 |
| `PoetryRuntimeError` | an error without a traceback, from 2.1 on | 2.1.0 to 2.5.1 |

The classes are patched, not their instances: Executor, Publisher and the environments of isolated
builds make their own. What has another shape is left alone, and said.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleo.io.io import IO
    from poetry.console.application import Application
    from poetry.poetry import Poetry

    from crane_core.errors import CraneError
    from poetry_plugin_crane.sources import Sources

# The commands that may ask an index, and draw their progress meanwhile.
RESOLVING = frozenset({"add", "install", "lock", "remove", "sync", "update"})


def unknown_shape() -> str | None:
    """Return what of this Poetry is not as we know it, None if all is."""
    try:
        from poetry.utils.authenticator import Authenticator
    except ImportError:
        return "Authenticator"
    for name, parameters in (
        ("create_session", ["self"]),
        ("add_repository", ["self", "name", "url"]),
    ):
        if not _has(Authenticator, name, parameters):
            return f"Authenticator.{name}"
    return None


def _has(owner: type, name: str, parameters: list[str]) -> bool:
    function = getattr(owner, name, None)
    return function is not None and list(inspect.signature(function).parameters) == parameters


def patch(sources: Sources, mount: Callable[[Any], None]) -> None:
    """Tell `sources` of each source, and give each session that Poetry makes to `mount`."""
    from poetry.utils.authenticator import Authenticator

    original = Authenticator.add_repository

    @functools.wraps(original)
    def add_repository(self: Any, name: str, url: str) -> Any:
        sources.add(name, url)
        return original(self, name, url)

    # setattr, since a method may not be assigned to as far as types go.
    setattr(Authenticator, "add_repository", add_repository)  # noqa: B010
    _mount_on_each(Authenticator, "create_session", mount)


def patch_uploads(mount: Callable[[Any], None]) -> bool:
    """Give each session for uploads to `mount`; Poetry loads these modules for `publish` only.

    Returns False if they are not as we know them.
    """
    try:
        from poetry.publishing.uploader import Uploader
    except ImportError:
        return False
    is_known = _has(Uploader, "make_session", ["self"])
    if is_known:
        _mount_on_each(Uploader, "make_session", mount)
    return is_known


def _mount_on_each(owner: type, name: str, mount: Callable[[Any], None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def make(self: Any) -> Any:
        session = original(self)
        mount(session)
        return session

    setattr(owner, name, make)


def sources_of(poetry: Poetry) -> Iterator[tuple[str, str]]:
    """Yield name and URL of each source of a project that is reached by HTTP."""
    for repository in poetry.pool.all_repositories:
        url = getattr(repository, "url", None)
        if isinstance(url, str):
            yield repository.name, url


def bound_names(poetry: Poetry) -> dict[str, str]:
    """Return the projects that are bound to one source in pyproject.toml, with its name."""
    return {
        dependency.name: dependency.source_name
        for dependency in poetry.package.all_requires
        if dependency.source_name
    }


def crane_table(poetry: Poetry) -> dict[str, Any]:
    """Return what pyproject.toml says in `[tool.crane]`."""
    table = poetry.pyproject.data.get("tool", {}).get("crane", {})
    return dict(table) if isinstance(table, dict) else {}


def on_command(
    application: Application, before: Callable[[str, IO], None], after: Callable[[str], None]
) -> None:
    """Call `before` with a command's name and IO, `after` once its project is open."""
    from cleo.events.console_events import COMMAND

    dispatcher = application.event_dispatcher
    if dispatcher is not None:
        # Poetry's own listeners, which open the project, stand at 0.
        dispatcher.add_listener(
            COMMAND, lambda event, *_: before(event.command.name or "", event.io), 100
        )
        dispatcher.add_listener(COMMAND, lambda event, *_: after(event.command.name or ""), -100)


def add_commands(application: Application) -> None:
    """Add `poetry crane …`; their module is loaded when one is run."""

    def maker(name: str) -> Callable[[], Any]:
        def make() -> Any:
            from poetry_plugin_crane import commands

            return commands.COMMANDS[name]()

        return make

    for name in ("status", "login", "logout", "trust"):
        application.command_loader.register_factory(f"crane {name}", maker(name))


def trouble(error: CraneError) -> Exception:
    """Return an error of ours as one that Poetry shows without a traceback."""
    from cleo.exceptions import CleoUserError
    from cleo.formatters.formatter import Formatter
    from poetry.console import exceptions

    text = Formatter.escape(f"crane: {error.line}")
    if kind := getattr(exceptions, "PoetryRuntimeError", None):
        text = f"<error>{text}</>"
    shown: Exception = (kind or CleoUserError)(text)
    return shown
