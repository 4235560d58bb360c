"""Build a family's network from its Config: the same weights for the same seed, and an error before memory runs out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from anew.core import random
from anew.core import settings as cfg
from anew.core.machine.device import seeded, to_device
from anew.core.machine.memory import free_memory
from anew.core.processes.world import World
from anew.core.specs import Spec
from anew.errors import ConfigError, out_of_memory
from anew.families.base import Family, Scale

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

SIZE_SETTINGS = ("width", "depth", "layers", "mlp_size", "channel_mults", "latent_dim", "latent_channels")


class _AllocationLimit(TorchFunctionMode):
    """Adds up the bytes of new tensors, and raises MemoryError if they are more than there is memory.

    The system itself would hand out more memory than it has, and kill some process once that memory is used.
    """

    FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.eye)

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.bytes = 0

    def give_back(self, size: int) -> None:
        """Let other tensors have so many bytes."""
        self.bytes -= size

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func in self.FACTORIES and isinstance(result, torch.Tensor):
            self.bytes += result.numel() * result.element_size()
            if self.bytes > self.limit:
                raise MemoryError
        return result


def build_family(
    family_class: type[Family], spec: Spec, config: FamilyConfig, seed: int, device: torch.device
) -> Family:
    """Build a family whose initial weights are a function of the seed alone.

    Raises:
        ConfigError: The weights do not fit in memory.
    """
    with _built_within_memory(config, seed, device):
        return to_device(family_class(spec, config), device)


def build_shards(family_class: type[Family], spec: Spec, config: FamilyConfig, seed: int, world: World) -> Family:
    """The same where each process holds a part of every weight, from when it is drawn. Nothing is communicated.

    A family of a user's own may draw its weights after it has registered them, so it is whole until it is wrapped.
    """
    if not draws_before_registering(family_class):
        return build_family(family_class, spec, config, seed, world.device)
    from anew.training.initial_shards import kept_in_shards

    with _built_within_memory(config, seed, world.device) as limit, kept_in_shards(world, limit.give_back):
        return to_device(family_class(spec, config), world.device)


def draws_before_registering(family_class: type[Family]) -> bool:
    """Whether parameters have their initial values when a module registers them: in all families of this package."""
    return family_class.__module__.startswith("anew.")


def family_outline(family_class: type[Family], spec: Spec, config: FamilyConfig, num_processes: int = 1) -> Family:
    """A family whose weights have shapes and no content, to count them. One of a user's own has initial weights.

    Raises:
        ConfigError: The weights do not fit in the memory of so many processes together, each with as much as this one.
    """
    with _built_within_memory(config, 0, torch.device("cpu"), num_processes), _weights_left_out(family_class):
        return family_class(spec, config)


@contextmanager
def _built_within_memory(
    config: FamilyConfig, seed: int, device: torch.device, num_processes: int = 1
) -> Iterator[_AllocationLimit]:
    """Within this context, random numbers follow from the seed, and a network that is too large raises ConfigError."""
    most_bytes = num_processes * free_memory(torch.device("cpu"))
    try:
        with seeded(random.key(seed, "weights"), device), _AllocationLimit(most_bytes) as limit:
            yield limit
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sizes = ", ".join(f"{name}={getattr(config, name)}" for name in SIZE_SETTINGS if hasattr(config, name))
        raise ConfigError(f"a network of this size does not fit in memory ({sizes}); give smaller settings") from error


def family_with_weights(
    family_class: type[Family],
    spec: Spec,
    config: FamilyConfig,
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> Family:
    """A family with these weights, whole on this process and ready to sample.

    On the CPU it takes the tensors themselves, so weights that are mapped from a file stay there.

    Args:
        spec: Spec of the data.
        weights: Its state.
        device: Where it will sample.
    """
    with _weights_left_out(family_class), seeded(random.key(0, "weights"), torch.device("cpu")):
        family = family_class(spec, config)
    family.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})
    family.load_state_dict(dict(weights), assign=True)
    return to_device(family, device).eval()


@contextmanager
def _weights_left_out(family_class: type[Family]) -> Iterator[None]:
    """Within this context, parameters of new modules are on the meta device. Not those of a family of a user's own, whose code
    may compute with them."""
    if not draws_before_registering(family_class):
        yield
        return

    def left_out(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None:
            return None
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    hook = register_module_parameter_registration_hook(left_out)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()


def suggest_config(
    family_class: type[Family], spec: Spec, scale: Scale, overrides: Mapping[str, object]
) -> FamilyConfig:
    """The family's Config at this scale, with the user's settings in place of its own."""
    config: FamilyConfig = family_class.suggest(spec, scale)
    return dataclasses.replace(config, **{**family_class.implied(overrides), **overrides}) if overrides else config


def agreed_config(
    family_class: type[Family], spec: Spec, scale: Scale, overrides: Mapping[str, object], world: World
) -> FamilyConfig:
    """The Config that is suggested on the main process, on all processes: suggestions may differ by machine.

    Its batches have an example for each process, unless the user set `batch_size`.
    """
    config = suggest_config(family_class, spec, scale, overrides)
    if world.size == 1:
        return config
    if "batch_size" not in overrides:
        config = dataclasses.replace(config, batch_size=max(config.batch_size, world.size))
    agreed: FamilyConfig = cfg.from_json(family_class.Config, world.broadcast(cfg.to_json(config)))
    return agreed
