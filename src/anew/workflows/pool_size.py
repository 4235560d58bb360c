"""How many real items the audit for copies may hold in memory."""

from __future__ import annotations

from anew.data.types import DecodedItem
from anew.evaluation.base import load_evaluation
from anew.evaluation.memorization.item_type import text_bytes

# Memory for the real items that the audit for copies holds, and for what it computes of them: with .7 GB of a process that has
# trained, a run without a budget stays under 2 GB; chosen
POOL_BYTES = 1152 * 2**20
MIN_POOL = 1_000  # real items that the audit takes however large they are: fewer say nothing


def pool_limit(item: DecodedItem, modality: str) -> int:
    """How many real items like this one the audit for copies may hold in memory. modality: its name."""
    item_type = load_evaluation(modality).item_type
    size = text_bytes(item) if item_type is None else item_type.working_bytes(item)  # texts have several types
    return max(POOL_BYTES // max(size, 1), MIN_POOL)
