"""Buffers whose sizes depend on the data: they are made, saved, allocated and dropped like those of fixed sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from anew.estimators.passages import MAX_PASSAGE, PassageIndex
from anew.families.transformer.counts.ngram_mixer import NgramMixer
from anew.families.transformer.drawing.passage_limit import PassageLimit
from anew.families.transformer.fitted_buffers import FittedBuffers, shapes_below


class Sums(FittedBuffers):
    """Keeps values, and their sum in a cache."""

    dtypes: Mapping[str, torch.dtype] = {"values": torch.int64, "weights": torch.float32}

    def __init__(self, part: FittedBuffers | None = None) -> None:
        super().__init__()
        self.part, self.other = part, torch.nn.Linear(1, 1)
        self.total: int | None = None

    def clear_cache(self) -> None:
        self.total = None


def shapes_of(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def test_a_state_is_restored_with_its_parts() -> None:
    module = Sums(Sums())
    assert isinstance(module.part, Sums) and module.arrays() == {}
    module.set_buffers({"values": np.arange(3)})
    module.part.set_buffers({"values": np.arange(5), "weights": np.ones(2, dtype=np.float32)})
    restored = Sums(Sums())
    restored.allocate_buffers(shapes_of(module))
    assert isinstance(restored.part, Sums)
    restored.total = restored.part.total = 1
    restored.load_state_dict(module.state_dict())
    assert restored.total is restored.part.total is None  # computed from buffers that were overwritten
    assert restored.arrays().keys() == {"values"} and np.array_equal(restored.arrays()["values"], np.arange(3))
    assert np.array_equal(restored.part.arrays()["values"], np.arange(5))
    assert restored.part.get_buffer("weights").dtype == torch.float32


def test_buffers_are_made_and_dropped_and_the_cache_with_them() -> None:
    module = Sums()
    module.total = 1
    module.set_buffers({"values": np.arange(3)})
    assert module.total is None and list(shapes_below({"a.values": torch.Size([3])}, "a")) == ["values"]
    module.total = 3
    module.drop_buffers("values", "weights")
    assert module.total is None and "values" not in module.state_dict()


def test_all_buffers_lie_where_the_module_does() -> None:
    """The rates of passages stayed on the CPU while the text lay on the device."""
    rng = np.random.default_rng(0)
    text = np.tile(np.arange(30), 20)
    limit = PassageLimit().to("meta")
    limit.keep([text])
    limit._index, limit._documents = PassageIndex(text.astype(np.int32)), [text] * 20
    limit.fit()
    assert limit.get_buffer("rates").shape == (MAX_PASSAGE + 1,)
    mixer = NgramMixer(vocab_size=7, order=2).to("meta")
    mixer.fit_counts(list(rng.integers(0, 7, (10, 40))))
    mixer.leave_records_out()
    assert {buffer.device.type for module in (limit, mixer) for buffer in module.buffers()} == {"meta"}
