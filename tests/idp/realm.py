"""A realm as a test sees it: where it is, what was asked of it, and the levers it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx2

from .browser import TRUSTS_NOBODY, approve_device, deny_device
from .errors import IdpError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from .options import Options

Endpoint = Literal[
    "authorization",
    "code_verification",
    "device_authorization",
    "discovery",
    "introspection",
    "jwks",
    "page",
    "revocation",
    "token",
    "userinfo",
]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class Request:
    """A request that a realm saw. Status is None while unanswered, 0 when the connection broke."""

    method: str
    path: str
    endpoint: Endpoint
    grant: str | None
    auth: str
    params: Mapping[str, str]
    user_agent: str | None
    status: int | None
    error: str | None


@dataclass(frozen=True)
class Control:
    """The provider's side door for tests."""

    url: str
    secret: str = field(repr=False)

    def call(self, realm: str, op: str, **details: Any) -> Any:
        """Asks for one operation on a realm and answers its result."""
        with httpx2.Client(timeout=60, trust_env=False, verify=TRUSTS_NOBODY) as client:
            answer = client.post(
                self.url,
                headers={"authorization": f"Bearer {self.secret}"},
                json={"realm": realm, "op": op, **details},
            ).json()
        if "error" in answer:
            raise IdpError(f"{op} on realm {realm}: {answer['error']}")
        return answer["result"]


@dataclass(frozen=True)
class Realm:
    """One issuer, its clients, and the levers a test has on it."""

    name: str
    issuer: str
    audience: str
    client_id: str
    client_secret: str | None
    client_auth: str
    device_flow: bool
    ci_client_id: str
    ci_client_secret: str
    ci_jwt_client_id: str | None
    ci_jwt_key: Mapping[str, str] | None = field(repr=False)
    verify: ssl.SSLContext = field(repr=False)
    control: Control = field(repr=False)

    @property
    def discovery_url(self) -> str:
        """Where OpenID Connect discovery answers."""
        return f"{self.issuer}/.well-known/openid-configuration"

    @property
    def token_url(self) -> str:
        """The token endpoint, for tests that register it by hand."""
        return f"{self.issuer}/token"

    @property
    def device_url(self) -> str:
        """The device authorization endpoint, for tests that register it by hand."""
        return f"{self.issuer}/device/auth"

    @property
    def revocation_url(self) -> str:
        """The revocation endpoint (RFC 7009)."""
        return f"{self.issuer}/token/revocation"

    def requests(
        self, endpoint: Endpoint | None = None, *, grant: str | None = None
    ) -> list[Request]:
        """What was asked of this realm so far, oldest first."""
        found = self._call("requests", endpoint=endpoint, grant=grant)
        return [Request(**entry) for entry in found]

    def wait_for(
        self,
        endpoint: Endpoint,
        *,
        count: int = 1,
        grant: str | None = None,
        seconds: float = 40.0,
    ) -> list[Request]:
        """Waits until so many requests have *arrived*; they may still be unanswered."""
        arrived = self._call(
            "wait", endpoint=endpoint, grant=grant, count=count, milliseconds=int(seconds * 1000)
        )
        seen = self.requests(endpoint, grant=grant)
        if not arrived:
            raise IdpError(f"{len(seen)} of {count} {endpoint} requests came in {seconds} s")
        return seen

    def clear_requests(self) -> None:
        """Forgets the requests seen so far."""
        self._call("clear_requests")

    def respond(
        self,
        status: int,
        body: str | Mapping[str, Any] = "",
        *,
        headers: Mapping[str, str] | None = None,
        endpoint: Endpoint = "token",
        grant: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Answers in the provider's place: a text is HTML, a mapping is JSON."""
        answer = {"status": status, "body": body, "headers": dict(headers or {})}
        self._quirk("respond", endpoint, grant, times, **answer)

    def fail(
        self, error: str, *, status: int = 400, grant: str | None = None, times: int | None = 1
    ) -> None:
        """Answers an OAuth error at the token endpoint: `invalid_grant`, `slow_down`, ..."""
        self.respond(status, {"error": error}, grant=grant, times=times)

    def patch(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        unset: Iterable[str] = (),
        endpoint: Endpoint = "token",
        grant: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Changes fields of the provider's JSON answer and leaves others out."""
        changes = {"set": dict(values or {}), "unset": list(unset)}
        self._quirk("patch", endpoint, grant, times, **changes)

    def delay(
        self,
        seconds: float,
        *,
        endpoint: Endpoint = "token",
        grant: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Lets the provider see a request only after a while."""
        self._quirk("delay", endpoint, grant, times, ms=int(seconds * 1000))

    def quirk(
        self,
        kind: Literal["hold_request", "hold_answer", "drop_request", "drop_answer", "truncate"],
        *,
        endpoint: Endpoint = "token",
        grant: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Holds (until `release`), drops or truncates; `times=None` lasts until cleared.

        `_request` acts before the provider sees the request; `_answer` after it has acted on it,
        when a refresh token for example is already used up.
        """
        self._quirk(kind, endpoint, grant, times)

    def release(self) -> None:
        """Lets held requests and answers go, and holds no more."""
        self._call("release")

    def clear_quirks(self) -> None:
        """Ends every quirk."""
        self._call("clear_quirks")

    def configure(self, options: Options) -> None:
        """Changes options while the realm runs.

        Those about clients, device_flow and path are read at start only.
        """
        self._call("configure", options=options.as_json())

    def pending_codes(self) -> list[str]:
        """User codes that nobody has approved or denied yet, oldest first."""
        codes: list[str] = self._call("pending_codes")
        return codes

    def revoke_user(self, user: str) -> None:
        """Ends everything a user has granted: refresh tokens, codes, sessions."""
        self._call("revoke_user", user=user)

    def expire(self, what: Literal["refresh", "device", "code", "grant"]) -> None:
        """Makes every refresh token, device code, authorization code or grant expired."""
        self._call("expire", what=what)

    def reset(self) -> None:
        """Back to the start: options as given, no quirks, no grants, no requests seen."""
        self._call("reset")

    def approve_device(self, user_code: str, user: str = "ada") -> None:
        """Signs a user in and approves the code on the provider's own pages."""
        approve_device(self.issuer, user_code, user, verify=self.verify)

    def deny_device(self, user_code: str) -> None:
        """Refuses the code on the provider's own pages."""
        deny_device(self.issuer, user_code, verify=self.verify)

    def _quirk(
        self, kind: str, endpoint: Endpoint, grant: str | None, times: int | None, **more: Any
    ) -> None:
        quirk = {"kind": kind, "endpoint": endpoint, "grant": grant, "times": times, **more}
        self._call("quirk", quirk=quirk)

    def _call(self, op: str, **details: Any) -> Any:
        return self.control.call(self.name, op, **details)
