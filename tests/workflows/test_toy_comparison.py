"""Four families on one cloud: pictures and points are two forms of it, and time is shared out evenly."""

from __future__ import annotations

import pytest
import torch

from anew.workflows import toy_comparison
from anew.workflows.toy_comparison import as_tokens, cloud, from_tokens, pictures_of, points_of


def test_a_picture_is_a_point() -> None:
    points = cloud(200, 0)
    assert torch.equal(points, cloud(200, 0)) and not torch.equal(points, cloud(200, 1))
    pictures = pictures_of(points)
    assert pictures.shape == (200, 1, 8, 8) and float(pictures.abs().max()) <= 1
    assert float((points_of(pictures[:, 0]) - points).norm(dim=1).max()) < toy_comparison.ON_CLOUD_DISTANCE / 2


def test_tokens_are_pictures() -> None:
    pictures = pictures_of(cloud(50, 0))
    ids = as_tokens(pictures)
    assert ids.shape == (50, 65) and (ids[:, 0] == toy_comparison.BRIGHTNESS_LEVELS).all()
    assert int(ids[:, 1:].max()) < toy_comparison.BRIGHTNESS_LEVELS
    assert (
        float((from_tokens(ids[:, 1:]) - pictures[:, 0]).abs().max())
        <= 1 / (toy_comparison.BRIGHTNESS_LEVELS - 1) + 1e-6
    )
    assert (
        float((points_of(from_tokens(ids[:, 1:])) - points_of(pictures[:, 0])).norm(dim=1).max())
        < toy_comparison.ON_CLOUD_DISTANCE
    )


def test_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_comparison, "ITEMS", 200)
    monkeypatch.setattr(toy_comparison, "SLICE_SECONDS", 0.05)
    monkeypatch.setattr(toy_comparison, "SHOWN", 16)
    reports = list(toy_comparison.compare_on_toy_data(0.4, names=("gan", "vae")))
    assert [report.family for report in reports[:2]] == ["gan", "vae"]
    last = [report for report in reports if report.is_last]
    assert {report.family for report in last} == {"gan", "vae"}
    for report in last:
        assert report.points.shape == (16, 2) and 0 <= report.inside <= 1 and 0 <= report.covered <= 1
        assert report.seconds >= 0.2 and report.step >= 1


def test_learning_is_told_from_dots_at_random() -> None:
    points = cloud(toy_comparison.ITEMS, 0)
    inside, covered = toy_comparison.chance_shares(0)
    others = cloud(toy_comparison.SHOWN, 1)
    for real in (others, points_of(from_tokens(as_tokens(pictures_of(others))[:, 1:]))):
        real_inside, real_covered = toy_comparison.shares(real, points)
        assert real_inside > 0.95 > 2 * inside and real_covered > 0.9 > 1.5 * covered


@pytest.mark.slow
def test_a_minute_is_enough_to_see_the_cloud() -> None:
    last = {report.family: report for report in toy_comparison.compare_on_toy_data(60.0) if report.is_last}
    assert set(last) == set(toy_comparison.FAMILIES)
    assert last["diffusion"].inside > 0.6 and last["diffusion"].covered > 0.6
