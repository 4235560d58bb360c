"""The plane in which points differ most."""

from __future__ import annotations

import torch

from anew.functional.plane import Plane, principal_components


def test_a_plane_holds_what_differs_most() -> None:
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn((200, 2, 3), generator=rng) * torch.tensor([[9.0, 1, 1], [1, 1, 4]])
    plane = Plane.of(latents)
    flat = plane.directions.flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(2), atol=1e-5)
    assert flat.abs().argmax(1).tolist() == [0, 5] and plane.share > 0.9
    places = plane.places(latents)
    assert torch.allclose(places.std(0), torch.ones(2), atol=1e-4)
    assert torch.allclose(plane.places(plane.points(places)), places, atol=1e-4)


def test_fewer_points_than_directions() -> None:
    directions, deviations, share = principal_components(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 3)
    assert directions[0].tolist() == [1.0, 0.0] and deviations[1:].abs().max() < 1e-6
    assert directions.shape == (3, 2) and share == 1.0
