"""A device that computes on the CPU and refuses what Apple's mps refuses: 64-bit and complex floats, operators without a kernel
for mps, and CPU tensors among its own. Any other device would refuse the last, too.

PyTorch cannot take the device back once it is there, so tests use it in a process of its own (`tests/contract/test_devices.py`).

`waits` has what a GPU would make the program wait for: a value that is read, a shape that depends on values, and a copy from memory
that is not pinned, which `anew.core.machine.device.move` avoids.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from anew.core.machine.device import WITHOUT_DOUBLES, move

NAME = "limited"
REFUSED = (torch.float64, torch.complex64, torch.complex128)
aten = torch.ops.aten
# These may take tensors of two devices.
BETWEEN_DEVICES = {aten._to_copy.default, aten.copy_.default, aten.index.Tensor, aten.index_put_.default}
# The shapes of these depend on values, or they return one.
READING = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.unique_dim.default,
    aten.bincount.default,
    aten.repeat_interleave.Tensor,
}
# Any device computes these without a kernel for it: views, and what the wrapper does itself.
ALIASES = {aten.alias.default, aten.detach.default}


waits: list[str] = []  # operator, and where in Anew


class LimitedTensor(torch.Tensor):
    """A tensor on the device; `raw` holds its values, on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> LimitedTensor:
        if raw.dtype in REFUSED:
            raise TypeError(f"the device has no {raw.dtype}")
        with torch.inference_mode(False):  # views of such tensors cannot be made by a mode
            wrapper = torch.Tensor._make_wrapper_subclass(
                cls,
                raw.size(),
                strides=raw.stride(),
                storage_offset=raw.storage_offset(),
                dtype=raw.dtype,
                device=torch.device(NAME, 0),
            )
        wrapper.raw = raw
        return wrapper

    def __repr__(self, **_: object) -> str:
        return f"{self.raw!r} on {NAME}"

    def tolist(self) -> Any:
        _note_wait("tolist")
        return self.raw.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Makes the tensors that are to be on the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


@cache
def has_mps_kernel(func: Any) -> bool:
    """Whether the operator has a kernel for mps, or is made of others."""
    return func.namespace != "aten" or str(func).removeprefix("aten.").removesuffix(".default") in _mps_operators()


@cache
def _mps_operators() -> frozenset[str]:
    from torchgen.gen import parse_native_yaml
    from torchgen.model import DispatchKey

    folder = Path(str(importlib.util.find_spec("torchgen").origin)).parent / "packaged" / "ATen" / "native"
    parsed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    kernels = parsed.backend_indices[DispatchKey.MPS]
    by_name = {function.func.name: function for function in parsed.native_functions}

    def is_there(function: Any) -> bool:
        if function.has_composite_kernel or kernels.has_kernel(function):
            return True
        return function.structured_delegate is not None and is_there(by_name[function.structured_delegate])

    return frozenset(str(name) for name, function in by_name.items() if is_there(function))


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operator, on the device if one of its arguments is, or if it is to be made there."""
    leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    own = [leaf for leaf in leaves if isinstance(leaf, LimitedTensor)]
    target = kwargs.get("device")
    if (own and _reads_values(func, args)) or _is_copy_between_devices(func, args, target):
        _note_wait(str(func))
    goes_here = bool(own) if target is None else torch.device(target).type == NAME
    if own and func not in BETWEEN_DEVICES:
        others = [leaf for leaf in leaves if not isinstance(leaf, LimitedTensor) and leaf.ndim]
        if others:
            raise RuntimeError(f"{func} of tensors on {NAME} and on the CPU")
        if not has_mps_kernel(func) and func not in ALIASES:
            raise NotImplementedError(f"{func} has no kernel for mps")
    if func is aten.copy_.default and not isinstance(args[0], LimitedTensor):
        goes_here = False
    raw_args, raw_kwargs = tree_map(lambda leaf: leaf.raw if isinstance(leaf, LimitedTensor) else leaf, (args, kwargs))
    if target is not None:
        raw_kwargs = {**raw_kwargs, "device": "cpu"}
    results = func(*raw_args, **raw_kwargs)
    if not goes_here:
        return results
    known = {id(leaf.raw): leaf for leaf in own}  # an operator in place returns its argument

    def placed(leaf: Any) -> Any:
        if type(leaf) is not torch.Tensor:
            return leaf
        return known[id(leaf)] if id(leaf) in known else LimitedTensor(leaf)

    return tree_map(placed, results)


def _reads_values(func: Any, args: Any) -> bool:
    if func not in (aten.index.Tensor, aten.index_put_.default):
        return func in READING
    return any(index is not None and index.dtype is torch.bool for index in args[1])


def _is_copy_between_devices(func: Any, args: Any, target: Any) -> bool:
    if func is aten._to_copy.default and target is not None:
        return isinstance(args[0], LimitedTensor) != (torch.device(target).type == NAME)
    # A number may be filled in without a copy
    return (
        func is aten.copy_.default
        and isinstance(args[0], LimitedTensor) != isinstance(args[1], LimitedTensor)
        and args[1].ndim > 0
    )


def _note_wait(what: str) -> None:
    places = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is move.__code__:
            return
        if "anew" in Path(frame.f_code.co_filename).parts:
            places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}")
        frame = frame.f_back
    waits.append(f"{what} in {' < '.join(places[:2])}")


def start() -> torch.device:
    """Let there be the device, for the rest of the process."""
    _setup_privateuseone_for_python_backend(NAME)
    WITHOUT_DOUBLES.add(NAME)
    _mps_operators()  # reads a file by operators that the mode would see
    # `torch.tensor` makes its values on the CPU and then moves them by an operator that the mode sees.
    torch._C._set_only_lift_cpu_tensors(True)
    _Mode().__enter__()
    return torch.device(NAME, 0)
