"""The numerical precision of the networks."""

from __future__ import annotations

import torch


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type for a setting `precision`: "fp32", "bf16", or "auto" for bf16 where the device has hardware for it."""
    if precision == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products have hardware of their own: on CPUs tiles (AMX) or AVX-512's dot products, which make a step
    of the image families 1.5 to 1.9 times as fast."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(check is not None and check() for check in checks)
