"""Errors of the Studio: one sentence each, which the page shows."""

from __future__ import annotations

import errno

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from anew.errors import AnewError, MovedDataError
from anew.server.errors import ApiError
from anew.server.guard import add_error_handlers, error_response

REFUSALS = {404: "unknown path", 405: "this path does not take this method"}


def handle_errors(app: FastAPI) -> None:
    """Add handlers for all errors."""
    add_error_handlers(app, REFUSALS, "the terminal in which the Studio runs shows its traceback")
    app.add_exception_handler(AnewError, _anew_error)
    app.add_exception_handler(OSError, _system_error)


async def _anew_error(request: Request, error: Exception) -> Response:
    """An error of the library. Its message may name paths, since the user is on this machine."""
    code = "data_moved" if isinstance(error, MovedDataError) else None
    return error_response(ApiError(400, str(error), code=code))


def full_disk(error: OSError) -> ApiError | None:
    """The error for a full disk; None if `error` is another one."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return ApiError(
        413, "the disk is full, or your quota is used up; nothing was lost, so free some space and try again"
    )


async def _system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    full_disk_error = full_disk(error)
    if full_disk_error is None:
        raise error
    return error_response(full_disk_error)
