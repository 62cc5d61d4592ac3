"""What an ID token must say for a login to count (OpenID Connect Core §3.1.3.7, §12.2)."""

from __future__ import annotations

import base64
import json
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from auth.kit import Watch, log_in
from hypothesis import given
from hypothesis import strategies as st
from idp.oidc import DEVICE_GRANT, Realm

from crane_core.auth.model import Identity
from crane_core.auth.tokens import read_identity
from crane_core.errors import ProviderAnswer

NOW = 1_000_000.0
ISSUER = "https://sso.example/r"
NAMED = {"iss": ISSUER, "aud": "crane-pip", "sub": "7", "exp": NOW + 300}
OURS = Identity(ISSUER, "7", ("crane-pip",))


def jwt(**claims: Any) -> str:
    """Return an unsigned token with these claims."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def named(
    *without: str, issuer: str | None = ISSUER, before: Identity | None = None, **claims: Any
) -> Identity | None:
    """Return whom an ID token names that is good but for these claims."""
    told = {name: value for name, value in (NAMED | claims).items() if name not in without}
    payload = {"access_token": "t", "id_token": jwt(**told)}
    return read_identity(payload, "crane-pip", issuer, now=NOW, nonce=None, before=before)


def test_whom_an_id_token_names() -> None:
    """What a later one is compared with."""
    assert named() == OURS
    assert named(aud=["x", "crane-pip"]) == Identity(ISSUER, "7", ("x", "crane-pip"))


@pytest.mark.parametrize("token", [None, "opaque", "a.b", "a.b.c.d.e"])
def test_what_has_not_the_form_of_a_jwt_is_not_looked_at(token: str | None) -> None:
    """An opaque or an encrypted one is for others; it names nobody."""
    payload = {"access_token": "t", "id_token": token}
    assert read_identity(payload, "crane-pip", ISSUER, now=NOW, nonce="n", before=OURS) is None


@pytest.mark.parametrize("token", ["a.b.c", "..", "e30.W10.c", "e30.bnVsbA.c", "e30.e30.c2ln"])
def test_a_jwt_that_cannot_be_read(token: str) -> None:
    """It might say anything, so the answer is malformed."""
    with pytest.raises(ProviderAnswer, match="cannot be read"):
        read_identity({"access_token": "t", "id_token": token}, "crane-pip", ISSUER)


MICROSOFT = "https://login.microsoftonline.com/{tenantid}/v2.0"
TENANT = "https://login.microsoftonline.com/0f-1/v2.0"


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (ISSUER, {"iss": f"{ISSUER}/"}),
        (f"{ISSUER}/", {}),
        (ISSUER, {"iss": None}),
        (None, {"iss": "https://elsewhere.example"}),
        (None, {"iss": 5}),
        ("https://accounts.google.com", {"iss": "accounts.google.com"}),
        (MICROSOFT, {"iss": TENANT, "tid": "0f-1"}),
    ],
)
def test_the_issuer_of_an_id_token(issuer: str | None, claims: dict[str, Any]) -> None:
    """The pinned one, but for a slash; any, where the endpoints were registered by hand."""
    assert named(issuer=issuer, **claims) is not None


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (ISSUER, {"iss": "https://sso.example/R"}),
        (ISSUER, {"iss": "https://sso.example"}),
        (ISSUER, {"iss": "http://sso.example/r"}),
        (ISSUER, {"iss": ""}),
        (ISSUER, {"iss": 5}),
        (ISSUER, {"iss": [ISSUER]}),
        (ISSUER, {"iss": "\x1b[2J" * 999}),
        (MICROSOFT, {"iss": TENANT, "tid": "another"}),
        (MICROSOFT, {"iss": TENANT}),
        (MICROSOFT, {"iss": MICROSOFT}),
    ],
)
def test_an_id_token_of_another_issuer(issuer: str, claims: dict[str, Any]) -> None:
    """One line, with both names."""
    with pytest.raises(ProviderAnswer, match=r"\(iss\)") as caught:
        named(issuer=issuer, **claims)
    assert issuer in caught.value.message
    assert caught.value.line.isprintable()
    assert len(caught.value.line) < 500


@pytest.mark.parametrize("claims", [
    {"aud": None}, {"aud": ""}, {"aud": "crane"}, {"aud": []}, {"aud": ["another"]}, {"aud": 5},
    {"aud": {"crane-pip": 1}}, {"aud": [["crane-pip"]]},
    {"aud": ["crane-pip", "x"], "azp": "x"}, {"aud": ["crane-pip", "x"], "azp": ["crane-pip"]},
])  # fmt: skip
def test_an_id_token_for_another_client(claims: dict[str, Any]) -> None:
    """Core §3.1.3.7, numbers 3 to 5."""
    with pytest.raises(ProviderAnswer):
        named(**claims)


@pytest.mark.parametrize(
    "claims", [{"azp": "an app of the same project"}, {"aud": ["crane-pip", "x"]},
               {"aud": ["crane-pip", "x"], "azp": "crane-pip"}],
)  # fmt: skip
def test_an_id_token_for_us(claims: dict[str, Any]) -> None:
    """With one audience, who asked for it does not matter."""
    assert named(**claims) is not None


@pytest.mark.parametrize(
    ("end", "good"),
    [(NOW - 290, True), (NOW - 310, False), (0, False), (-(10**400), False), (10**400, True),
     ("soon", True), (None, True), (math.nan, True)],
)  # fmt: skip
def test_the_end_of_an_id_token(end: object, good: bool) -> None:
    """Five minutes are forgiven; what is no time is not looked at."""
    if good:
        assert named(exp=end) is not None
    else:
        with pytest.raises(ProviderAnswer, match="expired"):
            named(exp=end)
    payload = {"access_token": "t", "id_token": jwt(**NAMED | {"exp": end})}
    assert read_identity(payload, "crane-pip", ISSUER) == OURS


@pytest.mark.parametrize(
    ("before", "good"),
    [
        (OURS, True),
        (Identity(None, None), True),
        (Identity(None, "7"), True),
        (Identity("https://elsewhere.example", "7", ("crane-pip",)), False),
        (Identity(ISSUER, "8", ("crane-pip",)), False),
        (Identity(ISSUER, "7", ("crane-pip", "x")), False),
    ],
)
def test_an_id_token_after_another(before: Identity, good: bool) -> None:
    """Core §12.2: the same issuer, subject and audience, where both name one."""
    if good:
        assert named(issuer=None, before=before) == OURS
        assert named("sub", "iss", issuer=None, before=before) is not None
    else:
        with pytest.raises(ProviderAnswer, match="somebody else"):
            named(issuer=None, before=before)


@pytest.mark.parametrize(
    "claims",
    [{"aud": "another"}, {"iss": "https://elsewhere.example"}, {"exp": 1}, {"nonce": "any"}],
    ids=lambda claims: next(iter(claims)),
)
def test_a_device_login_with_another_clients_id_token(
    realm: Realm, tmp_path: Path, claims: dict[str, Any]
) -> None:
    """Exit code 15 and no file; a nonce was not sent, so none is compared."""
    good = {"iss": realm.issuer, "aud": "crane-pip", "sub": "ada", "exp": time.time() + 300}
    realm.patch({"id_token": jwt(**good | claims)}, grant=DEVICE_GRANT, times=None)
    if "nonce" in claims:
        assert log_in(realm, tmp_path)[0].identity == Identity(realm.issuer, "ada", ("crane-pip",))
        return
    with pytest.raises(ProviderAnswer) as caught:
        log_in(realm, tmp_path)
    assert caught.value.exit_code == 15
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("minutes", [60, -60])
def test_the_end_of_an_id_token_is_by_the_providers_clock(
    realm: Realm, tmp_path: Path, minutes: int
) -> None:
    """It tells its time in each answer; this machine's may be wrong."""
    claims = {"iss": realm.issuer, "aud": "crane-pip", "sub": "ada"}
    clock = Watch(offset=minutes * 60.0)
    for end, good in ((300, True), (-310, False)):
        token = jwt(**claims, exp=time.time() + end)
        realm.patch({"id_token": token}, grant=DEVICE_GRANT)
        with nullcontext() if good else pytest.raises(ProviderAnswer, match="expired"):
            log_in(realm, tmp_path / str(end), clock=clock)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.sampled_from([ISSUER, "crane-pip", "7", "{tenantid}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*NAMED, "azp", "tid", "nonce"]), ANYTHING))
def test_any_claims_of_an_id_token(claims: dict[str, Any]) -> None:
    """They name somebody, or are refused in one line; nothing else happens."""
    for nonce, before in ((None, None), ("n", OURS)):
        payload = {"access_token": "t", "id_token": jwt(**NAMED | claims)}
        try:
            found = read_identity(payload, "crane-pip", ISSUER, now=NOW, nonce=nonce, before=before)
        except ProviderAnswer:
            continue
        assert found is not None
        assert "crane-pip" in found.audiences
