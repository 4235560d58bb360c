"""Global random numbers belong to the user's process."""

from __future__ import annotations

import torch

from anew.core.device import seeded


def test_seeded_numbers_leave_no_trace() -> None:
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    with seeded(3, torch.device("cpu")):
        inside = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with seeded(3, torch.device("cpu")):
        assert torch.equal(torch.rand(1), inside)
