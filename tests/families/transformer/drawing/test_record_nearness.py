"""Aligned records are drawn from only where samples then stay as far from training records as held-out records do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.drawing import record_nearness
from anew.families.transformer.drawing.record_nearness import draws_copies
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.family import Transformer

LENGTH = 50
SPEC = Tokens(22, LENGTH + 1, {"begin": 20, "end": 21}, packed=False)
SMALL = {"layers": 1, "width": 16, "heads": 1, "mlp_size": 24, "ngram_order": 3, "precision": "fp32", "aligned": True}


def related(rng: np.random.Generator, members: int, ancestors: np.ndarray) -> Batch:
    """Records that share 70% of one of the ancestors."""
    own = np.tile(ancestors, (members, 1))
    rows = np.where(rng.random(own.shape) < 0.7, own, rng.integers(0, 20, own.shape))
    begin, end = (np.full((len(rows), 1), SPEC.special[name]) for name in ("begin", "end"))
    return Batch(torch.from_numpy(np.concatenate((begin, rows, end), 1)))


def test_samples_that_would_follow_single_records_are_drawn_without_them() -> None:
    rng = np.random.default_rng(0)
    ancestors = rng.integers(0, 20, (8, LENGTH))
    train, held_out = related(rng, 30, ancestors), related(rng, 6, ancestors)
    torch.manual_seed(0)
    family = Transformer(SPEC, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    family.fit_closed_form([train])
    family.calibrate([held_out])
    mixer = family.mixer
    assert mixer.aligned  # they are scored with the records
    assert "mixer.gate_without_records" in family.state_dict()
    drawing = mixer.drawing()
    assert not drawing.aligned and drawing.num_models == 2
    again = Transformer(SPEC, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    again.allocate_buffers({name: value.shape for name, value in family.state_dict().items()})
    again.load_state_dict(family.state_dict())
    assert again.mixer.aligned and not again.mixer.drawing().aligned
    assert torch.equal(again.bits(held_out), family.bits(held_out))
    # So they are far enough now
    assert not draws_copies(family, mixer.records, list(held_out.x.numpy()), [-1] * len(held_out))
    assert len(family.remarks()) == 1 and "without following similar training records" in family.remarks()[0]
    mixer._buffers.pop("gate_without_records")
    assert family.remarks() == ()
    assert draws_copies(family, mixer.records, list(held_out.x.numpy()), [-1] * len(held_out))
    # Data whose records repeat
    assert not draws_copies(family, mixer.records, list(train.x.numpy()), [-1] * len(train))


def test_samples_have_the_classes_of_held_out_records(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = related(rng, 10, rng.integers(0, 20, (8, LENGTH)))
    batch = replace(rows, labels=torch.arange(len(rows)) // 60)  # 60 of one class, 20 of the other
    torch.manual_seed(0)
    family = Transformer(replace(SPEC, classes=2), TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    family.fit_closed_form([batch])
    requests: list[SampleRequest] = []

    class Recorded(TokenSampler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            requests.append(self.request)

    monkeypatch.setattr(record_nearness, "TokenSampler", Recorded)
    family.calibrate([batch])
    labels = requests[0].labels
    assert labels is not None and torch.bincount(labels).tolist() == [24, 8]
