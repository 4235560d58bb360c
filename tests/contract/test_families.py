"""One battery over every family. The number of checks that ran is counted, so that none is skipped in silence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from anew.core import settings as cfg
from anew.core.machine.device import to_device
from anew.core.processes.world import World
from anew.core.random import StepContext, generator
from anew.core.registry import available, codecs, family_settings, load
from anew.core.specs import Batch, Condition, Grid, SampleRequest, Spec, Tokens
from anew.errors import ConfigError
from anew.families.base import Family, Scale
from anew.planning.build import build_family, family_with_weights
from anew.planning.family_choice import choose_family, codecs_for
from anew.sampling.restore import load_weights
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from anew.training.validation import validation_loss
from tested_device import DEVICE

SPECS: dict[str, Spec] = {
    "grey": Grid((1, 12, 12), "CHW", 0, 0.5),
    "colour-labels": Grid((3, 9, 14), "CHW", 3, 0.5),
    "clips": Grid((2, 5, 8, 10), "CTHW", 2, 0.5),
    "stream": Tokens(20, 16, {}, 0, True),
    "text": Tokens(20, 16, {}, 0, True, spellings=tuple(bytes([97 + i]) for i in range(20))),
    "records-labels": Tokens(23, 12, {"begin": 20, "end": 21, "pad": 22}, 2, False),
    "codes-labels": Tokens(21, 13, {"begin": 20, "rare": 20}, 3, False, (3, 4)),
}


class Made:
    """Batches that fit a spec, a pure function of (step, row)."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = generator("made", step)
        classes = self.spec.classes
        label = torch.randint(classes, (size,), generator=rng)[first : first + count] if classes else None
        if isinstance(self.spec, Grid):
            x = torch.rand((size, *self.spec.shape), generator=rng)[first : first + count] * 2 - 1
            own = None
            if self.spec.axes == "CTHW":  # every second clip is one frame shorter, and holds its last one
                own = torch.ones(count, self.spec.shape[1], dtype=torch.bool)
                own[(torch.arange(first, first + count) % 2).bool(), -1] = False
                x[~own[:, -1], :, -1] = x[~own[:, -1], :, -2]
            return Batch(x * 0.5, label, own, torch.full((count,), float(x[0].numel())))
        x = torch.randint(20, (size, self.spec.length + 1), generator=rng)[first : first + count]
        mask = None
        if "begin" in self.spec.special:
            x[:, 0] = self.spec.special["begin"]
        if "end" in self.spec.special:
            x[:, 5], x[:, 6:] = 21, 22
            mask = (x[:, 1:] != 22).float()
        units = torch.full((count,), float(self.spec.length)) if mask is None else mask.sum(1)
        return Batch(x, label, mask, units)

    def prefetch(self, *where: Any) -> None: ...

    def one_pass(self) -> Iterator[Batch]:
        for step in range(4):
            batch = self.batch(1000 + step, "", 0, 64, 64)
            if isinstance(self.spec, Tokens) and self.spec.packed:
                batch = Batch(batch.x.reshape(1, -1))
            yield batch


def cases() -> list[tuple[str, str]]:
    return [(f, s) for f in available("families") for s in SPECS if load("families", f).supports(SPECS[s])]


def ready(name: str, spec: Spec) -> Family:
    family_class = load("families", name)
    config = family_class.suggest(spec, Scale(256, 5000.0, 10.0, 0))
    family = build_family(family_class, spec, config, 0, DEVICE)
    family.fit_closed_form(batch.to(DEVICE) for batch in Made(spec).one_pass())
    return family


def training(family: Family, spec: Spec, total: int = 6, batch: int = 8, micro: int = 8) -> Trainer:
    world = World(device=DEVICE)
    return Trainer(family, Made(spec), StepProgress(total), seed=1, batch_size=batch, micro_batch=micro, world=world)


def check_suggest_is_pure(name: str, spec: Spec) -> None:
    family_class = load("families", name)
    for model_size in family_class.candidate_sizes(spec, Scale(256, 5000.0, 10.0)):
        scale = Scale(256, 5000.0, 10.0, model_size)
        config = family_class.suggest(spec, scale)
        assert config == family_class.suggest(spec, scale)
        cfg.check(config)
        assert cfg.from_json(family_class.Config, cfg.to_json(config)) == config
        is_default = family_class.target_examples.__func__ is Family.target_examples.__func__  # type: ignore[attr-defined]
        assert family_class.target_examples(spec, config, scale) > (-1 if is_default else 0)


def check_every_setting_is_documented(name: str, spec: Spec) -> None:
    family_class = load("families", name)
    for owner in (family_class.Config, family_class.Sampling):
        for setting in cfg.settings_of(owner).values():
            assert len(setting.help) > 5


def check_loss_is_keyed(name: str, spec: Spec) -> None:
    family, batch = ready(name, spec).train(), Made(spec).batch(0, "", 0, 8, 8).to(DEVICE)
    phase = family.phases()[0]
    first = phase.loss(batch, StepContext(1, 4, 0.1, "main", device=DEVICE))
    second = phase.loss(batch, StepContext(1, 4, 0.1, "main", device=DEVICE))
    assert torch.isfinite(first.total)
    assert float(first.count) > 0
    assert torch.equal(first.total, second.total)


def check_training_is_finite_and_every_weight_has_a_group(name: str, spec: Spec) -> None:
    run = training(ready(name, spec), spec)
    for stepped in run:
        assert all(torch.isfinite(torch.tensor(v)) for v in stepped.losses.values())


def check_micro_batches_change_nothing(name: str, spec: Spec) -> None:
    config = {"precision": "fp32"}
    family_class = load("families", name)
    losses = []
    for micro in (8, 3):
        suggested = family_class.suggest(spec, Scale(256, 5000.0, 10.0, 0))
        settings = {k: v for k, v in config.items() if k in cfg.settings_of(family_class.Config)}
        family = build_family(
            family_class,
            spec,
            cfg.from_json(family_class.Config, cfg.to_json(suggested) | settings),
            0,
            DEVICE,
        )
        family.fit_closed_form(batch.to(DEVICE) for batch in Made(spec).one_pass())
        losses.append([next(iter(s.losses.values())) for s in training(family, spec, 3, micro=micro)])
    assert torch.allclose(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=1e-5)


def check_resume_is_exact(name: str, spec: Spec) -> None:
    whole = training(ready(name, spec), spec)
    assert all(True for _ in whole)
    first = training(ready(name, spec), spec)
    steps = iter(first)
    for _ in range(3):
        next(steps)
    state = first.state_dict()
    family_class = load("families", name)
    again = build_family(family_class, spec, first.family.config, 9, DEVICE)
    again.allocate_buffers(
        {n.partition("/")[2]: t.shape for n, t in state["tensors"].items() if n.startswith("weights/")}
    )
    second = training(again, spec)
    second.load_state_dict(state)
    assert all(True for _ in second)
    weights = second.weights()
    for key, value in whole.weights().items():
        assert torch.equal(value, weights[key]), key


def check_weights_come_back(name: str, spec: Spec) -> None:
    from pathlib import Path

    family = ready(name, spec).eval()
    family.calibrate([Made(spec).batch(7, "", 0, 8, 8).to(DEVICE)])
    state = {n: t.clone() for n, t in family.state_dict().items()}
    again = load("families", name)(spec, family.config)
    stored = {name: tensor.cpu() for name, tensor in state.items()}
    load_weights(again, stored, Path("model.safetensors"))
    again = to_device(again, DEVICE)
    if not family.generates:
        x = Made(spec).batch(8, "", 0, 3, 3).x
        assert torch.equal(family.encode(x), again.eval().encode(x))
        return
    shared = family_with_weights(type(family), spec, family.config, stored, torch.device("cpu"))
    assert all(tensor.data_ptr() == stored[name].data_ptr() for name, tensor in shared.state_dict().items())
    shared = to_device(shared, DEVICE)
    first, *others = (
        last(f.eval(), SampleRequest(3, labels(spec, 3), None, f.Sampling())) for f in (family, again, shared)
    )
    assert all(torch.equal(first, other) for other in others)


def last(family: Family, request: SampleRequest, seed: int = 5) -> torch.Tensor:
    drawn = None
    for draft in family.sample(request, seed):
        drawn = draft
    assert drawn is not None
    return drawn.clone()


def labels(spec: Spec, n: int) -> torch.Tensor | None:
    return torch.arange(n) % spec.classes if spec.classes else None


def check_samples_fit_the_spec_and_depend_on_their_index_alone(name: str, spec: Spec) -> None:
    family = ready(name, spec).eval()
    if not family.generates:
        with pytest.raises(ConfigError, match="codec"):
            last(family, SampleRequest(2))
        return
    sampling = family.Sampling()
    together = last(family, SampleRequest(5, labels(spec, 5), None, sampling))
    assert together.shape[0] == 5
    if isinstance(spec, Grid):
        assert tuple(together.shape[1:]) == spec.shape
        assert torch.isfinite(together).all()
    else:
        assert together.ndim == 2
        assert int(together.min()) >= 0 and int(together.max()) < spec.special.get("rare", spec.vocab)
    part = None if labels(spec, 5) is None else labels(spec, 5)[3:]
    alone = last(family, SampleRequest(2, part, None, sampling, first_index=3))
    length = min(alone.shape[1], together.shape[1])
    if isinstance(spec, Grid):
        assert torch.allclose(together[3:], alone, atol=2e-2)
    else:
        assert torch.equal(together[3:, :length], alone[:, :length])


def check_rows_of_several_seeds_are_those_of_each(name: str, spec: Spec) -> None:
    family = ready(name, spec).eval()
    assert family.follows_keys
    sampling, classes = family.Sampling(), labels(spec, 2)
    joint = last(family, SampleRequest(2, classes, None, sampling, keys=((5, 3), (6, 1))))
    for row, (seed, index) in enumerate(((5, 3), (6, 1))):
        row_labels = None if classes is None else classes[row : row + 1]
        alone = last(family, SampleRequest(1, row_labels, None, sampling, first_index=index), seed)
        length = min(alone.shape[-1], joint.shape[-1])
        assert torch.allclose(joint[row, ..., :length], alone[0, ..., :length], atol=2e-2)


def check_drafts_are_counted(name: str, spec: Spec) -> None:
    family = ready(name, spec).eval()
    request = SampleRequest(2, labels(spec, 2), None, family.Sampling())
    assert sum(1 for _ in family.sample(request, 5)) <= family.num_drafts(request)
    if family.fills_in and isinstance(spec, Grid):
        x = Made(spec).batch(0, "", 0, 2, 2).x
        filled_in = replace(request, condition=Condition(x, torch.ones_like(x)))
        assert sum(1 for _ in family.sample(filled_in, 5)) == family.num_drafts(filled_in) > 1


def check_seeds_differ(name: str, spec: Spec) -> None:
    family = ready(name, spec).eval()
    first, second = (last(family, SampleRequest(4, labels(spec, 4), None, family.Sampling()), seed) for seed in (1, 2))
    length = min(first.shape[1], second.shape[1])
    assert not torch.equal(first[:, :length], second[:, :length])


def check_bits_are_exact_or_absent(name: str, spec: Spec) -> None:
    family, batch = ready(name, spec).eval(), Made(spec).batch(3, "", 0, 6, 6).to(DEVICE)
    bits = family.bits(batch)
    assert (bits is not None) == (name in WITH_BITS)
    if bits is None:
        return
    assert bits.shape == (6,)
    assert torch.isfinite(bits).all()
    half = torch.cat([family.bits(batch.rows(0, 3)), family.bits(batch.rows(3, 6))])
    assert torch.allclose(bits, half, rtol=1e-4)


def check_held_out_loss_is_repeatable(name: str, spec: Spec) -> None:
    family, batches = ready(name, spec), [Made(spec).batch(step, "", 0, 6, 6) for step in (5, 6)]
    losses = [validation_loss(family, batches, 0) for _ in range(2)]
    assert math.isfinite(losses[0])
    assert losses[0] == losses[1]


def check_latents_lead_to_items(name: str, spec: Spec) -> None:
    family, one_class = ready(name, spec).eval(), None if labels(spec, 2) is None else torch.zeros(3, dtype=torch.long)
    start, end = family.initial_latents(SampleRequest(2, None if one_class is None else one_class[:2]), 5).cpu()
    points = family.interpolate(start, end, torch.linspace(0, 1, 3)).to(DEVICE)
    *_, x = family.generate(points, SampleRequest(3, one_class))
    assert x.shape[0] == 3
    assert torch.isfinite(x).all()
    assert family.encode_to_latents(x[:1], None if one_class is None else one_class[:1]).shape == points[:1].shape


def check_a_codec_gives_what_its_latents_say(name: str, spec: Spec) -> None:
    family = ready(name, spec).eval()
    family.calibrate([Made(spec).batch(7, "", 0, 8, 8).to(DEVICE)])
    x, latent = Made(spec).batch(3, "", 0, 5, 5).x, family.latent
    z = family.encode(x)
    assert isinstance(latent, family.latent_spec_type)
    assert tuple(z.shape[1:]) == (latent.shape if isinstance(latent, Grid) else (latent.length,))
    assert family.decode(z).shape == x.shape
    assert torch.isfinite(family.decode(z)).all()
    if isinstance(latent, Tokens):
        assert z.dtype == torch.int64
        assert int(z.min()) >= 0 and int(z.max()) < latent.special["begin"] < latent.vocab
        assert latent.classes == spec.classes
        assert family.decode(z[:, :2]).shape == x.shape


def check_other_data_is_refused_by_name(name: str, spec: Spec) -> None:
    family_class = load("families", name)
    other = SPECS["stream"] if isinstance(spec, Grid) else SPECS["grey"]
    if codecs_for(other, family_class):
        assert choose_family(other, name)[1] is family_class
        return
    with pytest.raises(ConfigError, match=name):
        choose_family(other, name)


CHECKS: list[Callable[[str, Spec], None]] = [
    check_suggest_is_pure,
    check_every_setting_is_documented,
    check_loss_is_keyed,
    check_training_is_finite_and_every_weight_has_a_group,
    check_micro_batches_change_nothing,
    check_resume_is_exact,
    check_weights_come_back,
    check_samples_fit_the_spec_and_depend_on_their_index_alone,
    check_rows_of_several_seeds_are_those_of_each,
    check_drafts_are_counted,
    check_seeds_differ,
    check_bits_are_exact_or_absent,
    check_held_out_loss_is_repeatable,
    check_latents_lead_to_items,
    check_a_codec_gives_what_its_latents_say,
    check_other_data_is_refused_by_name,
]


WITH_BITS = {"transformer", "vae"}
GENERATING = {check_drafts_are_counted, check_seeds_differ}


def applies(check: Callable[[str, Spec], None], name: str) -> bool:
    """Whether a check has something to look at in this family."""
    family_class = load("families", name)
    if check in GENERATING:
        return bool(family_class.generates)
    if check is check_held_out_loss_is_repeatable:
        return bool(family_class.early_stopping)
    if check is check_latents_lead_to_items:
        return family_class.generate is not Family.generate
    if check is check_rows_of_several_seeds_are_those_of_each:
        return bool(family_class.follows_keys)
    return check is not check_a_codec_gives_what_its_latents_say or family_class.codec_config is not None


RUNS = [(check, *case) for check in CHECKS for case in cases() if applies(check, case[0])]


@pytest.mark.parametrize(("check", "name", "spec"), RUNS, ids=lambda part: getattr(part, "__name__", part))
def test_family(check: Callable[[str, Spec], None], name: str, spec: str) -> None:
    check(name, SPECS[spec])


def test_the_battery_is_complete() -> None:
    """Whoever adds or removes a family, a spec or a check changes this table as well."""
    assert {name for name, _ in cases()} == set(available("families"))
    assert Counter(name for _, name, _ in RUNS) == {"transformer": 56, "diffusion": 45, "fsq": 33, "vae": 30, "gan": 28}


def test_settings_of_families_are_known_without_their_networks() -> None:
    for name in available("families"):
        family_class = load("families", name)
        assert family_settings(name)[:2] == (family_class.Config, family_class.Sampling)
        assert (name in codecs()) == (family_class.codec_config is not None)
        if family_class.generates:
            has_reason = bool(family_settings(name).no_interpolation_reason)
            assert has_reason == (family_class.generate is Family.generate)
