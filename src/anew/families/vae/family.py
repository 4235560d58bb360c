"""A variational autoencoder: one network encodes items as few numbers, another decodes them, and new items form from new
numbers.

Two scales of latents form a chain z2 -> z1 -> x. The bottom one, z1, is a grid; items are decoded from it alone, so that
it is the latent of a `Codec`, in which other families can work. The top one, z2, is a vector that says how z1 is
distributed. What z2 itself looks like is learned in a second phase by a small denoiser of vectors, since a plain normal
distribution is where samples of such a model fail (arXiv 2106.05931 trains a prior the same way).

Legend for shapes: B items, K top numbers, c channels, h rows and w columns of bottom latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator
from anew.core.settings import setting
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families._sizes import (
    autoencoder_batch_size,
    conv_candidate_sizes,
    conv_depth,
    conv_width,
    muon_and_adamw,
    weights_within,
)
from anew.families.base import Family, Scale, check_axes, class_labels
from anew.families.known import known_values
from anew.families.phases import Loss, OptimizerConfig, Phase
from anew.families.portable import Graph, PortableSampler
from anew.families.vae.filling import filled
from anew.families.vae.portable import vae_decoder, vae_encoder, vae_sampler
from anew.families.vae.prior import VectorPrior
from anew.functional.latents import normal_kl, slerp, sum_with_free_bits, unit_scale
from anew.functional.ode import SOLVERS
from anew.nets.autoencoder import Normal, VariationalAutoencoder
from anew.nets.precision import compute_dtype

EXAMPLES_PER_SQUARE_WIDTH = 110.0  # digits in 5 minutes on one core take width 32
ROWS = 128  # examples that go through a network at a time, where they are small: bounds memory; chosen
ROW_VALUES = 4_000_000  # their values together at most: 16 MB, and some times as much within the network; chosen
DETAIL_ITEMS = 128  # samples, and items, whose detail is compared: bounds the time of calibration; chosen
# Of the detail of held-out items: what noise adds beyond is noise; gives 0 on digits and 1 on colour, each the better
# one (docs/log.md, 2026-11-25).
ENOUGH_DETAIL = 0.75
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)  # that are tried: finer steps would not be seen
AUTO_TEMPERATURE = -1.0  # no temperature is negative, so this one stands for the choice by detail


@dataclass(frozen=True, slots=True)
class VaeConfig:
    batch_size: int = setting(64, "examples per step", low=1, high=1_000_000)
    width: int = setting(48, "channels at the highest resolution", low=8, high=4096)
    channel_mults: tuple[int, ...] = setting(
        (1, 2), "channels at each resolution, as multiples of width", low=1, high=64
    )
    depth: int = setting(1, "blocks per resolution, in encoder and decoder each", low=1, high=64)
    patch_size: int = setting(2, "patch size: the networks see a square of this side as one position", low=1, high=64)
    latent_channels: int = setting(
        8, "channels of the bottom latents, which keep their place in the image", low=1, high=256
    )
    top_dim: int = setting(32, "size of the top latent vector", low=1, high=4096)
    num_mixtures: int = setting(1, "logistic distributions in the mixture of each pixel", low=1, high=64)
    beta: float = setting(
        1.0, "weight of the KL divergence of the bottom latents given the top; 1: the ELBO", low=0.0, high=100.0
    )
    beta_top: float = setting(1.0, "weight of the KL divergence of the top latents; 1: the ELBO", low=0.0, high=100.0)
    free_bits: float = setting(
        0.0,
        "KL divergence of each bottom channel, and of the top, that is not penalised",
        unit="nats",
        low=0.0,
        high=100.0,
    )
    kl_warmup: float = setting(
        0.1, "KL warm-up: share of the first phase in which both weights rise from 0", low=0.0, high=1.0
    )
    top_only_prob: float = setting(0.25, "share of examples decoded from the top latents alone", low=0.0, high=1.0)
    prior_share: float = setting(0.4, "share of the run, at its end, in which the prior is learned", low=0.0, high=0.9)
    prior_width: int = setting(384, "hidden size of the prior network", low=8, high=8192)
    prior_depth: int = setting(3, "layers of the prior network", low=1, high=64)
    prior_repeats: int = setting(16, "noise levels per example and step in the training of the prior", low=1, high=1024)
    label_dropout: float = setting(0.1, "label dropout of the prior, for guidance", low=0.0, high=1.0)
    muon_lr: float = setting(0.02, "peak learning rate of Muon, which trains the weight matrices", low=0.0, high=1.0)
    adamw_lr: float = setting(0.002, "peak learning rate of AdamW, which trains all other weights", low=0.0, high=1.0)
    decay: float = setting(0.5, "share of each phase, at its end, in which the learning rate decays", low=0.0, high=1.0)
    ema_width: float = setting(0.05, "relative width of the moving average of the weights", low=0.0, high=0.25)
    weight_decay: float = setting(0.0, "decoupled weight decay of the weight matrices", low=0.0, high=10.0)
    precision: str = setting("auto", "numerical precision of the networks", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class VaeSampling:
    prior: str = setting("learned", "where top latents are drawn from", choices=("learned", "normal"))
    steps: int = setting(20, "sampling steps of the learned prior", low=1, high=1000)
    solver: str = setting("multistep", "solver for the steps from noise level to noise level", choices=tuple(SOLVERS))
    temperature: float = setting(
        AUTO_TEMPERATURE,
        "how much bottom latents vary around what the top latents predict; -1: as much as the detail of held-out items needs",
        low=-1.0,
        high=2.0,
    )
    pixels: str = setting(
        "mean", "each pixel is the mean of its distribution, or a sample of it", choices=("mean", "sample")
    )
    guidance: float = setting(1.0, "guidance strength of the label; 1: no guidance", low=0.0, high=20.0)


class Vae(Family[Grid, VaeConfig]):
    """A two-scale variational autoencoder with a learned prior.

    `bits` is a bound: the negative evidence lower bound with a standard normal z2, from one pair of opposite noises that
    the item itself determines. The learned prior, which samples come from, has no likelihood and plays no part in it.
    """

    Config: ClassVar[type] = VaeConfig
    Sampling: ClassVar[type] = VaeSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW",)
    preferred_for: ClassVar[frozenset[str]] = frozenset({"latent"})
    rationale: ClassVar[str] = "continuous values on a grid: a smooth space of latents, and a bound on the likelihood"
    # The first phase's loss says nothing about the second one, whose weights would be thrown away with it.
    early_stopping: ClassVar[bool] = False
    follows_keys: ClassVar[bool] = True
    fills_in: ClassVar[bool] = True
    codec_config: ClassVar[Mapping[str, object] | None] = {"prior_share": 0.0}

    centre: Tensor  # (c,) of z1, by channel
    scale: Tensor  # (c,)
    temperature: Tensor  # () of samples, where none is asked for

    def __init__(self, spec: Grid, config: VaeConfig) -> None:
        super().__init__(spec, config)
        check_axes("vae", spec, ("CHW",))
        if not spec.bounded:
            raise ConfigError("vae supports 8-bit values only, and these have no bounds; use the family 'diffusion'")
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
        self.rows = max(1, min(ROWS, ROW_VALUES // math.prod(spec.shape)))
        self.prior = VectorPrior(c.top_dim, spec.classes, c.prior_width, c.prior_depth)
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
            patch_size=_suggest_patch_size(side),
            top_dim=32 if spec.shape[0] == 1 and side <= 40 else 64,
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device)

    @classmethod
    def target_examples(cls, spec: Grid, config: VaeConfig, scale: Scale) -> float:
        """Examples of a whole run at the speed of the first phase, which is what the planner measures."""
        return EXAMPLES_PER_SQUARE_WIDTH * config.width**2

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        prior_start = 1.0 - self.config.prior_share
        codec = Phase("codec", self.autoencoder, self._codec_loss, self.optimizer(), span=(0.0, prior_start))
        if prior_start >= 1.0:
            return (codec,)
        return codec, Phase("prior", self.prior, self._prior_loss, self.optimizer(), span=(prior_start, 1.0))

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return muon_and_adamw(
            weights_within("stages", "blocks", "downsample", "upsample", "up", "down"),
            c.muon_lr,
            c.adamw_lr,
            dtype=self._dtype(),
            decay=c.decay,
            ema_width=c.ema_width,
            weight_decay=c.weight_decay,
        )

    def _codec_loss(self, batch: Batch, context: StepContext) -> Loss:
        """The negative bound with weighted divergences, in nats a value."""
        c, dtype = self.config, self._dtype()
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
        warmup = self.config.kl_warmup * (1.0 - self.config.prior_share)
        return min(1.0, context.progress / warmup) if context.training and warmup > 0 else 1.0

    def _prior_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Squared error of the denoiser of z2, as a share of what is to be expected."""
        c, size, dtype = self.config, len(batch), self._dtype()
        with torch.no_grad():
            _, top = self.autoencoder.encode(batch.x.float(), dtype)
        noise = context.normal("posterior", (size, c.prior_repeats, c.top_dim))
        z2 = top.mean[:, None] + top.log_scale.exp()[:, None] * noise  # (B, R, K)
        any_class = self.prior.any_class
        labels = torch.full((size,), any_class, device=z2.device)
        if self.spec.classes and batch.labels is not None:
            is_hidden = context.uniform("hide", (size,)) < c.label_dropout
            labels = torch.where(is_hidden, any_class, batch.labels)
        return Loss(self.prior.loss(z2, labels, context, dtype).sum(), size)

    def _dtype(self) -> torch.dtype:
        return compute_dtype(self.config.precision, self.device)

    @torch.no_grad()
    def calibrate(self, sweep: Iterable[Batch]) -> None:
        """Measure where bottom latents lie, so that `encode` gives unit deviation, and how much samples should vary."""
        means: list[Tensor] = []
        log_scales: list[Tensor] = []
        items: list[Tensor] = []
        for batch in sweep:
            x = batch.x.float()
            bottom, _ = self.autoencoder.encode(x, self._dtype())
            means.append(bottom.mean)
            log_scales.append(bottom.log_scale)
            if sum(map(len, items)) < DETAIL_ITEMS:
                items.append(x)
        if not items:
            return
        centre, scale = unit_scale(torch.cat(means), torch.cat(log_scales))
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        if self.config.prior_share:
            self.temperature.fill_(lowest_temperature(self, detail(torch.cat(items)[:DETAIL_ITEMS])))

    # -- codec ----------------------------------------------------------------------------------------------------------

    @property
    def latent(self) -> Grid:
        """Spec of what `encode` returns: the bottom latents, of about unit deviation."""
        shape = (self.config.latent_channels, *self.autoencoder.sides)
        return Grid(shape, "CHW", self.spec.classes, 1.0, bounded=False)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(B, *latent.shape) mean of z1 given x (B, *shape), scaled to unit deviation."""
        dtype, device = self._dtype(), self.device
        means = []
        for rows in torch.split(x, self.rows):
            bottom, _ = self.autoencoder.encode(rows.to(device).float(), dtype)
            means.append(bottom.mean)
        return (torch.cat(means) - self.centre[:, None, None]) / self.scale[:, None, None]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(B, *shape) expected items given scaled bottom latents z (B, *latent.shape)."""
        return self._expected_items(z.to(self.device) * self.scale[:, None, None] + self.centre[:, None, None])

    def _expected_items(self, bottom: Tensor) -> Tensor:
        """(B, *shape) expected values given bottom latents."""
        dtype = self._dtype()
        return torch.cat([self.autoencoder.decode(rows, dtype).mean() for rows in torch.split(bottom, self.rows)])

    def _sampled_items(self, bottom: Tensor, keys: Sequence[tuple[int, int]]) -> Tensor:
        """(B, *shape) sampled pixels given bottom latents; row i is a function of keys[i]."""
        dtype, items = self._dtype(), []
        for start in range(0, len(bottom), self.rows):
            rows = bottom[start : start + self.rows]
            uniform = pixel_uniforms(self.spec, keys[start : start + self.rows]).to(self.device)
            items.append(self.autoencoder.decode(rows, dtype).sample(uniform))
        return torch.cat(items)

    @torch.no_grad()
    def bits(self, batch: Batch) -> Tensor:
        """(B,) bits of each item at most: see the class."""
        x, dtype = batch.x.float(), torch.float32
        bottom, top = self.autoencoder.encode(x, dtype)
        noise1 = item_noise(x, "z1", bottom.mean.shape)
        noise2 = item_noise(x, "z2", top.mean.shape)
        top_kl = _kl_from_standard_normal(top).sum(1)  # (B,)
        nats = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for sign in (1.0, -1.0):
            z1 = bottom.mean + sign * bottom.log_scale.exp() * noise1
            z2 = top.mean + sign * top.log_scale.exp() * noise2
            bottom_kl = normal_kl(*bottom, *self.autoencoder.bottom_prior(z2, dtype)).flatten(1).sum(1)
            reconstruction = -self.autoencoder.decode(z1, dtype).log_prob(x)
            nats += 0.5 * (reconstruction.double() + bottom_kl.double() + top_kl.double())
        return nats / math.log(2.0)

    # -- sample ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        sampling = request.sampling_as(VaeSampling)
        given_values = known_values(request.condition, request.n, self.spec.shape, self.device)
        latents = self.initial_latents(request, seed)
        bottom = self._bottom_of(latents)
        if given_values is not None:
            start = self._expected_items(bottom)
            deviations = latents[:, self.config.top_dim :].view_as(bottom)
            yield from filled(self, start, deviations, given_values, request.sample_keys(seed), self._dtype())
        elif sampling.pixels == "sample":
            yield self._sampled_items(bottom, request.sample_keys(seed))
        else:
            yield self._expected_items(bottom)

    @torch.no_grad()
    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, K + c h w): z2, then z1 in deviations from what z2 says; row i is a function of (seed, first_index + i)."""
        sampling = request.sampling_as(VaeSampling)
        top_dim = self.config.top_dim
        size = top_dim + math.prod(self.latent.shape)
        sources = [generator(row_seed, "draw", index) for row_seed, index in request.sample_keys(seed)]
        noise = torch.stack([torch.randn(size, generator=source) for source in sources]).to(self.device)
        z2 = noise[:, :top_dim]
        if sampling.prior == "learned":
            z2 = self.prior.sample(
                z2,
                self._prior_labels(request),
                self._dtype(),
                steps=sampling.steps,
                solver=sampling.solver,
                guidance=sampling.guidance,
            )
        temperature = self.temperature if sampling.temperature < 0 else sampling.temperature
        return torch.cat([z2, temperature * noise[:, top_dim:]], 1)

    def _prior_labels(self, request: SampleRequest) -> Tensor:
        """(n,) labels for the prior; `any_class` where there is none."""
        labels, any_class = class_labels(request, self.spec.classes), self.prior.any_class
        if labels is None:
            return torch.full((request.n,), any_class, device=self.device)
        return torch.where(labels < 0, any_class, labels).to(self.device)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """One draft, the items; where pixels are to be sampled, their mean is taken."""
        yield self._expected_items(self._bottom_of(latents))

    def _bottom_of(self, latents: Tensor) -> Tensor:
        """(n, c, h, w) bottom latents z1 of latents (n, K + c h w)."""
        latents, dtype = latents.to(self.device), self._dtype()
        top, deviations = latents[:, : self.config.top_dim], latents[:, self.config.top_dim :]
        priors = [self.autoencoder.bottom_prior(rows, dtype) for rows in torch.split(top, self.rows)]
        mean = torch.cat([prior.mean for prior in priors])
        log_scale = torch.cat([prior.log_scale for prior in priors])
        return mean + log_scale.exp() * deviations.view_as(mean)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, K + c h w): the means of both scales given x; `generate` leads back to what `decode(encode(x))` is."""
        dtype, latents = self._dtype(), []
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
        return vae_sampler(self, self, self.config.top_dim, VaeSampling().steps)

    def portable_decoder(self) -> Graph:
        return vae_decoder(self, self)

    def portable_encoder(self) -> Graph:
        return vae_encoder(self, self)


def _kl_from_standard_normal(posterior: Normal) -> Tensor:
    zero = torch.zeros(())
    return normal_kl(*posterior, zero, zero)


def _suggest_patch_size(side: int) -> int:
    if side <= 12:
        return 1
    if side <= 72:
        return 2
    return 4 if side <= 256 else 8


def lowest_temperature(family: Vae, target_detail: float) -> float:
    """The lowest temperature whose samples have nearly as much detail as the target: each bottom latent varies by itself,
    which breaks what the top gets right, but where the top knows little, samples are blurs without."""
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
    sources = (generator("bits", stream, blake2b(row.tobytes(), digest_size=8).hexdigest()) for row in rows)
    return torch.stack([torch.randn(shape[1:], generator=source) for source in sources]).to(x.device)


def pixel_uniforms(spec: Grid, keys: Sequence[tuple[int, int]]) -> Tensor:
    """(n, 1 + C, H, W) uniform numbers for `LogisticMixture.sample`; row i is a function of keys[i], a seed and an index."""
    channels, height, width = spec.shape
    sources = (generator(seed, "pixels", index) for seed, index in keys)
    return torch.stack([torch.rand((1 + channels, height, width), generator=source) for source in sources])


EXPORT = Vae
