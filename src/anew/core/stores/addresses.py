"""Addresses of stores (`s3://...`, `https://...`) through fsspec: what is one, how it is opened, and how long a fault is waited out.

Credentials are the provider's own business: nothing of them passes through here, and an address that carries some is refused, since
runs keep the address.
"""

from __future__ import annotations

import errno
import http
import logging
import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from anew.core import files
from anew.core.exit_codes import STOPPED
from anew.core.extras import require
from anew.core.stores.internal_hosts import internal_cause
from anew.core.stores.store_attempts import ANSWER_S, CONNECT_S, bound_attempts, check_pace
from anew.errors import DataError, RunError, UserError, did_you_mean

# The extra of each scheme, and the package that it brings.
SCHEMES = {
    "s3": ("s3", "s3fs"),
    "gs": ("gcs", "gcsfs"),
    "az": ("azure", "adlfs"),
    "abfs": ("azure", "adlfs"),
    "https": ("http", "aiohttp"),
    "http": ("http", "aiohttp"),
    "hf": ("hub", "huggingface_hub"),
    "memory": ("", ""),  # the memory of this process: for tests
}
WRITABLE = ("s3", "gs", "az", "abfs", "memory")  # what runs can be kept at
GIVE_A_PLACE = "give a folder, a file, an address, or a hub dataset as owner/name"  # what the place of data may be
# A store that fails for so long is given up: what goes away by itself (a limit of requests, a restart) takes seconds;
# chosen.
RETRY_S = 60.0
# A store may fail for so long before that is said; chosen.
QUIET_S = 5.0
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*):/{1,2}(?=[^/])(.+)", re.DOTALL)
_HUB_NAME = re.compile(r"(hf://)?[\w.-]+/[\w.-]+(:[\w.-]+)?")  # owner/name, or owner/name:config
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_CUT, _SILENT = "the connection was cut before the end of the file", "the server sent nothing for a minute"
_ANSWERLESS, _UNREACHED = f"the server sent nothing for {ANSWER_S} s", f"no connection within {CONNECT_S} s"
# Reasons for errors of clients, by type, whose own words are missing or hold the names of classes.
_REASONS = {
    "ClientPayloadError": _CUT,
    "ContentLengthError": _CUT,
    "IncompleteReadError": _CUT,
    "ResponseStreamingError": _CUT,
    "FSTimeoutError": _SILENT,
    "ServerTimeoutError": _SILENT,
    "SocketTimeoutError": "the server sent nothing for too long",
    "ReadTimeoutError": _ANSWERLESS,
    "ServiceResponseTimeoutError": _ANSWERLESS,
    "ConnectTimeoutError": _UNREACHED,
    "ServiceRequestTimeoutError": _UNREACHED,
}
R = TypeVar("R")
Info = Mapping[str, object]  # what a store says of an object
_log = logging.getLogger("anew.stores")  # what is waited for; the program that uses Anew decides where that is shown
signed: dict[str, str] = {}  # signed addresses of this process by what runs keep of them


class FileSystem(Protocol):
    """The part of `fsspec.AbstractFileSystem` that is used."""

    def info(self, path: str) -> Mapping[str, object]: ...

    def exists(self, path: str) -> bool: ...

    def ls(self, path: str, *, detail: bool) -> Sequence[object]: ...

    def find(self, path: str, *, detail: bool) -> Mapping[str, Mapping[str, object]]: ...

    def get_file(self, rpath: str, lpath: str, *, callback: object) -> object: ...

    def put_file(self, lpath: str, rpath: str) -> object: ...

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes: ...

    def pipe_file(self, path: str, value: bytes) -> object: ...

    def rm_file(self, path: str) -> object: ...

    def invalidate_cache(self) -> None: ...


def address_of(text: str) -> str | None:
    """The text as an address, or None where it is none. `Path("s3://a/b")` says `s3:/a/b`, which counts too.

    Raises:
        DataError: The scheme is not supported, nothing follows it, or the address carries credentials.
    """
    match = _ADDRESS.fullmatch(text)
    if text.rstrip("/").removesuffix(":") in SCHEMES and ":" in text:
        raise DataError(f"the address {text!r} stops after its scheme; give the full address, like s3://bucket/folder")
    if match is None or len(match[1]) == 1:  # one letter is a drive
        return None
    scheme, remainder = match[1], match[2]
    if scheme == "hf" and not remainder.startswith("datasets/"):  # the name of a data set, which is read by its rows
        return None
    if scheme not in SCHEMES:
        schemes = ", ".join(f"{name}://" for name in SCHEMES if name != "memory")
        raise DataError(
            f"addresses of {scheme}:// are not supported{did_you_mean(scheme, SCHEMES)}; give one of {schemes}"
        )
    if "::" in remainder:
        raise DataError(f"the address {without_query(text)!r} holds '::'; give one address")
    if "@" in remainder.partition("/")[0] and scheme in ("s3", "gs", "http", "https"):
        raise DataError(
            f"an address of {scheme}:// must hold no user or key, since runs keep it; leave them to the provider's own "
            "settings (environment variables or its configuration file)"
        )
    address = f"{scheme}://{remainder}"
    if without_query(address) != address:
        signed[without_query(address)] = address
    return address


def is_hub_name(text: str) -> bool:
    """Whether a text may name a dataset of the Hugging Face hub: `owner/name` or `owner/name:config`, perhaps after `hf://`."""
    return not text.startswith((".", "~")) and _HUB_NAME.fullmatch(text) is not None


def run_address(text: object) -> str | None:
    """The address that a run is given as, or None where it is a folder.

    Raises:
        RunError: Runs cannot be written to such an address.
    """
    if not isinstance(text, str | os.PathLike) or not isinstance(os.fspath(text), str):
        return None
    try:
        address = address_of(os.fspath(text))
    except DataError as error:
        raise RunError(str(error)) from None
    if address is not None and address.partition("://")[0] not in WRITABLE:
        raise RunError(f"runs are kept at s3://, gs:// or az:// addresses, not at {without_query(address)!r}")
    return None if address is None else address.rstrip("/")


def without_query(address: str) -> str:
    """The address without what may be secret in it: a signed address carries its key after the question mark."""
    scheme, _, remainder = address.partition("://")
    return (
        f"{scheme}://{remainder.partition('?')[0].partition('#')[0]}"
        if remainder and scheme in ("http", "https")
        else address
    )


def open_store(
    address: str, purpose: str = "reading", error_type: type[UserError] = DataError
) -> tuple[FileSystem, str]:
    """The store of an address, and its path there.

    Args:
        address: From `address_of`.
        purpose: Its purpose, for the sentence that names a missing package.
        error_type: Type of the errors that are raised.
    """
    scheme = address.partition("://")[0]
    extra, package = SCHEMES[scheme]
    if package:
        require(package, extra=extra, purpose=f"{purpose} {scheme}:// addresses")
    from fsspec.core import url_to_fs

    for name in ("fsspec", "s3fs", "gcsfs", "adlfs", "aiobotocore"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they report what is retried here
    if scheme in ("http", "https"):
        from anew.core.stores.web_client import web_files  # not above: it needs aiohttp

        return web_files(address), address
    if scheme == "s3":
        _check_endpoint(error_type)
    store: tuple[FileSystem, str] = with_retries(lambda: url_to_fs(address), without_query(address), error_type)
    bound_attempts(scheme, store[0])
    return store


def _check_endpoint(error_type: type[UserError]) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        endpoint = os.environ.get(name, "")
        if endpoint and "://" not in endpoint:
            raise error_type(
                f"the environment variable {name} is {endpoint!r}, without http:// or https://; put one of them before it"
            )


class OutageError(DataError):
    """A store of data failed for RETRY_S, although trying again could have helped."""


class RunOutageError(RunError):
    """The same of the store of a run."""

    exit_code = STOPPED


# What an error is where trying again could have helped
OUTAGES: Mapping[type[UserError], type[UserError]] = {DataError: OutageError, RunError: RunOutageError}


def with_retries(
    action: Callable[[], R],
    address: str,
    error_type: type[UserError] = DataError,
    verb: str = "read",
) -> R:
    """Run an action on a store and return its result. It is tried again for RETRY_S.

    Args:
        address: The address, for sentences.
        error_type: Type of the errors that are raised, but for those in OUTAGES where the store failed for so long.
        verb: The action, as in "cannot be read": "read" or "written".

    Raises:
        UserError: The store failed for so long, nothing is there, or access is denied.
    """
    begin, pause, is_logged = time.monotonic(), 0.5, False
    while True:
        try:
            return action()
        except FileNotFoundError as error:
            raise error_type(_absence(error, address, verb)) from None
        except PermissionError as error:
            place = "there" if error.filename is None else f"of {str(error.filename)!r}"  # a file of this machine
            raise error_type(
                f"{address!r} cannot be {verb} ({_reason(error)}); check your permissions {place}"
            ) from None
        except Exception as error:  # each provider's client has errors of its own, with no base in common
            if _is_bug(error):
                raise
            if (cause := internal_cause(error)) is not None:
                raise error_type(f"{address!r} cannot be {verb} ({cause})") from None
            if "Credentials" in type(error).__name__:
                raise error_type(
                    f"{address!r} cannot be {verb} ({_reason(error)}); set those of the provider"
                ) from None
            is_settled = _is_settled(error)
            if is_settled or time.monotonic() - begin + pause > RETRY_S:
                final_type = error_type if is_settled else OUTAGES.get(error_type, error_type)
                raise final_type(f"{address!r} cannot be {verb} ({_reason(error)}); {_advice(error)}") from None
            if not is_logged and time.monotonic() - begin > QUIET_S:
                is_logged = True
                _log_waiting(f"{address} cannot be {verb} yet ({_reason(error)}); retrying for up to a minute")
        time.sleep(pause)
        pause = min(2 * pause, 8.0)


def _absence(error: FileNotFoundError, address: str, verb: str) -> str:
    """The sentence on an address where nothing is, or that leads where nobody may read."""
    if (cause := internal_cause(error)) is not None:
        return f"{address!r} cannot be {verb} ({cause})"
    if verb == "written":
        return f"{address!r} cannot be written, as its bucket does not exist; make it first"
    if lacks_bucket(error):
        return f"{address!r} cannot be read, as its bucket does not exist; check the address"
    return f"there is nothing at {address!r}; check the address"


_logged_at = [-math.inf]  # when waiting was last spoken of: many requests at once fail together


def _log_waiting(sentence: str) -> None:
    now = time.monotonic()
    if now - _logged_at[0] > RETRY_S:
        _logged_at[0] = now
        _log.warning("%s", sentence)


class TooLongError(ValueError):
    """An object has more bytes than it may have."""


def size_limit(max_bytes: int, watch: Callable[[int], None] = lambda size: None) -> object:
    """A callback for `FileSystem.get_file` that ends it with a ValueError where more comes (a TooLongError), or next to nothing for
    long: a server may send without end, or bit by bit. For one attempt: it counts from here on.

    watch: called with the number of bytes received so far; what it raises ends the transfer, too.
    """
    from fsspec.callbacks import Callback

    begin = time.monotonic()

    def check(size: int | None, value: int, **_: object) -> None:
        watch(value)
        check_pace(value, begin)
        if value > max_bytes:
            raise TooLongError(f"it sends more than {max_bytes:,} bytes")

    callback: object = Callback(hooks={"limit": check})
    return callback


def _is_settled(error: Exception) -> bool:
    """Whether trying again cannot help: a malformed address, a host that does not exist, a refusal, a name that the disk cannot hold
    beside another."""
    # A resolver that fails says EAI_AGAIN instead
    if getattr(getattr(error, "os_error", None), "errno", None) == socket.EAI_NONAME:
        return True
    is_ended = _status(error) == 401 and type(error).__name__ == "HttpError"  # gcsfs: a token that ended a moment ago
    refused = 400 <= _status(error) < 500 and _status(error) not in (408, 429) and not is_ended
    return (
        refused
        or _is_full(error)
        or _is_store_full(error)
        or isinstance(error, ValueError | IsADirectoryError | NotADirectoryError)
    )


def _is_bug(error: Exception) -> bool:
    """Whether code of Anew raised it by mistake. Clients raise such errors for answers that they do not understand."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    is_own = traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("anew.")
    return is_own and isinstance(error, TypeError | AttributeError | LookupError)


def _is_full(error: Exception) -> bool:
    """Whether the disk of this machine is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _answers(error: BaseException | None) -> Iterator[tuple[str, str, int]]:
    """(operation, code, status) of the answers of S3 that an error comes of; clients wrap errors in their own."""
    seen: set[int] = set()  # an error that was raised again may follow from itself
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            yield getattr(error, "operation_name", ""), str(answer.get("Error", {}).get("Code", "")), status
        error = error.__cause__ or error.__context__


def lacks_bucket(error: BaseException) -> bool:
    """Whether a store says that the bucket itself does not exist."""
    return any(
        code == "NoSuchBucket" or (operation, status) == ("HeadBucket", 404)
        for operation, code, status in _answers(error)
    )


def _is_store_full(error: BaseException) -> bool:
    return any(status == http.HTTPStatus.INSUFFICIENT_STORAGE for _, _, status in _answers(error))


def _advice(error: Exception) -> str:
    if _is_full(error):
        return "free some space on this machine"
    if _is_store_full(error):
        return "free some space there"
    return "check your permissions there" if _status(error) in (401, 403) else "check the address and the network"


def _status(error: BaseException) -> int:
    """The code of a server's answer; 0 where there was none."""
    codes = (getattr(error, name, None) for name in ("status", "status_code", "code"))  # aiohttp, adlfs, gcsfs
    return next((code for code in codes if isinstance(code, int)), 0)


def _reason(error: BaseException) -> str:
    """Why, in a few words, without an address that may carry a key."""
    if _is_store_full(error):
        return "the store is full"
    if words := _REASONS.get(type(error).__name__):
        return words
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionError):  # asyncio's own words name a call
        return os.strerror(cause.errno).lower() if cause.errno else files.clause(cause)
    # aiohttp's words hold the address, and gcsfs may have none
    if (phrase := _PHRASES.get(_status(error))) and (hasattr(error, "status") or type(error).__name__ == "HttpError"):
        return f"the server answers {_status(error)}, {phrase}"
    return re.sub(r"\?\S+", "", files.clause(error))
