"""Samples while training: a collapse is said by name, once, and nothing else is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Grid, Tokens
from anew.training.progress import TimeProgress
from anew.workflows import previews
from anew.workflows.previews import Previews, collapse, pooled
from anew.workflows.run_report import warnings

ADVICE = "wait"


def noise(n: int, seed: int = 0, size: float = 0.2) -> torch.Tensor:
    return 0.5 + size * torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_samples_that_are_all_alike_are_named() -> None:
    warning = collapse(noise(16, 1, 0.006), noise(16), ADVICE)
    start = "the generator has collapsed: its items have 3% of the variety of your data; wait"
    assert warning == start


def test_a_few_items_repeated_have_collapsed_too() -> None:
    assert "collapsed: its items have 0%" in str(collapse(noise(2, 1).repeat(8, 1, 1, 1), noise(16), ADVICE))


def test_samples_as_varied_as_blurred_items_have_not() -> None:
    assert collapse(noise(16, 1), noise(16), ADVICE) is None
    assert collapse(noise(16, 1, 0.1), noise(16), ADVICE) is None


def test_data_without_variety_is_no_measure() -> None:
    assert collapse(torch.zeros(16, 1, 16, 16), noise(16, 0, 0.002), ADVICE) is None
    assert collapse(noise(1), noise(1), ADVICE) is None


def test_pictures_of_any_size_are_brought_to_one() -> None:
    grey, colour = np.full((28, 40), 255, np.uint8), np.full((9, 9, 3), 51, np.uint8)
    assert pooled([grey, grey.T]).shape == (2, 1, 16, 16) and float(pooled([grey]).min()) == 1.0
    assert pooled([colour]).shape == (1, 3, 16, 16) and float(pooled([colour]).mean()) == pytest.approx(0.2)


class Drawn(list[Any]):
    def save_sheet(self, folder: Path, stem: str, *, overwrite: bool) -> None: ...


LATENTS = SimpleNamespace(fit_latents=lambda batches: None, collapse_advice=ADVICE)  # what a preview needs of a family


def job(generated: torch.Tensor, spec: Any, path: Path) -> Any:
    """What previews ask of a job; its model draws `generated` always."""
    requested: list[Any] = []

    def batch(step: int, phase: str, first: int, count: int, size: int) -> Batch:
        requested.append((step, phase, first, count, size))
        return Batch(noise(count, step))

    modality = SimpleNamespace(
        decode_real=lambda x: [(255 * i[0].clamp(0, 1)).byte().numpy() for i in x], pictures=lambda items: items
    )
    record = SimpleNamespace(data=SimpleNamespace(labels=[]), label_shares=[])
    main = SimpleNamespace(name="main", progress_within=lambda progress: progress)
    return SimpleNamespace(
        train_config=SimpleNamespace(previews=4), plan=SimpleNamespace(train_s=None, seed=0), record=record, asked=requested,
        world=SimpleNamespace(broadcast=lambda value: value, is_main=True), folder=SimpleNamespace(path=path),
        trainer=SimpleNamespace(weights=dict, phases=[main], batch_size=32, progress=None, family=LATENTS), rebuilt=lambda weights: LATENTS,
        data=SimpleNamespace(batch=batch, modality=modality), spec=spec,
        model=SimpleNamespace(
            item_spec=spec, spec=spec, request=lambda n, seed: n,
            generate_samples=lambda n, seed: Drawn(modality.decode_real(generated[:n])),
        ),
    )  # fmt: skip


def warnings_of(
    generated: torch.Tensor, spec: Any, at: list[tuple[int, float]], path: Path, monkeypatch: Any
) -> tuple[list[Any], Any]:
    training_job = job(generated, spec, path)
    monkeypatch.setattr(previews, "Generator", lambda family, modality, labels, label_shares: training_job.model)
    preview = Previews(training_job, training_job.trainer)
    return [preview(SimpleNamespace(step=step, progress=progress)) for step, progress in at], training_job  # type: ignore[arg-type]


GRID, TEXT = Grid((1, 16, 16), "CHW"), Tokens(vocab=8, length=4)
AT = [(200, 0.1), (300, 0.2), (400, 0.4), (410, 0.41), (800, 0.8)]


def test_a_collapse_is_reported_late_enough_in_training(tmp_path: Path, monkeypatch: Any) -> None:
    flat = noise(16, 1, 0.004)
    warnings, training_job = warnings_of(flat, GRID, AT, tmp_path, monkeypatch)
    assert [text is not None for text in warnings] == [False, False, True, False, True]
    assert training_job.asked == [
        (399, "main", 0, 16, 32),
        (799, "main", 0, 16, 32),
    ]  # items of the step that was just taken
    assert not any(warnings_of(noise(16, 1), GRID, AT, tmp_path, monkeypatch)[0])
    assert not any(warnings_of(flat, GRID, [(90, 0.4), (180, 0.8)], tmp_path, monkeypatch)[0])  # hardly trained


def test_text_is_not_judged(tmp_path: Path, monkeypatch: Any) -> None:
    warnings, training_job = warnings_of(noise(16, 1, 0.004), TEXT, AT, tmp_path, monkeypatch)
    assert not any(warnings) and not training_job.asked


def test_slow_samples_are_given_up(tmp_path: Path, monkeypatch: Any) -> None:
    """On busy cores little time may be left for training, and samples would take all of it."""
    training_job, begin = job(noise(16, 1), GRID, tmp_path), time.monotonic()
    training_job.model.generate_samples = lambda n, seed: time.sleep(60)
    training_job.trainer.progress = TimeProgress(5.0)
    monkeypatch.setattr(previews, "Generator", lambda family, modality, labels, label_shares: training_job.model)
    preview = Previews(training_job, training_job.trainer)
    for step, progress in AT:
        assert preview(SimpleNamespace(step=step, progress=progress)) is None  # type: ignore[arg-type]
    assert 0.4 < time.monotonic() - begin < 5.0 and preview.cost > 0.4  # one of them was begun


def test_the_report_says_the_last_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path) == []
    lines: list[dict[str, Any]] = [{"event": "step", "step": 1}] + [
        {"event": "warning", "step": step, "text": f"the generator has collapsed: {step}%"} for step in (7, 9)
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert warnings(tmp_path) == ["Warning at step 9 of training: the generator has collapsed: 9%."]
