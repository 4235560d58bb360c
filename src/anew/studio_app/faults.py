"""Errors of the Studio: one sentence, which the page shows as it is."""

from __future__ import annotations

import errno

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from anew.errors import AnewError
from anew.server.faults import ApiError, bad_request
from anew.server.guard import error_response


def add_faults(app: FastAPI) -> None:
    """Answer errors of these kinds."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(AnewError, _refusal)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OSError, _system_error)
    app.add_exception_handler(Exception, _bug)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _refusal(request: Request, error: Exception) -> Response:
    """A sentence of the library; whoever reads it sits at this machine."""
    return error_response(bad_request(str(error)))


def full_disk(error: OSError) -> ApiError | None:
    """What is said where the disk is full; None where the error is another one."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return ApiError(413, "the disk is full, or your share of it; free some space and try again; nothing was lost")


async def _system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    fault = full_disk(error)
    if fault is None:
        raise error
    return error_response(fault)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {404: "unknown address", 405: "this address takes another method"}
    return error_response(ApiError(error.status_code, messages.get(error.status_code, str(error.detail))))


async def _bug(request: Request, error: Exception) -> Response:
    return error_response(ApiError(500, "this is a bug in Anew; the terminal of the Studio has its traceback"))
