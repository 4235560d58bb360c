"""torch.compile (Ansel et al. 2024, doi 10.1145/3620665.3640366) of the blocks of networks, in training only: sampling and
validation have other shapes, each of which would have to be compiled."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from anew.core import files
from anew.core.random import Dropout
from anew.core.specs import Grid, Spec, Tokens
from anew.errors import ConfigError
from anew.families.base import Family
from anew.families.phases import Phase
from anew.training.recomputing import repeated_blocks

CPP_COMPILERS = ("g++", "clang++", "c++", "cl")
MAX_SHAPES = 64  # shapes of the blocks of a network: after more, torch.compile would silently stop compiling


def missing_compiler(device: torch.device) -> str:
    """The requirement of torch.compile for this device that is missing; "" if none is."""
    chosen = os.environ.get("CXX", "").split()  # it may have arguments
    if chosen and shutil.which(chosen[0]) is None:
        return f"a C++ compiler (CXX={' '.join(chosen)} is not there)"
    if not chosen and not any(map(shutil.which, CPP_COMPILERS)):
        return "a C++ compiler"
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return "" if has_triton() else "Triton for this GPU"
    return ""


def compilable_blocks(phases: Iterable[Phase]) -> list[nn.Module]:
    """The blocks of networks that are differentiated once, since torch.compile has no second derivatives."""
    phases = list(phases)
    return [block for phase in phases if not phase.differentiates_twice for block in repeated_blocks(phase.module)]


def can_use_graphs(spec: Spec, device: torch.device) -> bool:
    """Whether the networks of a training may run as CUDA graphs, which are recorded anew for each shape of their inputs."""
    return device.type == "cuda" and (isinstance(spec, Grid) or spec.packed)


def compile_blocks(family: Family, graphs: bool = False) -> None:
    """Set the blocks of a family to be compiled at their first training step. Results change by rounding.

    Args:
        graphs: Whether they run as CUDA graphs: small networks wait for the launch of their kernels. The gradients of a
            micro-batch are then overwritten by the next, so a step must have one alone.
    """
    # The default folder, /tmp/torchinductor_USER, could be made by another user of the machine first.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(files.cache_root(None) / "inductor"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch uses deprecated parts of itself
        import torch._dynamo
        import torch._inductor.compile_fx

    # Dynamo reads the gradients of all inputs of a block, although only weights have any, and so causes a harmless warning.
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
    # Worker processes of Inductor would import from the current folder, and stay
    torch._inductor.config.compile_threads = 1
    torch._dynamo.config.recompile_limit = MAX_SHAPES
    # Records have other lengths in each step. Grids do not, and with dynamic shapes Inductor fails on channels_last.
    spec = family.spec
    is_dynamic = None if isinstance(spec, Tokens) else False
    for block in compilable_blocks(family.phases()):
        dropouts: list[nn.Module] = [module for module in block.modules() if isinstance(module, Dropout)]
        for dropout in dropouts:  # its random numbers depend on Python values, which would be compiled as constants
            dropout.forward = torch.compiler.disable(dropout.forward)  # type: ignore[no-untyped-call]
        block.forward = _compiled_in_training(block, block.forward, is_dynamic, "reduce-overhead" if graphs else None)


def _compiled_in_training(
    block: nn.Module, forward: Callable[..., object], is_dynamic: bool | None, mode: str | None
) -> Callable[..., object]:
    from torch._dynamo.exc import TorchDynamoException

    compiled = torch.compile(forward, dynamic=is_dynamic, mode=mode)
    removed: set[Path] = set()

    def compiled_in_training(*args: object, **kwargs: object) -> object:
        if not block.training or not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        while True:
            try:
                return compiled(*args, **kwargs)
            except TorchDynamoException as error:
                # The first line of the error itself may name only the part that failed
                cause = getattr(error, "inner_exception", error)
                library = _unreadable_library(cause)
                if library is None or library in removed:
                    raise ConfigError(
                        f"torch.compile failed on these networks ({files.clause(cause)}); train them with compile=off"
                    ) from error
            removed.add(library)
            library.unlink(missing_ok=True)

    return compiled_in_training


def _unreadable_library(cause: BaseException) -> Path | None:
    """The library in the compiler's cache that could not be loaded; None if something else failed.

    A program that ends while the compiler writes leaves a part of the library, which no later one replaces (seen with PyTorch 2.13).
    """
    path = Path(getattr(cause, "path", None) or "")
    cache = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).resolve()
    return path if isinstance(cause, ImportError) and cache in path.resolve().parents else None
