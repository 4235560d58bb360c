"""What was refused: all counted, the first ones kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anew.data.modality import Refusal, Scan

KEPT = 20
SAID = 3  # in a sentence


@dataclass(slots=True)
class Refusals:
    """Thread-safe: blocks are encoded in the background."""

    first: list[Refusal] = field(default_factory=list)
    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Count these."""
        with self._lock:
            for refusal in refusals:
                self.count += 1
                if len(self.first) < KEPT:
                    self.first.append(refusal)

    def into(self, scan: Scan) -> None:
        """Write into the scan."""
        scan.refusals, scan.refused = list(self.first), self.count

    def said(self) -> str:
        """`: NAME: REASON; ...` of some, for an error."""
        return f": {named(self.first)}" if self.first else ""


def named(refusals: Sequence[Refusal]) -> str:
    """`NAME: REASON; ...` of some that were refused for different reasons, where there are such."""
    by_reason = {one.reason: one for one in reversed(refusals)}
    some = [one for one in refusals if by_reason[one.reason] is one][:SAID]
    return "; ".join(f"{one.name}: {one.reason}" for one in some) + "; and others" * (len(refusals) > len(some))
