"""Inputs of an evaluation of texts, made in memory, and its scores by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anew.core.specs import Tokens
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.score import Score


class PythonCode:
    suffix = ".py"


def text_inputs(
    samples: Sequence[str], train: Sequence[str], test: Sequence[str], packed: bool, **more: Any
) -> EvaluationInputs:
    fields: dict[str, Any] = {
        "modality": PythonCode(), "spec": Tokens(30, 64, packed=packed), "samples": list(samples), "bits": None,
        "train": lambda n: list(train[:n]), "test": lambda n: list(test[:n]), "seconds": None, "seed": 0,
        "train_text": lambda limit: list(train), "test_text": lambda limit: list(test),
    }  # fmt: skip
    return EvaluationInputs(**{**fields, **more})


def scores_of(scores: Any) -> dict[str, Score]:
    return {score.name: score for score in scores}
