"""How fast what a server sends must come: one that sends bit by bit would hold its reader for ever."""

from __future__ import annotations

import time

# Bytes a second, and seconds that they may fall behind that: slower than any line in use, so only a drip is cut off;
# chosen.
SLOWEST, PAUSE_S = 2**10, 60.0


def check_pace(size: int, begin: float) -> None:
    """ValueError where so many bytes since `begin` (`time.monotonic()`) are too few."""
    if time.monotonic() - begin > PAUSE_S + size / SLOWEST:
        raise ValueError(f"it sends fewer than {SLOWEST:,} bytes a second")
