"""The views of one gateway: what each child process may do through it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crane_core.errors import InvalidURL
from crane_core.gateway.answers import Answers
from crane_core.gateway.authority import Authority
from crane_core.gateway.forward import OpenedOrigin, Other, Registered, Uploads
from crane_core.gateway.owners import BesideOwners, Owners
from crane_core.gateway.passthrough import Relay
from crane_core.gateway.plain_http import PlainHttp
from crane_core.gateway.targets import plain
from crane_core.gateway.trail import Trail
from crane_core.gateway.views import Opened, Views, Wish
from crane_core.http import NO_SETTINGS
from crane_core.proxies import proxies_of
from crane_core.secret import Secret
from crane_core.urls import canonical, origin_of, without_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.ahead import Ahead
    from crane_core.gateway.machinery import Machinery
    from crane_core.http import RelayTransport
    from crane_core.index.source import PrivateFirst, Source
    from crane_core.proxies import Proxies
    from crane_core.urls import Origin


@dataclass(eq=False)
class View:
    """What one child process may do, and what is open on its behalf."""

    name: str
    secret: Secret
    authority: Authority
    origins: dict[Origin, OpenedOrigin]
    proxies: Proxies
    ahead: Ahead
    plain_http: PlainHttp
    trail: Trail
    # How to end each of its connections.
    connections: set[Callable[[], None]] = field(default_factory=set)
    is_closed: bool = False


class Registry(Views):
    """Opens and closes views, and knows the one that a secret belongs to."""

    def __init__(self, machinery: Machinery, configuration: Configuration) -> None:
        self._machinery = machinery
        self._configuration = configuration
        self._views: dict[str, View] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._views)

    def open(self, wish: Wish) -> Opened:
        """Make a view; raises a `CraneError` for an index that is not registered."""
        view = _Builder(self._machinery, self._configuration, wish).view()
        self._views[view.name] = view
        return Opened(
            view.name,
            view.secret,
            view.authority.pem,
            tuple(str(origin) for origin in view.origins),
        )

    def close(self, name: str) -> None:
        """End a view: its secret opens nothing from now on, its connections are closed."""
        view = self._views.pop(name, None)
        if view is None:
            return
        view.is_closed = True
        for end in list(view.connections):
            end()
        task = asyncio.get_running_loop().create_task(_end(view))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def trail(self, name: str) -> Trail:
        """Return what has come to a view; raises `KeyError` if there is no such view."""
        return self._views[name].trail

    def of_secret(self, secret: Secret | None) -> View | None:
        """Return the view that a secret belongs to; all are compared, whichever it is."""
        matching = [view for view in self._views.values() if view.secret == secret]
        return matching[0] if secret is not None and matching else None

    async def close_all(self) -> None:
        """End every view."""
        for name in list(self._views):
            self.close(name)
        await asyncio.gather(*self._ending, return_exceptions=True)


async def _end(view: View) -> None:
    await view.ahead.close()
    await view.plain_http.close()


class _Builder:
    """Puts a view together."""

    def __init__(self, machinery: Machinery, configuration: Configuration, wish: Wish) -> None:
        self._machinery = machinery
        self._configuration = configuration
        self._wish = wish
        self._trail = Trail()
        # The sources that the tool has asked so far: it will ask them for the next name too.
        self._asked: dict[str, None] = {}
        self._indexes = self._chosen()
        self._others = self._other_urls()
        private = {i.name: machinery.private_of(i) for i in self._indexes}
        self._private = private
        self._first: dict[str, PrivateFirst] = {
            name: machinery.builder.owner(source, None) for name, source in private.items()
        }
        self._owners = self._owned_by(self._first.values())
        if wish.serves_fallback:
            for index in self._indexes:
                self._first[index.name].fallback = self._fallback(index)

    def view(self) -> View:
        """Return the view."""
        machinery, proxies = self._machinery, proxies_of(self._wish.proxies)
        ahead = machinery.ahead(dict(self._sources()), self._together)
        ahead.statistics = machinery.ahead_statistics
        hashes = self._wish.needs_hashes
        answers = Answers(machinery.tools, ahead, self._note, needs_hashes=hashes)
        origins = self._origins(answers)
        return View(
            name=secrets.token_hex(8),
            secret=Secret(secrets.token_urlsafe(32)),
            authority=Authority((o.host for o in origins if o.scheme == "https"), machinery.clock),
            origins=origins,
            proxies=proxies,
            ahead=ahead,
            plain_http=PlainHttp(proxies, machinery.tokens, machinery.monitor),
            trail=self._trail,
        )

    def _chosen(self) -> list[Index]:
        """Return the registered indexes: those named, their fallbacks, those among the others."""
        known = self._configuration
        named = self._wish.indexes
        found = list(known) if named is None else [known.find(name) for name in named]
        urls = [index.fallback_url for index in found] + list(self._wish.others)
        found += [index for url in urls if url and (index := self._registered(url))]
        return list({index.name: index for index in found}.values())

    def _registered(self, url: str) -> Index | None:
        try:
            return self._configuration.match(without_login(url))
        except InvalidURL:
            return None

    def _other_urls(self) -> list[str]:
        """Return the URLs of further indexes that are not registered; a file: URL is none."""
        urls = [index.fallback_url for index in self._indexes] + list(self._wish.others)
        found: dict[str, None] = {}
        for url in urls:
            if url and not self._registered(url):
                try:
                    found[canonical(without_login(url))] = None
                except InvalidURL:
                    continue
        return list(found)

    def _owned_by(self, sources: Iterable[PrivateFirst]) -> Owners:
        machinery = self._machinery
        return Owners(tuple(sources), machinery.provenance, machinery.clock, self._is_used)

    def _is_used(self, name: str) -> bool:
        return self._wish.indexes is not None or name in self._asked

    def _fallback(self, index: Index) -> Source | None:
        url = index.fallback_url
        if url is None:
            return None
        registered = self._registered(url)
        source: Source = (
            self._machinery.public_of(url)
            if registered is None
            else self._machinery.builder.owner(self._private[registered.name], None)
        )
        beside = [first for name, first in self._first.items() if name != index.name]
        return BesideOwners(self._owned_by(beside), source) if beside else source

    def _sources(self) -> Iterator[tuple[str, Source]]:
        before: list[PrivateFirst] = []
        for index in self._indexes:
            first = self._first[index.name]
            # Indexes that a command names stand in its order; all that there are stand in none.
            ordered = before and self._wish.indexes is not None and self._wish.ordered
            yield index.name, BesideOwners(self._owned_by(before), first) if ordered else first
            before.append(first)
        for url in self._others:
            source = self._machinery.public_of(url)
            yield url, BesideOwners(self._owners, source, shows_refusals=True)

    def _note(self, source: str) -> None:
        self._asked[source] = None

    def _together(self, source: str) -> tuple[str, ...]:
        return tuple({**self._asked, source: None})

    def _origins(self, answers: Answers) -> dict[Origin, OpenedOrigin]:
        registered: dict[Origin, list[Registered]] = {}
        others: dict[Origin, list[Other]] = {}
        uploads: dict[Origin, list[Index]] = {}
        for index in self._indexes:
            for base in {index.url: None, index.upload_base: None}:
                uploads.setdefault(plain(origin_of(base)), []).append(index)
            found = Registered(index, index.name, self._private[index.name])
            registered.setdefault(plain(origin_of(index.url)), []).append(found)
        for url in self._others:
            origin = origin_of(url)
            path = url.removeprefix(str(origin))
            others.setdefault(plain(origin), []).append(Other(path, url, origin.host))
        return {
            origin: self._opened(
                origin,
                answers,
                registered.get(origin, []),
                others.get(origin, []),
                uploads.get(origin, []),
            )
            for origin in {**registered, **uploads, **others}
        }

    def _opened(
        self,
        origin: Origin,
        answers: Answers,
        registered: list[Registered],
        others: list[Other],
        uploads: list[Index],
    ) -> OpenedOrigin:
        machinery = self._machinery
        own = [found.index for found in registered] or uploads
        tls = own[0].tls if own else NO_SETTINGS

        async def find(origin: Origin) -> RelayTransport:
            return await machinery.file_wires.for_relay(origin, tls)

        relay = Relay(find, machinery.tokens, machinery.monitor)
        return OpenedOrigin(
            origin,
            registered,
            others,
            self._owners,
            answers,
            relay,
            Uploads(list(dict.fromkeys(uploads)), machinery.publishing),
            machinery.monitor,
            self._trail,
            machinery.tools.readiness,
        )
