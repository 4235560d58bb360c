"""Limits of requests: how much a client may ask for, and how long it waits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

# All chosen so that no request takes minutes or gigabytes on a CPU, but for those marked as OpenAI's.
MAX_ROWS = 64  # samples of one request for texts or images, and of one batch
MAX_PROMPTS = 64  # prompts of one request, each of which takes a row at least
MAX_NEW_TOKENS = 32_768  # new tokens of one sample
MAX_TOKENS = 262_144  # tokens of one request: samples times those of prompt and continuation
# Values of grids in one batch: a step then ends soon enough after a client has disconnected.
ROW_VALUES = 2**20
MAX_VALUES = 2**25  # values of one request: samples times those of one
MAX_SAMPLES = 1_000  # samples of one request for files; `first_index` gives further ones
MAX_PARTIAL_IMAGES = 3  # OpenAI's
MAX_SCORED_CHARACTERS = 262_144  # characters of one request
MAX_SCORED_ITEMS = 256  # items of one request
MAX_MESSAGES = 256  # messages of one chat, of which only the user's last one is used
MAX_STOPS = 4  # OpenAI's
MAX_STOP_LENGTH = 256  # characters
MAX_LOG_PROBS = 20  # OpenAI's
SEED_BITS = 53  # every reader of JSON keeps such integers exactly


def random_seed() -> int:
    """A seed for a request without one. Its answer tells it, so that the same can be asked for again."""
    return secrets.randbits(SEED_BITS)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server.

    Attributes:
        body_bytes: Largest body of a request.
        upload_bytes: Largest body of a request with files.
        body_seconds: Seconds in which the body of a request must arrive.
        queue: Prompts, or batches of samples, that may wait for one model; more are answered with 429.
        jobs: Clips that may be in progress or kept; more are answered with 429 until one is deleted.
        job_seconds: Seconds for which a finished clip is kept.
        request_seconds: Seconds in which a request must be answered, waiting included.
        idle_seconds: Seconds without a request after which a model is unloaded; None never unloads it.
        stop_seconds: Seconds that running requests have to finish when the server stops.
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
