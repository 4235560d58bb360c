"""What every evaluation needs of real and generated items."""

from __future__ import annotations

from anew.core.specs import Spec, Tokens
from anew.data.dataset import Dataset
from anew.data.held_out import held_out_items
from anew.data.types import DecodedItem
from anew.evaluation.inputs import EvaluationInputs


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
