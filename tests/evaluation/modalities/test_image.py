"""Scores of images: real samples meet the floor, damage is seen by name, time is kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import numpy as np
import pytest

from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.metrics.feature_sets import FeatureSets, bootstrap_score
from anew.evaluation.metrics.media.spectrum import SPECTRUM_AUC, SPECTRUM_DISTANCE, balance_distance, spectrum_distance
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.modalities.image import EXPORT, detail_levels, radial_spectra
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.score import Score

NAMES = [
    "frechet_distance",
    "two_sample_auc",
    "precision",
    "recall",
    "clipped_density",
    "coverage",
    "kernel_distance",
    "diversity",
    "duplicate_share",
    "sharpness",
    "pixel_noise",
    "grid_energy",
    "direction",
    "colour_count",
    "pure_white",
    "pure_black",
    "areas",
    "slopes",
    "faint_patterns",
    "colour_distance",
    "spectrum_distance",
    "spectrum_auc",
]


def rings(n: int, seed: int, num_kinds: int = 8) -> list[np.ndarray]:
    """Small pictures of rings and bars at random places."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    images = []
    for _ in range(n):
        kind, a, b = rng.integers(num_kinds), *rng.uniform(5, 11, 2)
        far = np.hypot(y - a, x - b)
        shape = np.abs(far - 3) < 1.2 if kind % 2 else np.abs((y - a) * np.cos(kind) + (x - b) * np.sin(kind)) < 1.2
        images.append((shape * 230 + rng.integers(0, 20, (16, 16))).astype(np.uint8))
    return images


@pytest.fixture(scope="module")
def real() -> tuple[list[np.ndarray], list[np.ndarray]]:
    return rings(260, 0), rings(150, 1)


def by_name(inputs: EvaluationInputs) -> dict[str, Score]:
    return {s.name: s for s in EXPORT(inputs).scores()}


def test_real_samples_score_like_the_real_baseline(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    result = by_name(make_inputs(*real, rings(150, 2)))
    assert list(result) == NAMES
    for score in result.values():
        assert score.real_baseline is not None and score.n == 150
        assert score.low is not None and score.high is not None and score.low <= score.value <= score.high
    assert result["frechet_distance"].value < 1.6 * result["frechet_distance"].real_baseline
    assert abs(result["kernel_distance"].value) < 0.01
    for name in ("coverage", "diversity", "recall", "precision"):
        assert result[name].value == pytest.approx(result[name].real_baseline, abs=0.12)
        assert result[name].better == "higher"


def test_collapse_noise_and_blur_are_each_seen(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    same_picture = [rings(1, 5)[0]] * 150
    collapsed = by_name(make_inputs(*real, same_picture))
    assert collapsed["diversity"].value < 0.2 and collapsed["coverage"].value < 0.1
    noise = list(np.random.default_rng(0).integers(0, 256, (150, 16, 16), dtype=np.uint8))
    assert by_name(make_inputs(*real, noise))["precision"].value == 0.0
    soft = [((i.astype(float) + np.roll(i, 1, 0) + np.roll(i, 1, 1)) / 3).astype(np.uint8) for i in rings(150, 2)]
    blurred = by_name(make_inputs(*real, soft))["spectrum_distance"]
    assert blurred.value > 3 * blurred.real_baseline and "less fine detail than in real images" in blurred.source


def test_equal_n_everywhere(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    assert {s.n for s in by_name(make_inputs(real[0], real[1][:60], rings(200, 2))).values()} == {60}


def test_colour_and_large_images(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rng = np.random.default_rng(0)
    sets = [list(rng.integers(0, 256, (30, 150, 90, 3), dtype=np.uint8)) for _ in range(3)]
    evaluation = EXPORT(make_inputs(*sets))
    place = NAMES.index("areas")
    assert [s.name for s in evaluation.scores()] == [
        *NAMES[:place],
        "colour_noise",
        "green_red_cast",
        "blue_yellow_cast",
        *NAMES[place:],
    ]
    assert evaluation.report_content().pairs


def test_too_few_items_are_said(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    evaluation = EXPORT(make_inputs(real[0], real[1], rings(5, 2)))
    assert list(evaluation.scores()) == []
    assert (
        "5 samples are too few" in evaluation.notes[0].sentence
        and evaluation.sets.too_few in evaluation.notes[0].sentence
    )
    assert len(evaluation.report_content().pairs) == 5


def test_what_limits_the_number_of_items_is_said(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    few_held_out = EXPORT(make_inputs(real[0], real[1][:60], rings(150, 2)))
    list(few_held_out.scores())
    assert few_held_out.notes[0].sentence == (
        "Distances, variety and many other figures were measured on 60 of 150 samples, as many as there are held-out images."
    )


def test_time_is_kept_and_what_was_left_out_is_said(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    begin = time.monotonic()
    evaluation = EXPORT(make_inputs(*real, rings(150, 2), seconds=0.02))
    names = [s.name for s in evaluation.scores()]
    assert names == NAMES and re.fullmatch(
        r"Distances, variety and many other figures were measured on \d+ of 150 samples, as many as there seemed to be time for\.",
        evaluation.notes[0].sentence,
    )
    assert time.monotonic() - begin < 3.0


def test_shown_pairs_name_copies(make_inputs: Callable[..., EvaluationInputs], real: tuple) -> None:
    content = EXPORT(make_inputs(*real, [real[0][7], *rings(30, 2)])).report_content()
    assert (
        content.pairs[0].caption == "exact copy" and content.pairs[0].close and "difference" in content.pairs[1].caption
    )
    assert (
        content.sheet.startswith(b"\x89PNG")
        and "typically" in content.explanation
        and "(the median of " in content.explanation
    )
    mirrored = EXPORT(make_inputs(*real, [real[0][7][:, ::-1]])).nearest([real[0][7][:, ::-1]]).pairs[0]
    assert mirrored.caption == "exact copy, mirrored" and mirrored.distance == 0.0 and mirrored.close


def test_spectrum_of_a_wave_stands_at_its_ring() -> None:
    y = np.arange(32)
    wave = (127 + 100 * np.cos(2 * np.pi * 4 * y / 32))[None, :, None] * np.ones((1, 1, 32))
    assert radial_spectra(wave).argmax() == 3  # ring 0 is left out
    assert spectrum_distance(np.ones((5, 4)), 10 * np.ones((3, 4))) == pytest.approx(10.0)


def shaded(n: int, seed: int) -> np.ndarray:
    """Levels of spectra whose contrast differs by 5 dB from image to image, and each band of which by 1 dB."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(-20.0, 5.0, (n, 1)) + rng.normal(0.0, 1.0, (n, 16)))


def test_contrast_that_differs_from_image_to_image_does_not_hide_the_balance_of_detail() -> None:
    samples, real, train = (shaded(300, seed) for seed in range(3))
    soft = samples - np.linspace(0.0, 3.0, 16)
    for rows, grade in ((samples, "good"), (soft, "fair")):
        sets = FeatureSets(rows, real, train)
        part = part_of(bootstrap_score(SPECTRUM_DISTANCE, balance_distance, sets, seed=0, source=""))
        assert part is not None and part.grade == grade
    assert balance_distance(real + 3.0, real) == pytest.approx(0.0, abs=1e-9)


def test_amounts_of_detail_are_told_apart_though_one_ring_in_four_differs_a_little() -> None:
    samples, real, train = (shaded(300, seed) for seed in range(3))
    seams = samples + (np.arange(16) % 4 == 3)
    for rows, grade in ((samples, "good"), (seams, "fair"), (samples - 6.0, "fair")):
        part = part_of(classifier_score(SPECTRUM_AUC, FeatureSets(rows, real, train), 0, ""))
        assert part is not None and part.grade == grade


def test_empty_images_are_as_good_as_faint_ones() -> None:
    faint = np.full((1, 16, 16), 7.0) + np.random.default_rng(0).normal(0.0, 0.3, (1, 16, 16))
    assert np.abs(detail_levels(faint) - detail_levels(np.full((1, 16, 16), 7.0))).max() < 1.5


def test_figures_that_take_long_are_left_out_by_name(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rng = np.random.default_rng(0)
    sets = [list(rng.integers(0, 256, (400, 8, 8), dtype=np.uint8)) for _ in range(3)]
    evaluation = EXPORT(make_inputs(*sets))
    assert evaluation._features() is not None
    evaluation.clock.limit = 0.0
    assert list(evaluation.modality_metrics()) == [] and len(evaluation.notes) == 4
