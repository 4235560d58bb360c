"""Access control: Host and Origin headers, a bearer key, and limits on the size and the duration of bodies."""

from __future__ import annotations

import asyncio
import hmac
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from anew.core.stores.internal_hosts import is_loopback
from anew.errors import shorten
from anew.server.errors import ApiError, bad_request
from anew.server.limits import Limits

OPEN_PATHS = ("/health", "/v1/health")  # need no key: load balancers have none
MAX_FILES, MAX_FIELDS = 4, 40  # in a form: more than any path takes
# Slowest rate of a body of unlimited length, and by how many seconds it may fall behind that rate.
MIN_BYTES_PER_SECOND, MAX_LAG_SECONDS = 2**14, 20.0
OTHER_SITE = (
    "this server refuses pages of other sites (Origin header); start it with `--allow-origin` and the address of yours"
)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def check_names(headers: Headers, host: str, origins: Sequence[str] = ()) -> None:
    """Refuse requests that a page of another site makes a browser send: by the Host header (DNS rebinding) and by Origin.

    Args:
        headers: Headers of the request.
        host: The address that the server listens on.
        origins: Other sites whose pages may ask; "*": those of any site.

    Raises:
        ApiError: 400 there is no valid Host header; 403 Host or Origin name another site.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1 or (name := _host_name(hosts[0])) is None:
        raise bad_request("the request must have one Host header")
    if is_loopback(host) and name not in (*LOCAL_NAMES, host):
        raise ApiError(403, "this server answers only to the names of this machine; use 127.0.0.1 or localhost")
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return
    if _host_of(origin) != hosts[0].lower():
        raise ApiError(403, OTHER_SITE)


class Guard:
    """Passes allowed requests to the app, and answers others itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            refusal = self.refusal(scope, Headers(scope=scope))
        except ApiError as error:
            refusal = error_response(error)
        await (self.app if refusal is None else refusal)(scope, receive, self.wrapped_send(send))

    def refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that does not reach the app; ApiError if it is not allowed."""
        raise NotImplementedError

    def wrapped_send(self, send: Send) -> Send:
        """`send` of ASGI, changed for all answers of this guard."""
        return send


class SiteGuard(Guard):
    """Refuses requests that pages of other sites make a browser send, see `check_names`.

    Args:
        host: The address that the server listens on.
        origins: Other sites whose pages may ask.
    """

    def __init__(self, app: ASGIApp, host: str, origins: Sequence[str]) -> None:
        super().__init__(app)
        self.host, self.origins = host, origins

    def refusal(self, scope: Scope, headers: Headers) -> None:
        check_names(headers, self.host, self.origins)


class KeyGuard(Guard):
    """Refuses requests without a key. keys: bearer keys, one of which each request must send; none: no key is needed."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        super().__init__(app)
        self.keys = [key.encode() for key in keys]

    def refusal(self, scope: Scope, headers: Headers) -> None:
        if self.keys and scope["path"] not in OPEN_PATHS and not self._has_key(headers.getlist("authorization")):
            raise ApiError(
                401,
                "the key is missing or wrong; send `Authorization: Bearer KEY`",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _has_key(self, values: Sequence[str]) -> bool:
        scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        sent_key = key.strip().encode("utf-8", "surrogateescape")
        # All keys are compared, each in constant time, so that the duration reveals nothing.
        matches = [hmac.compare_digest(sent_key, allowed) for allowed in self.keys]
        return scheme.lower() == "bearer" and any(matches)


def _host_name(host: str) -> str | None:
    """The name in a Host header, without the port; None if the header is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.hostname and not (parts.path or parts.username or parts.query) else None


def _host_of(origin: str) -> str:
    """Host and port of an Origin header; "" if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def error_response(error: ApiError) -> JSONResponse:
    """The response for an error."""
    return JSONResponse(error.body(), error.status, error.headers)


def add_error_handlers(app: Starlette, refusals: Mapping[int, str], traceback: str) -> None:
    """Have an app answer errors in the format of OpenAI's API.

    Args:
        refusals: Messages for requests that the router refuses, by status.
        traceback: Where the traceback of a bug is.
    """

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error_response(error)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = refusals.get(error.status_code, str(error.detail))
        return error_response(ApiError(error.status_code, message, headers=dict(error.headers or {})))

    async def bug(request: Request, error: Exception) -> Response:
        return error_response(ApiError(500, f"this is a bug in Anew; {traceback}"))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, bug)


async def json_body(request: Request, limits: Limits) -> bytes:
    """The bytes of a JSON body.

    Raises:
        ApiError: 400 the Content-Type is not JSON; 413 the body is too large; 408 it does not arrive in time.
    """
    if _media_type(request) != "application/json":
        raise bad_request("the body must be JSON; send `Content-Type: application/json`")
    return await _body(request, limits.body_bytes, limits)


async def form_body(request: Request, limits: Limits) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files of a form, by name.

    Raises:
        ApiError: As `json_body`.
    """
    if _media_type(request) != "multipart/form-data":
        raise bad_request("the body must be a form with files; send `Content-Type: multipart/form-data`")
    data = await _body(request, limits.upload_bytes, limits)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield data

    parser = MultiPartParser(
        request.headers, pieces(), max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=limits.body_bytes
    )
    try:
        return await _fields_and_files(await parser.parse())
    except (MultiPartException, ValueError) as error:
        # ValueError: bytes that are not of the charset that the form names
        raise bad_request(f"the form cannot be read ({shorten(str(error))})") from None
    finally:
        # Files of an incomplete part are in no form, so only the parser can close them.
        for file in getattr(parser, "_files_to_close_on_error", ()):
            file.close()


async def _fields_and_files(form: FormData) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files by name; ApiError 400 if one was sent twice."""
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        name = name.removesuffix("[]")  # how clients name one of several files
        if name in fields or name in files:
            raise bad_request(f"{shorten(name)} was sent twice; send it once", name[:60])
        if isinstance(value, str):
            fields[name] = value
        else:
            files[name] = await value.read()
    return fields, files


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, max_bytes: int, limits: Limits) -> bytes:
    length = request.headers.get("content-length", "0")
    _check_size(int(length) if length.isdecimal() and len(length) < 20 else sys.maxsize, max_bytes)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise ApiError(
            408, f"the body did not arrive within {limits.body_seconds:g} s; send it again, or send less"
        ) from None
    except ClientDisconnect:
        raise bad_request("the client disconnected") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        _check_size(len(body), max_bytes)
    return bytes(body)


async def stream_body(request: Request) -> AsyncGenerator[bytes, None]:
    """A body of unlimited length, piece by piece. It may fall MAX_LAG_SECONDS behind MIN_BYTES_PER_SECOND; only the time spent
    waiting for the client counts.

    Raises:
        ApiError: 408 it falls behind; 400 the client has disconnected.
    """
    pieces, allowance = request.stream(), MAX_LAG_SECONDS
    while True:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(allowance):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ApiError(
                408, f"the body fell more than {MAX_LAG_SECONDS:g} s behind the slowest rate; send it again"
            ) from None
        except ClientDisconnect:
            raise bad_request("the client disconnected") from None
        waited = time.monotonic() - begin
        allowance = min(MAX_LAG_SECONDS, allowance + len(piece) / MIN_BYTES_PER_SECOND - waited)
        yield piece


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ApiError(413, f"the body is larger than {max_bytes:,} bytes; send less")
