"""What diffusion must know of the axes of a grid: the network, the closed form, and which parts of an item have a noise
level of their own. `layout(spec)` chooses, and nothing else looks at axes.

Shapes: B examples, F parts of an example with a noise level each (1 of a still, T of a clip), D values of one example.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import StepContext, generator, key
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.estimators.clip_mixture import ClipMixture, empty_clips, fit_clips
from anew.estimators.gaussian_mixture import Mixture, empty, fit
from anew.families.base import Scale
from anew.functional.noise import lognormal_sigmas
from anew.nets.dit import DiT
from anew.nets.unet import UNet
from anew.nets.unet3d import SpaceTime

RANK = 192  # principal components of clips, which vary in more ways than pictures
BASIS_VALUES = 1 << 24  # most values of their basis: 64 MB of a run

Draw = Callable[[SampleRequest, int], Iterator[Tensor]]


class Layout(ABC):
    """How diffusion works on grids of certain axes. config: a DiffusionConfig."""

    mixture: type[Mixture]

    def __init__(self, spec: Grid) -> None:
        self.spec = spec
        self.size = math.prod(spec.shape)

    @property
    def parts(self) -> int:
        """F."""
        return 1

    @abstractmethod
    def network(self, config: Any) -> nn.Module:
        """What turns (B, into, ...) at levels into a correction (B, C, ...)."""

    @abstractmethod
    def sizes(self, scale: Scale) -> dict[str, Any]:
        """Fields of the config that follow from the shape and the model_size."""

    @abstractmethod
    def empty(self, rank: int, kinds: int) -> Mixture:
        """The closed form before it is fitted."""

    @abstractmethod
    def fit(self, x: Tensor, there: Tensor | None, label: Tensor | None, rank: int, components: int) -> Mixture:
        """The closed form of x (N, *shape); there (N, F): which parts examples have (None: all)."""

    @abstractmethod
    def levels(self, context: StepContext, batch: Batch, config: Any) -> tuple[Tensor, Tensor | None]:
        """(B, F) noise levels of training in deviations of the data, and (B, F) the weight of each part in the loss."""

    @abstractmethod
    def correct(self, net: nn.Module, y: Tensor, skip: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """The network's output (B, C, ...) for y and skip (B, *shape) of about unit size; level (B, F), in deviations."""

    choices: int = 1  # random numbers of a sample that decide what it is: its component, its length

    def given(self, kept: Tensor) -> Tensor | None:
        """(B, F) the parts that are known as a whole, of kept (B, D); None where an example has no parts."""
        return None

    def there(
        self, mixture: Any, component: Tensor, number: Tensor, known: tuple[Tensor, Tensor] | None
    ) -> Tensor | None:
        """(B, F) which parts samples of these components have, by a normal number each; None: all."""
        return None

    def held(self, x: Tensor, there: Tensor) -> Tensor:
        """Samples (B, *shape) as they are shown, where some lack the last parts."""
        return x

    def whole(self, draw: Draw, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts of `draw`, put together where samples are to be longer than what it makes."""
        if request.sampling.frames:
            raise ConfigError(
                f"frames={request.sampling.frames} counts the frames of clips, and these are none; leave it out"
            )
        return draw(request, seed)


class Still(Layout):
    """Pictures, and whatever else lies on rows and columns: one noise level an example."""

    mixture = Mixture

    def network(self, config: Any) -> nn.Module:
        channels, kinds = self.spec.shape[0], config.components + 1
        common: dict[str, Any] = {"kinds": kinds, "width": config.width, "depth": config.depth, "patch": config.patch}
        if config.net == "dit":
            heads = max(1, config.width // 64)
            if config.width % (4 * heads):
                raise ConfigError(f"width={config.width} does not fit the patch Transformer; give a multiple of 64")
            return DiT(2 * channels, channels, heads=heads, dropout=config.dropout, **common)
        more: dict[str, Any] = {"mults": config.mults, "dropout": config.dropout, "attention": config.attention}
        return UNet(2 * channels, channels, **common, **more)

    def sizes(self, scale: Scale) -> dict[str, Any]:
        side = max(self.spec.shape[1:])
        patch = 1 if side <= 12 else 2 if side <= 72 else 2 ** math.ceil(math.log2(side / 24))
        hurry = scale.seconds is not None and scale.seconds < 100
        found = (_unet_sizes if patch <= 2 else _dit_sizes)(scale.model_size, side / patch)
        return found | {"patch": patch, "batch": 64 if scale.device == "cpu" and (hurry or side > 40) else 128}

    def empty(self, rank: int, kinds: int) -> Mixture:
        return empty(self.spec.shape, rank, kinds, self.spec.std**2)

    def fit(self, x: Tensor, there: Tensor | None, label: Tensor | None, rank: int, components: int) -> Mixture:
        return fit(x, label, rank, components, self.spec.classes, generator("mixture"))

    def levels(self, context: StepContext, batch: Batch, config: Any) -> tuple[Tensor, Tensor | None]:
        c = config
        uniform = context.uniform("level", (len(batch),))
        return lognormal_sigmas(uniform, c.level_mean, c.level_deviation, c.level_low, c.level_high)[:, None], None

    def correct(self, net: nn.Module, y: Tensor, skip: Tensor, level: Tensor, component: Tensor) -> Tensor:
        found: Tensor = net(torch.cat([y, skip], 1), level.float().squeeze(1), component)
        return found


class Clip(Layout):
    """Frames over time: a noise level a frame (diffusion forcing, arXiv 2407.01392), so that one model generates, goes on
    from given frames and fills between them. A frame of infinite level is one that the clip does not have."""

    mixture = ClipMixture

    @property
    def parts(self) -> int:
        return self.spec.shape[1]

    def network(self, config: Any) -> nn.Module:
        channels = self.spec.shape[0]
        return SpaceTime(
            2 * channels + 1,
            channels,
            kinds=config.components + 1,
            width=config.width,
            mults=config.mults,
            depth=config.depth,
            patch=config.patch,
            group=config.group,
            dropout=config.dropout,
        )

    def sizes(self, scale: Scale) -> dict[str, Any]:
        side = max(self.spec.shape[2:])
        patch = 1 if side <= 12 else 2 if side <= 40 else 4
        halvings = max(1, math.ceil(math.log2(side / patch / 8))) if side / patch >= 4 else 0
        width = (32, 48, 64, 96, 128, 192, 256)[min(max(scale.model_size, 0), 6)]
        depth = 1 if scale.model_size <= 3 else 2
        group = 2 if self.spec.shape[1] > 2 else 1
        mults = (1, *[2] * halvings)
        batch = 32 if scale.device == "cpu" else 64
        rank = max(1, min(RANK, BASIS_VALUES // self.size, max(16, scale.items // 4)))
        return {
            "net": "unet",
            "width": width,
            "mults": mults,
            "depth": depth,
            "patch": patch,
            "group": group,
            "batch": batch,
            "rank": rank,
        }

    def empty(self, rank: int, kinds: int) -> Mixture:
        return empty_clips(self.spec.shape, rank, kinds, self.spec.std**2)

    def fit(self, x: Tensor, there: Tensor | None, label: Tensor | None, rank: int, components: int) -> Mixture:
        length = torch.full((len(x),), self.parts) if there is None else there.sum(1).long().clamp(min=1)
        return fit_clips(x, length, label, rank, components, self.spec.classes, generator("mixture"))

    def levels(self, context: StepContext, batch: Batch, config: Any) -> tuple[Tensor, Tensor | None]:
        c, size = config, (len(batch), self.parts)
        there = torch.ones(size, device=batch.x.device) if batch.mask is None else batch.mask.float()
        uniform = context.uniform("level", size)
        task = context.uniform("task", (len(batch), 4))  # which task, and its details
        apart = (task[:, :1] >= c.given) & (task[:, :1] < c.given + c.apart)
        uniform = torch.where(apart, uniform, uniform[:, :1])
        level = lognormal_sigmas(uniform, c.level_mean, c.level_deviation, c.level_low, c.level_high)
        kept = (task[:, :1] < c.given) & self._kept(task[:, 1:], context.uniform("frames", size), there)
        level = torch.where(kept, c.level_low, level).masked_fill(there == 0, torch.inf)
        counted = there * ~kept
        return level, counted / counted.sum(1, keepdim=True).clamp(min=1)

    def _kept(self, task: Tensor, frames: Tensor, there: Tensor) -> Tensor:
        """(B, T) the frames that are given: a beginning, both ends, or any; never all."""
        length = there.sum(1, keepdim=True)
        place = torch.arange(self.parts, device=there.device)
        first = 1 + ((length - 1) * task[:, 1:2]).floor()
        last = ((length - first) * task[:, 2:3]).floor()
        beginning = place < first
        ends = beginning | (place >= length - last)
        some = frames < task[:, 1:2]
        kept = torch.where(task[:, :1] < 0.5, beginning, torch.where(task[:, :1] < 0.75, ends, some)) & (there > 0)
        return kept & (kept.sum(1, keepdim=True) < length)

    def correct(self, net: nn.Module, y: Tensor, skip: Tensor, level: Tensor, component: Tensor) -> Tensor:
        there = level.isfinite().to(y.dtype)[:, None, :, None, None].expand(-1, 1, -1, *self.spec.shape[2:])
        found: Tensor = net(torch.cat([y, skip, there], 1), level.float().clamp(max=1e3), component)
        return found

    choices = 2

    def given(self, kept: Tensor) -> Tensor | None:
        return torch.all(kept.view(len(kept), *self.spec.shape).flatten(3), 3).all(1)

    def there(
        self, mixture: Any, component: Tensor, number: Tensor, known: tuple[Tensor, Tensor] | None
    ) -> Tensor | None:
        places = torch.arange(self.parts, device=number.device)
        counts = mixture.lengths[component]  # (B, T)
        if known is not None:  # no shorter than what is known of it
            asked = known[1].view(len(number), *self.spec.shape).flatten(3).any(3).any(1)  # (B, T)
            least = (asked * (places + 1)).amax(1, keepdim=True)
            counts = torch.where(places + 1 >= least, counts, 0.0)
            counts = torch.where(counts.sum(1, keepdim=True) > 0, counts, (places == self.parts - 1).float())
        total = counts.cumsum(1)
        uniform = torch.special.ndtr(number)[:, None] * total[:, -1:]
        length = (uniform >= total).sum(1, keepdim=True)  # one less than the frames
        found: Tensor = places <= length
        return found

    def whole(self, draw: Draw, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Longer clips grow by windows: each goes on from the later half of what is there."""
        frames, known = self.parts, self._known(request.condition)
        given = 0 if known is None else known.x.shape[-3]
        wanted = request.sampling.frames or (given + max(1, frames // 2) if given > frames else 0)
        total = max(wanted or frames, given)
        if known is not None:
            known = _longer(known, max(total, frames))
        done: Tensor | None = None
        start, window = 0, 0
        while True:
            inside = _window(known, done, start, frames)
            part = replace(
                request,
                condition=inside,
                sampling=replace(request.sampling, frames=total) if wanted else request.sampling,
            )
            for draft in draw(part, seed if not window else key(seed, "window", window)):
                whole = draft if done is None else torch.cat([done[:, :, :start], draft], 2)
                yield whole[:, :, :wanted] if wanted else whole
            if start + frames >= total:
                return
            done, window = whole, window + 1
            start = min(start + frames - frames // 2, total - frames)

    def _known(self, known: Condition | None) -> Condition | None:
        """With a mask of as many dimensions."""
        if known is None:
            return None
        if known.x.ndim < 4 or known.x.shape[-4] != self.spec.shape[0] or known.x.shape[-2:] != self.spec.shape[2:]:
            given = tuple(known.x.shape)
            raise ConfigError(f"known values of shape {given} do not fit {self.spec.shape}; only the frames may differ")
        mask = torch.ones_like(known.x) if known.mask is None else known.mask.to(known.x).expand(known.x.shape)
        return Condition(known.x, mask)

    def held(self, x: Tensor, there: Tensor) -> Tensor:
        last = there.sum(1) - 1
        place = torch.arange(self.parts, device=x.device).minimum(last[:, None])  # (B, T)
        return x.gather(2, place[:, None, :, None, None].expand_as(x))


def _longer(known: Condition, frames: int) -> Condition:
    """With so many frames: those that are added are not known."""
    missing = frames - known.x.shape[-3]
    if missing <= 0:
        return known
    pad = (0, 0, 0, 0, 0, missing)
    return Condition(functional.pad(known.x, pad), functional.pad(_mask(known), pad))


def _mask(known: Condition) -> Tensor:
    return torch.ones_like(known.x) if known.mask is None else known.mask


def _window(known: Condition | None, done: Tensor | None, start: int, frames: int) -> Condition | None:
    """What is known of the frames from `start` on: by the user, and by what was drawn before (n, C, T, H, W)."""
    if known is not None:
        known = Condition(*(t[..., start : start + frames, :, :] for t in (known.x, _mask(known))))
    if done is None:
        return known
    before = _longer(Condition(done[:, :, start:]), frames)
    if known is None:
        return before
    drawn = _mask(before) > 0.5
    mask = torch.where(drawn, 1.0, _mask(known).to(before.x).expand_as(before.x))
    return Condition(torch.where(drawn, before.x, known.x.to(before.x)), mask)


LAYOUTS: dict[str, type[Layout]] = {"CHW": Still, "CTHW": Clip}


def layout(spec: Grid) -> Layout:
    """The layout of the spec's axes, or ConfigError."""
    if spec.axes not in LAYOUTS:
        allowed = " or ".join(map(repr, LAYOUTS))
        raise ConfigError(f"diffusion takes grids with axes {allowed}, and this one has {spec.axes!r}")
    return LAYOUTS[spec.axes](spec)


def _unet_sizes(model_size: int, side: float) -> dict[str, Any]:
    """Width, mults and depth; `side` positions at the stem are halved down to 8 or fewer."""
    halvings = max(1, math.ceil(math.log2(side / 8))) if side >= 4 else 0
    widths = (32, 48, 64, 96, 128, 192, 256) if halvings < 2 else (24, 32, 48, 64, 96, 128, 192)
    width = widths[min(max(model_size, 0), 6)]
    return {"net": "unet", "width": width, "mults": (1, *[2] * halvings), "depth": 1 if model_size <= 3 else 2}


def _dit_sizes(model_size: int, side: float) -> dict[str, Any]:
    width, depth = ((64, 4), (128, 4), (192, 6), (256, 8), (384, 8), (512, 12), (768, 12))[min(max(model_size, 0), 6)]
    return {"net": "dit", "width": width, "depth": depth}
