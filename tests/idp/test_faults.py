"""The identity provider misbehaves on demand, and its process starts and ends as it should."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

from .flows import (
    ask_device,
    discover,
    error,
    log_in,
    refresh,
    self_signed,
    verified,
)
from .oidc import (
    IdpError,
    Options,
    Realm,
    RealmSpec,
    start_idp,
)


def test_errors_in_the_providers_place(http: httpx2.Client, keycloak: Realm) -> None:
    keycloak.respond(503, headers={"retry-after": "1"}, grant="refresh_token", times=2)
    keycloak.fail("temporarily_unavailable", grant="refresh_token")
    keycloak.respond(200, "<html>maintenance</html>", times=None)
    answers = [refresh(http, keycloak, "any") for _ in range(5)]
    assert [a.status_code for a in answers] == [503, 503, 400, 200, 200]
    assert answers[0].headers["retry-after"] == "1"
    assert answers[2].json() == {"error": "temporarily_unavailable"}
    assert answers[4].headers["content-type"].startswith("text/html")
    errors = [r.error for r in keycloak.requests("token")]
    assert errors == [None, None, "temporarily_unavailable", None, None]
    keycloak.clear_quirks()
    assert error(refresh(http, keycloak, "any")) == "400 invalid_grant"


def test_a_lost_answer_has_used_up_the_refresh_token(http: httpx2.Client, keycloak: Realm) -> None:
    refresh_token = log_in(http, keycloak)["refresh_token"]
    keycloak.quirk("drop_answer", grant="refresh_token")
    with pytest.raises(httpx2.RemoteProtocolError):
        refresh(http, keycloak, refresh_token)
    assert error(refresh(http, keycloak, refresh_token)) == "400 invalid_grant"
    statuses = [r.status for r in keycloak.requests("token", grant="refresh_token")]
    assert statuses == [0, 400]


def test_a_lost_request_has_not(http: httpx2.Client, keycloak: Realm) -> None:
    refresh_token = log_in(http, keycloak)["refresh_token"]
    keycloak.quirk("drop_request", grant="refresh_token")
    with pytest.raises(httpx2.RemoteProtocolError):
        refresh(http, keycloak, refresh_token)
    assert refresh(http, keycloak, refresh_token).status_code == 200


def test_patched_and_truncated_answers(http: httpx2.Client, keycloak: Realm) -> None:
    keycloak.patch({"interval": 7}, unset=["expires_in"], endpoint="device_authorization")
    device = ask_device(http, keycloak)
    assert device["interval"] == 7
    assert "expires_in" not in device
    keycloak.quirk("truncate", endpoint="device_authorization")
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        ask_device(http, keycloak)


def test_two_held_refreshes_race_when_released(http: httpx2.Client, keycloak: Realm) -> None:
    refresh_token = log_in(http, keycloak)["refresh_token"]
    keycloak.quirk("hold_request", grant="refresh_token", times=None)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(refresh, http, keycloak, refresh_token) for _ in range(2)]
        held = keycloak.wait_for("token", count=2, grant="refresh_token")
        assert [r.status for r in held] == [None, None]
        keycloak.release()
        won, lost = sorted((a.result() for a in answers), key=lambda a: a.status_code)
    assert (won.status_code, error(lost)) == (200, "400 invalid_grant")
    # The loser's reuse of the token has ended the winner's grant too.
    assert error(refresh(http, keycloak, won.json()["refresh_token"])) == "400 invalid_grant"


def test_a_delay(http: httpx2.Client, keycloak: Realm) -> None:
    keycloak.delay(0.2, endpoint="discovery")
    started = time.monotonic()
    discover(http, keycloak)
    assert time.monotonic() - started >= 0.19


# --- the process -----------------------------------------------------------------------------


def test_a_second_realm_of_one_preset(http: httpx2.Client) -> None:
    other = RealmSpec("keycloak", name="other", options=Options(path="", refresh_token_seconds=5))
    with start_idp(["keycloak", other]) as idp:
        assert log_in(http, idp["other"])["refresh_expires_in"] == 5
        assert idp["keycloak"].requests() == []


def test_a_realm_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(IdpError, match="unknown preset nonsense"),
        start_idp([RealmSpec("nonsense")]),  # type: ignore[arg-type]
    ):
        pass


def test_https_issuer(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    with start_idp(["keycloak"], tls=tls, host="localhost") as idp:
        realm = idp["keycloak"]
        assert realm.issuer.startswith("https://localhost:")
        with httpx2.Client(trust_env=False, verify=realm.verify) as http:
            assert discover(http, realm)["issuer"] == realm.issuer
            verified(http, realm, log_in(http, realm)["access_token"])


def test_a_killed_test_run_leaves_no_orphan() -> None:
    program = (
        "import time\n"
        "from idp.oidc import start_idp\n"
        "with start_idp(['bare']) as idp:\n"
        "    print(idp.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as run:
        assert run.stdout
        node = psutil.Process(int(run.stdout.readline()))
        run.kill()
    _, alive = psutil.wait_procs([node], timeout=5)
    assert not alive
