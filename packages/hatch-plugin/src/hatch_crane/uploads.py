"""`hatch publish -p crane`: Hatch's own upload, to a registered index, without a password.

What it touches of Hatch's inside holds for 1.14.0 to 1.18.2: `IndexPublisher.publish` makes a
`hatch.index.core.PackageIndex`, by that name, whose `client` is an httpx or httpx2 one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import sys
from typing import TYPE_CHECKING, Any

from crane_core.clients.project_route import ProjectRoute
from crane_core.clients.registered import read_registered
from crane_core.errors import NotRegistered, UsageError
from crane_core.platform import user_paths
from crane_core.urls import within
from hatch_crane.hatch_internals import Surroundings, readable
from hatch_crane.person import HatchPerson
from hatch_crane.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from crane_core.clients.in_process import Way
    from crane_core.clients.registered import Registered

REFUSED = ("user", "auth", "ca_cert", "client_cert", "client_key")  # what crane does itself


def publish(
    publisher: Any,
    original: Callable[[Sequence[str], dict[str, Any]], None],
    artifacts: Sequence[str],
    options: dict[str, Any],
) -> None:
    """Upload as Hatch does; an index that is not registered is refused, and so is none.

    Hatch itself would go to PyPI then.
    """
    with readable():
        registered = read_registered(user_paths(os.environ), os.environ)
        if registered.trouble is not None:
            raise registered.trouble
        url = upload_url(registered, named_repository(publisher, options))
        person = HatchPerson(os.environ, Surroundings(publisher.app.platform))
        way = ProjectRoute(registered, Sources((url,)), person).way(url)
        assert way is not None  # it is registered
    # A name and a password, lest Hatch asks for them; the agent puts the login in their place.
    # Hatch hides these two wherever they stand in what it prints.
    more = {"repo": url, "user": "no-name-is-needed", "auth": "no-password-is-needed"}
    with contextlib.ExitStack() as stack:
        with readable():
            stack.enter_context(uploading_by(way))
        original(artifacts, {n: v for n, v in options.items() if n not in REFUSED} | more)


def named_repository(publisher: Any, options: dict[str, Any]) -> str | None:
    """Return what an option, a command line or Hatch's configuration names to upload to."""
    named = options.get("repo")
    if not named:
        from click import get_current_context

        # Hatch hands `--repo` to its own publisher only.
        context = get_current_context(silent=True)
        named = context.params.get("repo") if context else None
    for configuration in (publisher.project_config, publisher.plugin_config):
        named = named or configuration.get("repo")
    return str(named) if named else None


def upload_url(registered: Registered, named: str | None) -> str:
    """Return where to upload to, by the name or a URL of a registered index.

    Raises `UsageError` and `NotRegistered`.
    """
    if not named:
        raise UsageError("no index is named to publish to", hint="add: -r NAME or -r URL")
    if "://" not in named:
        return f"{registered.configuration.find(named).url}/"
    if not any(within(named, index.token_prefix) for index in registered.configuration):
        raise NotRegistered(
            f"{named} is not a registered index", hint=f"run: crane index register {named}"
        )
    return named


def unknown_shape() -> str | None:
    """Return what of this Hatch's uploads is not as we know it, None if all is."""
    try:
        from hatch.index.core import PackageIndex
    except ImportError:
        return "PackageIndex"
    client = vars(PackageIndex).get("client")
    return None if isinstance(client, functools.cached_property) else "PackageIndex.client"


@contextlib.contextmanager
def uploading_by(way: Way) -> Iterator[None]:
    """Let the uploads meanwhile go this way. Raises `UsageError` where it is not known how."""
    if unknown_shape():
        raise UsageError(
            "this version of Hatch uploads in a way that hatch-crane does not know",
            hint="run: crane publish",
        )
    from hatch.index import core

    original: Any = core.PackageIndex

    class PackageIndex(original):  # type: ignore[valid-type, misc, unused-ignore]
        @functools.cached_property
        def client(self) -> Any:
            """Hatch's client has a transport of its own, which passes over proxy variables."""
            usual = super().client
            usual.close()
            library: Any = sys.modules[type(usual).__module__.partition(".")[0]]
            trusted = ssl.create_default_context(cafile=way.bundle)
            proxy = library.Proxy(way.proxy.reveal())
            return library.Client(
                headers=usual.headers,
                timeout=usual.timeout,
                transport=library.HTTPTransport(verify=trusted, proxy=proxy, trust_env=False),
            )

    core.PackageIndex = PackageIndex
    try:
        yield
    finally:
        core.PackageIndex = original
