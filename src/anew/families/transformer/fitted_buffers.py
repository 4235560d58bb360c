"""State that is fitted to the data in one go, not learned step by step: buffers whose sizes depend on the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anew.core.machine.device import widest_float


class FittedBuffers(nn.Module):
    """A module with buffers that are made when it is fitted or restored.

    Attributes:
        dtypes: The dtype of each such buffer, by name.
    """

    dtypes: Mapping[str, torch.dtype]
    place: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(0), persistent=False)  # says on which device this is
        self.register_load_state_dict_post_hook(lambda module, _: module.clear_cache())  # type: ignore[no-untyped-call]

    def set_buffers(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Keep arrays as buffers of these names."""
        for name, array in arrays.items():
            tensor = torch.from_numpy(array)
            self.register_buffer(name, tensor.to(self._device_of(tensor.dtype)))
        self.clear_cache()

    def drop_buffers(self, *names: str) -> None:
        """Remove buffers of these names, if there are any."""
        for name in names:
            self._buffers.pop(name, None)
        self.clear_cache()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The buffers that were made, by name."""
        return {name: self.get_buffer(name).cpu().numpy() for name in self.dtypes if name in self._buffers}

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        """Allocate the buffers of a state dict in this module and its children. Names in `shapes` are relative to this module."""
        for name, dtype in self.dtypes.items():
            if name in shapes:
                self.register_buffer(name, torch.zeros(shapes[name], dtype=dtype, device=self._device_of(dtype)))
        for name, part in self.named_children():
            if isinstance(part, FittedBuffers):
                part.allocate_buffers(shapes_below(shapes, name))
        self.clear_cache()

    def _device_of(self, dtype: torch.dtype) -> torch.device:
        """This module's device, or the CPU for 64-bit floats, with which only NumPy computes, where it has none."""
        device = self.place.device
        lacks_doubles = dtype is torch.float64 and widest_float(device) is not torch.float64
        return torch.device("cpu") if lacks_doubles else device

    @property
    def left_out(self) -> tuple[str, ...]:
        """Parts of the model that the network alone lacks, as exports name them; () before anything is fitted."""
        return ()

    def check(self) -> None:
        """Check the buffers, which may come from anybody.

        Raises:
            ValueError: They are inconsistent.
        """

    def clear_cache(self) -> None:
        """Forget what was made of the buffers; must be called after they have changed."""


def shapes_below(shapes: Mapping[str, torch.Size], prefix: str) -> dict[str, torch.Size]:
    """The shapes of a module's buffers, without its name, of a state dict that also has others."""
    return {name.removeprefix(f"{prefix}."): shape for name, shape in shapes.items() if name.startswith(f"{prefix}.")}
