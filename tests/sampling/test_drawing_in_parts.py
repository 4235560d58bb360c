"""Grids drawn in parts: the same samples on any number of threads, and an end within a draft of being stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Condition, Grid, SampleRequest, Tokens
from anew.families.diffusion.family import Diffusion
from anew.sampling import drawing_in_parts as drawing
from toys import POINT, Toy, ToyConfig, last_draft, stripes


class Slow(Toy):
    """Yields a draft every hundredth of a second, a hundred in all."""

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.num_drawn = 0

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        for _ in range(self.num_drafts(request)):
            time.sleep(0.01)
            self.num_drawn += 1
            yield torch.zeros(request.n, *self.spec.shape)

    def num_drafts(self, request: SampleRequest) -> int:
        return 100


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MAX_PART", 4)


def denoiser(classes: int = 2) -> Diffusion:
    torch.manual_seed(0)
    spec = Grid((1, 8, 8), "CHW", classes, 0.5)
    family = Diffusion(spec, Diffusion.Config(width=8, channel_mults=(1, 2), depth=1))
    family.fit_closed_form([stripes(64, classes)])
    return family.eval()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_samples_are_those_of_one_batch_on_any_number_of_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, shares = denoiser(), []
    request = SampleRequest(11, torch.arange(11) % 2, first_index=5)
    whole = last_draft(family, request, 7)
    monkeypatch.setattr(drawing, "available_threads", lambda: threads)
    before = torch.get_num_threads()
    samples = drawing.draw_in_parts(family, request, 7, shares.append)
    torch.testing.assert_close(samples, whole, atol=1e-5, rtol=1e-5)
    assert torch.get_num_threads() == before
    assert shares == sorted(shares) and 0.0 < shares[0] < 0.1 and 0.9 < shares[-1] < 1.0


def test_each_part_has_its_labels_keys_and_given_values() -> None:
    x, mask = torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 2, 2), torch.ones(1, 2, 2)
    keys = tuple((seed, seed + 1) for seed in range(10))
    request = SampleRequest(10, torch.arange(10), Condition(x, mask), first_index=3, keys=keys)
    parts = list(drawing.split_request(request, 4, 3))
    assert [part.n for part in parts] == [4, 4, 2] and [part.first_index for part in parts] == [3, 7, 11]
    assert sum((part.sample_keys(0) for part in parts), ()) == keys
    for part, rows in zip(parts, torch.split(torch.arange(10), 4), strict=True):
        assert part.labels is not None and part.labels.tolist() == rows.tolist()
        assert part.condition is not None and part.condition.x[:, 0, 0, 0].tolist() == rows.tolist()
        assert part.condition.mask is mask  # the same for all


def test_the_size_of_a_part_falls_with_that_of_the_network_and_the_items() -> None:
    sizes = []
    for width, side in ((16, 2), (4096, 2), (4096, 4000)):
        spec = Grid((1, side, 1), "CHW", 0, 0.7)
        sizes.append(drawing.part_size(Toy(spec, ToyConfig(width=width))))
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == drawing.MAX_PART and sizes[-1] == 1


def test_what_is_drawn_as_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "available_threads", lambda: 4)
    slow = Slow(POINT, ToyConfig())
    assert drawing.draws_in_parts(slow, SampleRequest(1))
    assert not drawing.draws_in_parts(Toy(POINT, ToyConfig()), SampleRequest(9))  # a single pass
    monkeypatch.setattr(drawing, "MAX_PART", 1)  # as of large items: threads help each other where there are too few
    assert drawing.draws_in_parts(slow, SampleRequest(4)) and not drawing.draws_in_parts(slow, SampleRequest(3))
    slow.spec = Tokens(8, 4)
    assert not drawing.draws_in_parts(slow, SampleRequest(9))


def test_all_threads_end_soon_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "available_threads", lambda: 3)
    family = Slow(POINT, ToyConfig())
    with pytest.raises(TimeIsUp), hard_stop(0.1):
        drawing.draw_in_parts(family, SampleRequest(40), 0, lambda share: None)
    drawn = family.num_drawn
    assert 3 <= drawn < 3 * 60  # of 1,000
    time.sleep(0.1)
    assert family.num_drawn == drawn
