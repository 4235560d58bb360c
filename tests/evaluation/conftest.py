"""Inputs of an evaluation, made of items in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anew.core.specs import Grid, Spec, Tokens
from anew.evaluation.inputs import EvaluationInputs


def picker(items: list[Any], seed: int) -> Callable[[int], list[Any]]:
    order = np.random.default_rng(seed).permutation(len(items))
    return lambda n: [items[i] for i in order[:n]]


def reader(texts: list[str]) -> Callable[[int | None], list[str]]:
    def read(limit: int | None) -> list[str]:
        texts_so_far: list[str] = []
        for text in texts:
            left = len(text) if limit is None else limit - sum(map(len, texts_so_far))
            texts_so_far += [text[:left]] if left > 0 else []
        return texts_so_far

    return read


@pytest.fixture
def make_inputs() -> Callable[..., EvaluationInputs]:
    def make(train: list[Any], test: list[Any], samples: list[Any], **more: Any) -> EvaluationInputs:
        text = isinstance(samples[0], str) if samples else False
        spec: Spec = Grid((1, 16, 16), "CHW")
        if text:
            spec = Tokens(vocab=64, length=32, packed=more.pop("packed", True))
        fields: dict[str, Any] = {
            "modality": None,
            "spec": spec,
            "train": picker(train, 0),
            "test": picker(test, 1),
            "train_text": reader(train) if text else None,
            "test_text": reader(test) if text else None,
            "samples": samples,
            "bits": None,
            "seconds": None,
            "seed": 0,
        }
        return EvaluationInputs(**(fields | more))

    return make
