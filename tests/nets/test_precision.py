"""The number type that networks compute in."""

from __future__ import annotations

import pytest
import torch

from anew.nets import precision

CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken() -> None:
    assert precision.compute_dtype("fp32", CPU) is torch.float32
    assert precision.compute_dtype("bf16", CPU) is torch.bfloat16


@pytest.mark.parametrize(
    ("tiles", "dots", "dtype"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_bf16_is_taken_where_the_processor_has_either_hardware_for_it(
    tiles: bool, dots: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: dots, raising=False)
    assert precision.compute_dtype("auto", CPU) is dtype


def test_an_older_library_is_answered_by_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert precision.compute_dtype("auto", CPU) is torch.float32
