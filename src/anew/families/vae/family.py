"""A variational autoencoder: one network encodes items as a few numbers, another one decodes them, so that new numbers make new
items.

Two scales of latents form a chain z2 -> z1 -> x. The bottom one, z1, is a grid from which alone items are decoded, so that it can
be the latent of a `Codec`, in which other families work. The top one, z2, is a vector that says how z1 is distributed. The
distribution of z2 is fitted after the networks are trained, since such models fail with samples from a plain normal distribution
(`anew.families.vae.prior`).

Legend for shapes: B items, K top numbers, c channels, h rows and w columns of bottom latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from anew.core.machine.device import move
from anew.core.random import StepContext, evenly_spread, generator, normal_rows, sample_generator
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families._sizes import (
    at_side,
    autoencoder_batch_size,
    conv_candidate_sizes,
    conv_depth,
    conv_width,
    muon_and_adamw,
    rows_at_once,
    suggest_num_clusters,
    weights_within,
)
from anew.families.base import Family, Scale, check_axes, check_clusters, class_labels, families_that
from anew.families.known import known_values
from anew.families.phases import Loss, OptimizerConfig
from anew.families.portable import Graph, PortableSampler
from anew.families.vae.config import EXPORT as SETTINGS
from anew.families.vae.config import VaeConfig, VaeSampling
from anew.families.vae.filling import GIBBS_SWEEPS, filled
from anew.families.vae.portable import vae_decoder, vae_encoder, vae_sampler
from anew.families.vae.prior import MAX_CLUSTERS, MixturePrior
from anew.functional.latents import kl_from_wider_normals, normal_kl, slerp, sum_with_free_bits, unit_scale
from anew.functional.likelihood import bits_with_noise
from anew.nets.autoencoder import Normal, VariationalAutoencoder

EXAMPLES_PER_SQUARE_WIDTH = 110.0  # so that width 32 is chosen for digits in 5 minutes on one core
DETAIL_ITEMS = 128  # samples, and items, whose detail is compared, which bounds the time of calibration; chosen
# Share of the detail of held-out items that samples need: detail that the temperature adds beyond it is noise. It gives 0 on
# digits and 1 on colour, the better one each time (docs/log.md, 2026-11-25).
ENOUGH_DETAIL = 0.75
# How much wider than predicted the bottom latents of an item may be distributed, and how likely that is: networks that know their items by
# heart are too sure of those of others. An item like the data pays 1 bit for it; of unseen crops, a bound of 33 bits a value became 7.5
# (docs/log.md, 2026-12-02).
PRIOR_FACTORS = {1.0: 1 / 2, 2.0: 1 / 6, 4.0: 1 / 6, 8.0: 1 / 6}
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)  # temperatures that are tried: finer steps would not be visible


class Vae(Family[Grid, VaeConfig]):
    """A two-scale variational autoencoder whose prior is fitted afterwards.

    `bits` estimates an upper bound: the negative evidence lower bound under the fitted prior, from which samples are drawn, but with
    bottom latents that may be distributed more widely (`PRIOR_FACTORS`). The estimate is from one pair of opposite noises that
    depend only on the item. It is mixed with the uniform distribution, so that no item costs more than 8 bits a value and 8 more.
    """

    Config: ClassVar[type] = VaeConfig
    Sampling: ClassVar[type] = VaeSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW",)
    takes_rows: ClassVar[bool] = False
    takes_unbounded: ClassVar[bool] = False
    preferred_for: ClassVar[frozenset[str]] = frozenset({"latent"})
    rationale: ClassVar[str] = "it learns a smooth space to move through, and a bound on the likelihood"
    # The loss gives divergences less weight than the bound does, for better samples, whose prior is fitted later.
    early_stopping: ClassVar[bool] = False
    follows_keys: ClassVar[bool] = True
    scores_by_class: ClassVar[bool] = False  # its prior is that of all classes
    fills_in: ClassVar[bool] = True
    codec_config: ClassVar[Mapping[str, object] | None] = SETTINGS.codec_config

    centre: Tensor  # (c,) mean of z1, by channel
    scale: Tensor  # (c,) its standard deviation
    temperature: Tensor  # () temperature of samples, if none is asked for

    def __init__(self, spec: Grid, config: VaeConfig) -> None:
        super().__init__(spec, config)
        check_axes("vae", spec, ("CHW",))
        if config.num_clusters:
            check_clusters("num_clusters", config.num_clusters, spec.classes)
        if not spec.bounded:
            able = families_that(lambda family: family.generates and family.supports(spec))
            raise ConfigError(f"vae learns values between two bounds, and these have none; use the family {able}")
        c = config
        self.autoencoder = VariationalAutoencoder(
            spec.shape,
            widths=tuple(c.width * mult for mult in c.channel_mults),
            depth=c.depth,
            patch_size=c.patch_size,
            latent_channels=c.latent_channels,
            top_dim=c.top_dim,
            num_mixtures=c.num_mixtures,
        )
        self.rows = rows_at_once(spec.shape)
        self.prior = MixturePrior(c.top_dim, c.num_clusters, spec.classes)
        self.register_buffer("centre", torch.zeros(c.latent_channels))
        self.register_buffer("scale", torch.ones(c.latent_channels))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> VaeConfig:
        side = max(spec.shape[1:])
        return VaeConfig(
            batch_size=autoencoder_batch_size(side, scale.device),
            width=conv_width(scale.model_size),
            depth=conv_depth(scale.model_size),
            patch_size=at_side(side, {12: 1, 72: 2, 256: 4}, 8),  # where patches become larger is chosen
            num_clusters=suggest_num_clusters(scale.items, spec.classes, MAX_CLUSTERS),
            top_dim=32 if spec.shape[0] == 1 and side <= 40 else 64,
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device)

    @classmethod
    def target_examples(cls, spec: Grid, config: VaeConfig, scale: Scale) -> float:
        return EXAMPLES_PER_SQUARE_WIDTH * config.width**2

    # -- learn ----------------------------------------------------------------------------------------------------------

    def optimizer(self) -> OptimizerConfig:
        matrices = weights_within("stages", "blocks", "downsample", "upsample", "up", "down")
        return muon_and_adamw(matrices, self.config, dtype=self.block_dtype, weight_decay=self.config.weight_decay)

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        """The negative bound with weighted divergences, in nats for each value of an item."""
        c, dtype = self.config, self.block_dtype
        x = batch.x.float()
        bottom, top = self.autoencoder.encode(x, dtype)
        z1 = bottom.mean + bottom.log_scale.exp() * context.normal("z1", bottom.mean.shape)  # (B, c, h, w)
        z2 = top.mean + top.log_scale.exp() * context.normal("z2", top.mean.shape)  # (B, K)
        bottom_prior = self.autoencoder.bottom_prior(z2, dtype)
        bottom_kl = normal_kl(*bottom, *bottom_prior).sum((2, 3))  # (B, c)
        top_kl = _kl_from_standard_normal(top).sum(1, keepdim=True)  # (B, 1)
        if c.top_only_prob and context.training:
            from_top = context.uniform("through", (len(x), 1, 1, 1)) < c.top_only_prob
            z1 = torch.where(from_top, bottom_prior.mean, z1)
        reconstruction = -self.autoencoder.decode(z1, dtype).log_prob(x)  # (B,)
        divergence = c.beta * sum_with_free_bits(bottom_kl, c.free_bits)
        divergence = divergence + c.beta_top * sum_with_free_bits(top_kl, c.free_bits)
        size = math.prod(self.spec.shape)
        logs = {
            "reconstruction": reconstruction.mean() / size,
            "bottom_kl": bottom_kl.sum(1).mean() / size,
            "top_kl": top_kl.mean() / size,
        }
        total = (reconstruction + self._kl_weight(context) * divergence).sum() / size
        return Loss(total, len(x), {name: log.detach() for name, log in logs.items()})

    def _kl_weight(self, context: StepContext) -> float:
        warmup = self.config.kl_warmup
        return min(1.0, context.progress / warmup) if context.training and warmup > 0 else 1.0

    @torch.no_grad()
    def fit_latents(self, batches: Iterable[Batch]) -> None:
        """Fit the prior to the top latents of the batches, as the encoder draws them."""
        rng = generator(0, "latents")
        vectors: list[Tensor] = []
        labels: list[Tensor] = []
        for batch in batches:
            for rows in torch.split(batch.x.to(self.device).float(), self.rows):
                _, top = self.autoencoder.encode(rows, self.block_dtype)
                noise = torch.randn(top.mean.shape, generator=rng).to(self.device)
                vectors.append(top.mean + top.log_scale.exp() * noise)  # (b, K)
            if batch.labels is not None:
                labels.append(batch.labels)
        if vectors:
            self.prior.fit(torch.cat(vectors), torch.cat(labels) if labels else None)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Measure the distribution of bottom latents, so that those of `encode` have unit deviation, and choose the temperature."""
        means: list[Tensor] = []
        log_scales: list[Tensor] = []
        items: list[Tensor] = []
        for batch in batches:
            x = batch.x.float()
            bottom, _ = self.autoencoder.encode(x, self.block_dtype)
            means.append(bottom.mean)
            log_scales.append(bottom.log_scale)
            if sum(map(len, items)) < DETAIL_ITEMS:
                items.append(x)
        if not items:
            return
        centre, scale = unit_scale(torch.cat(means), torch.cat(log_scales))
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        self.temperature.fill_(lowest_temperature(self, detail(torch.cat(items)[:DETAIL_ITEMS])))

    # -- codec ----------------------------------------------------------------------------------------------------------

    @property
    def latent(self) -> Grid:
        """Spec of the bottom latents that `encode` returns, of about unit deviation."""
        shape = (self.config.latent_channels, *self.autoencoder.sides)
        return Grid(shape, "CHW", self.spec.classes, 1.0, bounded=False)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(B, *latent.shape) mean of z1 given x (B, *shape), scaled to unit deviation."""
        dtype, device = self.block_dtype, self.device
        means = []
        for rows in torch.split(x, self.rows):
            bottom, _ = self.autoencoder.encode(rows.to(device).float(), dtype)
            means.append(bottom.mean)
        return (torch.cat(means) - self.centre[:, None, None]) / self.scale[:, None, None]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(B, *shape) expected items given scaled bottom latents z (B, *latent.shape)."""
        return self.expected_items(z.to(self.device) * self.scale[:, None, None] + self.centre[:, None, None])

    def expected_items(self, bottom: Tensor) -> Tensor:
        """(B, *shape) expected values given bottom latents."""
        dtype = self.block_dtype
        return torch.cat([self.autoencoder.decode(rows, dtype).mean() for rows in torch.split(bottom, self.rows)])

    def sampled_items(self, bottom: Tensor, keys: Sequence[tuple[int, int]]) -> Tensor:
        """(B, *shape) sampled pixels given bottom latents; row i is a function of keys[i]."""
        dtype, items = self.block_dtype, []
        for start in range(0, len(bottom), self.rows):
            rows = bottom[start : start + self.rows]
            uniform = pixel_uniforms(self.spec, keys[start : start + self.rows]).to(self.device)
            items.append(self.autoencoder.decode(rows, dtype).sample(uniform))
        return torch.cat(items)

    @torch.no_grad()
    def bits(self, batch: Batch) -> Tensor:
        """(B,) estimates of an upper bound on the bits of each item: see the class."""
        x, dtype = batch.x.float(), torch.float32
        bottom, top = self.autoencoder.encode(x, dtype)
        noise1 = item_noise(x, "z1", bottom.mean.shape)
        noise2 = item_noise(x, "z2", top.mean.shape)
        nats = torch.zeros(len(x), dtype=torch.float64)
        for sign in (1.0, -1.0):
            z1 = bottom.mean + sign * bottom.log_scale.exp() * noise1
            z2 = top.mean + sign * top.log_scale.exp() * noise2
            bottom_kl = kl_from_wider_normals(*bottom, *self.autoencoder.bottom_prior(z2, dtype), PRIOR_FACTORS)  # (B,)
            reconstruction = -self.autoencoder.decode(z1, dtype).log_prob(x)
            top_kl = _log_prob(top, z2) - self.prior.log_prob(z2)  # (B,)
            nats += 0.5 * (reconstruction.cpu().double() + bottom_kl.cpu().double() + top_kl)
        return bits_with_noise(nats / math.log(2.0), x[0].numel())

    # -- sample ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        sampling = request.sampling_as(VaeSampling)
        given_values = known_values(request.condition, request.n, self.spec.shape, self.device)
        latents = self.initial_latents(request, seed)
        bottom = self._bottom_of(latents)
        if given_values is not None:
            start = self.expected_items(bottom)
            deviations = latents[:, self.config.top_dim :].view_as(bottom)
            keys, samples_pixels = request.sample_keys(seed), sampling.pixels == "sample"
            yield from filled(self, start, deviations, given_values, keys, self.block_dtype, samples_pixels)
        elif sampling.pixels == "sample":
            yield self.sampled_items(bottom, request.sample_keys(seed))
        else:
            yield self.expected_items(bottom)

    def num_drafts(self, request: SampleRequest) -> int:
        return 1 if request.condition is None else GIBBS_SWEEPS

    @torch.no_grad()
    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, K + c h w): z2, then deviations of z1 from its mean given z2; row i is a function of (seed, first_index + i)."""
        sampling = request.sampling_as(VaeSampling)
        top_dim = self.config.top_dim
        size = top_dim + math.prod(self.latent.shape)
        keys = request.sample_keys(seed)
        generators = [sample_generator(row_seed, "draw", index) for row_seed, index in keys]
        noise = move(normal_rows(generators, size), self.device)
        z2 = noise[:, :top_dim]
        labels = class_labels(request, self.spec.classes)
        if labels is not None and not self.config.num_clusters:
            raise ConfigError("this model was trained with num_clusters=0 and knows no classes; leave the label out")
        if sampling.prior == "mixture":
            component = self.prior.sample_components(evenly_spread(keys, "component"), labels)
            z2 = self.prior(one_hot(component, self.prior.num_clusters + 1).float(), z2)
        temperature = self.temperature if sampling.temperature < 0 else sampling.temperature
        return torch.cat([z2, temperature * noise[:, top_dim:]], 1)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """One draft: the items. Pixels are means, even if the settings ask for samples."""
        yield self.expected_items(self._bottom_of(latents))

    def _bottom_of(self, latents: Tensor) -> Tensor:
        """(n, c, h, w) bottom latents z1 of latents (n, K + c h w)."""
        latents, dtype = latents.to(self.device), self.block_dtype
        top, deviations = latents[:, : self.config.top_dim], latents[:, self.config.top_dim :]
        priors = [self.autoencoder.bottom_prior(rows, dtype) for rows in torch.split(top, self.rows)]
        mean = torch.cat([prior.mean for prior in priors])
        log_scale = torch.cat([prior.log_scale for prior in priors])
        return mean + log_scale.exp() * deviations.view_as(mean)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, K + c h w): the means of both scales given x, from which `generate` gives `decode(encode(x))`."""
        dtype, latents = self.block_dtype, []
        for rows in torch.split(x.to(self.device).float(), self.rows):
            bottom, top = self.autoencoder.encode(rows, dtype)
            prior = self.autoencoder.bottom_prior(top.mean, dtype)
            deviations = (bottom.mean - prior.mean) / prior.log_scale.exp()
            latents.append(torch.cat([top.mean, deviations.flatten(1)], 1))
        return torch.cat(latents)

    def interpolate(self, start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
        """Each scale of latents goes along its own sphere."""
        top_dim = self.config.top_dim
        top = slerp(start[:top_dim], end[:top_dim], fractions)
        bottom = slerp(start[top_dim:], end[top_dim:], fractions)
        return torch.cat([top, bottom], 1)

    # -- export ---------------------------------------------------------------------------------------------------------

    def portable_sampler(self) -> PortableSampler:
        return vae_sampler(self, self, self.config.top_dim)

    def portable_decoder(self) -> Graph:
        return vae_decoder(self, self)

    def portable_encoder(self) -> Graph:
        return vae_encoder(self, self)


def _kl_from_standard_normal(posterior: Normal) -> Tensor:
    zero = torch.zeros(())
    return normal_kl(*posterior, zero, zero)


def _log_prob(normal: Normal, z: Tensor) -> Tensor:
    """(B,) log density of z (B, K), in nats and double precision."""
    white = (z - normal.mean) * torch.exp(-normal.log_scale)
    nats = 0.5 * (white.square() + math.log(2 * math.pi)) + normal.log_scale  # (B, K)
    return -nats.cpu().double().sum(1)


def lowest_temperature(family: Vae, target_detail: float) -> float:
    """The lowest temperature whose samples have nearly as much detail as the target. Bottom latents vary independently, which
    spoils what the top latents get right; but if these say little, samples without such variation are blurred."""
    for temperature in TEMPERATURES[:-1]:
        request = SampleRequest(DETAIL_ITEMS, sampling=VaeSampling(temperature=temperature))
        *_, samples = family.sample(request, 0)
        if detail(samples) >= ENOUGH_DETAIL * target_detail:
            return temperature
    return TEMPERATURES[-1]


def detail(x: Tensor) -> float:
    """Mean squared difference of neighbouring values of x (B, C, H, W), down and across."""
    return sum(float(x.diff(dim=axis).square().mean()) for axis in (2, 3) if x.shape[axis] > 1)


def item_noise(x: Tensor, stream: str, shape: torch.Size) -> Tensor:
    """Normal numbers of `shape` (rows first), a function of each row's item."""
    rows = x.contiguous().cpu().numpy()
    generators = (generator("bits", stream, blake2b(row.tobytes(), digest_size=8).hexdigest()) for row in rows)
    return torch.stack([torch.randn(shape[1:], generator=rng) for rng in generators]).to(x.device)


def pixel_uniforms(spec: Grid, keys: Sequence[tuple[int, int]]) -> Tensor:
    """(n, 1 + C, H, W) uniform numbers for `LogisticMixture.sample`; row i is a function of keys[i], a seed and an index."""
    channels, height, width = spec.shape
    generators = (sample_generator(seed, "pixels", index) for seed, index in keys)
    return torch.stack([torch.rand((1 + channels, height, width), generator=rng) for rng in generators])


EXPORT = Vae
