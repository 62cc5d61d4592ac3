"""What lies below ``/REPO/``: files, listings, uploads, and who gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request

from . import pages
from .access import Identity
from .asgi import Answer, ASGIApp, html_answer, json_answer, redirect
from .files import FileAnswer
from .listing import entries, html_listing, json_listing
from .negotiate import origin, prefers_html
from .paths import locate, split
from .upload import forbidden, receive_upload

if TYPE_CHECKING:
    from pathlib import Path

    from .behaviour import Behaviour
    from .repository import Repository

Denied = Callable[[Request, Identity | None], Answer]


def not_found(request: Request, behaviour: Behaviour) -> Answer:
    """Make the not-found answer: page or JSON."""
    return pages.error(request, 404, "not-found", 200 if behaviour.legacy_not_found else None)


@dataclass(frozen=True)
class RepositoryRoute:
    """Answers requests to paths in repositories. ``denied`` makes the answer to no right."""

    repositories: Mapping[str, Repository]
    behaviour: Behaviour
    denied: Denied

    async def read(self, request: Request, caller: Identity | None) -> ASGIApp:
        """Answer GET and HEAD."""
        name, rest = split(str(request.scope["path"]))
        repository = self.repositories.get(name)
        # The right comes first: whoever lacks it must not learn what exists.
        if repository is None or not repository.readable(rest, caller):
            return self.denied(request, caller)
        found = locate(repository.root, rest)
        if found is None or not found.exists():
            return not_found(request, self.behaviour)
        if found.is_dir():
            return self._folder(request, repository, found, caller)
        if rest.endswith("/"):
            return not_found(request, self.behaviour)
        return self._file(repository, found)

    def _folder(
        self, request: Request, repository: Repository, folder: Path, caller: Identity | None
    ) -> ASGIApp:
        path: str = request.scope["path"]
        if not path.endswith("/"):
            # The query is lost here, on the real server as well.
            return redirect(origin(request, self.behaviour) + quote(path) + "/")
        index = folder / repository.index_html
        if index.is_file():
            return self._file(repository, index)
        listed = entries(repository, folder, caller)
        if not prefers_html(request) and not self.behaviour.legacy_uploads:
            return json_answer(200, json_listing(listed))
        writable = repository.writable(split(path)[1], caller)
        return html_answer(200, html_listing(path, listed, writable=writable))

    def _file(self, repository: Repository, path: Path) -> FileAnswer:
        return FileAnswer(path, self.behaviour, repository.cache_control)

    async def upload(self, request: Request, caller: Identity | None) -> ASGIApp:
        """Answer POST."""
        path: str = request.scope["path"]
        name, rest = split(path)
        repository = self.repositories.get(name)
        if repository is None or not rest or not repository.writable(rest, caller):
            return forbidden(path)
        target = locate(repository.root, rest.rstrip("/"))
        if target is None:
            return forbidden(path)
        in_place = self.behaviour.partial_uploads
        return await receive_upload(
            request, target, shown=path.removeprefix("/"), in_place=in_place
        )
