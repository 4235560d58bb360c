"""A codec of codes: a convolutional autoencoder whose latents are rounded, so that an item becomes a short row of whole numbers.

The first number names the item's cluster, so that a family that samples codes one after another knows at once what the item
should be, which a few hundred steps of training hardly teach. The others come from a small grid, row by row. Each place of the
grid holds a few numbers, each rounded to one of a few levels (finite scalar quantisation, arXiv 2309.15505); together they are
one code. No codebook is learned, and nearly all codes are used. A family for `Tokens` learns how codes follow each other, and so
makes new items. If `adversarial_weight` is above 0, a discriminator compares each item with its reconstruction (the relativistic pairs of
`functional.adversarial`), which keeps fine detail that squared errors would blur.

Legend for shapes: B items, T frames, C channels, H rows, W columns, h rows and w columns of places, n numbers a place,
L codes of an item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from anew.core.deadline import UNLIMITED_TURNS
from anew.core.machine.device import move
from anew.core.random import StepContext, generator
from anew.core.specs import Batch, Grid, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import kmeans, principal_directions
from anew.families._sizes import (
    at_side,
    autoencoder_batch_size,
    conv_candidate_sizes,
    conv_depth,
    conv_width,
    muon_and_adamw,
    rows_at_once,
    weights_within,
)
from anew.families.base import Family, Scale, check_axes
from anew.families.fsq.config import EXPORT as SETTINGS
from anew.families.fsq.config import FsqConfig, FsqSampling
from anew.families.phases import Loss, OptimizerConfig, Phase
from anew.families.portable import Graph
from anew.functional import fsq
from anew.functional.adversarial import gradient_penalty, lazy_rows, relativistic_loss
from anew.nets.autoencoder import GridAutoencoder
from anew.nets.resnet import Discriminator, soft_clamp

# Examples, for each square of the width, before a larger codec is worth it; chosen, a VAE has 110
EXAMPLES_PER_SQUARE_WIDTH = 60.0
# Side of the small copies of items that are clustered: clusters are of whole shapes; chosen.
SMALL_SIDE = 16
MAX_RANK = 40  # principal directions of the copies that separate clusters: the others are mostly detail; chosen
MAX_ITEMS = 20_000  # items that are clustered, 200 for each cluster: more take time and hardly move a centre; chosen
MAX_VALUES = 30_000_000  # values of their copies together: 120 MB
FAR_AWAY = 1e6  # the centre of an empty cluster is put there, so that no item is nearest to it
# Most clusters: 60 brought the distance of digits from 23.5 to 12.8, 100 to 6.9; more were not tried (docs/log.md, 2026-11-25).
MAX_CLUSTERS = 100
ITEMS_PER_CLUSTER = 40  # least number on average: the first token must be seen often enough to be learned; chosen


class Fsq(Family[Grid, FsqConfig]):
    """Grids with axes CHW; or CTHW, whose frames are coded one by one."""

    Config: ClassVar[type] = FsqConfig
    Sampling: ClassVar[type] = FsqSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW", "CTHW")
    takes_rows: ClassVar[bool] = False
    preferred_for: ClassVar[frozenset[str]] = frozenset()
    rationale: ClassVar[str] = "it turns each item into a row of codes"
    # The loss does not say how good items look; with a discriminator the squared error even rises.
    early_stopping: ClassVar[bool] = False
    generates: ClassVar[bool] = SETTINGS.generates
    codec_config: ClassVar[Mapping[str, object] | None] = SETTINGS.codec_config
    # It needs less training than the family that learns how codes follow each other.
    codec_time_share: ClassVar[float] = 0.2
    latent_spec_type: ClassVar[type] = Tokens

    centre: Tensor  # (P,) mean of small copies of items
    basis: Tensor  # (P, R) their principal directions
    means: Tensor  # (K, R) coordinates of the centre of each cluster in these directions

    def __init__(self, spec: Grid, config: FsqConfig) -> None:
        super().__init__(spec, config)
        check_axes("fsq", spec, ("CHW", "CTHW"))
        c = config
        if not c.levels or min(c.levels) < 2:
            raise ConfigError(
                f"levels must be 2 or more for each number of a code (got {','.join(map(str, c.levels))})"
            )
        shape = (spec.shape[0], *spec.shape[-2:])
        widths = tuple(c.width * mult for mult in c.channel_mults)
        self.autoencoder = GridAutoencoder(shape, widths, c.depth, c.patch_size, len(c.levels))
        if c.adversarial_weight:
            widths = tuple(c.discriminator_channels * min(2**size, 4) for size in range(len(c.channel_mults)))
            self.discriminator = Discriminator(0, shape, widths, 1, c.patch_size)
        self.rows = rows_at_once(spec.shape)
        if c.num_clusters:
            size = math.prod(self._small_shape())
            rank = min(MAX_RANK, size)
            self.register_buffer("centre", torch.zeros(size))
            self.register_buffer("basis", torch.zeros(size, rank))
            self.register_buffer("means", torch.zeros(c.num_clusters, rank))

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> FsqConfig:
        """Few places and few codes: they soon suffice for the codec, while many would need a larger network to learn them."""
        side = max(spec.shape[-2:])
        channel_mults = (1, 2) if side <= 40 else (1, 2, 2)
        num_places = at_side(side, {40: 6, 128: 8}, 16)  # a side of the grid of codes
        return FsqConfig(
            batch_size=autoencoder_batch_size(side, scale.device),
            width=conv_width(scale.model_size),
            channel_mults=channel_mults,
            depth=conv_depth(scale.model_size),
            patch_size=math.ceil(side / (num_places * 2 ** (len(channel_mults) - 1))),
            levels=(4, 4, 4) if spec.shape[0] == 1 else (8, 8, 8),
            num_clusters=min(MAX_CLUSTERS, scale.items // ITEMS_PER_CLUSTER),
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device)

    @classmethod
    def target_examples(cls, spec: Grid, config: FsqConfig, scale: Scale) -> float:
        return EXAMPLES_PER_SQUARE_WIDTH * config.width**2

    # -- clusters -------------------------------------------------------------------------------------------------------

    def fit_closed_form(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        """Find the clusters by k-means in the principal components of small copies of the items."""
        num_clusters = self.config.num_clusters
        if not num_clusters:
            return
        copies: list[Tensor] = []
        for batch in batches:
            copies.append(self._shrink(batch.x).cpu())
            if sum(map(len, copies)) >= min(MAX_ITEMS, MAX_VALUES / len(self.centre)):
                break
        x, rng = torch.cat(copies), generator("kinds")
        centre = x.mean(0)
        basis = principal_directions(x - centre, self.basis.shape[1], rng, turns=turns)
        coordinates = (x - centre) @ basis
        cluster = kmeans(coordinates, num_clusters, rng)
        counts = torch.bincount(cluster, minlength=num_clusters)[:, None]
        means = torch.zeros(self.means.shape).index_add_(0, cluster, coordinates) / counts.clamp(min=1)
        means[counts[:, 0] == 0] = FAR_AWAY  # empty, if there are fewer different items than clusters
        self.centre.copy_(centre)
        self.basis.copy_(basis)
        self.means.copy_(means)

    def _small_shape(self) -> tuple[int, ...]:
        """The shape of a small copy of an item."""
        *leading, height, width = self.spec.shape
        return (*leading, min(SMALL_SIDE, height), min(SMALL_SIDE, width))

    def _shrink(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, P) small copies."""
        channels = x.float().flatten(1, -3)  # (B, C, H, W) or (B, C * T, H, W)
        height, width = self._small_shape()[-2:]
        return torch.nn.functional.adaptive_avg_pool2d(channels, (height, width)).flatten(1)

    def _assign(self, x: Tensor) -> Tensor:
        """(B, 1) the cluster of each item x (B, *shape)."""
        coordinates = (self._shrink(x) - self.centre) @ self.basis
        return torch.cdist(coordinates, self.means).argmin(1, keepdim=True)

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        c = self.config
        autoencoder = Phase("autoencoder", self.autoencoder, self._autoencoder_loss, self.optimizer())
        if not c.adversarial_weight:
            return (autoencoder,)
        optimizer = muon_and_adamw(
            weights_within("stages", "downsample", ndims=(4,)),
            c,
            dtype=self.block_dtype,
            momentum=0.8,  # the opponent changes, so that old gradients mislead
            betas=(0.0, 0.99),
            grad_clip=0.0,
        )
        span = (c.adversarial_start, 1.0)
        discriminator = Phase(
            "discriminator",
            self.discriminator,
            self._discriminator_loss,
            optimizer,
            span,
            differentiates_twice=True,
        )
        return discriminator, autoencoder

    def optimizer(self) -> OptimizerConfig:
        matrices = weights_within("stages", "downsample", "upsample", ndims=(4,))
        return muon_and_adamw(matrices, self.config, dtype=self.block_dtype)

    def _autoencoder_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Squared error divided by the variance of the data, plus the adversarial loss."""
        c, dtype, x = self.config, self.block_dtype, self._as_frames(batch.x.float())
        reconstruction = self._decode_values(self._encode_values(x, dtype), dtype)
        error = (reconstruction - x).square().flatten(1).mean(1) / self.spec.std**2  # (B * T,)
        frames = len(x) // len(batch)
        total = error.sum()
        if c.adversarial_weight and context.training and context.progress >= c.adversarial_start:
            logits = self.discriminator(reconstruction, None, dtype)
            with torch.no_grad():
                real_logits = self.discriminator(x, None, dtype)
            total = total + c.adversarial_weight * relativistic_loss(logits, real_logits).sum()
        return Loss(total / frames, len(batch), {"squared_error": error.mean().detach()})

    def _discriminator_loss(self, batch: Batch, context: StepContext) -> Loss:
        c, dtype, x = self.config, self.block_dtype, self._as_frames(batch.x.float())
        with torch.no_grad():
            reconstruction = self._decode_values(self._encode_values(x, dtype), dtype)
        size = len(x)
        logits = self.discriminator(torch.cat([x, reconstruction]), None, dtype)
        real_logits, reconstruction_logits = logits[:size], logits[size:]
        total = relativistic_loss(real_logits, reconstruction_logits).sum()
        first_frame = context.first_row * (size // len(batch))
        rows = lazy_rows(context.step, first_frame, size, c.penalty_interval)
        if len(rows) and c.gradient_penalty:
            rows = move(rows, x.device)
            items = torch.cat([x[rows], reconstruction[rows]])
            penalty = gradient_penalty(lambda item: self.discriminator(item, None, dtype), items)
            total = total + 0.5 * c.gradient_penalty * c.penalty_interval * penalty.sum()
        sign_accuracy = torch.sign((real_logits - reconstruction_logits).detach()).mean()
        return Loss(total * len(batch) / size, len(batch), {"sign_accuracy": sign_accuracy})

    def _as_frames(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B * T, C, H, W); items without frames stay as they are."""
        return x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x

    def _encode_values(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, C, H, W) -> (B, n, h, w) quantized values."""
        return fsq.quantize(fsq.bound(self.autoencoder.encode(x, dtype)), self.config.levels)

    def _decode_values(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, n, h, w) -> (B, C, H, W)."""
        x = self.autoencoder.decode(z, dtype)
        return soft_clamp(x) if self.spec.bounded else x

    # -- codec ----------------------------------------------------------------------------------------------------------

    @property
    def latent(self) -> Tokens:
        """Spec of the codes that `encode` returns; numbers of clusters come after the codes. The begin token is never sampled."""
        c = self.config
        begin = math.prod(c.levels) + c.num_clusters
        shape = (*self.spec.shape[1:-2], *self.autoencoder.sides)
        length = math.prod(shape) + (1 if c.num_clusters else 0)
        special = {"begin": begin, "rare": begin}
        return Tokens(begin + 1, length, special, self.spec.classes, packed=False, shape=shape)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(B, L) int64 codes of x (B, *shape): its cluster, then places row by row."""
        c, dtype = self.config, self.block_dtype
        parts = []
        for items in torch.split(x.to(self.device), self.rows):
            values = self._encode_values(self._as_frames(items.float()), dtype)
            codes = fsq.values_to_codes(values, c.levels).reshape(len(items), -1)
            if c.num_clusters:
                codes = torch.cat([math.prod(c.levels) + self._assign(items), codes], 1)
            parts.append(codes)
        return torch.cat(parts)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(B, *shape) items of codes z (B, L). Missing codes at the end of shorter rows (drafts) count as the middle of all levels."""
        dtype = self.block_dtype
        return torch.cat([self._decode_codes(codes, dtype) for codes in torch.split(z.to(self.device), self.rows)])

    def _decode_codes(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        shape, last_code = self.latent.shape, math.prod(self.config.levels) - 1
        if self.config.num_clusters:
            codes = codes[:, 1:]
        # A cluster in the place of a code is improbable, but not impossible; it counts as the last code.
        values = fsq.codes_to_values(codes.clamp(max=last_code), self.config.levels)  # (B, n, L)
        values = torch.nn.functional.pad(values, (0, math.prod(shape) - values.shape[2]))
        grid = values.view(codes.shape[0], -1, *shape)  # (B, n, h, w) or (B, n, T, h, w)
        if self.spec.axes == "CHW":
            return self._decode_values(grid, dtype)
        frames = self._decode_values(self._as_frames(grid), dtype)  # (B * T, C, H, W)
        return frames.view(codes.shape[0], -1, *frames.shape[1:]).transpose(1, 2)

    def portable_decoder(self) -> Graph:
        def decode(codes: Tensor) -> Tensor:
            return self._decode_codes(codes, torch.float32)

        return Graph("codec", self, decode, {"codes": torch.zeros(2, self.latent.length, dtype=torch.long)}, ("x",))

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        raise ConfigError(
            "fsq is a codec and cannot generate by itself; sample a run of a family that works on its codes"
        )


EXPORT = Fsq
