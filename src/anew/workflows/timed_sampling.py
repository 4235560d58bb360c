"""The samples of a report: drawn a chunk at a time, as far as there is time for them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.threads import MIN_SLOWDOWN
from anew.core.reporter import Reporter
from anew.core.wording import duration, plural
from anew.sampling.model import Model
from anew.sampling.samples import Samples
from anew.workflows.timing.pace import FIRST_CHUNK, GROWTH, MAX_CHUNK, Pace
from anew.workflows.timing.sample_counts import SampleTargets
from anew.workflows.timing.sampling_shares import GRADED_SHARE, MIN_GRADED_SHARE, REQUIRED_SHARE, next_chunk
from anew.workflows.timing.time_limit import TimeLimit

# Time for the rest of the evaluation once sampling was stopped: the user who pressed Ctrl-C is waiting; chosen.
STOPPED_SECONDS = 20.0
# A chunk is given up after this many times the longest sampling time, which is within what measuring can spare.
HARD_STOP_FACTOR = 1.3
# Where the pace of samples that are drawn token by token is known, the first chunk may have so many if they take at most this share of
# the report's time: 8 of them take half as long as 32; chosen.
FIRST_TOKEN_CHUNK, FIRST_SHARE = 64, 0.2
LONG_SAMPLING = 20.0  # seconds of sampling that are announced where nothing limits the time; chosen


@dataclass
class TimedSampling:
    """The samples of a report, drawn a chunk at a time.

    Attributes:
        model: The run's model.
        n, most, seed: See `EvaluationRequest`.
        targets: Numbers of samples to reach.
        pace: How fast samples are drawn.
        samples: The samples so far.
        notes: A sentence if there are fewer than n.
        is_stopped: Whether a signal stopped it.
        limit: The number of samples to draw at most: n, or `most` once they were extended.
    """

    model: Model
    n: int
    targets: SampleTargets
    seed: int
    pace: Pace
    samples: Samples
    notes: list[str] = field(default_factory=list)
    is_stopped: bool = False
    most: int = 0
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        self.limit = self.n

    def draw(
        self, seconds: float | None, reporter: Reporter, first_chunk: int, targets: SampleTargets | None = None
    ) -> None:
        """Draw samples until there are n, or as many as there is time for.

        Args:
            seconds: Time of which sampling has its shares; None for no limit.
            reporter: Receives the progress.
            first_chunk: Size of the first chunk.
            targets: In place of its own.

        Raises:
            KeyboardInterrupt: A signal stopped it with too few samples for metrics.
        """
        targets = targets or self.targets
        # Further ones are drawn only as far as there is time
        progress = _SamplingProgress(reporter, self.limit if seconds is None else min(self.limit, targets.least))
        progress.show(len(self.samples))
        begin, was_known, is_late = time.monotonic(), self.pace.is_known, False
        chunk = min(first_chunk, self.limit - len(self.samples))
        while chunk >= 1:
            try:
                self._draw_chunk(chunk, targets, begin, seconds)
            except TimeIsUp:
                is_late = True
                break
            except KeyboardInterrupt:
                if len(self.samples) < targets.required:
                    raise
                self.is_stopped = True
                break
            progress.show(len(self.samples))
            spent = time.monotonic() - begin
            # Chunks of two sizes tell what each sample takes
            if seconds is None and len(self.samples) > chunk:
                progress.announce(spent + self.pace.seconds(self.limit - len(self.samples)))
            chunk = self._next_chunk(chunk, targets, spent, seconds, was_known=was_known)
        if len(self.samples) > progress.total:
            reporter.message(f"{plural(len(self.samples) - progress.total, 'further sample')}, as there was time")
        self.notes = self._shortfall(progress.total, targets, is_late, seconds is None)

    def _draw_chunk(self, n: int, targets: SampleTargets, begin: float, seconds: float | None) -> None:
        """Draw n further samples. begin: When `draw` was called; seconds: as of `draw`.

        Raises:
            TimeIsUp: They take so long that too little time would be left to measure the samples so far.
        """
        chunk_begin = time.monotonic()
        share = MIN_GRADED_SHARE if len(self.samples) < targets.required else GRADED_SHARE
        limit = None
        if seconds is not None and self.samples:
            limit = begin + HARD_STOP_FACTOR * share * seconds - chunk_begin
        with hard_stop(limit):
            chunk = self.model.sample(n, seed=self.seed, first_index=len(self.samples))
        self.samples += chunk
        self.pace.add(n, time.monotonic() - chunk_begin)

    def _next_chunk(
        self, chunk: int, targets: SampleTargets, spent: float, seconds: float | None, *, was_known: bool
    ) -> int:
        """How many samples to draw next; 0 for no more.

        Args:
            chunk: How many were drawn last.
            spent: Seconds of drawing so far.
            seconds: As of `draw`.
            was_known: Whether the pace was known before, so that the first chunks need not be small.
        """
        most = max(GROWTH * chunk, targets.required) if was_known else GROWTH * chunk
        most = min(MAX_CHUNK, most, self.limit - len(self.samples))
        return most if seconds is None else next_chunk(self.pace, targets, len(self.samples), seconds, spent, most)

    def _shortfall(self, num_announced: int, targets: SampleTargets, is_late: bool, is_unlimited: bool) -> list[str]:
        """A sentence on why there are fewer than n samples, or nothing."""
        drawn = len(self.samples)
        if drawn >= self.n:
            return []
        reason = "for lack of time" if is_late else targets.reason(drawn)
        if self.is_stopped:
            spent_on = f"; measuring them may take {STOPPED_SECONDS:.0f} s then" if is_unlimited else ""
            reason = f"because it was stopped{spent_on}"
        # The goal is the one that the progress names
        goal = f"the {num_announced:,} that answers usually need" if drawn < num_announced < self.n else f"{self.n:,}"
        return [f"{plural(drawn, 'sample')} instead of {goal}, {reason}."]

    def extend(self, worthwhile: int, seconds: float, reporter: Reporter) -> bool:
        """Draw further samples if `seconds` give as many in all as are worthwhile. Returns whether they did."""
        drawn = len(self.samples)
        required = self.targets.required
        share = REQUIRED_SHARE if drawn < required else GRADED_SHARE
        most = max(self.n, self.most)
        if worthwhile > most or drawn + self.pace.samples_within(share * seconds) < worthwhile:
            return False
        self.limit = most
        first = required - drawn if drawn < required else max(1, self.pace.affordable(share * seconds / 2.0))
        targets = self.targets._replace(least=max(self.targets.least, worthwhile), few_first=False, most=sys.maxsize)
        self.draw(seconds, reporter, first, targets)
        return not self.is_stopped and len(self.samples) >= worthwhile


class _SamplingProgress:
    """Shows how many samples are drawn, of as many as are drawn in any case.

    Attributes:
        total: Their number.
    """

    def __init__(self, reporter: Reporter, total: int) -> None:
        self.total = total
        self._reporter = reporter
        self._count: int | None = None
        self._is_announced = False

    def show(self, drawn: int) -> None:
        """Show that so many samples are drawn; nothing where all were before."""
        count = min(drawn, self.total)
        if count != self._count:
            self._count = count
            self._reporter.progress("sampling", count, self.total)

    def announce(self, seconds: float) -> None:
        """Say what drawing all samples takes, if that is long. Only the first call does."""
        if seconds >= LONG_SAMPLING and not self._is_announced:
            about = duration(float(f"{seconds:.1g}") if seconds < 60 else 60 * round(seconds / 60))
            self._reporter.message(
                f"drawing {self.total:,} samples takes about {about}, and measuring them takes further time; a budget limits both"
            )
        self._is_announced = True


def first_chunk(limit: TimeLimit | None, pace: Pace | None, are_tokens: bool) -> int:
    """The number of samples that are drawn whatever it takes: fewer than FIRST_CHUNK where they may take too long for the report.

    are_tokens: Whether they are drawn token by token, which takes nearly as long for one of them as for FIRST_CHUNK. They are more where
        it is known that a report has the time.
    """
    if limit is None:
        return FIRST_CHUNK
    if pace is None:
        return 1 if limit.slowdown >= MIN_SLOWDOWN and not are_tokens else FIRST_CHUNK
    if limit.slowdown >= MIN_SLOWDOWN and not are_tokens:
        return 1
    most = FIRST_CHUNK
    if are_tokens:
        most = max(most, min(FIRST_TOKEN_CHUNK, pace.affordable(FIRST_SHARE * limit.usable)))
    return max(1, min(most, pace.affordable(GRADED_SHARE * limit.usable)))
