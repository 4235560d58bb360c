"""The verb that answers requests over HTTP: serve."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from anew.api.keywords import names_unknown_arguments
from anew.api.training import run_place
from anew.core import arguments
from anew.core.durations import parse_duration
from anew.core.extras import require
from anew.core.settings import check_int
from anew.core.stores.internal_hosts import is_loopback
from anew.errors import ConfigError, shorten
from anew.runs.folder import RunFolder

DEFAULT_PORT = 8000  # the usual port of development servers, so that other examples fit
NEVER = "never"
CHATS = ("plain",)
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?/?")
USUAL_PORTS = {"http": "80", "https": "443"}  # which browsers leave out of an origin
MAX_KEYS = 100  # a request is compared with each key, and more keys are probably a mistake; chosen


@names_unknown_arguments
def serve(
    runs: str | Path | Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    api_key: str | Sequence[str] | None = None,
    unload_after: str | float = "10m",
    chat: str | None = None,
    allow_origin: str | Sequence[str] | None = None,
    device: str = "auto",
    trust_code: bool = False,
    on_ready: Callable[[str, list[str]], None] | None = None,
) -> None:
    """Answer requests over HTTP, in the format of OpenAI's API, until Ctrl-C or SIGTERM.

    Args:
        runs: Folders of finished runs. The last part of the path is the name of the model in requests.
        host: The address to listen on. One that other machines reach requires an `api_key`.
        port: 0 takes a free one.
        api_key: Keys, of which each request must give one as `Authorization: Bearer KEY`. None: no key is needed.
        unload_after: Time without a request after which a model is unloaded ("10m", or seconds), or "never".
        chat: "plain" takes the last message of a chat as a prompt; None: chats are refused, since these models have not learned to chat.
        allow_origin: Sites whose pages may use the server, such as "http://localhost:3000"; None: no other site's. "*" lets every
            page that is open in a browser on this machine use the models, so give an `api_key` with it.
        device: As in `load`.
        trust_code: As in `load`.
        on_ready: Called with the address and the names of the models when all are loaded.

    Raises:
        ConfigError: The port is in use, an argument cannot be used, or two runs have the same name.
        DataError: The extra `serve` is missing.
        RunError: A run is not finished, or is damaged.

    Examples:
        >>> anew.serve(["towns", "digits"], port=8000)
    """
    # Refusals need not wait for PyTorch and FastAPI.
    folders = [RunFolder.open(run_place("runs", run, ConfigError)).path for run in arguments.several("runs", runs)]
    if not folders:
        raise ConfigError("`runs` must hold at least one run (got an empty list)")
    address = arguments.optional_text("host", host)
    if address is None:
        raise ConfigError("`host` must be an address like 127.0.0.1 (got None)")
    number = check_int("port", port, 0, 65_535)
    keys = _keys(api_key)
    if not is_loopback(address) and not keys:
        raise ConfigError(
            f"`host` {address!r} accepts requests from other machines; give `api_key`, or 127.0.0.1 for this machine alone"
        )
    idle_seconds = None if unload_after == NEVER else _seconds(unload_after)
    if chat is not None:
        arguments.choice("chat", chat, CHATS)
    origins = _origins(allow_origin)
    trust_code = arguments.switch("trust_code", trust_code)
    on_ready = arguments.callback("on_ready", on_ready)
    for package in PACKAGES:
        require(package, extra="serve", purpose="serving")
    from anew.server.app import ServerOptions, run_server
    from anew.server.limits import Limits

    options = ServerOptions(address, number, keys, chat is not None, origins)
    ready = on_ready or (lambda address, names: None)
    run_server(folders, options, Limits(idle_seconds=idle_seconds), device, trust_code, ready)


def _keys(api_key: object) -> list[str]:
    """The keys as strings. Raises ConfigError, without showing them, if one cannot be a key."""
    keys = [] if api_key is None else arguments.several("api_key", api_key)
    for key in keys:
        if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError("`api_key` must be a string of printable ASCII characters without spaces")
    if len(keys) > MAX_KEYS:
        raise ConfigError(f"`api_key` may be given {MAX_KEYS} times (got {len(keys)})")
    return [str(key) for key in keys]


def _origins(allow_origin: object) -> list[str]:
    """The origins as browsers send them: in lower case, without the usual port."""
    values = [] if allow_origin is None else arguments.several("allow_origin", allow_origin)
    return [_origin(value) for value in values]


def _origin(value: object) -> str:
    if value == "*":
        return "*"
    match = ORIGIN.fullmatch(value.lower()) if isinstance(value, str) else None
    if match is None:
        raise ConfigError(
            "`allow_origin` must be the scheme, name and port of a site, like http://localhost:3000 or https://example.org, "
            f"or * for any site (got {shorten(value)})"
        )
    scheme, name, port = match.groups()
    return f"{scheme}://{name}" + ("" if port in (None, USUAL_PORTS[scheme]) else f":{port}")


def _seconds(unload_after: object) -> float:
    try:
        return parse_duration(unload_after)  # type: ignore[arg-type]
    except ConfigError:
        raise ConfigError(
            f"`unload_after` must be a time like 60s, 10m or 2h, or {NEVER} (got {shorten(unload_after)})"
        ) from None
