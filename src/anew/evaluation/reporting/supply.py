"""What limits the number of items that are compared, and what more of them could bring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from anew.core.wording import are, rounded_up
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, Division

MIN_FOR_GOOD = 150  # least items of a decisive part: a classifier that learns from fewer overlooks too much
# Held-out texts, at least, to say how many would be enough: pieces of a text differ too much in number among fewer; chosen
MIN_TEXTS_OF_LENGTH = 20
# The number of items that would be enough is an estimate, so this share of it is worth a try.
NEARLY_ENOUGH_SHARE = 0.9


class ItemNeed(Protocol):
    """The part of a `Grading` that concerns its number of items."""

    @property
    def n(self) -> int: ...

    @property
    def needed(self) -> int: ...

    @property
    def has_weak_reference(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Supply:
    """What limits the number of items that are compared.

    Attributes:
        held_out: Number of all held-out items; None if it is not known.
        samples_per_item: Samples that it takes for one item that is compared; below 1 if samples are cut into pieces.
        are_halves: Whether one half of the data stands in for held-out items, since there are none.
        compared: Number of items that could be compared.
        left_out: How many of these were not, for lack of time.
        partly: Questions to whose answers some figures belong that were measured on fewer items than the others, for lack of time.
        division: How real items were divided.
        num_texts: Number of held-out texts that items are pieces of; 0 if items are whole.
        num_samples: Number of samples that items are pieces of; 0 if items are whole.
    """

    held_out: int | None = None
    samples_per_item: float = 1.0
    are_halves: bool = False
    compared: int = 0
    left_out: int = 0
    partly: tuple[str, ...] = ()
    division: Division = Division.GIVEN
    num_texts: int = 0
    num_samples: int = 0

    def samples_of_few(self) -> int:
        """How many samples would help if too few items for any figure were compared; 0 if only more data would."""
        if self.held_out is None or self.held_out >= MIN_FOR_GOOD:
            return USUALLY_ENOUGH_ITEMS
        return math.ceil(self.held_out * self.samples_per_item) if self.compared < self.held_out else 0

    def can_settle(self, grading: ItemNeed) -> bool:
        """Whether there are enough held-out items for any answer, or about enough that were not all compared."""
        if grading.has_weak_reference:
            return False
        if self.held_out is None or grading.needed <= self.held_out:
            return True
        return grading.n < self.held_out and self.held_out >= NEARLY_ENOUGH_SHARE * grading.needed

    def samples_for(self, grading: ItemNeed) -> int:
        """How many samples would be enough for an answer, or to compare all held-out items; 0 if only more data would help."""
        if self.can_settle(grading):
            needed = grading.needed if self.held_out is None else min(grading.needed, self.held_out)
            return math.ceil(needed * self.samples_per_item)
        if self.held_out is None:
            return 0
        # Too few for a yes, but a difference may show
        return math.ceil(self.held_out * self.samples_per_item) if grading.n < self.held_out else 0

    def texts_for(self, grading: ItemNeed) -> int:
        """How many held-out texts like these would be enough for a yes; 0 if they are few, or items are whole."""
        if self.num_texts < MIN_TEXTS_OF_LENGTH or not self.held_out or grading.has_weak_reference:
            return 0
        return rounded_up(math.ceil(grading.needed * self.num_texts / self.held_out))

    def held_out_clause(self) -> str:
        """How few held-out items there are, a clause."""
        assert self.held_out is not None
        if self.are_halves:
            return f"half of the data holds only {self.held_out:,}"
        return f"only {self.held_out:,} {are(self.held_out)} held out"


UNLIMITED = Supply()
