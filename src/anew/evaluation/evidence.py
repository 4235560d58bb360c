"""What an evaluation receives, and what every evaluation does with its time. It knows no family, trainer or run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from anew.data.modality import Modality
from anew.evaluation.metric import Score
from anew.spec import Spec


@dataclass(frozen=True)
class Evidence:
    """Real and generated items, side by side.

    train, test: n random items (all, if fewer) as people see them: str, or (H, W) or (H, W, C) uint8; fixed by the seed.
    train_text, test_text: texts of a part in order up to a number of characters, None where data is not text.
    samples: generated items in the same form.
    bits: (bits, units) of each scored example of the test part, in order; its argument is the seconds it may take.
    parts: bits per unit of the test part under parts of a mixed model alone, by name; empty where it is one part.
    seconds: what the evaluation may take in all, the writing of the report included; None without a limit.
    """

    modality: Modality
    spec: Spec
    train: Callable[[int], list[Any]]
    test: Callable[[int], list[Any]]
    train_text: Callable[[int | None], list[str]] | None
    test_text: Callable[[int | None], list[str]] | None
    samples: list[Any]
    bits: Callable[[float | None], list[tuple[float, float]]] | None
    seconds: float | None
    seed: int
    parts: Callable[[], dict[str, float]] | None = None


REPORT_SECONDS = 1.2  # of the limit, for drawing and writing the page


class Clock:
    """Time since it was made, against a limit in seconds (None: no limit)."""

    def __init__(self, seconds: float | None) -> None:
        self.limit = seconds
        self._start = time.monotonic()

    def spent(self) -> float:
        return time.monotonic() - self._start

    def left(self, share: float = 1.0) -> float:
        """Seconds until `share` of the limit is spent; infinite without a limit."""
        return float("inf") if self.limit is None else self.limit * share - self.spent()

    def over(self, share: float = 1.0) -> bool:
        return self.left(share) <= 0.0


class Evaluation(ABC):
    """Measures one kind of items. A modality's file `evaluation/NAME.py` ends with `EXPORT = ItsEvaluation`.

    left_out: sentences on what was not measured and why; complete once `scores` has ended.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        limit = evidence.seconds
        self.clock = Clock(None if limit is None else max(limit - REPORT_SECONDS, 0.5 * limit))
        self.left_out: list[str] = []

    def leave_out(self, what: str, why: str) -> None:
        """Record what was not measured; the report's notes say it."""
        self.left_out.append(f"Not measured: {what} ({why}).")

    @abstractmethod
    def scores(self) -> Iterator[Score]:
        """Figures as they are ready, the most important first; stops before the time is spent."""

    @abstractmethod
    def show(self) -> dict[str, Any]:
        """What the report displays of the samples: a sheet or texts, and the nearest training item of each."""
