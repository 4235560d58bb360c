"""How slow a download may be: a server that sends a byte now and then would keep a command waiting for hours."""

from __future__ import annotations

import time

MIN_BYTES_PER_SECOND = 2**10  # slower than any line in use; chosen
MAX_LAG_S = 60.0  # by which a download may fall behind that; chosen


def check_pace(size: int, begin: float) -> None:
    """ValueError if `size` bytes are too few for the time since `begin`, a `time.monotonic()`."""
    if time.monotonic() - begin > MAX_LAG_S + size / MIN_BYTES_PER_SECOND:
        raise ValueError(f"it sends fewer than {MIN_BYTES_PER_SECOND:,} bytes a second")
