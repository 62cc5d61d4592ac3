"""What is the gateway's own, below `/-/`: that it lives, what it does, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core import __version__
from crane_core.gateway.guard import HEALTH
from crane_core.gateway.metrics import CONTENT_TYPE, metrics_text
from crane_core.gateway.responses import send_bytes
from crane_core.gateway.status import POLICY, Status, status_page

if TYPE_CHECKING:
    from crane_core.gateway.answers import Request

PREFIX = "/-/"


async def send_own_page(request: Request, status: Status) -> None:
    """Answer a request below `/-/`."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    path = request.path
    if path == HEALTH:
        body = f'{{"service":"crane","version":"{__version__}"}}\n'.encode()
        headers["content-type"] = "application/json"
    elif path == "/-/metrics":
        body = metrics_text(status)
        headers["content-type"] = CONTENT_TYPE
    elif path == PREFIX:
        body = status_page(status)
        headers |= {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": POLICY,
            "referrer-policy": "no-referrer",
        }
    else:
        await request.refuse(404, "see /-/, /-/health or /-/metrics")
        return
    await send_bytes(request.send, request.scope, 200, body, headers)
