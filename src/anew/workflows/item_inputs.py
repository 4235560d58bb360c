"""What every evaluation needs of real and generated items, and how many real ones the audit for copies may hold in memory."""

from __future__ import annotations

from anew.core.specs import Spec, Tokens
from anew.data.dataset import Dataset
from anew.data.held_out import held_out_items
from anew.data.types import DecodedItem
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.memorization.item_type import text_bytes


def item_inputs(data: Dataset, spec: Spec, samples: list[DecodedItem], seed: int) -> EvaluationInputs[DecodedItem]:
    """These samples and the real items of their data, without a model or a time limit.

    Args:
        data: The data.
        spec: Spec of an item.
        samples: Generated items.
        seed: Seed of all draws.
    """
    is_text = isinstance(spec, Tokens)
    return EvaluationInputs(
        modality=data.modality.base,
        spec=spec,
        train=lambda n: data.items("train", n, seed),
        test=lambda n: held_out_items(data, n, seed),
        train_text=(lambda limit: data.text("train", limit)) if is_text else None,
        test_text=(lambda limit: data.text("test", limit)) if is_text else None,
        samples=samples,
        bits=None,
        seconds=None,
        seed=seed,
    )


# Memory for the real items that the audit for copies holds, and for what it computes of them: with .7 GB of a process that has
# trained, a run without a budget stays under 2 GB; chosen
POOL_BYTES = 1152 * 2**20
MIN_POOL = 1_000  # real items that the audit takes however large they are: fewer say nothing


def pool_limit(item: DecodedItem, modality: str) -> int:
    """How many real items like this one the audit for copies may hold in memory. modality: its name."""
    item_type = load_evaluation(modality).item_type
    size = text_bytes(item) if item_type is None else item_type.working_bytes(item)  # texts have several types
    return max(POOL_BYTES // max(size, 1), MIN_POOL)
