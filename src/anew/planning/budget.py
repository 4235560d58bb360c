"""What the budget buys: throughput of a few candidate sizes is measured, the largest that can still learn is taken."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from anew.core import random
from anew.core.memory import free_memory
from anew.core.settings import knob
from anew.core.specs import Spec
from anew.core.threads import faster_alone
from anew.errors import BudgetError, ConfigError, out_of_memory
from anew.families.base import Family, Scale
from anew.runs.record import Candidate
from anew.training.distributed import World
from anew.training.progress import StepProgress
from anew.training.trainer import Batches, Trainer

SIZES = (
    "width",
    "depth",
    "layers",
    "mlp_size",
    "channel_mults",
    "latent_dim",
    "latent_channels",
)  # settings that make a network large
DEFAULT_MODEL_SIZE = 0  # without a budget nothing is measured: the smallest size, unless `dial` says otherwise


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of the training itself, whatever the family."""

    model_size: int = knob(
        -1, "size of the model: 0 the smallest, each +1 about doubles a step; -1 chooses by the budget", low=-1, high=12
    )
    micro_batch: int = knob(
        0, "rows of a batch in memory at once; 0 finds it by trying", unit="examples", low=0, high=1_000_000
    )
    space: str = knob(
        "auto",
        "where the family works: on pixels, or on the latents of a codec that is trained first; auto: what wins",
        choices=("auto", "pixel", "latent"),
    )
    device: str = knob("auto", "auto, cpu, cuda or cuda:N")
    parallel: str = knob("ddp", "how torchrun's processes share a model", choices=("ddp", "fsdp"))
    train_seconds: float = knob(
        0.0, "train for exactly this long, all else outside; 0 follows the budget", unit="seconds", low=0.0
    )
    previews: int = knob(4, "how often samples are drawn while training", low=0, high=1000)
    checkpoint_seconds: float = knob(30.0, "time between checkpoints", unit="seconds", low=0.0)
    validation: bool = knob(True, "let held-out validation data choose the weights and begin the decay early")
    evaluate_samples: int = knob(1000, "samples that the report is made from", low=0, high=1_000_000)
    tensorboard: bool = knob(False, "write TensorBoard files into the run (needs the extra `track`)")


def evaluation_slice(budget: float) -> float:
    """Seconds of a budget kept for the report: a fifteenth, at least 6 s, at most 10 minutes."""
    return min(600.0, max(6.0, budget / 15))


def saving_slice(budget: float) -> float:
    """Seconds kept for writing the final files and leaving."""
    return min(3.0, 0.7 + budget / 200)


class _Weighed(TorchFunctionMode):
    """Adds up the tensors that are made; MemoryError before more are filled than there is memory for, since the system
    lends memory that it does not have and then ends whichever process it likes."""

    MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.eye)

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit, self.bytes = limit, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in self.MAKERS:
            self.bytes += made.numel() * made.element_size()
            if self.bytes > self.limit:
                raise MemoryError
        return made


def build(kind: type[Family], spec: Spec, config: Any, seed: int, device: torch.device) -> Family:
    """A family with weights that are a function of the seed alone. ConfigError where memory does not hold them."""
    torch.manual_seed(random.key(seed, "weights"))
    try:
        with _Weighed(free_memory(torch.device("cpu"))):
            family = kind(spec, config)
        return family.to(device)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sizes = ", ".join(f"{name}={getattr(config, name)}" for name in SIZES if hasattr(config, name))
        raise ConfigError(f"a network of this size does not fit in memory ({sizes}); give smaller settings") from error


def suggest(kind: type[Family], spec: Spec, scale: Scale, given: Mapping[str, Any]) -> Any:
    """The family's Config at this scale, with what the user set on top."""
    config = kind.suggest(spec, scale)
    return dataclasses.replace(config, **given) if given else config


def measure(
    kind: type[Family],
    spec: Spec,
    scale: Scale,
    given: Mapping[str, Any],
    data: Batches,
    world: World,
    allowed_s: float,
) -> list[Candidate]:
    """Time a few steps of each candidate size, smallest first, until one is out of reach or the time is spent."""
    found: list[Candidate] = []
    begin = time.monotonic()
    candidate_sizes = kind.candidate_sizes(spec, scale)
    for number, model_size in enumerate(candidate_sizes):
        at = dataclasses.replace(scale, model_size=model_size)
        config = suggest(kind, spec, at, given)
        left = allowed_s - (time.monotonic() - begin)
        share = max(0.2, left / (len(candidate_sizes) - number))
        step_s, parameters = _time_steps(build(kind, spec, config, 0, world.device), config, data, world, share)
        if number == 0 and world.size == 1 and world.device.type == "cpu":
            family = build(kind, spec, config, 0, world.device)
            step_s = faster_alone(step_s, partial(_step_seconds, family, config, data, world, share / 2))
        examples = (scale.seconds or 0.0) / step_s * config.batch_size
        found.append(
            Candidate(
                model_size, parameters, config.batch_size, step_s, examples, kind.target_examples(spec, config, at)
            )
        )
        enough = found[-1].examples < found[-1].target_examples or time.monotonic() - begin > allowed_s
        if world.broadcast(enough):
            break
    return found


def _step_seconds(family: Family, config: Any, data: Batches, world: World, allowed_s: float) -> float:
    return _time_steps(family, config, data, world, allowed_s)[0]


def _time_steps(family: Family, config: Any, data: Batches, world: World, allowed_s: float) -> tuple[float, int]:
    rows = world.rows(config.batch_size)[1]
    micro = micro_rows(family, config, data, world)
    trainer = Trainer(
        family,
        data,
        StepProgress(10**6),
        seed=0,
        batch_size=config.batch_size,
        micro_batch=min(micro, rows),
        world=world,
    )
    steps = iter(trainer)
    begin = time.monotonic()
    next(steps)  # the first one allocates; it is timed only if there is time for no other
    times = [time.monotonic() - begin]
    while len(times) < 4 or (len(times) < 40 and time.monotonic() - begin < 0.6 * allowed_s):
        start = time.monotonic()
        next(steps)
        times.append(time.monotonic() - start)
        if world.broadcast(time.monotonic() - begin > allowed_s):
            break
    rest = sorted(times[1:]) or times
    return world.broadcast(rest[len(rest) // 2]), sum(p.numel() for p in family.parameters())


def choose(candidates: list[Candidate]) -> Candidate:
    """The largest candidate whose target_examples the budget affords, else the smallest."""
    fit = [c for c in candidates if c.examples >= c.target_examples]
    return fit[-1] if fit else candidates[0]


def micro_rows(family: Family, config: Any, data: Batches, world: World) -> int:
    """Rows whose saved activations take at most a third of the free memory, measured on a few rows."""
    start, rows = world.rows(config.batch_size)
    tried = min(4, rows)
    batch = data.batch(0, "plan", start, tried, config.batch_size).to(world.device)
    saved = 0

    def weigh(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size()
        return tensor

    family.train()
    context = random.StepContext(0, 0, 0.0, "plan", 0, world.device)
    with random.use_context(context), torch.autograd.graph.saved_tensors_hooks(weigh, lambda t: t):
        family.phases()[0].loss(batch, context)
    fitting = int(free_memory(world.device) / 3 / max(1.0, saved / tried))
    micro = rows
    while micro > 1 and micro > fitting:
        micro = -(-micro // 2)
    return micro


def too_little(budget: float, spent: float, needed: float) -> BudgetError:
    """The error for a budget that leaves no time to train; it says a budget that would."""
    least = budget
    while least - spent - needed - evaluation_slice(least) - saving_slice(least) < 2.0:
        least += 1.0
    return BudgetError(
        f"a budget of {budget:g} s leaves no time to train: reading took {spent:.1f} s and the report needs "
        f"{evaluation_slice(budget):.1f} s; give at least {int(least) + 1}s"
    )
