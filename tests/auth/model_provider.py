"""A provider in memory that rotates refresh tokens and ends a grant whose token comes twice.

It speaks through httpx2's transport seam, so that crane's own client and code are in use.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx2

from crane_core.tls import TLSSettings

TOKEN_URL = "https://sso.example/token"
DEVICE_URL = "https://sso.example/device"
LIFE = 300
Trouble = Literal["down before", "down after", "killed before", "killed after"]


class Killed(BaseException):
    """A process ends here; nothing of it may run any more, no `except Exception` catches it."""


@dataclass
class ModelProvider:
    """Which refresh tokens are good, which were redeemed, and what goes wrong next."""

    trouble: Trouble | None = None
    # Each grant's newest refresh token; None once the grant has ended.
    newest: list[str | None] = field(default_factory=list)
    grant_of: dict[str, int] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    redeemed: Counter[str] = field(default_factory=Counter)
    # Refresh tokens whose sender never heard an answer: those may come once more.
    unheard: Counter[str] = field(default_factory=Counter)
    device_codes: int = 0

    def end_all(self) -> None:
        """End every grant, as an administrator does."""
        self.newest = [None] * len(self.newest)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request as an authorization server does, or break on the way."""
        form = {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
        trouble, self.trouble = self.trouble, None
        sent = form.get("refresh_token")
        if sent:
            self.sent[sent] += 1
        self._break(trouble, "before", sent)
        answer = self._answer(str(request.url), form)
        self._break(trouble, "after", sent)
        return answer

    def _break(self, trouble: Trouble | None, when: str, sent: str | None) -> None:
        if trouble is None or not trouble.endswith(when):
            return
        if sent:
            self.unheard[sent] += 1
        if trouble.startswith("killed"):
            raise Killed
        raise httpx2.ReadError("the network is cut")

    def _answer(self, url: str, form: dict[str, str]) -> httpx2.Response:
        if url == DEVICE_URL:
            self.device_codes += 1
            address = "https://sso.example/activate"
            code = {"device_code": "d", "user_code": "U", "verification_uri": address}
            return _json(200, code)
        if form.get("grant_type") != "refresh_token":
            if url == TOKEN_URL and "device_code" in form:
                self.newest.append(None)
                return self._tokens(len(self.newest) - 1)
            return _json(200, {})  # a revocation
        return self._refresh(form["refresh_token"])

    def _refresh(self, token: str) -> httpx2.Response:
        grant = self.grant_of.get(token)
        if grant is None or self.newest[grant] != token:
            if grant is not None:
                self.newest[grant] = None  # a reuse: whoever has the newest is out, too
            return _json(400, {"error": "invalid_grant"})
        self.redeemed[token] += 1
        return self._tokens(grant)

    def _tokens(self, grant: int) -> httpx2.Response:
        number = len(self.grant_of)
        token = f"refresh-{grant}-{number}"
        self.newest[grant], self.grant_of[token] = token, grant
        body = {"access_token": f"access-{grant}-{number}", "expires_in": LIFE}
        return _json(200, body | {"refresh_token": token})


def _json(status: int, body: dict[str, Any]) -> httpx2.Response:
    # A stream, as from a network: what is given whole counts as read already.
    stream = httpx2.ByteStream(json.dumps(body).encode())
    return httpx2.Response(status, headers={"content-type": "application/json"}, stream=stream)


class ModelClients:
    """Stands in for `Clients`: every request goes to the model."""

    def __init__(self, provider: ModelProvider) -> None:
        self._transport = httpx2.MockTransport(provider.answer)

    def using(self, tls: TLSSettings) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=self._transport, trust_env=False)
