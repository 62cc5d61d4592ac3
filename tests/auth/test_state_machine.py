"""The store and the broker in any order of events: no refresh token twice, no newest one lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from auth.kit import Watch, store_in
from auth.model_provider import (
    DEVICE_URL,
    LIFE,
    TOKEN_URL,
    Killed,
    ModelClients,
    ModelProvider,
    Trouble,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crane_core.auth.broker import Broker
from crane_core.auth.context import AuthContext
from crane_core.auth.login import Login, Logout
from crane_core.auth.model import DeviceAuthorization, Session, session_key
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import FileVault
from crane_core.config.model import Index
from crane_core.errors import CraneError, LoginNeeded, ProviderError
from crane_core.http import Clients
from crane_core.secret import Secret

INDEX = Index(
    "firm",
    "https://crane.example/python",
    token_endpoint=TOKEN_URL,
    device_authorization_endpoint=DEVICE_URL,
)
KEY = session_key(INDEX)
PROCESSES = 3
Step = Literal["before the write", "after the write"]
Fate = Literal["well"] | Trouble | Step
ANY_PROCESS = st.integers(0, PROCESSES - 1)
LATER = st.sampled_from([0, LIFE - 20, LIFE + 1, LIFE + 1])
FATE: st.SearchStrategy[Fate] = st.sampled_from(
    ["well", "well", "down before", "down after", "killed before", "killed after",
     "before the write", "after the write", "after the write"]
)  # fmt: skip


@dataclass
class Somebody:
    """A person who approves at once."""

    can_answer: bool = True
    has_browser: bool = False

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        pass

    def show_authorization(self, index: Index, url: str) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


class MortalVault(FileVault):
    """A vault whose process dies at a step of its next write."""

    dies: Step | None = None

    def write(self, name: str, content: bytes) -> None:
        step, self.dies = self.dies, None
        if step == "before the write":
            raise Killed
        super().write(name, content)
        if step == "after the write":
            raise Killed


class Process:
    """What a process has for itself: its view of the store, and its broker."""

    def __init__(self, folder: Path, provider: ModelProvider, clock: Watch) -> None:
        self.vault = MortalVault(folder)
        clients = cast(Clients, ModelClients(provider))
        store = SessionStore(folder, self.vault)
        self.context = AuthContext(store, clients, clock, Somebody(), {})
        self.broker = Broker(self.context)

    async def token(self, rejected: Secret | None = None) -> Secret | Exception:
        """Return a token, or why there is none."""
        try:
            return await self.broker.access_token(INDEX, rejected=rejected)
        except CraneError as error:
            return error


class Machine(RuleBasedStateMachine):
    """Processes of one user on one folder, and a provider that is strict about reuse."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.provider = ModelProvider()
        self.clock = Watch()
        self.processes = [self.new() for _ in range(PROCESSES)]
        # Whether an answer with tokens has been lost since the last login: then, and only then,
        # may the provider know a newer refresh token than we do.
        self.lost = False
        self.ended = False

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def new(self) -> Process:
        return Process(self.folder, self.provider, self.clock)

    def stored(self) -> Session | None:
        """What any new process would read."""
        return store_in(self.folder).read(KEY)

    def live(self, number: int, doing: Coroutine[Any, Any, Any]) -> Any:
        """Let a process do something; a new one takes its place if it dies."""
        try:
            return asyncio.run(doing)
        except Killed:
            self.processes[number] = self.new()
            return None

    def check(self, found: Secret | Exception | None, *, troubled: bool) -> None:
        """What a process was told must be true."""
        session = self.stored()
        if isinstance(found, Secret):
            assert session is not None
            assert found == session.tokens.access_token, "used before it was stored"
        if isinstance(found, LoginNeeded):
            over = self.lost or self.ended or session is None
            assert over, f"a login is asked for without need: {found}"
        if isinstance(found, ProviderError):
            assert troubled, f"an error without trouble: {found}"

    @initialize()
    def begin(self) -> None:
        self.log_in(0)
        self.everybody_looks()

    # --- what may happen ------------------------------------------------------------------------

    @rule(number=ANY_PROCESS)
    def log_in(self, number: int) -> None:
        asked = self.provider.device_codes
        self.live(number, Login(self.processes[number].context, "device").run(INDEX))
        session = self.stored()
        assert session is not None
        assert session.tokens.refresh_token is not None, "a login that has ended was adopted"
        if self.provider.device_codes > asked:
            self.lost = self.ended = False

    @rule()
    def everybody_looks(self) -> None:
        """Each process has read the session, and believes it until it hears of a change."""
        for process in self.processes:
            process.broker.session(INDEX)

    @rule(number=ANY_PROCESS)
    def log_out(self, number: int) -> None:
        self.live(number, Logout(self.processes[number].context).run(INDEX))
        assert self.stored() is None

    @rule(number=ANY_PROCESS, later=LATER, fate=FATE)
    def ask(self, number: int, later: int, fate: Fate) -> None:
        """A process wants a token, which is good, due or over; and something may go wrong."""
        self.clock.offset += later
        process = self.processes[number]
        redeemed, sent = self.provider.redeemed.copy(), self.provider.sent.copy()
        match fate:
            case "before the write" | "after the write":
                process.vault.dies = fate
            case "down before" | "down after" | "killed before" | "killed after":
                self.provider.trouble = fate
        found = self.live(number, process.token())
        if fate in {"before the write", "down after", "killed after"}:
            # Nobody has kept what the provider answered.
            self.lost |= self.provider.redeemed != redeemed
        if fate == "before the write":
            self.provider.unheard += self.provider.sent - sent
        self.check(found, troubled=fate.startswith("down"))
        process.vault.dies = self.provider.trouble = None

    @rule(number=ANY_PROCESS)
    def ask_after_a_401(self, number: int) -> None:
        session = self.processes[number].broker.session(INDEX)
        rejected = session.tokens.access_token if session else None
        found = self.live(number, self.processes[number].token(rejected))
        assert rejected is None or found != rejected
        self.check(found, troubled=False)

    @rule(later=LATER)
    def all_ask_at_once(self, later: int) -> None:
        self.clock.offset += later
        before = self.provider.sent.total()

        async def everybody() -> list[Secret | Exception]:
            return await asyncio.gather(*(p.token() for p in self.processes for _ in range(2)))

        found = asyncio.run(everybody())
        assert len({f if isinstance(f, Secret) else type(f) for f in found}) == 1
        self.check(found[0], troubled=False)
        assert self.provider.sent.total() - before <= 1

    @rule()
    def the_provider_ends_the_login(self) -> None:
        self.provider.end_all()
        self.ended = True

    @rule(number=ANY_PROCESS)
    def death_at_the_end_of_a_login(self, number: int) -> None:
        process = self.processes[number]
        before = self.stored()
        process.vault.dies = "before the write"
        self.live(number, Login(process.context, "device").run(INDEX))
        process.vault.dies = None
        assert self.stored() == before

    # --- what must always hold ------------------------------------------------------------------

    @invariant()
    def no_refresh_token_is_redeemed_twice(self) -> None:
        assert all(count == 1 for count in self.provider.redeemed.values())

    @invariant()
    def none_is_sent_twice_but_after_a_lost_answer(self) -> None:
        for token, count in self.provider.sent.items():
            assert count <= 1 + self.provider.unheard[token], token

    @invariant()
    def the_newest_is_never_lost(self) -> None:
        session = self.stored()
        if session is None or self.lost or self.ended:
            return
        token = session.tokens.refresh_token
        assert token is not None
        grant = self.provider.grant_of[token.reveal()]
        assert self.provider.newest[grant] == token.reveal()

    @invariant()
    def nothing_is_left_open(self) -> None:
        """No temporary file, and every file for the user alone."""
        if self.folder.exists():
            assert not list(self.folder.glob(".*.tmp"))
            assert all(f.stat().st_mode & 0o077 == 0 for f in self.folder.iterdir())


TestStateMachine = Machine.TestCase
TestStateMachine.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
