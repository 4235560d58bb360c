"""Walks whose length and evenness are known."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.modalities.image_comparison import evenness, path_scores, realism, relative_lengths


def line(frames: int = 9, d: int = 5) -> np.ndarray:
    return np.linspace(0, 1, frames)[:, None] * np.ones(d)


def test_a_straight_even_walk() -> None:
    paths = np.stack([line(), 3 * line()])
    assert relative_lengths(paths) == pytest.approx([1, 1])
    assert evenness(paths) == pytest.approx([1, 1])


def test_a_jump_is_uneven_and_a_corner_is_long() -> None:
    jump = np.where(np.arange(9)[:, None] < 5, 0.0, 1.0) * np.ones(5)
    corner = np.array([[0, 0], [1, 0], [1, 1]], dtype=float)
    assert evenness(jump[None]) == pytest.approx([1 / 8])
    assert relative_lengths(jump[None]) == pytest.approx([1])
    assert relative_lengths(corner[None]) == pytest.approx([2**0.5])


def test_a_walk_that_stands_still_is_left_out() -> None:
    paths = np.stack([line(), np.zeros((9, 5))])
    assert len(relative_lengths(paths)) == len(evenness(paths)) == 1


def test_frames_among_real_items_are_real() -> None:
    real = np.random.default_rng(0).normal(size=(200, 2))
    near, far = np.stack([0.3 * line(9, 2), 50 + line(9, 2)])
    assert realism(np.stack([near, far]), real) == pytest.approx([1, 0])
    by_name = {s.name: s for s in path_scores(np.stack([near] * 30), real, 0)}
    assert set(by_name) == {"path_length", "path_evenness", "path_realism"}
    assert by_name["path_length"].low == pytest.approx(1)


def test_real_items_that_repeat_are_real() -> None:
    kinds = np.random.default_rng(0).normal(size=(30, 4))
    paths = np.stack([kinds[:10], kinds[10:20], kinds[20:]], 1)
    assert realism(paths, np.repeat(kinds, 8, 0)) == pytest.approx(np.ones(10))
