"""Errors of requests, in the format of OpenAI's API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from pydantic import ValidationError

from anew.core.schema import described
from anew.errors import ConfigError, did_you_mean, shorten

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
    504: "timeout_error",
}


class ErrorBody(TypedDict):
    """The object under "error"."""

    message: str
    type: str
    param: str | None
    code: str | None


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        message: One sentence, without paths or other details of this machine.
        param: The field that is wrong.
        code: A code for programs.
        headers: Headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers or {}

    def body(self) -> dict[str, ErrorBody]:
        """The body of the response, as JSON values."""
        name = TYPES.get(self.status, "server_error")
        return {"error": {"message": str(self), "type": name, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None = None) -> ApiError:
    """An error 400. param: the field that is wrong."""
    return ApiError(400, message, param=param)


def from_validation(error: ValidationError, fields: Iterable[str]) -> ApiError:
    """An error 400 for the first invalid field of a body; an unknown one comes first, as the one that it was meant for is missing.

    fields: names of the body's fields.
    """
    for problem in error.errors(include_url=False):
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            name = str(problem["loc"][0])
            return bad_request(f"unknown field {shorten(name)}{did_you_mean(name, fields)}", name[:60])
    problem = error.errors(include_url=False)[0]
    if problem["type"] == "json_invalid":
        return bad_request(f"the body is not JSON: {problem['msg'].removeprefix('Invalid JSON: ')[:200]}")
    param = str(problem["loc"][0])[:60] if problem["loc"] else None
    return bad_request(described(error, "" if problem["loc"] else "the body"), param)


def from_config_error(error: ConfigError, param: str | None = None) -> ApiError:
    """An error 400 for an error of the library. param: the field that is wrong; None: the argument that the error names."""
    return bad_request(str(error), param or error.argument)
