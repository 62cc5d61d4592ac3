"""The logins behind a view of a tool's process: asked for once, before the first request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from crane_core.errors import CraneError, LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crane_core.clients.in_process import InProcess, Needs, Way
    from crane_core.clients.registered import Registered
    from crane_core.clients.tool_person import ToolPerson
    from crane_core.config.model import Index


class ViewLogins:
    """Knows of each view whether somebody is logged in at all of its indexes."""

    def __init__(self, registered: Registered, person: ToolPerson) -> None:
        self._registered = registered
        self._person = person
        self._lock = threading.RLock()
        # What is wrong with the logins of a view, None if nothing is.
        self._settled: dict[Needs, CraneError | None] = {}

    def problem(self, views: InProcess, way: Way) -> CraneError | None:
        """Return why a way is of no use, None if it is; somebody is asked to log in first."""
        if way.needs not in self._settled:
            with self._lock:  # the other threads wait for the one that asks
                if way.needs not in self._settled:
                    self._settled[way.needs] = self._settle(views, way)
        return self._settled[way.needs]

    def has_changed(self, views: InProcess, way: Way) -> bool:
        """After a refusal: whether a login had ended, and there is a new one now.

        Raises a `CraneError` if there is none.
        """
        with self._lock:
            if not views.logins_needed(way):
                return False
            self._settled.pop(way.needs, None)
            problem = self.problem(views, way)
        if problem is not None:
            raise problem
        return True

    def ask_early(self, indexes: Sequence[Index]) -> None:
        """Ask for the logins that are clearly missing, before the tool draws its progress.

        Nobody is asked where that would fail; the first request tells then. Raises a `CraneError`.
        """
        from crane_core.auth.choose import may_be_unattended
        from crane_core.auth.credentials import is_ready_made
        from crane_core.clients.logins import session_store, who

        if not self._person.can_answer:
            return
        environ = self._registered.environ
        store = session_store(self._registered.paths, environ)
        missing = [
            index
            for index in indexes
            if not is_ready_made(index, environ)
            and who(store.read_for(index), time.time()) is None
            and not may_be_unattended(index, environ, store.vault)
        ]
        if missing:
            self._ask(missing)

    def _settle(self, views: InProcess, way: Way) -> CraneError | None:
        indexes = [self._registered.configuration.find(name) for name in way.needs.indexes]
        needed = views.logins_needed(way)
        missing = [index for index in indexes if index.name in needed]
        try:
            if missing:
                self._require_person(missing, needed)
                self._ask(missing)
            for index in indexes:
                self._person.verbose(f"{index.name}: {self._whose(index)} via crane")
        except CraneError as error:
            return error
        return None

    def _require_person(self, missing: Sequence[Index], needed: Mapping[str, str]) -> None:
        if not self._person.can_answer:
            name = missing[0].name
            suffix = missing[0].variable_suffix
            raise LoginNeeded(
                f"nobody is logged in at {name} ({needed[name].partition(';')[0]}), "
                "and nobody can be asked here",
                hint=f"run: {self._person.commands} login {name}, or set CRANE_TOKEN_{suffix}",
            )

    def _ask(self, missing: Sequence[Index]) -> None:
        import asyncio

        from crane_core.clients.logins import log_in

        registered = self._registered
        asyncio.run(log_in(registered.paths, registered.environ, self._person, missing))

    def _whose(self, index: Index) -> str:
        from crane_core.auth.credentials import is_ready_made
        from crane_core.clients.logins import session_store, who

        if is_ready_made(index, self._registered.environ):
            return "authenticated with a token that was set,"
        store = session_store(self._registered.paths, self._registered.environ)
        return f"authenticated as {who(store.read_for(index), time.time()) or 'somebody'}"
