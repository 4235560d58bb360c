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
LONG_SAMPLING = 20.0  # seconds of sampling that are announced where nothing limits the time; chosen


@dataclass
class TimedSampling:
    """The samples of a report, drawn a chunk at a time.

    Attributes:
        model: The run's model.
        n, seed: See `EvaluationRequest`.
        targets: Numbers of samples to reach.
        pace: How fast samples are drawn.
        samples: The samples so far.
        notes: A sentence if there are fewer than n.
        is_stopped: Whether a signal stopped it.
    """

    model: Model
    n: int
    targets: SampleTargets
    seed: int
    pace: Pace
    samples: Samples
    notes: list[str] = field(default_factory=list)
    is_stopped: bool = False

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
        begin = time.monotonic()
        is_late, is_announced, was_known = False, False, self.pace.is_known
        chunk = min(first_chunk, self.n - len(self.samples))
        num_announced = self.n if seconds is None else min(self.n, targets.least)  # more only as far as there is time
        reporter.progress("sampling", min(len(self.samples), num_announced), num_announced)
        while chunk >= 1:
            chunk_begin = time.monotonic()
            share = MIN_GRADED_SHARE if len(self.samples) < targets.required else GRADED_SHARE
            latest = None if seconds is None or not self.samples else HARD_STOP_FACTOR * share * seconds
            try:
                with hard_stop(None if latest is None else begin + latest - time.monotonic()):
                    more = self.model.sample(chunk, seed=self.seed, first_index=len(self.samples))
            except TimeIsUp:
                is_late = True
                break
            except KeyboardInterrupt:
                if len(self.samples) < targets.required:
                    raise
                self.is_stopped = True
                break
            self.samples += more
            if len(self.samples) - chunk < num_announced:
                reporter.progress("sampling", min(len(self.samples), num_announced), num_announced)
            self.pace.add(chunk, time.monotonic() - chunk_begin)
            # Chunks of two sizes tell what each sample takes
            if seconds is None and not is_announced and len(self.samples) > chunk:
                all_seconds = time.monotonic() - begin + self.pace.seconds(self.n - len(self.samples))
                is_announced = _announce(all_seconds, self.n, reporter)
            most = max(GROWTH * chunk, targets.required) if was_known else GROWTH * chunk
            chunk = min(MAX_CHUNK, most, self.n - len(self.samples))
            if seconds is not None:
                chunk = next_chunk(self.pace, targets, len(self.samples), seconds, time.monotonic() - begin, chunk)
        if len(self.samples) > num_announced:
            reporter.message(f"{plural(len(self.samples) - num_announced, 'further sample')}, as there was time")
        self.notes = self._shortfall(num_announced, targets, is_late, seconds is None)

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
        if worthwhile > self.n or drawn + self.pace.affordable(share * seconds) < worthwhile:
            return False
        first = required - drawn if drawn < required else max(1, self.pace.affordable(share * seconds / 2.0))
        targets = self.targets._replace(least=max(self.targets.least, worthwhile), few_first=False, most=sys.maxsize)
        self.draw(seconds, reporter, first, targets)
        return not self.is_stopped and len(self.samples) >= worthwhile


def _announce(seconds: float, n: int, reporter: Reporter) -> bool:
    """Say what drawing n samples takes, if it is long. Returns True: it is known now."""
    if seconds >= LONG_SAMPLING:
        about = duration(float(f"{seconds:.1g}") if seconds < 60 else 60 * round(seconds / 60))
        reporter.message(
            f"drawing {n:,} samples takes about {about}, and measuring them takes further time; a budget limits both"
        )
    return True


def first_chunk(limit: TimeLimit | None, pace: Pace | None, are_tokens: bool) -> int:
    """The number of samples that are drawn whatever it takes: fewer where they may take too long for the report.

    are_tokens: Whether they are drawn token by token, which takes nearly as long for one of them as for FIRST_CHUNK.
    """
    if limit is None:
        return FIRST_CHUNK
    if limit.slowdown >= MIN_SLOWDOWN and not are_tokens:
        return 1
    return FIRST_CHUNK if pace is None else max(1, min(FIRST_CHUNK, pace.affordable(GRADED_SHARE * limit.usable)))
