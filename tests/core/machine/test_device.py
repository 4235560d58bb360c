"""Which device is used, what it lacks, and global random numbers, which belong to the user's process."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import nn

from anew.core.machine.device import compute_dtype, move, pick_device, seeded, to_device
from anew.core.processes.world import World
from anew.errors import ConfigError

CPU = torch.device("cpu")


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, is_apple: bool = False) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: is_apple)


def test_a_gpu_comes_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    assert pick_device("auto") == pick_device("cpu") == pick_device(torch.device("cpu")) == "cpu"
    machine(monkeypatch, is_apple=True)
    assert pick_device("auto") == pick_device("mps") == "mps"
    assert pick_device("cpu") == "cpu"
    machine(monkeypatch, gpus=2, is_apple=True)
    for device in ("auto", "cuda"):
        assert [pick_device(device, rank, 2) for rank in range(2)] == ["cuda:0", "cuda:1"]
        assert pick_device(device, 3) == "cuda:1"  # a process alone, which a launcher numbered
    assert pick_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_several_processes_do_not_share_a_gpu(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=2)
    with pytest.raises(ConfigError, match=r"process 3 of this machine has no GPU of its own: there are 2, .* start 2"):
        pick_device(device, 3, 4)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    with pytest.raises(ConfigError, match=f"device='{name}' does not exist: PyTorch finds no .*; give auto or cpu"):
        pick_device(name)


@pytest.mark.parametrize("name", ["gpu", "mps:1", "cuda:x", "", 3])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(ConfigError, match="auto, cpu, cuda, cuda:N or mps") as caught:
        pick_device(name)  # type: ignore[arg-type]
    assert caught.value.argument == "device"


def test_several_processes_do_not_share_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, is_apple=True)
    assert World(0, 2).on("auto").device == torch.device("cpu")
    assert World().on("auto").device == torch.device("mps")
    with pytest.raises(ConfigError, match="used by one process, not by 2 together; start one, or give device=cpu"):
        World(0, 2).on("mps")


def test_seeded_numbers_leave_no_trace() -> None:
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    with seeded(3, torch.device("cpu")):
        inside = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with seeded(3, torch.device("cpu")):
        assert torch.equal(torch.rand(1), inside)


def test_the_numbers_of_mps_are_seeded_and_put_back() -> None:
    state = torch.zeros(3, dtype=torch.uint8)
    with (
        mock.patch("torch.mps.get_rng_state", return_value=state),
        mock.patch("torch.mps.set_rng_state") as put_back,
        mock.patch("torch.mps.manual_seed") as seed,
    ):
        with seeded(3, torch.device("mps")):
            seed.assert_called_once_with(3)
            put_back.assert_not_called()
        assert put_back.call_args.args[0] is state


def test_a_copy_to_cuda_waits_for_nothing() -> None:
    on_cpu, on_gpu = mock.Mock(device=torch.device("cpu")), mock.Mock(device=torch.device("cuda", 0))
    assert move(on_cpu, "cuda:1") is on_cpu.pin_memory.return_value.to.return_value
    on_cpu.pin_memory.return_value.to.assert_called_once_with("cuda:1", non_blocking=True)
    move(on_gpu, torch.device("cuda", 1))
    on_gpu.pin_memory.assert_not_called()
    x = torch.ones(2)
    assert move(x, "cpu") is x


class TwoWidths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("wide", torch.ones(2, dtype=torch.float64))
        self.register_buffer("narrow", torch.ones(2))


def test_wide_buffers_stay_where_the_device_has_no_such_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    module = to_device(nn.Sequential(TwoWidths()), torch.device("meta"))
    assert {buffer.device.type for buffer in module.buffers()} == {"meta"}
    monkeypatch.setattr("anew.core.machine.device.WITHOUT_DOUBLES", {"meta"})
    module = to_device(nn.Sequential(TwoWidths()), torch.device("meta"))
    devices = {name: buffer.device.type for name, buffer in module.named_buffers()}
    assert devices == {"0.wide": "cpu", "0.narrow": "meta"}
    assert list(module.state_dict()) == ["0.wide", "0.narrow"]


def test_what_is_asked_for_is_taken() -> None:
    assert compute_dtype("fp32", CPU) is torch.float32
    assert compute_dtype("bf16", CPU) is torch.bfloat16


@pytest.mark.parametrize(
    ("tiles", "dots", "dtype"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_bf16_is_taken_where_the_processor_has_either_hardware_for_it(
    tiles: bool, dots: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: dots, raising=False)
    assert compute_dtype("auto", CPU) is dtype


def test_an_older_library_is_answered_by_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert compute_dtype("auto", CPU) is torch.float32
