"""Families as a run holds them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest
import torch

import anew
from anew.core.machine.memory import parameters_within
from anew.estimators.gaussian_mixture import empty_mixture
from samples import prose


def test_a_network_that_the_weights_do_not_fill_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    run = tmp_path / "run"
    anew.train(prose(tmp_path / "book.txt"), run, steps=1, settings={"evaluate_samples": 4, "width": 64})
    described = json.loads((run / "config.json").read_text())
    described["family"]["config"] |= {"width": 4096, "layers": 64}  # about 50 GB
    (run / "config.json").write_text(json.dumps(described))
    before, begin = psutil.Process().memory_info().rss, time.process_time()
    with pytest.raises(anew.RunError, match="which its weights do not fill"):
        anew.load(run)
    assert psutil.Process().memory_info().rss - before < 300e6
    assert time.process_time() - begin < 5.0


def test_parameters_are_added_up_and_the_check_ends_with_the_block() -> None:
    with parameters_within(440):
        torch.nn.Linear(10, 10)
    with pytest.raises(ValueError, match="more than 439 bytes"), parameters_within(439):
        torch.nn.Linear(10, 10)
    torch.nn.Linear(1000, 1000)


def test_buffers_that_the_weights_do_not_fill_are_refused() -> None:
    module = torch.nn.Module()
    with parameters_within(100):
        module.register_buffer("small", torch.zeros(1000))
        with pytest.raises(ValueError, match="buffers of more than"):
            module.register_buffer("large", torch.zeros(2**24, device="meta"))
    module.register_buffer("large", torch.zeros(2**24, device="meta"))


def test_a_mixture_that_the_weights_do_not_fill_is_refused_before_it_is_made() -> None:
    shape = (1, 8192, 8192)
    before = psutil.Process().memory_info().rss
    with pytest.raises(ValueError, match="buffers of more than"), parameters_within(100):
        empty_mixture(shape, 8, 4, 1.0)
    assert psutil.Process().memory_info().rss - before < 100e6
    with parameters_within(100):
        empty_mixture((1, 8, 8), 8, 4, 1.0)
