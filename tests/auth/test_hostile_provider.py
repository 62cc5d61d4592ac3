"""What a broken or hostile provider answers at the device and metadata endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from auth.kit import Desk, at_desk, log_in
from idp.oidc import DEVICE_GRANT, Realm

from crane_core.errors import (
    ConfigError,
    CraneError,
    EndpointMissing,
    InsecureURL,
    LoginDenied,
    ProviderAnswer,
    ProviderUnreachable,
)

GOOD = {
    "device_code": "d",
    "user_code": "ABCD",
    "verification_uri": "https://sso.example/device",
}
ESCAPES = ("\x1b[2J", "\x07", "\x9b31m", "\u202e")


def refused(realm: Realm, folder: Path) -> CraneError:
    """Return how a login fails before anybody is asked to do anything."""

    async def job(desk: Desk) -> CraneError:
        with pytest.raises(CraneError) as caught:
            await desk.login()
        assert desk.person.shown == []
        return caught.value

    error = at_desk(realm, folder, job)
    assert not list(folder.glob("*.json"))
    return error


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<html>log in</html>", ProviderAnswer),
        (200, "", ProviderAnswer),
        (200, "[]", ProviderAnswer),
        (200, '"text"', ProviderAnswer),
        (200, "[" * 100_000, ProviderAnswer),
        (200, "{}", ProviderAnswer),
        (200, '{"a": 1' + "0" * 10_000 + "}", ProviderAnswer),
        (302, "<html>moved</html>", ProviderAnswer),
        (307, "", ProviderAnswer),
        (400, "<html>bad request</html>", ProviderAnswer),
        (400, '{"error": 5}', ProviderAnswer),
        (403, "<html>forbidden</html>", ProviderAnswer),
        (404, "<html>not found</html>", EndpointMissing),
        (405, "", EndpointMissing),
        (429, "", ProviderUnreachable),
        (500, "<html>oops</html>", ProviderUnreachable),
        (503, "", ProviderUnreachable),
        (503, '{"error": "temporarily_unavailable"}', ProviderUnreachable),
        (500, '{"error": "server_error"}', ProviderUnreachable),
    ],
)
def test_an_answer_that_is_no_device_code(
    realm: Realm, folder: Path, status: int, body: str, expected: type[CraneError]
) -> None:
    """Each has one error with a next step, and never another exception."""
    realm.respond(status, body, endpoint="device_authorization")
    error = refused(realm, folder)
    assert type(error) is expected
    assert error.hint


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"error": "HTTP 404 Not Found"}, EndpointMissing),
        (404, {"status": 404, "error": "Not Found", "path": "/token"}, EndpointMissing),
        (503, {"status": 503, "error": "Service Unavailable"}, ProviderUnreachable),
        (500, {"error": "Internal Server Error"}, ProviderUnreachable),
    ],
)
def test_an_error_of_the_server_in_json_is_no_oauth_error(
    realm: Realm, folder: Path, status: int, body: dict[str, Any], expected: type[CraneError]
) -> None:
    """Keycloak and Spring put the HTTP status's name under `error`: the status decides."""
    realm.respond(status, body, endpoint="device_authorization")
    assert type(refused(realm, folder)) is expected


def test_a_failing_server_that_answers_in_json_does_not_end_the_wait(
    realm: Realm, folder: Path
) -> None:
    """A 503 is a reason to back off, in whichever format it comes."""
    realm.respond(503, {"error": "Service Unavailable"}, grant=DEVICE_GRANT)
    assert log_in(realm, folder)[2].sleeps == [1.0, 2.0]


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("value", [None, "", 5, [], {"a": 1}, True, "\x1b[2J", "a\nb"])
def test_a_device_answer_with_an_unusable_field(
    realm: Realm, folder: Path, name: str, value: object
) -> None:
    """Missing, empty, of a wrong type or unprintable: nothing is shown."""
    realm.respond(200, GOOD | {name: value}, endpoint="device_authorization")
    assert type(refused(realm, folder)) is ProviderAnswer


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "javascript://sso.example/%0aalert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "ssh://sso.example/",
        "--version",
        "sso.example/device",
        "https://",
        "http://sso.example/device",
        "http://127.0.0.1.example/device",
    ],
)
def test_an_address_that_no_browser_should_open(
    realm: Realm, folder: Path, name: str, address: str
) -> None:
    """Only https, or http to this machine, is shown and opened."""
    realm.patch({name: address}, endpoint="device_authorization")
    error = refused(realm, folder)
    assert isinstance(error, ConfigError)
    if address.startswith("http://"):
        assert type(error) is InsecureURL


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("code", ["invalid_scope", "invalid_client", "unauthorized_client"])
def test_control_characters_in_an_error_are_not_shown(
    realm: Realm, folder: Path, escape: str, code: str
) -> None:
    """The description stays readable and cannot drive the terminal; it is one line."""
    body = {"error": f"{code}", "error_description": f"no{escape}\r\nway {'x' * 5000}"}
    realm.respond(400, body, endpoint="device_authorization")
    error = refused(realm, folder)
    assert error.line.isprintable()
    assert "way" in error.line
    assert len(error.line) < 600


@pytest.mark.parametrize("escape", ESCAPES)
def test_control_characters_in_the_error_code_are_not_shown(
    realm: Realm, folder: Path, escape: str
) -> None:
    """The name of the error is foreign text, too."""
    realm.respond(400, {"error": f"odd{escape}"}, endpoint="device_authorization")
    assert refused(realm, folder).line.isprintable()


@pytest.mark.parametrize("escape", ESCAPES)
def test_control_characters_in_the_metadata_are_not_shown(
    realm: Realm, folder: Path, escape: str
) -> None:
    """The issuer that a document claims is foreign text, too."""
    realm.patch({"issuer": f"https://other.example/{escape}"}, endpoint="discovery")
    error = refused(realm, folder)
    assert "names another issuer" in error.line
    assert error.line.isprintable()


@pytest.mark.parametrize("value", ["https://sso.example/a\nb", "https://sso.example/\x7f", "a" * 9])
def test_an_endpoint_that_is_no_url_is_no_crash(realm: Realm, folder: Path, value: str) -> None:
    """What the metadata name may be anything; a wrong URL is said, not a traceback."""
    realm.patch({"device_authorization_endpoint": value}, endpoint="discovery")
    assert refused(realm, folder).hint


@pytest.mark.parametrize("value", [5, [], {"a": 1}, True])
def test_an_endpoint_of_a_wrong_type(realm: Realm, folder: Path, value: object) -> None:
    """No URL, no login."""
    realm.patch({"token_endpoint": value}, endpoint="discovery")
    assert type(refused(realm, folder)) is ProviderAnswer


def test_an_endpoint_over_plain_http_elsewhere(realm: Realm, folder: Path) -> None:
    """An https issuer must not send the tokens' way over plain http."""
    realm.patch({"token_endpoint": "http://sso.example/token"}, endpoint="discovery")
    assert type(refused(realm, folder)) is InsecureURL


def test_a_redirect_of_a_poll_is_not_followed(realm: Realm, folder: Path) -> None:
    """A device code posted again elsewhere would be a gift (RFC 9700 §4.12)."""
    target = f"{realm.issuer}/elsewhere"
    realm.respond(307, headers={"location": target}, grant=DEVICE_GRANT)
    with pytest.raises(ProviderAnswer):
        log_in(realm, folder)
    assert not realm.requests("page") or all(r.path != "/elsewhere" for r in realm.requests("page"))


def test_an_address_on_the_wrong_side_of_ten_megabytes(realm: Realm, folder: Path) -> None:
    """A body without an end is not read to its end."""
    realm.respond(200, GOOD | {"padding": "x" * 10_000_000}, endpoint="device_authorization")
    assert type(refused(realm, folder)) is ProviderAnswer


def test_a_denial_tells_nothing_but_itself(realm: Realm, folder: Path) -> None:
    """The description of a denial is not repeated on the terminal."""
    body = {"error": "access_denied", "error_description": "\x1b[2Jcall 0900"}
    realm.respond(400, body, grant=DEVICE_GRANT)
    with pytest.raises(LoginDenied) as caught:
        log_in(realm, folder)
    assert caught.value.line.isprintable()
