from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.settings import settings_of
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.gan.family import Gan, GanConfig, GanSampling
from anew.functional.augment import MAX_P
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from toys import last_draft, stripes

SMALL = GanConfig(
    batch_size=32,
    width=16,
    channel_mults=(1, 2),
    patch_size=1,
    latent_dim=16,
    num_clusters=4,
    rank=8,
    augment_examples=0,
    decay=0.3,
    precision="fp32",
)


class Stripes:
    def __init__(self, classes: int) -> None:
        self.classes = classes

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        return stripes(size, self.classes, step * 2 + (phase == "generator")).rows(first, first + count)

    def prefetch(self, *where: Any) -> None: ...


def trainer(family: Gan, data: Any, steps: int) -> Trainer:
    batch = family.config.batch_size
    return Trainer(family, data, StepProgress(steps), seed=1, batch_size=batch, micro_batch=batch, world=World())


def made(classes: int = 0, **settings: Any) -> Gan:
    torch.manual_seed(0)
    family = Gan(Grid((1, 8, 8), "CHW", classes, 0.8), replace(SMALL, **settings))
    family.fit_closed_form([stripes(256, classes)])
    return family


@cache
def trained(classes: int, steps: int = 80) -> Gan:
    run = trainer(made(classes), Stripes(classes), steps)
    assert all(torch.isfinite(torch.tensor(list(s.losses.values()))).all() for s in run)
    run.family.load_state_dict(run.weights())
    assert isinstance(run.family, Gan)
    return run.family.eval()


def test_learns_labels_and_varies() -> None:
    family = trained(2)
    for label in (0, 1):
        x = last_draft(family, SampleRequest(64, labels=torch.full((64,), label)))[:, 0]
        along_rows, along_columns = x.var(2).mean(), x.var(1).mean()
        assert (along_rows < along_columns) == (label == 0)
        assert float(x.std(0).mean()) > 0.3
    assert float(family.diversity) > 0.4
    assert family.warning(1.0) is None


def test_samples_are_one_draft_in_range_and_depend_on_their_own_index_alone() -> None:
    family = trained(2)
    drafts = list(family.sample(SampleRequest(5), 0))
    assert len(drafts) == 1
    assert float(drafts[0].abs().max()) <= 1.0
    torch.testing.assert_close(drafts[0][3:], last_draft(family, SampleRequest(2, first_index=3)), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_lower_truncation_is_less_variety() -> None:
    family = trained(0)
    wide, narrow = (
        last_draft(family, SampleRequest(64, sampling=GanSampling(truncation=s))).std(0).mean() for s in (1.0, 0.3)
    )
    assert float(narrow) < 0.8 * float(wide)


def test_latents_lead_to_the_samples_and_back() -> None:
    family = trained(2)
    request = SampleRequest(3, labels=torch.tensor([0, 1, 0]))
    latents = family.initial_latents(request, 7)
    x = last_draft(family, request, 7)
    torch.testing.assert_close(next(family.generate(latents, request)), x)
    inverted = family.encode_to_latents(x)
    assert inverted.shape == latents.shape
    decoded = next(family.generate(inverted, SampleRequest(3)))
    assert float((decoded - x).square().mean()) < 0.25 * float((x.roll(1, 0) - x).square().mean())
    assert torch.equal(inverted, family.encode_to_latents(x))
    middle = family.interpolate(latents[0], latents[1], torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(middle[[0, 2]], latents[:2], atol=1e-5, rtol=0)


def test_a_run_whose_channels_of_detail_vary_alone_loads() -> None:
    family = trained(0, 1)
    older = deepcopy(family)
    weights = {name: tensor for name, tensor in family.state_dict().items() if name != "coarse_prior.mixing"}
    older.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})
    older.load_state_dict(weights)
    assert torch.equal(older.coarse_prior.mixing, torch.eye(len(older.coarse_prior.mixing)))
    assert older.state_dict().keys() == weights.keys()
    assert family.state_dict().keys() - weights.keys() == {"coarse_prior.mixing"}


def test_loss_of_rows_does_not_depend_on_the_micro_batch() -> None:
    family, batch = made(2, augment_p=0.5), stripes(32, 2)
    for phase in family.phases():
        whole = phase.loss(batch, StepContext(0, 3)).total
        parts = [phase.loss(batch.rows(i, i + 5), StepContext(0, 3, first_row=i)).total for i in range(0, 32, 5)]
        torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-4, atol=1e-4)


def test_each_phase_moves_its_own_network_alone() -> None:
    family = made()
    before = {n: p.clone() for n, p in family.named_parameters()}
    run = trainer(family, Stripes(0), 3)
    run.phases = run.phases[:1]
    assert all(s.losses for s in _skipping(run))
    moved = {n.partition(".")[0] for n, p in family.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"discriminator"}


def _skipping(run: Trainer) -> Any:
    run.family.on_step_end = lambda logs: None  # type: ignore[method-assign]
    return list(run)


def test_the_probability_of_augmentation_follows_the_discriminator() -> None:
    family = made(augment_p=0.2, augment_examples=320)
    for _ in range(40):
        family.on_step_end({"sign_accuracy": 1.0, "diversity": 1.0})
    assert float(family.augment_p) > 0.5
    for _ in range(80):
        family.on_step_end({"sign_accuracy": 0.0, "diversity": 1.0})
    assert float(family.augment_p) == 0.0


def test_a_collapse_is_reported_with_its_share_once_it_can_be_judged() -> None:
    family = made()
    for _ in range(200):
        family.on_step_end({"sign_accuracy": 0.5, "diversity": 0.03})
    assert family.warning(0.05) is None
    assert "collapsed: its items have 3% of the variety of your data" in str(family.warning(0.5))


@pytest.mark.parametrize(
    ("shape", "items"),
    [((1, 8, 8), 5), ((1, 28, 28), 8000), ((3, 9, 14), 40), ((4, 64, 64), 1900), ((3, 512, 512), 50), ((1, 1, 30), 9)],
)
def test_suggestions_fit_any_grid(shape: tuple[int, ...], items: int) -> None:
    spec = Grid(shape, "CHW", 0, 0.5)
    config = Gan.suggest(spec, Scale(items, 1.0, 60.0))
    family = Gan(spec, replace(config, augment_p=0.8, precision="fp32"))
    batch = Batch(torch.full((2, *shape), -1.0))  # all alike
    for phase in family.phases():
        assert bool(torch.isfinite(phase.loss(batch, StepContext(0, 0)).total))
    assert last_draft(family, SampleRequest(2)).shape == (2, *shape)
    scale = Scale(items, 1.0, 60.0)
    costs = [Gan.target_examples(spec, Gan.suggest(spec, replace(scale, model_size=d)), scale) for d in range(4)]
    assert costs == sorted(costs) and costs[0] > 0


def test_constant_images_train_to_the_end() -> None:
    class Flat:
        def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
            return Batch(torch.full((count, 1, 8, 8), 0.25))

        def prefetch(self, *where: Any) -> None: ...

    family = made(augment_p=0.5)
    for stepped in trainer(family, Flat(), 8):
        assert all(torch.isfinite(torch.tensor(v)) for v in stepped.losses.values())
    assert bool(torch.isfinite(last_draft(family.eval(), SampleRequest(2))).all())


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot keep given values"):
        last_draft(made(), SampleRequest(2, condition=Condition(torch.zeros(1, 8, 8))))
    with pytest.raises(ConfigError, match="no classes"):
        last_draft(made(), SampleRequest(2, labels=torch.zeros(2, dtype=torch.int64)))
    with pytest.raises(ConfigError, match="at least the number of classes, 3"):
        made(3, num_clusters=2)
    with pytest.raises(ConfigError, match="CHW"):
        Gan(Grid((2, 64), "CT"), SMALL)


def test_the_setting_allows_what_the_controller_reaches() -> None:
    assert settings_of(GanConfig)["augment_p"].high == MAX_P
