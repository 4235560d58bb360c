"""Two processes are one: the same global batches, the same loss curve, with DDP and with FSDP2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
sys.path[:0] = [{tests!r}, {src!r}]
import torch
from anew.planning.build import build_family
from anew.training.distributed import init, shutdown
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from toys import POINT, Points, Toy, ToyConfig
torch.set_num_threads(1)
world = init("cpu")
family = build_family(Toy, POINT, ToyConfig(), 0, world.device)
trainer = Trainer(family, Points(), StepProgress(50), seed=3, batch_size=16, micro_batch=4, world=world, shard={shard})
losses = [s.losses["main"] for s in trainer]
state = trainer.state_dict()
weights = trainer.weights()
if world.is_main:
    print(json.dumps({{"losses": losses, "sum": sum(float(w.double().abs().sum()) for w in weights.values()),
                      "names": sorted(state["tensors"])}}))
shutdown()
"""


def curve(processes: int, shard: bool) -> dict[str, object]:
    code = SCRIPT.format(tests=str(ROOT / "tests"), src=str(ROOT / "src"), shard=shard)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    if processes == 1:
        command = [sys.executable]
    path = ROOT / "tests" / "training" / f".curve-{processes}-{shard}.py"
    path.write_text(code)
    try:
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=90, check=False)
    finally:
        path.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp2"])
def test_two_processes_equal_one(shard: bool) -> None:
    first, second = curve(1, False), curve(2, shard)
    assert second["names"] == first["names"]
    for step, (a, b) in enumerate(zip(first["losses"], second["losses"], strict=True)):
        assert abs(a - b) <= 1e-4 * abs(a), step
    assert abs(first["sum"] - second["sum"]) <= 1e-3 * first["sum"]
