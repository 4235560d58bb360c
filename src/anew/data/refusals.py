"""What was refused: all counted, the first ones kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from anew.data.modality import Refusal, Scan

KEPT = 20


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
        """`: NAME REASON` of the first one, for an error."""
        return f": {self.first[0].name} {self.first[0].reason}" if self.first else ""
