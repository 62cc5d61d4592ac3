"""Device authorization (RFC 8628), by HTTP from end to end."""

from __future__ import annotations

import html
import re

import httpx2
import pytest

from crane_devserver import ProviderSettings, ScriptedBrowser

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def site(shared):
    return shared


def begin(site, **form):
    data = {"client_id": "crane-pip", "scope": "openid offline_access"} | form
    response = site.http.post(site.url + "/idp/device_authorization", data=data)
    assert response.status_code == 200, response.text
    return response.json()


def poll(site, device):
    return site.token(grant_type=GRANT, device_code=device["device_code"])


def hidden(page):
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


def test_the_whole_way_to_a_package(site):
    device = begin(site)
    assert poll(site, device).json() == {"error": "authorization_pending"}

    page = ScriptedBrowser("ada", "lovelace").visit(device["verification_uri_complete"])
    assert "Approved" in page

    answer = poll(site, device).json()
    assert answer["token_type"] == "Bearer"
    assert (answer["expires_in"], answer["refresh_expires_in"]) == (300, 1800)
    header = {"Authorization": f"Bearer {answer['access_token']}"}
    assert site.get("/private/Acme.Lib/", **header).status_code == 200


def test_a_code_is_good_once(site):
    device = begin(site)
    site.server.provider.approve(device["user_code"], user="ada")
    assert poll(site, device).status_code == 200
    assert poll(site, device).json()["error"] == "invalid_grant"


def test_denied(site):
    device = begin(site)
    ScriptedBrowser("", "", decision="deny").visit(device["verification_uri_complete"])
    assert poll(site, device).json()["error"] == "access_denied"

    device = begin(site)
    site.server.provider.deny(device["user_code"])
    assert poll(site, device).json()["error"] == "access_denied"


def test_expired(site):
    device = begin(site)
    site.clock.advance(device["expires_in"] + 1)
    assert poll(site, device).json()["error"] == "expired_token"
    with pytest.raises(LookupError):
        site.server.provider.approve(device["user_code"], user="ada")


def test_polling_too_fast_slows_down(site):
    device = begin(site)
    assert poll(site, device).json()["error"] == "authorization_pending"
    assert poll(site, device).json()["error"] == "slow_down"
    site.clock.advance(6)
    assert poll(site, device).json()["error"] == "slow_down"
    site.clock.advance(16)
    assert poll(site, device).json()["error"] == "authorization_pending"


def test_typed_codes_may_be_sloppy(site):
    device = begin(site)
    typed = device["user_code"].replace("-", " ").lower()
    site.server.provider.approve(typed, user="ben")
    assert poll(site, device).status_code == 200


def test_the_page_shows_code_and_client_and_is_safe(site):
    device = begin(site)
    response = site.http.get(device["verification_uri_complete"])
    assert device["user_code"] in response.text
    assert "crane-pip" in response.text
    assert "viewport" in response.text
    assert "http" not in response.text.replace(site.url, "")
    assert response.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_looking_changes_nothing(site):
    device = begin(site)
    url = device["verification_uri_complete"] + "&decision=approve&username=ada&password=lovelace"
    assert site.http.get(url).status_code == 200
    assert site.server.provider.pending_codes()[-1] == device["user_code"]


def test_code_entry_page(site):
    entry = site.http.get(site.url + "/idp/device")
    assert 'name="user_code"' in entry.text
    unknown = site.http.get(site.url + "/idp/device?user_code=<b>")
    assert (unknown.status_code, "unknown" in unknown.text) == (404, True)
    assert site.http.post(site.url + "/idp/device", data={"user_code": "x"}).status_code == 404


def test_a_wrong_password_asks_again(site):
    device = begin(site)
    page = ScriptedBrowser('"ada', "wrong").visit(device["verification_uri_complete"])
    assert "do not match" in page
    assert html.escape('"ada') in page
    assert site.server.provider.pending_codes()[-1] == device["user_code"]


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_forms_of_other_sites_are_refused(site, decision):
    device = begin(site)
    login = {"username": "ada", "password": "lovelace", "decision": decision}
    login |= {"user_code": device["user_code"], "csrf": "x"}
    url = site.url + "/idp/device"
    assert site.http.post(url, data=login).status_code == 403

    # The attacker's own form token does not help in the victim's browser.
    with httpx2.Client(trust_env=False) as attacker:
        stolen = hidden(attacker.get(device["verification_uri_complete"]).text)
    assert site.http.post(url, data=login | stolen).status_code == 403
    assert site.server.provider.pending_codes()[-1] == device["user_code"]


def test_a_form_for_one_code_does_not_approve_another(site):
    first, second = begin(site), begin(site)
    fields = hidden(site.http.get(first["verification_uri_complete"]).text)
    fields |= {"username": "ada", "password": "lovelace", "decision": "approve"}
    fields["user_code"] = second["user_code"]
    assert site.http.post(site.url + "/idp/device", data=fields).status_code == 403


def test_who_may_ask(site):
    url = site.url + "/idp/device_authorization"
    assert site.http.post(url, data={"client_id": "nobody"}).json()["error"] == "invalid_client"
    secret = {"client_id": "crane-ci", "client_secret": "s3:cr%t"}
    assert site.http.post(url, data=secret).json()["error"] == "unauthorized_client"
    scope = {"client_id": "crane-pip", "scope": "everything"}
    assert site.http.post(url, data=scope).json()["error"] == "invalid_scope"


def test_optional_members_can_be_left_out(start):
    settings = ProviderSettings(
        send_interval=False, send_complete_uri=False, send_refresh_expires_in=False
    )
    site = start(settings=settings)
    device = begin(site)
    assert device.keys() == {"device_code", "user_code", "verification_uri", "expires_in"}
    site.server.provider.approve(device["user_code"], user="ada")
    assert "refresh_expires_in" not in poll(site, device).json()


def test_no_device_flow(start):
    site = start(settings=ProviderSettings(device_flow=False))
    document = site.http.get(site.url + "/idp/.well-known/openid-configuration").json()
    assert "device_authorization_endpoint" not in document
    assert site.http.post(site.url + "/idp/device_authorization").status_code == 404
    assert site.token(grant_type=GRANT).json()["error"] == "unsupported_grant_type"


def test_approving_needs_a_known_user(site):
    device = begin(site)
    with pytest.raises(LookupError):
        site.server.provider.approve(device["user_code"], user="nobody")
