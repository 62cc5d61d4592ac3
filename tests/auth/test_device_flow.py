"""The device flow against a real provider (RFC 8628), on a clock that does not wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from auth.kit import Desk, Watch, at_desk, log_in, nothing
from idp.oidc import DEVICE_GRANT, Idp, Options, Realm

from crane_core.errors import (
    ClientRejected,
    EndpointMissing,
    LoginDenied,
    LoginExpired,
    ProviderAnswer,
)


def later(realm: Realm, polls: int, act: Callable[[str], None] | None = None) -> Watch:
    """Return a clock on which the person decides after so many waits."""

    def then(sleeps: int) -> None:
        if sleeps == polls:
            (code,) = realm.pending_codes()
            (act or realm.approve_device)(code)

    return Watch(then=then)


def log_in_slowly(realm: Realm, folder: Path, clock: Watch) -> Watch:
    """Log in while the person acts through the clock only."""

    async def job(desk: Desk) -> Watch:
        desk.person.act = nothing
        await desk.login()
        return desk.clock

    return at_desk(realm, folder, job, clock=clock)


def answers(realm: Realm) -> list[str | int | None]:
    """Return what the polls were answered: an error, or the status."""
    return [r.error or r.status for r in realm.requests("token", grant=DEVICE_GRANT)]


def test_an_approved_login_is_stored_with_everything_the_provider_said(
    realm: Realm, folder: Path
) -> None:
    """Account, both ends and the scope come from the answer; the endpoints are kept."""
    session, person, clock = log_in(realm, folder)
    tokens = session.tokens
    assert tokens.account == "ada"
    assert tokens.expires_at == pytest.approx(tokens.issued_at + 300)
    assert tokens.refresh_expires_at == pytest.approx(tokens.issued_at + 1800)
    assert session.provider.token_endpoint == realm.token_url
    assert session.provider.revocation_endpoint is not None
    assert person.shown[0].verification_uri_complete is not None
    assert clock.sleeps == [1.0]


def test_the_request_carries_client_and_scope_and_no_secret(realm: Realm, folder: Path) -> None:
    """Client id, scope, audience and resource go along; nothing else does."""
    log_in(realm, folder, audience="https://aud.example")
    (asked,) = realm.requests("device_authorization")
    assert asked.params == {
        "client_id": "crane-pip",
        "scope": "openid offline_access",
        "audience": "https://aud.example",
    }
    assert asked.auth == "none"


def test_polling_goes_on_while_the_person_decides(realm: Realm, folder: Path) -> None:
    """`authorization_pending` changes nothing: the same interval, until the answer is there."""
    clock = log_in_slowly(realm, folder, later(realm, 4))
    assert clock.sleeps == [1.0] * 4
    assert answers(realm) == ["authorization_pending"] * 3 + [200]


def test_a_denied_login_says_so(realm: Realm, folder: Path) -> None:
    """`access_denied` is exit code 11, and nothing is stored."""
    with pytest.raises(LoginDenied) as caught:
        log_in_slowly(realm, folder, later(realm, 2, realm.deny_device))
    assert caught.value.exit_code == 11
    assert not list(folder.glob("*.json"))


def test_a_login_that_the_provider_lets_expire(realm: Realm, folder: Path) -> None:
    """`expired_token` is exit code 12."""
    with pytest.raises(LoginExpired) as caught:
        log_in_slowly(realm, folder, later(realm, 2, lambda _: realm.expire("device")))
    assert caught.value.exit_code == 12
    assert answers(realm) == ["authorization_pending", "expired_token"]
    assert not list(folder.glob("*.json"))


def test_polling_ends_by_itself_when_the_code_has_expired(realm: Realm, folder: Path) -> None:
    """Without any word of the provider the client stops at `expires_in`."""
    realm.patch({"expires_in": 3}, endpoint="device_authorization")
    clock = Watch()
    with pytest.raises(LoginExpired):
        log_in_slowly(realm, folder, clock)
    assert sum(clock.sleeps) == pytest.approx(3, abs=0.5)
    assert set(answers(realm)) == {"authorization_pending"}


def test_slow_down_lasts_for_all_later_polls(realm: Realm, folder: Path) -> None:
    """Each `slow_down` adds five seconds, for good and without a ceiling (RFC 8628 §3.5)."""
    realm.configure(Options(slow_down=7))
    clock = log_in_slowly(realm, folder, later(realm, 10))
    assert clock.sleeps == [1.0, 6.0, 11.0, 16.0, 21.0, 26.0, 31.0, 36.0, 36.0, 36.0]
    assert answers(realm) == ["slow_down"] * 7 + ["authorization_pending"] * 2 + [200]


def test_five_seconds_where_the_provider_names_no_interval(idp: Idp, folder: Path) -> None:
    """The default interval of RFC 8628 §3.2."""
    assert log_in(idp["norotate"], folder)[2].sleeps == [5.0]


@pytest.mark.parametrize("interval", [0, -3, "soon", None, [], {}])
def test_a_senseless_interval_counts_as_none(realm: Realm, folder: Path, interval: object) -> None:
    """Such an answer neither fails the login nor makes it hammer the provider."""
    realm.patch({"interval": interval}, endpoint="device_authorization")
    assert log_in(realm, folder)[2].sleeps == [5.0]


@pytest.mark.parametrize("field", ["interval", "expires_in"])
def test_a_number_beyond_every_float_is_no_crash(realm: Realm, folder: Path, field: str) -> None:
    """A JSON integer of 400 digits counts as a senseless number like any other."""
    digits = '{"device_code":"d","user_code":"U","verification_uri":"https://sso.example/device",'
    realm.respond(
        200,
        f'{digits}"{field}":1{"0" * 400}}}',
        endpoint="device_authorization",
        headers={"content-type": "application/json"},
    )
    realm.fail("access_denied", grant=DEVICE_GRANT)

    async def job(desk: Desk) -> None:
        desk.person.act = nothing
        await desk.login()

    with pytest.raises(LoginDenied):
        at_desk(realm, folder, job)


def test_a_broken_connection_backs_off_and_goes_on(realm: Realm, folder: Path) -> None:
    """The wait doubles while the network fails, and is the interval again afterwards."""
    realm.quirk("drop_request", grant=DEVICE_GRANT, times=3)
    clock = log_in_slowly(realm, folder, later(realm, 5))
    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 1.0]


def test_an_answer_that_was_lost_is_not_taken_for_a_broken_provider(
    realm: Realm, folder: Path
) -> None:
    """The code was redeemed, and the tokens did not come: what helps is another login."""
    realm.quirk("drop_answer", grant=DEVICE_GRANT)
    with pytest.raises(LoginExpired, match="lost on the way") as caught:
        log_in(realm, folder)
    assert caught.value.hint == "run: crane login"
    assert answers(realm)[-1] == "invalid_grant"


def test_a_code_that_is_refused_later_is_the_providers_word(realm: Realm, folder: Path) -> None:
    """What was lost before somebody was still to decide was no answer to the login."""
    realm.quirk("drop_request", grant=DEVICE_GRANT)

    def refuse(_: str) -> None:
        realm.fail("invalid_grant", grant=DEVICE_GRANT)

    with pytest.raises(ProviderAnswer, match="invalid_grant"):
        log_in_slowly(realm, folder, later(realm, 3, refuse))
    assert answers(realm)[-2:] == ["authorization_pending", "invalid_grant"]


def test_a_failing_provider_backs_off_and_goes_on(realm: Realm, folder: Path) -> None:
    """A 502 of a load balancer is a network error too, not the end of the login."""
    realm.respond(502, "<html>bad gateway</html>", grant=DEVICE_GRANT, times=2)
    clock = log_in_slowly(realm, folder, later(realm, 3))
    assert clock.sleeps == [1.0, 2.0, 4.0]


def test_backing_off_is_never_faster_than_the_interval(realm: Realm, folder: Path) -> None:
    """An interval of 90 s is kept where the ceiling of the back-off is lower."""
    realm.patch({"interval": 90}, endpoint="device_authorization")
    realm.quirk("drop_request", grant=DEVICE_GRANT, times=2)
    clock = log_in_slowly(realm, folder, later(realm, 3))
    assert len(clock.sleeps) == 3
    assert min(clock.sleeps) >= 90


def test_a_provider_that_sends_as_little_as_it_may(idp: Idp, folder: Path) -> None:
    """No complete address, no refresh token, no end of it: the login works."""
    session, person, _ = log_in(idp["bare"], folder)
    assert person.shown[0].verification_uri_complete is None
    assert session.tokens.refresh_token is None
    assert session.tokens.refresh_expires_at is None
    assert session.tokens.account == "ada"


def test_a_refresh_token_without_a_named_end(idp: Idp, folder: Path) -> None:
    """`refresh_expires_in` is no part of RFC 6749: without it there is no end."""
    tokens = log_in(idp["norotate"], folder)[0].tokens
    assert tokens.refresh_token is not None
    assert tokens.refresh_expires_at is None
    assert tokens.can_refresh(tokens.issued_at + 1e9)


def test_a_provider_without_the_device_flow(idp: Idp, folder: Path) -> None:
    """It is named, with whom to ask, before anything is shown to the person."""
    with pytest.raises(ClientRejected) as caught:
        log_in(idp["nodevice"], folder)
    assert caught.value.exit_code == 13
    assert "does not offer the device flow" in caught.value.message
    assert "administrators" in caught.value.hint


def test_an_unknown_client(realm: Realm, folder: Path) -> None:
    """`invalid_client` is exit code 13, with the option to check."""
    with pytest.raises(ClientRejected) as caught:
        log_in(realm, folder, client_id="nobody")
    assert caught.value.exit_code == 13
    assert "--client-id" in caught.value.hint


def test_a_wrong_device_url(realm: Realm, folder: Path) -> None:
    """A 404 is exit code 16 and names the URL."""
    wrong = f"{realm.issuer}/wrong"
    with pytest.raises(EndpointMissing, match="wrong") as caught:
        log_in(realm, folder, token_endpoint=realm.token_url, device_authorization_endpoint=wrong)
    assert caught.value.exit_code == 16


def test_a_wrong_token_url(realm: Realm, folder: Path) -> None:
    """The code is fine, then the token URL is not: exit code 16, not an endless wait."""
    wrong = f"{realm.issuer}/wrong"
    with pytest.raises(EndpointMissing, match="wrong"):
        log_in(realm, folder, token_endpoint=wrong, device_authorization_endpoint=realm.device_url)


def test_endpoints_given_by_hand_need_no_discovery(realm: Realm, folder: Path) -> None:
    """The four-argument form works where a provider publishes no metadata."""
    log_in(
        realm,
        folder,
        issuer=None,
        token_endpoint=realm.token_url,
        device_authorization_endpoint=realm.device_url,
    )
    assert realm.requests("discovery") == []


def test_a_page_at_the_token_endpoint_ends_the_wait(realm: Realm, folder: Path) -> None:
    """HTML with status 200 is a wrong URL or a proxy: said at once, with what came."""
    realm.respond(200, "<html>log in</html>", grant=DEVICE_GRANT, times=None)
    with pytest.raises(ProviderAnswer, match="text/html"):
        log_in(realm, folder)


@pytest.mark.parametrize("minutes", [60, -60])
def test_a_clock_one_hour_off_is_said_and_no_obstacle(
    realm: Realm, folder: Path, minutes: int
) -> None:
    """The login works, and the person learns which clock is ahead."""
    session, person, clock = log_in(realm, folder, clock=Watch(offset=minutes * 60.0))
    side = "ahead of" if minutes > 0 else "behind"
    assert any(f"60 minutes {side}" in notice for notice in person.notices)
    assert session.tokens.is_fresh(clock.now())


def test_a_right_clock_is_not_worth_a_word(realm: Realm, folder: Path) -> None:
    """No notice without a reason."""
    assert log_in(realm, folder)[1].notices == []


def test_the_life_of_a_token_without_expires_in_is_the_difference_of_the_providers_times(
    realm: Realm, folder: Path
) -> None:
    """`exp` alone would be an hour wrong where the provider's clock is."""
    realm.configure(Options(send_expires_in=False, clock_offset_seconds=3600))
    tokens = log_in(realm, folder)[0].tokens
    assert tokens.expires_at == pytest.approx(tokens.issued_at + 300)


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 2026 00:00:00 GMT", "0"])
def test_a_senseless_date_is_ignored(realm: Realm, folder: Path, date: str) -> None:
    """The header is for a hint only."""
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 300}
    realm.respond(200, token, headers={"date": date})
    session, person, _ = log_in(realm, folder)
    assert session.tokens.access_token.reveal() == "t"
    assert person.notices == []
