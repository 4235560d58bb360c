"""Bounds for the clients of stores: each tries once and briefly, since `addresses.with_retries` tries again, says so, and gives up in
time. And how slow a download may be: a server that sends a byte now and then would keep a command waiting for hours."""

from __future__ import annotations

import time
import types
from collections.abc import Callable

# Seconds until a store must take a connection, and until it must send something: three attempts fit into the minute for which it is
# tried. Computing a page of a listing takes some stores seconds; chosen.
CONNECT_S, ANSWER_S = 5, 20
MIN_BYTES_PER_SECOND = 2**10  # slower than any line in use; chosen
MAX_LAG_S = 60.0  # a transfer may fall so far behind that; chosen
# The same for uploads, which are given up as a whole: at that speed no run could be kept up to date; chosen
MIN_UPLOAD_BYTES_PER_SECOND = 2**17
# Methods of gcsfs that send a request, up to six times
_GCS_REQUESTS = "_request", "_get_file_request", "_get_file_concurrent"


def bound_attempts(scheme: str, system: object) -> None:
    """Bound each attempt of the client of a store, an fsspec file system. The user's own fsspec settings take precedence."""
    bound = {"s3": _bound_s3, "gs": _bound_gs, "az": _bound_az, "abfs": _bound_az}.get(scheme)
    if bound is not None:
        bound(system)


def _bound_s3(system: object) -> None:
    """The client's default is to wait 15 s, five times in each of five attempts."""
    settings = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "retries": {"total_max_attempts": 1}}
    system.retries = 1  # type: ignore[attr-defined]
    system.config_kwargs = settings | system.config_kwargs  # type: ignore[attr-defined]


def _bound_gs(system: object) -> None:
    """The client's default is to wait for answers without end, and to try six times with pauses of half a minute in all."""
    from aiohttp import ClientTimeout

    if system.requests_timeout is None:  # type: ignore[attr-defined]
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
        system.requests_timeout = timeout  # type: ignore[attr-defined]
    # Only newer releases have this: they ask by another way what kind of bucket it is.
    system.retry_config = {"timeout": ANSWER_S} | getattr(system, "retry_config", {})  # type: ignore[attr-defined]
    for name in _GCS_REQUESTS:
        # Its number of attempts is not a setting: it is bound to these methods by a decorator.
        request: Callable[..., object] | None = getattr(getattr(type(system), name, None), "__wrapped__", None)
        if request is not None:
            setattr(system, name, types.MethodType(request, system))


def _bound_az(system: object) -> None:
    """The client's default is to wait a minute for each of four answers, with pauses of one and a half minutes in all."""
    # The client, which adlfs makes without any of these settings, keeps them here.
    config = system.service_client._config  # type: ignore[attr-defined]
    config.retry_policy.total_retries = 0
    config.transport.connection_config.timeout = CONNECT_S
    config.transport.connection_config.read_timeout = ANSWER_S


def check_pace(size: int, begin: float) -> None:
    """ValueError if `size` bytes are too few for the time since `begin`, a `time.monotonic()`."""
    if time.monotonic() - begin > MAX_LAG_S + size / MIN_BYTES_PER_SECOND:
        raise ValueError(f"it sends fewer than {MIN_BYTES_PER_SECOND:,} bytes a second")


def upload(system: object, send: Callable[..., object], size: int) -> None:
    """Send `size` bytes to a store within a bounded time. Clients bound the time until an answer begins, but only once everything is
    sent, so they wait without end for a server that takes nothing.

    Args:
        system: The client.
        send: One of its methods with all arguments; that of a client which runs in a thread of its own is given `timeout`, too.

    Raises:
        ValueError: It took longer.
    """
    if not getattr(system, "async_impl", False):
        send()
        return
    from fsspec.exceptions import FSTimeoutError

    limit, begin = MAX_LAG_S + size / MIN_UPLOAD_BYTES_PER_SECOND, time.monotonic()
    try:
        send(timeout=limit)
    except FSTimeoutError:
        if time.monotonic() - begin < limit:  # a shorter one, within the client
            raise
        raise ValueError(f"it takes fewer than {MIN_UPLOAD_BYTES_PER_SECOND:,} bytes a second") from None
