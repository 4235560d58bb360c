"""`look` in a process of its own: what it loads is most of its time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from anew.core.specs import Grid
from anew.families.base import Scale
from anew.families.diffusion.family import Diffusion
from anew.families.gan.family import Gan
from samples import shapes

LOOK = """
import sys
from anew.workflows.inspect import inspect_data
assert len(inspect_data(sys.argv[1]).budgets) == 3
print([name for name in ("torch._dynamo", "scipy", "sympy") if name in sys.modules])
"""


def test_look_loads_no_compiler(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 64)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(data)], capture_output=True, text=True, timeout=240, check=True
    )
    assert done.stdout.strip() == "[]"


def test_counting_parameters_takes_no_chance() -> None:
    spec, scale = Grid((3, 16, 16), "CHW", 0, 0.5), Scale(1000, 1e6, 60.0)
    for kind in (Diffusion, Gan):
        config, before = kind.suggest(spec, scale), torch.get_rng_state()
        first = kind.target_examples(spec, config, scale)
        assert first == kind.target_examples(spec, config, scale) > 0
        assert torch.equal(before, torch.get_rng_state())
