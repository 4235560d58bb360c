"""Known records are stored with their classes, where these matter, and checked when they are loaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.families.transformer.counts.aligned_records import CLASS_ODDS, CLASSES, IDS, LENGTHS
from anew.families.transformer.counts.ngram_mixer import NgramMixer


def mixer_of(classes: list[int]) -> NgramMixer:
    rng = np.random.default_rng(0)
    ancestors = rng.integers(0, 20, (2, 60))
    records = [np.where(rng.random(60) < 0.8, ancestors[i % 2], rng.integers(0, 20, 60)) for i in range(40)]
    mixer = NgramMixer(vocab_size=20, order=2, aligned=True, num_classes=2)
    mixer.fit_counts(records, classes)
    return mixer


def test_classes_of_records_come_back() -> None:
    mixer = mixer_of([i % 2 for i in range(40)])
    assert mixer.records.class_odds > 5.0
    again = NgramMixer(vocab_size=20, order=2, aligned=True, num_classes=2)
    again.allocate_buffers({name: value.shape for name, value in mixer.state_dict().items()})
    again.load_state_dict(mixer.state_dict())
    again.check()
    np.testing.assert_array_equal(again.records.classes, mixer.records.classes)
    assert again.records.class_odds == pytest.approx(mixer.records.class_odds)


def test_records_without_classes_that_matter_are_stored_as_before() -> None:
    assert not mixer_of([]).state_dict().keys() & {CLASSES, CLASS_ODDS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (CLASSES, torch.full((40,), 2)),
        (CLASSES, torch.zeros(39, dtype=torch.int64)),
        (CLASS_ODDS, torch.tensor([float("nan")])),
        (LENGTHS, torch.full((40,), 59)),
        (IDS, torch.full((2400,), 20, dtype=torch.int32)),
    ],
)
def test_records_of_strangers_are_checked(name: str, value: torch.Tensor) -> None:
    mixer = mixer_of([i % 2 for i in range(40)])
    mixer.register_buffer(name, value)
    with pytest.raises(ValueError, match="the aligned records are inconsistent"):
        mixer.check()
    mixer.drop_buffers(CLASS_ODDS)
    with pytest.raises(ValueError, match="the aligned records are inconsistent"):
        mixer.check()
