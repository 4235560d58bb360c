"""How long this thread was on a core, and waited for one, as Linux counts it. Imports nothing slow."""

from __future__ import annotations

from pathlib import Path

# The file in which Linux gives the nanoseconds of this thread on a core and in the queue for one, and its turns
SCHEDULE = Path("/proc/thread-self/schedstat")


def scheduled_seconds() -> tuple[float, float]:
    """Seconds that this thread was on a core, and waited for one; zeros if the system does not say."""
    try:
        on_core, queued, _ = map(int, SCHEDULE.read_text().split())
    except (OSError, ValueError):
        return 0.0, 0.0
    return on_core / 1e9, queued / 1e9
