"""How fast a model draws samples, from the chunks that it has drawn."""

from __future__ import annotations

MAX_CHUNK = 256  # samples that are drawn together: bounds memory, and how long a stop may take
# Samples whose time says how many more can be drawn in time. They are drawn whatever it takes, so they are few.
FIRST_CHUNK = 8
GROWTH = 4  # a chunk has at most this many times the samples of the one before: a machine may slow down


class Pace:
    """Model of the time that a chunk of samples takes: a fixed time, and a time for each sample.

    Args:
        earlier: The pace at another time, when other programs may have used the cores more or less. It says how the two times
            are related, until chunks of two sizes do.
    """

    def __init__(self, earlier: Pace | None = None) -> None:
        self._chunks: list[tuple[int, float]] = []
        self._earlier = earlier

    def add(self, n: int, seconds: float) -> None:
        """Record the seconds that a chunk of n samples took."""
        self._chunks.append((n, seconds))

    @property
    def is_known(self) -> bool:
        """Whether any chunk was drawn, now or earlier."""
        return bool(self._chunks) or self._earlier is not None

    def affordable(self, seconds: float) -> int:
        """How many samples a chunk has that takes `seconds`, at most MAX_CHUNK."""
        if seconds <= 0.0:
            return 0
        fixed, per_sample = self._costs()
        return int(min(MAX_CHUNK, max(seconds - fixed, 0.0) / per_sample))

    def seconds(self, n: int) -> float:
        """The seconds that n samples take, in chunks of the largest size."""
        fixed, per_sample = self._costs()
        return n * (per_sample + fixed / MAX_CHUNK)

    def samples_within(self, seconds: float) -> int:
        """How many samples can be drawn in `seconds`, in chunks of the largest size."""
        fixed, per_sample = self._costs()
        return int(max(seconds, 0.0) / (per_sample + fixed / MAX_CHUNK))

    def scaled(self, fixed: float, per_sample: float) -> Pace:
        """The pace of chunks that take so many times the fixed seconds, and so many times those of each sample."""
        pace, (fixed_seconds, sample_seconds) = Pace(), self._costs()
        for n in (1, MAX_CHUNK):
            pace.add(n, fixed * fixed_seconds + n * per_sample * sample_seconds)
        return pace

    def _costs(self) -> tuple[float, float]:
        """The fixed seconds of a chunk, and the seconds of each sample.

        While all chunks have one size, half of the time counts as fixed, or the share that was fixed earlier.
        """
        n, chunk_seconds = self._chunks[-1]
        other_sizes = [chunk for chunk in self._chunks[:-1] if chunk[0] != n]
        per_sample = 0.5 * chunk_seconds / n
        if self._earlier is not None:
            fixed, earlier_per_sample = self._earlier._costs()
            per_sample = chunk_seconds * earlier_per_sample / (fixed + n * earlier_per_sample)
        if other_sizes:
            per_sample = max((chunk_seconds - other_sizes[-1][1]) / (n - other_sizes[-1][0]), 0.25 * chunk_seconds / n)
        return max(chunk_seconds - per_sample * n, 0.0), max(per_sample, 1e-9)
