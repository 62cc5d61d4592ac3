"""What people see: signing in, and approving or denying a client's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.responses import HTMLResponse, Response

from .adapters import ServerRequest, read_request
from .csrf import FormTokens
from .html import Approval, approval_page, code_page, message_page
from .store import UnknownCodeError

if TYPE_CHECKING:
    from starlette.requests import Request

    from .models import DeviceRequest, User
    from .server import Server

_SAFE_HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: it would also stop the redirect to the client's loopback port.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_BAD_LOGIN = "This user name and password do not match."
_BAD_CODE = "This code is unknown or no longer valid."
_BAD_FORM = "The form was not filled in here, or is too old. Please try again."


def page(text: str, status: int = 200) -> HTMLResponse:
    """Make a page that no other site can frame or feed."""
    return HTMLResponse(text, status_code=status, headers=_SAFE_HEADERS)


class Interaction:
    """The ``/device`` and ``/authorize`` pages. GET only shows; only POST decides."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tokens = FormTokens()

    async def show_device(self, request: Request) -> Response:
        """Show the code entry, or the approval of the code in the query."""
        user_code = request.query_params.get("user_code")
        if not user_code:
            return page(code_page(request.url.path))
        try:
            device = self._server.store.device_for(user_code)
        except UnknownCodeError:
            return page(code_page(request.url.path, _BAD_CODE), 404)
        return self._device_form(request, device)

    async def decide_device(self, request: Request) -> Response:
        """Take the decision about a device."""
        form = (await read_request(request)).form
        try:
            device = self._server.store.device_for(form.get("user_code", ""))
        except UnknownCodeError:
            return page(code_page(request.url.path, _BAD_CODE), 404)
        if not self._tokens.matches(request, form.get("csrf", ""), device.user_code):
            return self._device_form(request, device, _BAD_FORM, 403)
        if form.get("decision") != "approve":
            device.denied = True
            return page(message_page("Denied", "The request was denied."))
        user = self._login(form)
        if user is None:
            return self._device_form(request, device, _BAD_LOGIN, 401, form.get("username", ""))
        device.user = user.name
        return page(message_page("Approved", "You can close this page."))

    def _device_form(
        self,
        request: Request,
        device: DeviceRequest,
        problem: str = "",
        status: int = 200,
        username: str = "",
    ) -> Response:
        browser_id = self._tokens.browser_id(request)
        form = Approval(
            action=request.url.path,
            client=device.client_id,
            scope=device.scope,
            csrf=self._tokens.token(browser_id, device.user_code),
            user_code=device.user_code,
            username=username,
            problem=problem,
        )
        return self._with_cookie(request, page(approval_page(form), status), browser_id)

    async def show_authorize(self, request: Request) -> Response:
        """Show the approval of an authorization request."""
        return await self._authorize(request)

    async def decide_authorize(self, request: Request) -> Response:
        """Take the decision about an authorization request and send the browser back."""
        return await self._authorize(request)

    async def _authorize(self, request: Request) -> Response:
        oauth = await read_request(request)
        try:
            grant = self._server.get_consent_grant(oauth)
        except OAuth2Error as error:
            return self._refused(oauth, error)
        except ValueError:
            # authlib puts parameters into its messages and then refuses odd characters there.
            return page(message_page("Invalid request", "The request has odd characters."), 400)
        form = oauth.form
        if request.method != "POST":
            return self._authorize_form(request, oauth)
        if not self._tokens.matches(request, form.get("csrf", ""), request.url.query):
            return self._authorize_form(request, oauth, _BAD_FORM, 403)
        approved = form.get("decision") == "approve"
        user = self._login(form) if approved else None
        if approved and user is None:
            return self._authorize_form(request, oauth, _BAD_LOGIN, 401)
        response: Response = self._server.create_authorization_response(
            oauth, grant_user=user, grant=grant
        )
        return response

    def _authorize_form(
        self, request: Request, oauth: ServerRequest, problem: str = "", status: int = 200
    ) -> Response:
        browser_id = self._tokens.browser_id(request)
        query = request.url.query
        form = Approval(
            action=f"{request.url.path}?{query}",
            client=oauth.payload.client_id,
            scope=oauth.payload.scope or "",
            csrf=self._tokens.token(browser_id, query),
            username=oauth.form.get("username", ""),
            problem=problem,
        )
        return self._with_cookie(request, page(approval_page(form), status), browser_id)

    def _refused(self, oauth: ServerRequest, error: OAuth2Error) -> Response:
        if not error.redirect_uri:
            # The redirect cannot be trusted: tell the person, not the client.
            text = error.description or error.error
            return page(message_page("Invalid request", str(text)), 400)
        response: Response = self._server.handle_error_response(oauth, error)
        self._server.issuer_parameter.add_issuer_parameter(self._server, response)
        return response

    def _login(self, form: dict[str, str]) -> User | None:
        name, password = form.get("username", ""), form.get("password", "")
        return self._server.store.user_with_password(name, password)

    def _with_cookie(self, request: Request, response: Response, browser_id: str) -> Response:
        self._tokens.remember(response, browser_id, secure=request.url.scheme == "https")
        return response
