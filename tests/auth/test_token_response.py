"""Token responses: read as RFC 6749 §5.1 says, or refused with one error, whatever comes."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from auth.kit import log_in
from hypothesis import given
from hypothesis import strategies as st
from idp.oidc import DEVICE_GRANT, Realm

from crane_core.auth.client_authentication import PublicClient
from crane_core.auth.endpoint import post_form
from crane_core.auth.model import TokenSet
from crane_core.auth.tokens import read_token_response
from crane_core.errors import ProviderAnswer
from crane_core.http import new_client
from crane_core.secret import Secret

NOW = 1_000_000.0
PREVIOUS = TokenSet(
    Secret("old"), NOW - 300, NOW, Secret("refresh-old"), NOW + 900, "openid", "ada"
)


def jwt(**claims: Any) -> str:
    """Return an unsigned token with these claims."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def read(previous: TokenSet | None = None, **fields: Any) -> TokenSet:
    """Read a response that is good but for these fields."""
    return read_token_response({"access_token": "t"} | fields, NOW, previous=previous)


# --- what is good ------------------------------------------------------------------------------


def test_the_least_that_a_provider_may_send() -> None:
    """A token alone is a login without a named end."""
    tokens = read()
    assert tokens.access_token.reveal() == "t"
    assert (tokens.expires_at, tokens.refresh_token, tokens.scope, tokens.account) == (None,) * 4


@pytest.mark.parametrize(
    ("value", "expires_at"),
    [
        (300, NOW + 300),
        (300.5, NOW + 300.5),
        ("300", NOW + 300),
        (" 300 ", NOW + 300),
        (0, NOW),
        (None, None),
        ("", None),
        (10**12, None),
        (1e308, None),
        (math.inf, None),
    ],
)
def test_expires_in_as_a_number_of_seconds(value: object, expires_at: float | None) -> None:
    """Numbers as strings are read; a life of centuries counts as no named end."""
    assert read(expires_in=value).expires_at == expires_at


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_the_token_type_has_no_case(token_type: str) -> None:
    """RFC 6749 §5.1: the value is case-insensitive."""
    assert read(token_type=token_type).access_token.reveal() == "t"


@pytest.mark.parametrize("lifetime", [0, None, ""])
def test_an_offline_refresh_token_has_no_end(lifetime: object) -> None:
    """Keycloak says `refresh_expires_in: 0` for one."""
    tokens = read(refresh_token="r", refresh_expires_in=lifetime)
    assert tokens.can_refresh(NOW + 1e9)


def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one_and_its_end() -> None:
    """RFC 6749 §6: the provider may issue a new one, and need not."""
    tokens = read(previous=PREVIOUS)
    assert tokens.refresh_token == PREVIOUS.refresh_token
    assert tokens.refresh_expires_at == PREVIOUS.refresh_expires_at
    assert tokens.account == "ada"


def test_a_rotated_refresh_token_does_not_inherit_the_old_ones_end() -> None:
    """A new token without a named end has none."""
    tokens = read(previous=PREVIOUS, refresh_token="refresh-new")
    assert tokens.refresh_token == Secret("refresh-new")
    assert tokens.refresh_expires_at is None


def test_the_account_comes_from_the_id_token_before_the_access_token() -> None:
    """The readable name is preferred, and a name with control characters is none."""
    tokens = read(access_token=jwt(preferred_username="a\x1b[2J", sub="7"), id_token=jwt(email="e"))
    assert tokens.account == "e"


@pytest.mark.parametrize(
    ("claims", "lifetime"),
    [
        ({"iat": 50, "exp": 350}, 300),
        ({"nbf": 50, "exp": 350}, 300),
        ({"iat": 350, "exp": 50}, None),
        ({"exp": 350}, None),
        ({"iat": "50", "exp": "350"}, None),
        ({"iat": 0, "exp": 10**15}, None),
        ({"iat": math.nan, "exp": math.inf}, None),
        ({"iat": 0, "exp": 10**400}, None),
        ({"iat": 10**400, "exp": 10**400}, None),
    ],
)
def test_the_hint_of_a_jwt_where_expires_in_is_missing(
    claims: dict[str, Any], lifetime: float | None
) -> None:
    """The claims are foreign text: whatever stands there, it is a hint or nothing."""
    tokens = read(access_token=jwt(**claims))
    assert tokens.expires_at == (None if lifetime is None else NOW + lifetime)


@pytest.mark.parametrize("token", ["a.b.c", "..", "a.!!.c", "e30.W10.c", "e30.bnVsbA.c", "a.b.c.d"])
def test_a_token_that_only_looks_like_a_jwt(token: str) -> None:
    """It is used as it is, and nothing is read out of it."""
    assert read(access_token=token).access_token.reveal() == token


# --- what is refused ---------------------------------------------------------------------------

BAD_TOKENS = [
    None, "", " ", "a b", "a\nb", "a\r\nX: 1", "a\tb", "a\x00b", "a\x7fb", "ä", "\ud800",
    "x" * (64 * 1024 + 1), 5, 1.5, True, [], ["t"], {}, {"t": 1},
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_TOKENS, ids=lambda v: ascii(v)[:20])
def test_an_access_token_that_could_break_out_of_its_header(value: object) -> None:
    """Only printable ASCII without spaces is a token."""
    with pytest.raises(ProviderAnswer) as caught:
        read(access_token=value)
    assert caught.value.exit_code == 15
    assert caught.value.line.isprintable()


@pytest.mark.parametrize("name", ["refresh_token", "id_token"])
@pytest.mark.parametrize("value", [v for v in BAD_TOKENS if v is not None], ids=ascii)
def test_another_token_that_is_unusable(name: str, value: object) -> None:
    """A response is used whole or not at all."""
    with pytest.raises(ProviderAnswer):
        read(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["mac", "DPoP", "N_A", "", None, 5, [], "\x1b[2J", "x" * 9999])
def test_a_token_of_another_type(value: object) -> None:
    """RFC 6749 §7.1: a client must not use a token whose type it does not know."""
    with pytest.raises(ProviderAnswer) as caught:
        read(token_type=value)
    assert caught.value.line.isprintable()
    assert len(caught.value.line) < 300


@pytest.mark.parametrize("name", ["expires_in", "refresh_expires_in"])
@pytest.mark.parametrize(
    "value",
    [-1, -0.5, "-1", "soon", "5 min", math.nan, "nan", -math.inf, True, False, [], {}, [300],
     10**400, -(10**400), "\x1b[2J"],
    ids=lambda v: ascii(v)[:12],
)  # fmt: skip
def test_a_life_that_is_no_number_of_seconds(name: str, value: object) -> None:
    """Negative, not a number, or a number no float holds."""
    with pytest.raises(ProviderAnswer) as caught:
        read(**{name: value})  # type: ignore[arg-type]
    assert name in caught.value.message
    assert caught.value.line.isprintable()


def test_no_secret_in_the_error() -> None:
    """The message of a refused answer does not show what it holds."""
    with pytest.raises(ProviderAnswer) as caught:
        read(access_token="secret-1", refresh_token="secret 2", id_token="secret-3")
    assert "secret" not in repr(caught.value) + caught.value.line


# --- whatever comes ----------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.sampled_from(["Bearer", "t", jwt(iat=1, exp=2), "300", "nan", "inf", "1e999", "1_0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = st.sampled_from(
    ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "scope",
     "id_token"]
)  # fmt: skip


def check(payload: dict[str, Any], previous: TokenSet | None) -> None:
    """Read a payload; what is returned must be usable in every way the broker uses it."""
    try:
        tokens = read_token_response(payload, NOW, previous=previous)
    except ProviderAnswer:
        return
    token = tokens.access_token.reveal()
    assert token
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token
    assert isinstance(tokens.is_fresh(NOW), bool)
    assert isinstance(tokens.is_valid(NOW), bool)
    assert isinstance(tokens.can_refresh(NOW), bool)
    for end in (tokens.expires_at, tokens.refresh_expires_at):
        assert end is None or (math.isfinite(end) and end >= NOW)


@given(st.dictionaries(NAMES, ANYTHING), st.sampled_from([None, PREVIOUS]))
def test_any_payload_is_read_or_refused(payload: dict[str, Any], previous: TokenSet | None) -> None:
    """No payload leads to another exception."""
    check(payload, previous)
    check({"access_token": "t"} | payload, previous)


@given(st.dictionaries(st.sampled_from(["iat", "nbf", "exp", "sub", "email"]), ANYTHING))
def test_any_claims_are_read_or_ignored(claims: dict[str, Any]) -> None:
    """No content of a JWT leads to an exception, or to a refusal."""
    check({"access_token": jwt(**claims), "id_token": jwt(**claims)}, None)


BODIES = [
    "", " ", "<html>log in</html>", "null", "[]", '"t"', "{", "{}", '{"access_token": "t"',
    "access_token=t&token_type=bearer", "[" * 100_000, '{"a":' * 100_000,
    '{"access_token": "t", "expires_in": 1' + "0" * 5000 + "}",
    '{"access_token": "a\\nb"}', '{"access_token": "t", "token_type": "mac"}',
    '{"access_token": "t", "expires_in": NaN}', '{"access_token": "t", "expires_in": -Infinity}',
    '{"access_token": "t", "padding": "' + "x" * 10_000_000 + '"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda b: ascii(b)[:24])
def test_any_body_of_the_token_endpoint(realm: Realm, body: str) -> None:
    """Over a real connection: refused with one error, in bounded memory."""
    realm.respond(200, body, headers={"content-type": "application/json"})

    async def ask() -> None:
        async with new_client() as client:
            form = {"grant_type": "refresh_token"}
            answer = await post_form(client, realm.token_url, form, PublicClient("crane-pip"))
            read_token_response(answer.payload, NOW)

    with pytest.raises(ProviderAnswer):
        asyncio.run(ask())


def test_a_refused_answer_stores_nothing(realm: Realm, folder: Path) -> None:
    """A login with a token that breaks lines ends with exit code 15 and no file."""
    realm.patch({"refresh_token": "a\r\nb"}, grant=DEVICE_GRANT, times=None)
    with pytest.raises(ProviderAnswer):
        log_in(realm, folder)
    assert not list(folder.glob("*.json"))
