"""Refusals name the user's data, and what would work."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

import anew
from anew.core.specs import Grid, Tokens
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.families.base import Scale
from anew.families.diffusion.family import Diffusion
from anew.families.gan.family import Gan
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.family import Transformer
from anew.planning.build import agreed_config
from anew.planning.planner import (
    MIN_STEPS_SHARE,
    calibration_units,
    describe_plan,
    planned_batch,
    scale_of,
    seconds_after_fitting,
    size_note,
)
from anew.runs.record import Candidate, Plan
from samples import clips, shapes


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("gan", {}, "'gan' does not take clips; give diffusion or transformer"),
        ("diffusion", {"space": "latent"}, "no codec turns clips into what 'diffusion' takes"),
    ],
)
def test_refused_families_and_spaces_of_clips(
    family: str, settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(anew.ConfigError, match=message):
        anew.train(clips(tmp_path / "d", 20), tmp_path / "run", steps=2, family=family, settings=settings)


@pytest.mark.parametrize(("slowdown", "expected"), [(1.1, 1.0), (3.0, 3.0)])
def test_the_scale_knows_how_busy_the_cores_are(slowdown: float, expected: float) -> None:
    world = SimpleNamespace(device=SimpleNamespace(type="cpu"), minimum=lambda value: value)
    data = SimpleNamespace(train_items=10, train_units=1.0)
    context = SimpleNamespace(world=world, slowdown=slowdown, loops_ready=True)
    assert scale_of(data, context, 60.0, 0).slowdown == expected  # type: ignore[arg-type]


def test_a_plan_is_described_in_plain_words() -> None:
    small = Candidate(model_size=0, parameters=1000, batch=8, step_s=0.1, examples=4000.0, target_examples=500.0)
    plan = Plan(
        seed=0, model_size=0, batch=8, micro_batch=8, decay=0.5, parameters=1000, train_s=50.0, expected_steps=500,
        epochs=2.5, candidates=(small, dataclasses.replace(small, model_size=1, target_examples=9000.0)),
    )  # fmt: skip
    assert describe_plan("gan", plan).split("\n") == [
        "model: gan, model_size=0 (the smallest), 1,000 parameters, 8 examples in each step",
        "training: 50 s, about 500 steps, 2.5 passes over the data",
        "  model_size=0 (chosen): 1,000 parameters; would see 4,000 examples in this time and needs about 500",
        "  model_size=1: 1,000 parameters; would see 4,000 examples in this time and needs about 9,000",
    ]
    by_steps = dataclasses.replace(plan, train_s=None, steps=1, candidates=())
    assert describe_plan("gan", by_steps).endswith("\ntraining: 1 step")


@pytest.mark.parametrize(
    ("seconds", "device", "is_set", "expected"),
    [
        (15.0, "cpu", False, (16, 60)),
        (30.0, "cpu", False, (32, 60)),
        (60.0, "cpu", False, (64, 60)),
        (3.0, "cpu", False, (16, 12)),
        (15.0, "cuda", False, (64, 15)),
        (15.0, "cpu", True, (64, 15)),
    ],
)
def test_batches_are_smaller_where_few_steps_are_planned(
    seconds: float, device: str, is_set: bool, expected: tuple[int, int]
) -> None:
    """Sounds had 9 steps of 64 examples in 40 s, and images 275 of 16."""
    candidate = Candidate(model_size=0, parameters=9, batch=64, step_s=1.0, examples=9.0, target_examples=9.0)
    assert planned_batch(Diffusion, candidate, seconds, device, is_set=is_set) == expected
    assert planned_batch(Gan, candidate, seconds, device) == (64, int(seconds))  # not measured
    most, _ = planned_batch(Diffusion, candidate, seconds, device, is_set=is_set, num_processes=40)
    assert most == 64  # half of them are too few for 40 processes


@pytest.mark.parametrize(("settings", "expected"), [({}, 6), ({"batch_size": 2}, 2)])
def test_suggested_batches_have_an_example_for_each_process(settings: dict[str, object], expected: int) -> None:
    """Networks of clips see 4 clips a step."""
    world = SimpleNamespace(size=6, broadcast=lambda value: value)
    spec = Grid((3, 4, 12, 12), "CTHW", 0, 0.5)
    config = agreed_config(Diffusion, spec, Scale(100, 100.0), settings, world)  # type: ignore[arg-type]
    assert config.batch_size == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds_a_step", "packed", "num_items"),
    [(1.5, True, 15), (1.5, False, 46), (0.75, False, 64), (0.1, False, 230), (0.1, True, 230)],
)
def test_records_get_the_time_to_read_enough_of_them(seconds_a_step: float, packed: bool, num_items: int) -> None:
    """29 proteins of 80 were read in two minutes on busy cores, and 40 are needed to compare samples with them."""
    candidate = Candidate(
        model_size=0, parameters=9, batch=29, step_s=seconds_a_step, examples=9.0, target_examples=9.0
    )
    data = SimpleNamespace(train_units=400 * 266.0, train_items=400, spec=Tokens(vocab=30, length=300, packed=packed))
    assert calibration_units(120.0, candidate, data) == pytest.approx(266 * num_items, rel=0.05)  # type: ignore[arg-type]


def test_half_the_size_is_named_where_the_model_cannot_see_each_image_once(tmp_path: Path) -> None:
    data = Dataset.open(shapes(tmp_path, 60), size=DataBudget(60.0, 0, 0))
    data.fit(DataBudget(60.0, 0, 0))
    height, width = data.spec.shape[1:]  # type: ignore[union-attr]
    few, enough = (
        Candidate(model_size=0, parameters=1000, batch=8, step_s=0.1, examples=n, target_examples=1e4)
        for n in (20.0, 80.0)
    )
    (note,) = size_note(data, few)
    assert height == width and f"size={4 * round(width / 8)} " in note
    assert size_note(data, enough) == () and size_note(data, None) == ()
    data.close()


@pytest.mark.parametrize(
    ("units", "slowdown", "seconds", "left"),
    [
        (1_700_000.0, 1.0, 38.0, 38.0 - 8e-6 * (1_710_000 + 2 * 160_000)),
        (1_700_000.0, 2.0, 60.0, 60.0 - 16e-6 * (1_710_000 + 2 * 160_000)),
        (1_700_000.0, 3.0, 38.0, MIN_STEPS_SHARE * 38.0),
    ],
)
def test_steps_have_the_time_that_fitting_leaves(units: float, slowdown: float, seconds: float, left: float) -> None:
    """Of 38 s that were planned for a training on documents, 18 went into counting contexts."""
    spec = Tokens(500, 512)
    config = TransformerConfig(contexts=True, ngrams=False, context_tokens=2_000_000, context_learned=160_000)
    scale = Scale(units=units, items=10_000, seconds=seconds, slowdown=slowdown)
    assert seconds_after_fitting(Transformer, spec, config, scale, seconds) == pytest.approx(left)
    plain = TransformerConfig(contexts=False, ngrams=False)
    assert seconds_after_fitting(Transformer, spec, plain, scale, seconds) == seconds
