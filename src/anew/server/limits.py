"""Limits of requests: how much a client may ask for, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 64  # samples of one request, which grow together
MAX_PROMPTS = 64
MAX_NEW_TOKENS = 32_768  # of one sample
MAX_TOKENS = 262_144  # of one request: samples times the tokens of prompt and continuation
# Values of grids that are drawn as one batch: a step then ends soon enough for a client that went away.
ROW_VALUES = 2**20
MAX_VALUES = 2**25  # of one request: samples times the values of one
MAX_SAMPLES = 1_000  # of one request for files; `first_index` goes on
MAX_PARTIAL_IMAGES = 3
MAX_SCORED = 262_144  # characters, or values, of one request
MAX_SCORED_ITEMS = 256
MAX_MESSAGES = 256
MAX_STOPS = 4
MAX_STOP_LENGTH = 256  # characters
MAX_LOG_PROBS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server.

    Attributes:
        body_bytes: Largest body of a request.
        upload_bytes: Largest body of a request with files.
        body_seconds: Until a request's body must be here.
        queue: Prompts, or batches of samples, that wait for one model; more get 429.
        jobs: Videos that are made or kept; more get 429 until one is deleted.
        job_seconds: How long a finished video is kept.
        request_seconds: Until a request is answered, waiting included.
        idle_seconds: A model that nobody asked for so long leaves memory; None: never.
        stop_seconds: What running requests get to finish when the server stops.
    """

    body_bytes: int = 2 * 2**20
    upload_bytes: int = 8 * 2**20
    body_seconds: float = 20.0
    queue: int = 128
    jobs: int = 32
    job_seconds: float = 3600.0
    request_seconds: float = 300.0
    idle_seconds: float | None = 600.0
    stop_seconds: float = 10.0
