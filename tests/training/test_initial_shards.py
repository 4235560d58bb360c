"""Weights of which each process draws all, one after another, and keeps its part: those of one process, in less memory."""

from __future__ import annotations

import json

import pytest

from processes import together

SCRIPT = """
import json
import torch
from anew.core.processes.world import together
from anew.core.registry import load
from anew.families.base import Scale
from anew.planning.build import build_family, build_shards
from anew.training.distributed import gather_full, sharded_losses
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from contract.test_families import SPECS, Made, cases

torch.set_num_threads(1)
def differences(world, name, spec):
    owner = load("families", name)
    config = owner.suggest(SPECS[spec], Scale(256, 5000.0, 10.0, 0))
    whole = build_family(owner, SPECS[spec], config, 3, world.device)
    parts = build_shards(owner, SPECS[spec], config, 3, world)
    drawn = {n: p.to_local().numel() for n, p in parts.named_parameters()}
    losses = sharded_losses(parts, world, True)
    for family in (whole, parts):
        family.fit_closed_form(Made(SPECS[spec]).one_pass())
    expected = whole.state_dict()
    state = {n: gather_full(t.detach()) for n, t in parts.state_dict().items()}
    differing = [n for n in expected if not torch.equal(state[n], expected[n])]
    differing += [n for n, p in whole.named_parameters() if drawn[n] > -(-len(p) // 2) * p[0].numel()]
    data, rest = Made(SPECS[spec]), dict(seed=1, batch_size=4, micro_batch=2, world=world)
    first = Trainer(whole, data, StepProgress(1), shard=True, **rest)
    second = Trainer(parts, data, StepProgress(1), sharded=losses, **rest)
    steps = [next(iter(trainer)) for trainer in (first, second)]
    return differing + ([] if steps[0].losses == steps[1].losses else ["loss"])

with together() as world:
    cases = cases() if {all} else [("transformer", "stream"), ("gan", "grey")]
    print(json.dumps({f"{name} {spec}": differences(world, name, spec) for name, spec in cases}))
"""

MEMORY = """
import json
from pathlib import Path
import torch
from anew.core.processes.world import together
from anew.core.registry import load
from anew.core.specs import Tokens
from anew.families.transformer.config import TransformerConfig
from anew.planning.build import build_family, build_shards
import torch.distributed.tensor
torch.set_num_threads(1)
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
with together() as world:
    owner, spec = load("families", "transformer"), Tokens(256, 64, {}, 0, True)
    config = TransformerConfig(layers=8, width=768, heads=12, mlp_size=2048, ngrams=False)
    begin = peak()
    build_shards(owner, spec, config, 0, world)
    shards = peak() - begin
    build_family(owner, spec, config, 0, world.device)
    print(json.dumps([shards, peak() - begin]))
"""


@pytest.mark.parametrize("of_all", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_parts_of_weights_are_those_of_one_process(of_all: bool) -> None:
    """In every family; closed forms are fitted, and a step gives the same losses."""
    ended = together(SCRIPT.replace("{all}", str(of_all)))
    assert [process.code for process in ended] == [0, 0], ended
    for process in ended:
        differing = json.loads(process.out)
        assert len(differing) >= (12 if of_all else 2)
        assert not any(differing.values()), differing


def test_no_process_holds_all_weights_while_it_draws_them() -> None:
    """57 million weights, 228 MB; the largest tensor has 6 MB."""
    ended = together(MEMORY)
    assert [process.code for process in ended] == [0, 0], ended
    for process in ended:
        shards, whole = json.loads(process.out)
        assert shards < 160 < 200 < whole
