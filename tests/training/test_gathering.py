"""Sharded tensors whole on the main process, by memory map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from anew.core.processes.world import World
from anew.errors import RunError
from anew.training.gathering import gathered_on_disk
from processes import together

SCRIPT = """
import json
from pathlib import Path
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from anew.core.processes.world import together
from anew.training.gathering import gathered_on_disk
from held_memory import held_bytes, return_at_once

torch.set_num_threads(1)
return_at_once(1_000_000)
NUMBERS = 2_000_000  # numbers of each of eight tensors: 8 MB
with together() as world:
    mesh = init_device_mesh("cpu", (world.size,))
    whole = torch.arange(float(NUMBERS))
    tensors = {{f"tensor{{i}}": distribute_tensor(whole + i, mesh, [Shard(0)], src_data_rank=None) for i in range(8)}}
    tensors |= {{"scalar": torch.tensor(3), "none": torch.empty(0, 4), "half": torch.ones(3, dtype=torch.bfloat16)}}
    before = held_bytes()
    gathered = gathered_on_disk(world, tensors, Path({folder!r}))
    grown = held_bytes() - before
    names = sorted(gathered)
    if world.is_main:
        assert all(torch.equal(gathered[f"tensor{{i}}"], whole + i) for i in range(8))
        assert gathered["scalar"].item() == 3 and gathered["none"].shape == (0, 4)
        assert torch.equal(gathered["half"], tensors["half"])
        gathered["tensor0"].fill_(1.0)  # the file is not changed, but the tensor is
        assert gathered["tensor0"].sum() == NUMBERS
    print(json.dumps([names, grown / (4 * NUMBERS)]))
"""


def test_no_process_holds_two_whole_tensors(tmp_path: Path) -> None:
    ended = together(SCRIPT.format(folder=str(tmp_path)))
    assert [process.code for process in ended] == [0, 0], ended
    main, other = (json.loads(process.out) for process in ended)
    assert len(main[0]) == 11 and not other[0]
    # Whole tensors: one, the one before while threads let go of it, and what is copied on its way
    assert max(main[1], other[1]) < 4, (main[1], other[1])
    assert not list(tmp_path.iterdir())


def test_numbers_with_any_stride_are_collected(tmp_path: Path) -> None:
    """A list of records without a key has no keys that are known, with a stride of 0: under FSDP2 its model could not be kept."""
    no_keys = torch.empty(1, dtype=torch.int64).as_strided((0,), (0,))
    tensors = {"keys": no_keys, "one": torch.tensor(5).expand(1), "half": torch.ones(2, 2, dtype=torch.bfloat16)[:, :1]}
    gathered = gathered_on_disk(World(), tensors, tmp_path)
    assert all(torch.equal(gathered[name], tensor) for name, tensor in tensors.items())


def test_an_error_of_the_network_is_not_one_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tensor: torch.Tensor) -> torch.Tensor:
        raise ConnectionResetError("the peer is gone")

    with pytest.raises(RunError, match=r"cannot be collected in .*free some space"):
        gathered_on_disk(World(), {"a": torch.ones(2)}, tmp_path / "nowhere")
    assert gathered_on_disk(World(), {"a": torch.ones(2)}, tmp_path)["a"].tolist() == [1.0, 1.0]
    monkeypatch.setattr("anew.training.gathering.gather_full", broken)
    with pytest.raises(ConnectionResetError):
        gathered_on_disk(World(), {"a": torch.ones(2)}, tmp_path)
