"""Access control of the Studio: names of this machine only, the token of the address, and requests from its own pages only."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Scope, Send

from anew.server.errors import ApiError
from anew.server.guard import Guard, check_names

OWN_HEADER = "x-anew-studio"  # pages of other sites cannot send it without permission (CORS)
YEAR_SECONDS = 365 * 86400  # lifetime of the cookie: a page that is opened again within a year needs no token
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; frame-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The policy of pages in run folders, which may come from somebody else: no script runs, and nothing is fetched. They keep the origin of
# the Studio, so that its page can read how high they are.
REPORT_POLICY = (
    "sandbox allow-same-origin; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": POLICY,
    "cache-control": "no-store",
}
LOCKED_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Anew Studio</title>
<h1>This page needs a token</h1><p>Open the full address that the terminal shows; it ends with <code>?token=...</code>.</p>"""


class StudioGuard(Guard):
    """Passes requests that name this machine and have the token.

    Args:
        host: The address that the Studio listens on.
        port: Its port, which is part of the cookie's name: browsers share cookies between ports.
        token: Token of the address.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, token: str) -> None:
        super().__init__(app)
        self.host = host
        self.cookie = f"anew-studio-{port}"
        self.token = token.encode()

    def refusal(self, scope: Scope, headers: Headers) -> Response | None:
        check_names(headers, self.host)
        is_page = scope["method"] == "GET" and scope["path"] == "/"
        if is_page and (query := parse_qsl(scope["query_string"].decode("latin-1"))):
            token = next((value for name, value in query if name == "token"), "")
            if self._is_token(token):
                return self._redirect_with_cookie(query)
        if not self._is_authenticated(headers):
            if is_page:
                return HTMLResponse(LOCKED_PAGE, 401)
            raise ApiError(401, "the token is missing or wrong; open the full address that the terminal shows")
        if scope["method"] not in ("GET", "HEAD") and OWN_HEADER not in headers:
            raise ApiError(403, "changes are accepted from pages of the Studio only")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_page:
            raise ApiError(403, "requests from pages of other sites are refused")
        return None

    def _redirect_with_cookie(self, query: Sequence[tuple[str, str]]) -> Response:
        """A redirect that sets the cookie, and removes the token from the address, which would stay in the history."""
        query_left = urlencode([(name, value) for name, value in query if name != "token"])
        answer = RedirectResponse(f"/?{query_left}" if query_left else "/", 303, {"cache-control": "no-store"})
        answer.set_cookie(
            self.cookie, self.token.decode(), max_age=YEAR_SECONDS, path="/", httponly=True, samesite="strict"
        )
        return answer

    def _is_authenticated(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(key):
            return True
        try:
            cookies = SimpleCookie("; ".join(headers.getlist("cookie")))
        except CookieError:
            return False
        return self.cookie in cookies and self._is_token(cookies[self.cookie].value)

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode("utf-8", "surrogateescape"), self.token)

    def wrapped_send(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers
