"""All that touches PDM's internals. All of it holds for PDM 2.20.1 to 2.29.4.

| what | how it is used |
|---|---|
| `BaseEnvironment._build_session(sources, mounts)` | tells that a client is made |
| `PDMPyPIClient._transport_for_url(url)`, inherited from httpx(2) | ours stand before the usual |
| `PdmBasicAuth._get_new_credentials(url, …)` | looks for a password in netrc and elsewhere |
| `BaseRepository.fetch_hashes(candidates)` | swallows errors: a lock file without hashes |
| `BaseRepository.get_hashes(candidate)` | without threads where nothing has to be fetched |
| `unearth.evaluator.get_supported(version, platforms, impl, abis)` | once, not for each page |
| `Synchronizer.synchronize()`, `.candidates` | a login is asked for before |
| `UvSynchronizer.synchronize()`, `UvResolver.resolve()`, `Build.do_build()` | they start uv |
| `publish.repository.Repository._ensure_credentials()` | would ask for a password |
| `pdm.cli.actions.check_update(project)` | goes its own way |
| `Project.sources`, `Project.config`, `Project.pyproject._data` | what a project says |
| the signal `pre_invoke`, `options.callbacks` | questions before a command |

What has another shape is left alone. Without the first two the whole process takes the forward
route; without one of the others only what it serves is missing.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from pdm.core import Core
    from pdm.project import Project

    from pdm_crane.project import PdmRoute
    from pdm_crane.route import Start
    from pdm_crane.sources import Source

# The commands that may ask an index, and draw their progress meanwhile.
RESOLVING = frozenset(
    {"add", "build", "install", "lock", "outdated", "publish", "remove", "sync", "update"}
)
ROUTE = "_crane_route"  # on a client: the route of its project


def unknown_shape() -> str | None:
    """Return what of this PDM's clients is not as we know it, None if all is."""
    from pdm.environments.base import BaseEnvironment

    if not _has(BaseEnvironment, "_build_session", ["self", "sources", "mounts"]):
        return "BaseEnvironment._build_session"
    return None


def unknown_client(client: type) -> str | None:
    """Return what of PDM's client class is not as we know it, None if all is."""
    if not _has(client, "_transport_for_url", ["self", "url"]):
        return "PDMPyPIClient._transport_for_url"
    return None


def _has(owner: type, name: str, parameters: list[str]) -> bool:
    function = getattr(owner, name, None)
    return function is not None and list(inspect.signature(function).parameters) == parameters


# --- what PDM shows of our errors


class Readable:
    """What is to be told of an error beside PDM, which may swallow it."""

    callback: Callable[[Exception], None] | None = None


@contextlib.contextmanager
def readable() -> Iterator[Readable]:
    """Raise an error of ours as one that PDM shows in one line."""
    told = Readable()
    try:
        yield told
    except Exception as error:
        from crane_core.errors import CraneError

        if not isinstance(error, CraneError):
            raise
        shown = _shown(error)
        if told.callback is not None:
            told.callback(shown)
        raise shown from None


def _shown(error: Any) -> Exception:
    from pdm.exceptions import PdmUsageError
    from rich.markup import escape

    shown: Exception = PdmUsageError(escape(f"crane: {error.line}"))
    return shown


# --- what PDM knows


def sources_of(project: Project) -> Iterator[Source]:
    """Yield each source of a project that is reached by HTTP."""
    from pdm_crane.sources import Source

    for config in project.sources:
        url = config.url or ""
        if url.startswith(("http://", "https://")):
            names = (name for name in config.include_packages if not set(name) & set("*?["))
            own = config.verify_ssl is False or config.ca_certs or config.client_cert
            chosen = bool(config.include_packages or config.exclude_packages)
            yield Source(url, frozenset(names), bool(own), chosen)


def crane_table(project: Project) -> dict[str, Any]:
    """Return what pyproject.toml says in `[tool.crane]`."""
    data = getattr(project.pyproject, "_data", {})
    table = data.get("tool", {}).get("crane", {})
    return dict(table) if isinstance(table, dict) else {}


def requirements_of(project: Project) -> list[str]:
    """Return what pyproject.toml requires of indexes, in all groups, as it is written there.

    Nothing where that has not the form that PDM wants: PDM tells.
    """
    try:
        return list(_required(getattr(project.pyproject, "_data", {})))
    except (AttributeError, TypeError):
        return []


def _required(data: dict[str, Any]) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    metadata = data.get("project", {})
    groups = (
        {"": metadata.get("dependencies", [])},
        metadata.get("optional-dependencies", {}),
        data.get("dependency-groups", {}),
        data.get("tool", {}).get("pdm", {}).get("dev-dependencies", {}),
    )
    own = canonicalize_name(metadata.get("name", ""))
    for line in (line for group in groups for lines in group.values() for line in lines):
        with contextlib.suppress(InvalidRequirement):
            # What is no text includes another group (PEP 735).
            found = Requirement(line) if isinstance(line, str) else None
            if found and found.url is None and canonicalize_name(found.name) != own:
                yield line


def library_of(client: type) -> ModuleType:
    """Return the HTTP library of PDM's client: httpx or httpx2."""
    kind = next(base for base in client.__mro__ if base.__name__ == "Client")
    return sys.modules[kind.__module__.partition(".")[0]]


# --- commands


def add_command(core: Core) -> None:
    """Add `pdm crane`; what its subcommands need is loaded when one is run."""
    from pdm_crane.commands import Command

    core.register_command(Command, "crane")


def before_commands(before: Callable[[str | None, Project], None]) -> None:
    """Call `before` with a command's name and project, right before PDM runs it."""
    from pdm.signals import pre_invoke

    def invoked(project: Project, command: str | None, options: Any, **_: Any) -> None:
        # After PDM's own callbacks, of which one says that nobody may be asked.
        callbacks = getattr(options, "callbacks", [])
        options.callbacks = [*callbacks, lambda project, _: before(command, project)]

    pre_invoke.connect(invoked, weak=False)


# --- patches


def patch(start: Start) -> None:
    """Stand beside what PDM does. The classes are patched: PDM makes its objects everywhere."""
    from pdm.cli import actions
    from pdm.cli.commands.build import Command as Build
    from pdm.environments.base import BaseEnvironment
    from pdm.installers.synchronizers import Synchronizer
    from pdm.installers.uv import UvSynchronizer
    from pdm.models.repositories import BaseRepository
    from pdm.project import Project

    if unknown_shape() is None:
        _patch_sessions(BaseEnvironment, start)
    _around(actions, "check_update", lambda *_, **__: start.suspended())
    _around(UvSynchronizer, "synchronize", lambda it: start.forwarded(it.environment.project))
    _around(Synchronizer, "synchronize", lambda it: _before_sync(it, start))
    _patch_hashes(BaseRepository, start)
    _around(BaseRepository, "fetch_hashes", lambda *_: _nothing_swallowed(start))
    _patch_builds(Build, start)
    _patch_resolver(Project, start)


def _around(owner: Any, name: str, context: Callable[..., Any]) -> None:
    original = getattr(owner, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        with context(*args):
            return original(*args, **options)

    setattr(owner, name, wrapped)


def _replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
    """Put a function that gets PDM's own first in its place, once; nothing where PDM has none."""
    original = getattr(owner, name, None)
    if original is None or hasattr(original, ROUTE):
        return

    @functools.wraps(original)
    def replaced(*args: Any, **options: Any) -> Any:
        return function(original, *args, **options)

    setattr(replaced, ROUTE, True)
    setattr(owner, name, replaced)


def _patch_hashes(repository: Any, start: Start) -> None:
    """Read the hashes one after the other where all pages are in memory.

    PDM's threads wait for the network; without that they only wait for each other.
    """
    if not _has(repository, "fetch_hashes", ["self", "candidates"]):
        return
    if not _has(repository, "get_hashes", ["self", "candidate"]):
        return
    original = repository.fetch_hashes

    @functools.wraps(original)
    def fetch_hashes(self: Any, candidates: Any) -> None:
        wanted = list(candidates)
        if not start.has_read(one.name for one in wanted):
            original(self, wanted)
            return
        for candidate in wanted:
            with contextlib.suppress(Exception):  # as in PDM's threads
                candidate.hashes = self.get_hashes(candidate)

    repository.fetch_hashes = fetch_hashes


@contextlib.contextmanager
def _nothing_swallowed(start: Start) -> Iterator[None]:
    before = start.swallowed
    yield
    if (error := start.swallowed) is not None and error is not before:
        raise error


@contextlib.contextmanager
def _before_sync(synchronizer: Any, start: Start) -> Iterator[None]:
    """Ask for a login first if there are pages to be read, and not in eight threads at once.

    A lock file with URLs needs a login only for files of registered indexes.
    """
    project = synchronizer.environment.project
    hashes = [one.hashes for one in synchronizer.candidates.values() if one.req.is_named]
    urls = [file.get("url") for files in hashes for file in files]
    start.client_made_for(project)
    if not all(hashes) or not all(urls) or any(start.is_registered(url) for url in urls):
        added, updated, _ = synchronizer.compare_with_working_set()
        if added or updated:
            start.require_logins(project)
    yield


def _patch_builds(build: Any, start: Start) -> None:
    original = build.do_build

    @functools.wraps(original)
    def do_build(project: Project, *args: Any, **options: Any) -> Any:
        if not project.config["use_uv"]:
            return original(project, *args, **options)
        with start.forwarded(project):
            return original(project, *args, **options)

    build.do_build = staticmethod(do_build)


def _patch_resolver(project: Any, start: Start) -> None:
    original = project.get_resolver
    patched: set[type] = set()

    @functools.wraps(original)
    def get_resolver(self: Any, *args: Any, **options: Any) -> Any:
        kind = original(self, *args, **options)
        if kind.__name__ == "UvResolver" and kind not in patched:
            _around(kind, "resolve", lambda it: start.forwarded(it.environment.project))
            patched.add(kind)
        return kind

    project.get_resolver = get_resolver


def _patch_sessions(environment: Any, start: Start) -> None:
    original = environment._build_session  # noqa: SLF001 - the place where PDM makes its clients

    @functools.wraps(original)
    def build_session(self: Any, sources: Any = None, mounts: Any = None) -> Any:
        route = start.client_made_for(self.project)
        if route is None:
            return original(self, sources, mounts)
        from pdm.models.session import PDMPyPIClient

        if unknown_client(PDMPyPIClient) is not None:
            start.detour(self.project)
            return original(self, sources, mounts)
        _patch_client(PDMPyPIClient, route, start)
        _patch_tags()
        _patch_passwords(start)
        _patch_uploads(start)
        return original(self, sources, mounts)

    environment._build_session = build_session  # noqa: SLF001


def _patch_client(client: Any, route: PdmRoute, start: Start) -> None:
    if ROUTE in vars(client):
        return
    from pdm_crane.transports import Senders, ThroughCrane

    senders = Senders(library_of(client))
    start.pages = senders.pages
    original = client._transport_for_url  # noqa: SLF001

    @functools.wraps(original)
    def transport_for_url(self: Any, url: Any) -> Any:
        """Stand before PDM's cache as well as before its proxies.

        What it has kept of another source may be older than the private project of that name.
        """
        usual = original(self, url)
        if not route.may_concern(str(url)):
            return usual
        return ThroughCrane(usual, route, senders, lambda: start.is_suspended)

    setattr(client, ROUTE, route)
    client._transport_for_url = transport_for_url  # noqa: SLF001


def _patch_tags() -> None:
    """Remember a machine's tags: PDM makes a finder for each page, and that reads them anew."""
    from unearth import evaluator

    known: dict[str, list[Any]] = {}

    def get_supported(original: Any, *args: Any, **options: Any) -> Any:
        key = repr((args, options))
        if key not in known:
            known[key] = original(*args, **options)
        return list(known[key])

    _replace(evaluator, "get_supported", get_supported)


def _patch_passwords(start: Start) -> None:
    """Keep PDM from looking for a password of a registered index, in files and for each request."""
    from pdm.models.auth import PdmBasicAuth

    def get_new_credentials(
        original: Any, self: Any, original_url: str, *args: Any, **options: Any
    ) -> Any:
        if start.is_registered(original_url) and not start.is_suspended:
            return None, None  # the agent puts the login there
        return original(self, original_url, *args, **options)

    _replace(PdmBasicAuth, "_get_new_credentials", get_new_credentials)


def _patch_uploads(start: Start) -> None:
    """Keep PDM from asking for a password of a registered index; its module may not be there."""
    module = sys.modules.get("pdm.cli.commands.publish.repository")

    def ensure_credentials(original: Any, self: Any, username: Any, password: Any) -> Any:
        if start.takes_upload(self.url):
            return "crane", ""  # the agent puts the login in its place
        return original(self, username, password)

    _replace(getattr(module, "Repository", None), "_ensure_credentials", ensure_credentials)
