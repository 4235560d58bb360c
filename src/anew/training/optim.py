"""The optimizer of a phase: Muon for matrices and AdamW for other parameters. Its state is a flat dict of tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from anew.core.processes.local_link import LocalLink
from anew.families.phases import OptimizerConfig, ParameterGroup
from anew.functional.schedules import warmup_stable_decay
from anew.training.distributed import gather_full, shard_like
from anew.training.shared_memory import SharedUpdates

# Coefficients of Muon's quintic, with the steepest slope at 0 for which the iteration still converges.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5

# Values of matrices whose updates are computed at once: for all of one shape, gathered, sharding saved only 16% of memory
# instead of 37% (docs/log.md, 2026-11-26); larger products are no faster.
MAX_AT_ONCE = 2**22

NamedParameters = list[tuple[str, nn.Parameter]]


def orthogonalize(update: Tensor, dtype: torch.dtype) -> Tensor:
    """Approximately the nearest semi-orthogonal matrices of (..., rows, columns): singular values of about 0.7 to 1.2.

    It is a Newton-Schulz iteration with the quintic of Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon), whose
    products are computed in `dtype`.
    """
    a, b, c = NEWTON_SCHULZ
    x = update.to(dtype).reshape(-1, *update.shape[-2:])  # (B, rows, columns)
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True).to(x.dtype) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        # Fused products take a third of the time of separate ones.
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    orthogonal: Tensor = x.mT if is_tall else x
    return orthogonal.reshape(update.shape).to(update.dtype)


def num_at_once(matrix: Tensor) -> int:
    """The number of matrices like this one whose updates are computed at once. They are batched: for small ones, launching a kernel
    costs more than the arithmetic."""
    return max(1, MAX_AT_ONCE // matrix.numel())


def _portions(parameters: NamedParameters) -> Iterator[NamedParameters]:
    """Matrices of one shape, as many at once as are computed at once."""
    count = num_at_once(parameters[0][1]) if parameters else 1
    for first in range(0, len(parameters), count):
        yield parameters[first : first + count]


class Optimizer:
    """Updates the parameters of one phase by its groups.

    Args:
        link: To processes that have the same weights and gradients and share the work; None for a single process.

    Raises:
        ValueError: A parameter matches no group. Every weight of a phase must be learned, or be a buffer.
    """

    def __init__(self, module: nn.Module, config: OptimizerConfig, link: LocalLink | None = None) -> None:
        self.config = config
        self._groups: list[tuple[ParameterGroup, NamedParameters]] = [(group, []) for group in config.groups]
        for name, parameter in module.named_parameters():
            members = next((members for group, members in self._groups if group.match(name, parameter)), None)
            if members is None:
                raise ValueError(f"no parameter group matches parameter {name!r}")
            members.append((name, parameter))
        self.state: dict[str, Tensor] = {}
        self.updates = 0
        matrices = [pair for group, members in self._groups if group.optimizer == "muon" for pair in members]
        self._shared = None if link is None or not matrices else SharedUpdates(matrices, link)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by name, group by group."""
        return dict(pair for _, members in self._groups for pair in members)

    def lr_factor(self, updates: int, progress: float) -> float:
        """The learning rate relative to each group's peak, after this many updates and at this progress of the phase."""
        c = self.config
        return warmup_stable_decay(updates, progress, warmup_steps=c.warmup_steps, decay=c.decay, power=c.power)

    @torch.no_grad()
    def step(self, lr_factor: float) -> None:
        """Update the parameters by their present gradients; `lr_factor` scales the learning rate of every group."""
        self.updates += 1
        for group, members in self._groups:
            with_grad = [(name, p) for name, p in members if p.grad is not None]
            if with_grad:
                update = self._muon if group.optimizer == "muon" else self._adamw
                update(group, with_grad, lr_factor * group.lr)

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def _slot(self, slot: str, name: str, like: Tensor) -> Tensor:
        key = f"{slot}/{name}"
        if key not in self.state:
            self.state[key] = torch.zeros_like(like)
        return self.state[key]

    def _adamw(self, group: ParameterGroup, parameters: NamedParameters, lr: float) -> None:
        """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), with bias correction."""
        values: list[Tensor] = [p for _, p in parameters]
        grads = [p.grad for _, p in parameters if p.grad is not None]
        exp_avg = [self._slot("exp_avg", name, p) for name, p in parameters]
        exp_avg_sq = [self._slot("exp_avg_sq", name, p) for name, p in parameters]
        beta1, beta2 = group.betas
        torch._foreach_lerp_(exp_avg, grads, 1.0 - beta1)
        torch._foreach_mul_(exp_avg_sq, beta2)
        torch._foreach_addcmul_(exp_avg_sq, grads, grads, 1.0 - beta2)
        denominator = torch._foreach_sqrt(exp_avg_sq)
        torch._foreach_div_(denominator, (1.0 - beta2**self.updates) ** 0.5)
        torch._foreach_add_(denominator, group.eps)
        if group.weight_decay:
            torch._foreach_mul_(values, 1.0 - lr * group.weight_decay)
        torch._foreach_addcdiv_(values, exp_avg, denominator, -lr / (1.0 - beta1**self.updates))

    def _muon(self, group: ParameterGroup, parameters: NamedParameters, lr: float) -> None:
        by_shape: dict[torch.Size, NamedParameters] = defaultdict(list)
        for name, parameter in parameters:
            by_shape[parameter.shape].append((name, parameter))
        if self._shared is not None:
            self._shared_steps(self._shared, group, by_shape.values(), lr)
            return
        for members in by_shape.values():
            for part in _portions(members):
                self._apply(group, part, self._orthogonal_updates(group, part), lr)

    def _shared_steps(
        self, shared: SharedUpdates, group: ParameterGroup, shapes: Iterable[NamedParameters], lr: float
    ) -> None:
        """Muon's step where each process computes the updates of some matrices. Momenta are kept by all, for checkpoints."""
        for members in shapes:
            own_parameters = [(name, parameter) for name, parameter in members if name in shared.own]
            for name, parameter in members:
                if name not in shared.own:
                    self._momentum(group, name, parameter)
            for part in _portions(own_parameters):
                for (name, _), update in zip(part, self._orthogonal_updates(group, part), strict=True):
                    shared.values[name].copy_(update.view_as(shared.values[name]))
        shared.exchange()
        for members in shapes:
            self._apply(group, members, [shared.values[name] for name, _ in members], lr)

    def _momentum(self, group: ParameterGroup, name: str, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """A parameter's gradient and its momentum, which takes it in."""
        grad = parameter.grad
        assert grad is not None
        momentum = self._slot("momentum", name, parameter)
        momentum.lerp_(grad, 1.0 - group.momentum)
        return grad, momentum

    def _orthogonal_updates(self, group: ParameterGroup, parameters: NamedParameters) -> Tensor:
        """(n, rows, columns): Muon's updates of parameters of one shape, which are gathered if they are sharded."""
        nesterov = []
        for name, parameter in parameters:
            grad, momentum = self._momentum(group, name, parameter)
            nesterov.append(gather_full(torch.lerp(grad, momentum, group.momentum)).flatten(1))
        stacked = torch.stack(nesterov)
        rows, columns = stacked.shape[1:]
        updates: Tensor = orthogonalize(stacked, group.dtype) * max(1.0, rows / columns) ** 0.5
        return updates

    @staticmethod
    def _apply(group: ParameterGroup, parameters: NamedParameters, updates: Iterable[Tensor], lr: float) -> None:
        for (_, parameter), update in zip(parameters, updates, strict=True):
            if group.weight_decay:
                parameter.mul_(1.0 - lr * group.weight_decay)
            parameter.add_(shard_like(update.view(parameter.shape), parameter), alpha=-lr)

    def make_slots(self, keys: Iterable[str]) -> None:
        """Make moments of zeros, by "slot/parameter", which can then be filled in place."""
        parameters = self.parameters
        self.state = {key: torch.zeros_like(parameters[key.partition("/")[2]].detach()) for key in keys}

    def load_state_dict(self, state: Iterable[tuple[str, Tensor]], updates: int) -> None:
        """Load moments, whole tensors by "slot/parameter", that are the state after `updates` updates."""
        parameters = self.parameters
        self.state = {key: shard_like(value, parameters[key.partition("/")[2]]).clone() for key, value in state}
        self.updates = updates
