"""Which grant a login uses, and why not another: a table of surroundings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grants.kit import NOBODY, Person
from grants.workload import Place, google_machine

from crane_cli.terminal import TerminalPrompt
from crane_core.auth import choose
from crane_core.auth.choose import GRANTS, Chooser, may_be_unattended
from crane_core.auth.credentials import secret_name
from crane_core.auth.grants.workload_identity import JWT_BEARER, TOKEN_EXCHANGE
from crane_core.auth.model import ProviderMetadata, Session, TokenSet
from crane_core.auth.vault import MemoryVault
from crane_core.clients import person
from crane_core.config.model import GRANTS as GRANT_NAMES
from crane_core.config.model import Index
from crane_core.errors import LoginNeeded, UsageError
from crane_core.secret import Secret

ISSUER = "https://sso.example"
FULL = ProviderMetadata(
    token_endpoint=f"{ISSUER}/token",
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/auth",
    device_authorization_endpoint=f"{ISSUER}/device",
    grant_types=("authorization_code", TOKEN_EXCHANGE, JWT_BEARER),
)
BARE = ProviderMetadata(token_endpoint=f"{ISSUER}/token", issuer=ISSUER)
NO_DEVICE = replace(FULL, device_authorization_endpoint=None)
BEARER_ONLY = replace(FULL, grant_types=(JWT_BEARER,))
SILENT = replace(FULL, grant_types=None)

DESK = Person()
SSH = Person(has_browser=False)
SECRET = {"CRANE_CLIENT_SECRET_FIRM": "s"}
JOB = {"GITHUB_ACTIONS": "true"}


def index(**settings: Any) -> Index:
    return Index("firm", "https://crane.example/python", issuer=ISSUER, **settings)


def chooser(person: Person, environ: Mapping[str, str]) -> Chooser:
    return Chooser(environ, MemoryVault(), person)


TABLE: list[tuple[str, Person, dict[str, str], ProviderMetadata, dict[str, Any], str]] = [
    ("a desk", DESK, {}, FULL, {}, "authorization-code"),
    ("a desk, no device flow", DESK, {}, NO_DEVICE, {}, "authorization-code"),
    ("ssh or a container", SSH, {}, FULL, {}, "device"),
    ("a desk, device registered", DESK, {}, FULL, {"grant": "device"}, "device"),
    ("a desk with a secret", DESK, SECRET, FULL, {}, "client-credentials"),
    ("a secret, code registered", DESK, SECRET, FULL, {"grant": "authorization-code"},
     "authorization-code"),
    ("CI with a secret", NOBODY, SECRET, FULL, {}, "client-credentials"),
    ("CI with a key", NOBODY, {}, FULL, {"client_key_file": "key.pem"}, "client-credentials"),
    ("CI with an identity", NOBODY, JOB, FULL, {}, "token-exchange"),
    ("CI with both", NOBODY, SECRET | JOB, FULL, {}, "client-credentials"),
    ("CI, jwt-bearer only", NOBODY, JOB, BEARER_ONLY, {}, "jwt-bearer"),
    ("CI, exchange registered", NOBODY, JOB, SILENT, {"grant": "token-exchange"}, "token-exchange"),
    ("a desk within a job", DESK, JOB, FULL, {}, "authorization-code"),
    ("a desk within a job, audience set", DESK, JOB, FULL, {"workload_audience": "a"},
     "token-exchange"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("person", "environ", "provider", "settings", "grant"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_the_grant_that_is_chosen(
    person: Person,
    environ: dict[str, str],
    provider: ProviderMetadata,
    settings: dict[str, Any],
    grant: str,
) -> None:
    """What somebody set up on purpose, then the browser, then the device grant."""
    assert chooser(person, environ).choose(index(**settings), provider).name == grant


@pytest.mark.parametrize(
    ("person", "settings", "grant"),
    [
        (NOBODY, {}, "token-exchange"),
        (DESK, {}, "authorization-code"),
        (SSH, {}, "device"),
        (DESK, {"workload_audience": "a"}, "token-exchange"),
    ],
    ids=["a service", "a desk", "ssh", "a desk, audience set"],
)
def test_a_machine_of_google(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    person: Person,
    settings: dict[str, Any],
    grant: str,
) -> None:
    """Seen by the name of the machine alone; whoever sits at it logs in as themselves."""
    monkeypatch.setattr(choose, "ROOT", place.root)
    environ = google_machine(place)
    assert may_be_unattended(index(**settings), environ, MemoryVault())
    assert chooser(person, environ).choose(index(**settings), FULL).name == grant
    assert place.service.asked == []


@pytest.mark.parametrize("environ", [SECRET, JOB])
@pytest.mark.parametrize("began", ["device", "authorization-code", "a-later-grant", None])
def test_a_persons_login_does_not_become_a_services(
    environ: dict[str, str], began: str | None
) -> None:
    """Neither behind their back nor by a login that names no grant; who is unknown is a person."""
    before = Session(TokenSet(Secret("t"), 0.0), FULL, began)
    assert not may_be_unattended(index(), environ, MemoryVault(), before)
    assert chooser(NOBODY, environ).unattended(index(), FULL, before) is None
    assert chooser(DESK, environ).choose(index(), FULL, None, before).name == "authorization-code"
    with pytest.raises(LoginNeeded, match="the login here was a person's"):
        chooser(NOBODY, environ).choose(index(), FULL, None, before)


@pytest.mark.parametrize(
    ("settings", "began"),
    [({"grant": "client-credentials"}, "device"), ({}, "client-credentials"), ({}, "jwt-bearer")],
)
def test_a_services_login_goes_on_without_a_person(settings: dict[str, Any], began: str) -> None:
    """It began as one, or the registration says that it is one."""
    before = Session(TokenSet(Secret("t"), 0.0), FULL, began)
    assert may_be_unattended(index(**settings), SECRET, MemoryVault(), before)
    found = chooser(NOBODY, SECRET).unattended(index(**settings), FULL, before)
    assert found is not None
    assert found.name == "client-credentials"


REASONS: list[tuple[Person, dict[str, str], ProviderMetadata, str, str]] = [
    (DESK, {}, FULL, "client-credentials", "no client secret or key is set"),
    (DESK, {}, FULL, "token-exchange", "these surroundings give no identity"),
    (NOBODY, JOB, SILENT, "token-exchange", "the provider does not say that it takes identities"),
    (NOBODY, JOB, BEARER_ONLY, "token-exchange", "the provider does not say"),
    (DESK, JOB, FULL, "jwt-bearer", "somebody is here to log in"),
    (DESK, {}, BARE, "authorization-code", "the provider has no authorization endpoint"),
    (NOBODY, {}, FULL, "authorization-code", "nobody is here"),
    (SSH, {}, FULL, "authorization-code", "no browser is near"),
    (DESK, {}, NO_DEVICE, "device", "the provider does not offer it"),
    (NOBODY, {}, FULL, "device", "nobody is here"),
    (SSH, {}, FULL, "device", ""),
    (NOBODY, SECRET, FULL, "client-credentials", ""),
]


@pytest.mark.parametrize(("person", "environ", "provider", "grant", "reason"), REASONS)
def test_the_reason_against_a_grant(
    person: Person, environ: dict[str, str], provider: ProviderMetadata, grant: str, reason: str
) -> None:
    """Each grant has one, in words; an empty one means that it can be used."""
    verdicts = {
        v.grant.name: v.why_not for v in chooser(person, environ).verdicts(index(), provider)
    }
    assert list(verdicts) == [g.name for g in GRANTS]
    assert set(verdicts) == set(GRANT_NAMES)
    assert verdicts[grant].startswith(reason)
    assert bool(verdicts[grant]) == bool(reason)


def test_a_secret_in_the_vault_counts() -> None:
    """As one in the environment or a file does; another index's does not."""
    vault = MemoryVault()
    vault.write(secret_name(index()), b"s")
    chosen = Chooser({}, vault, NOBODY)
    assert chosen.choose(index(), FULL).name == "client-credentials"
    with pytest.raises(LoginNeeded):
        chosen.choose(index(client_id="other"), FULL)


def test_nobody_can_answer() -> None:
    """Every reason, and what to do about it."""
    with pytest.raises(LoginNeeded) as caught:
        chooser(NOBODY, {}).choose(index(), FULL)
    for grant in GRANTS:
        assert f"{grant.name}: " in caught.value.message
    assert "crane login firm" in caught.value.hint
    assert "CRANE_TOKEN_FIRM" in caught.value.hint


@pytest.mark.parametrize("grant", ["device", "authorization-code"])
def test_a_grant_that_needs_a_person_who_is_not_there(grant: str) -> None:
    """Named on the command line or registered, it fails at once."""
    with pytest.raises(LoginNeeded):
        chooser(NOBODY, {}).choose(index(), FULL, grant)
    with pytest.raises(LoginNeeded):
        chooser(NOBODY, SECRET).choose(index(grant=grant), FULL)


def test_a_grant_that_nobody_knows() -> None:
    """The implicit and the password grant are among them (RFC 9700 §2.1.2, §2.4)."""
    for name in ("implicit", "password"):
        with pytest.raises(UsageError):
            chooser(DESK, {}).choose(index(), FULL, name)
        with pytest.raises(UsageError):
            index(grant=name)


@pytest.mark.parametrize(
    ("environ", "settings", "grant"),
    [
        ({}, {}, None),
        (SECRET, {}, "client-credentials"),
        (SECRET, {"grant": "device"}, None),
        (JOB, {}, "token-exchange"),
        (JOB, {"grant": "jwt-bearer"}, "jwt-bearer"),
        ({}, {"grant": "token-exchange"}, "token-exchange"),
    ],
)
def test_renewing_never_asks_a_person(
    environ: dict[str, str], settings: dict[str, Any], grant: str | None
) -> None:
    """Behind the user's back only a grant without a person is used, and the registered one only."""
    found = chooser(NOBODY, environ).unattended(index(**settings), FULL)
    assert (found.name if found else None) == grant


LINUX_DESK = {"DISPLAY": ":0"}
SCREENS: list[tuple[str, dict[str, str], bool, bool]] = [
    ("a desk", LINUX_DESK, False, True),
    ("wayland", {"WAYLAND_DISPLAY": "wayland-0"}, False, True),
    ("no screen", {}, False, False),
    ("ssh", LINUX_DESK | {"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, False, False),
    ("ssh with a terminal", LINUX_DESK | {"SSH_TTY": "/dev/pts/0"}, False, False),
    ("a container", LINUX_DESK, True, False),
    ("BROWSER over ssh", {"SSH_TTY": "/dev/pts/0", "BROWSER": "lynx"}, False, True),
    ("BROWSER in a container", {"BROWSER": "lynx"}, True, True),
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
@pytest.mark.parametrize(
    ("environ", "container", "browser"), [row[1:] for row in SCREENS], ids=[r[0] for r in SCREENS]
)
def test_a_browser_is_near(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environ: dict[str, str],
    container: bool,
    browser: bool,
) -> None:
    """On ssh and in containers a redirect to 127.0.0.1 would reach another machine."""
    monkeypatch.setattr(person, "_in_container", lambda: container)
    (tmp_path / "xdg-open").write_text("#!/bin/sh\n")
    (tmp_path / "xdg-open").chmod(0o755)
    prompt = TerminalPrompt({"PATH": str(tmp_path), **environ})
    assert prompt.has_browser is browser
    prompt.use_browser = False
    assert not prompt.has_browser


@pytest.mark.parametrize(
    ("environ", "answers"),
    [
        ({"BROWSER": "x"}, True),
        ({"BROWSER": "x", "CI": "true"}, False),
        ({"BROWSER": "x", "CRANE_NON_INTERACTIVE": "1"}, False),
        ({"BROWSER": "x", "CRANE_NON_INTERACTIVE": "0", "CI": "false"}, True),
        ({}, False),
    ],
)
def test_somebody_can_answer(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], answers: bool
) -> None:
    """A browser or a terminal, and no word that nobody is there."""
    monkeypatch.setattr(person, "_in_container", lambda: True)
    assert TerminalPrompt(environ).can_answer is answers
