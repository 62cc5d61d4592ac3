"""Between Starlette and authlib: requests one way, responses the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request
from starlette.datastructures import FormData, Headers, ImmutableMultiDict, QueryParams
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


class Payload(OAuth2Payload):  # type: ignore[misc]  # authlib has no types
    """The parameters of query and form together, as the authorization page needs both."""

    def __init__(self, *sources: ImmutableMultiDict[str, Any]) -> None:
        self._items = [item for source in sources for item in source.multi_items()]

    @property
    def data(self) -> dict[str, Any]:
        """Each parameter once."""
        return dict(self._items)

    @property
    def datalist(self) -> dict[str, list[Any]]:
        """Each parameter with all its values."""
        found: dict[str, list[Any]] = {}
        for name, value in self._items:
            found.setdefault(name, []).append(value)
        return found


class ServerRequest(OAuth2Request):  # type: ignore[misc]  # authlib has no types
    """A request in authlib's terms. Its body must have been read before: authlib is synchronous."""

    # authlib refuses plain http on other hosts than loopback. Whether a development server
    # is reached so is for its user to decide: its constructor is passed over.
    def __init__(
        self, method: str, uri: str, headers: Headers, query: QueryParams, form: FormData
    ) -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.payload = Payload(query, form)
        self._body = dict(form)
        self._query = dict(query)
        self.client = self.auth_method = self.user = self.credential = None
        self.authorization_code = self.refresh_token = self._scope = None

    @property
    def args(self) -> dict[str, str]:
        """The query."""
        return self._query

    @property
    def form(self) -> dict[str, Any]:
        """The form."""
        return self._body


class ServerResponse(Response):
    """A response whose ``location`` can be changed, as the ``iss`` extension does."""

    @property
    def location(self) -> str | None:
        """Where it redirects to."""
        return self.headers.get("location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["location"] = value


async def read_request(request: Request) -> ServerRequest:
    """Make an authlib request, form included."""
    form = await request.form() if request.method == "POST" else FormData()
    return ServerRequest(
        request.method, str(request.url), request.headers, request.query_params, form
    )


def make_response(status: int, body: Any, headers: Sequence[tuple[str, str]]) -> ServerResponse:
    """Make a response of what authlib hands over."""
    content = json.dumps(body) if isinstance(body, dict) else body
    return ServerResponse(content, status_code=status, headers=dict(headers))
