"""How much a client may ask for, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 64  # samples of one request, which grow together
MAX_PROMPTS = 64
MAX_NEW_TOKENS = 32_768  # of one sample
MAX_TOKENS = 262_144  # of one request: samples times the tokens of prompt and continuation
MAX_STOPS = 4
MAX_STOP_LENGTH = 256  # characters
MAX_LOG_PROBS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server grants.

    Attributes:
        body_bytes: Of a request.
        body_seconds: Until a request's body must be here.
        queue: Prompts that wait for one model; more get 429.
        request_seconds: Until a request is answered, waiting included.
        idle_seconds: A model that nobody asked for so long leaves memory; None: never.
        stop_seconds: What running requests get to finish when the server stops.
    """

    body_bytes: int = 2 * 2**20
    body_seconds: float = 20.0
    queue: int = 128
    request_seconds: float = 300.0
    idle_seconds: float | None = 600.0
    stop_seconds: float = 10.0
