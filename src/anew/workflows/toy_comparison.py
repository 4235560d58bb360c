"""Four families that learn the same toy data, a cloud of points, side by side, each in its own way.

Every point becomes a small picture of a soft dot, so that all families can learn it as they learn pictures. The middle of the
dot in a generated picture is a point of the plane again. Families take turns in equal slices of time.

Legend for shapes: n pictures, S their side.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor

from anew.core.processes.world import World
from anew.core.specs import Batch, Grid, SampleRequest, Tokens
from anew.families.base import Scale, load_family
from anew.planning.build import build_family
from anew.training.progress import Progress
from anew.training.trainer import Trainer
from anew.workflows.latents import fitted_latents

FAMILIES = ("transformer", "diffusion", "gan", "vae")
# Pixels along a side of a picture, and standard deviation of its dot in pixels: small enough that every family learns it in
# seconds on one core; chosen.
SIDE, DOT = 8, 0.9
# Grey levels of the pictures, few enough that a family that reads them as tokens sees each level often; chosen
BRIGHTNESS_LEVELS = 8
# Pictures that are learned, and samples in each report: 96 points show the shape of the cloud.
ITEMS, SHOWN = 2000, 96
# Length of a family's turn, and of its own training between two reports: all seem to train at once; chosen.
SLICE_SECONDS, SECONDS_BETWEEN_REPORTS = 0.4, 2.5
# Distance, as a share of the side, up to which a sample counts as on the cloud. All dots of real points are so near, also as tokens, and
# 43% of dots at random (docs/log.md, 2026-11-29).
ON_CLOUD_DISTANCE = 0.02
# Distance, as a share of the side, up to which a sample covers a point of the cloud. 96 samples are sparse, so it is more than
# ON_CLOUD_DISTANCE. Dots of real points cover 94% and more, those at random 57%.
COVERED_DISTANCE = 0.03
CHANCE_DRAWS = 20  # whose shares are averaged: their standard error is 1%
EDGE = 0.22  # share of the side that is a margin without dots, whose tails would be cut off


@dataclass(frozen=True, slots=True)
class ToyReport:
    """Progress of one of the families.

    Attributes:
        family: Its name.
        step: Steps so far.
        seconds: Seconds of its own training so far.
        points: (n, 2) middles of the dots of its samples, from 0 to 1 along each side.
        pictures: (n, S, S) samples, from -1 to 1.
        inside: Share of the samples on the cloud.
        covered: Share of the cloud that samples reach.
        is_last: Whether its time is over.
    """

    family: str
    step: int
    seconds: float
    points: Tensor
    pictures: Tensor
    inside: float
    covered: float
    is_last: bool


def cloud(count: int, seed: int) -> Tensor:
    """`count` points (n, 2) of two half moons, within the picture."""
    rng = torch.Generator().manual_seed(seed)
    angle = torch.pi * torch.rand(count, generator=rng)
    is_second = torch.arange(count) % 2 == 1
    x = torch.where(is_second, 1.0 - angle.cos(), angle.cos())
    y = torch.where(is_second, 0.5 - angle.sin(), angle.sin())
    points = torch.stack((x, y), 1) + 0.05 * torch.randn(count, 2, generator=rng)
    low, high = torch.tensor([-1.1, -0.65]), torch.tensor([2.1, 1.15])
    return EDGE + (1 - 2 * EDGE) * ((points - low) / (high - low)).clamp(0, 1)


def pictures_of(points: Tensor) -> Tensor:
    """Draw soft dots at points (n, 2): pictures (n, 1, S, S) in [-1, 1]."""
    ticks = (torch.arange(SIDE) + 0.5) / SIDE
    across = ((ticks - points[:, :1]) * SIDE / DOT).square()  # (n, S)
    down = ((ticks - points[:, 1:]) * SIDE / DOT).square()  # (n, S)
    brightness = torch.exp(-0.5 * (across[:, None] + down[:, :, None]))
    return (2 * brightness - 1)[:, None]


def points_of(pictures: Tensor) -> Tensor:
    """The middles (n, 2) of the dots in pictures (n, S, S) in [-1, 1]; faint values do not count."""
    weights = (pictures.add(1).div(2) - 0.15).clamp_min(0) + 1e-6
    ticks = (torch.arange(SIDE) + 0.5) / SIDE
    total = weights.sum((1, 2))
    return torch.stack(((weights.sum(1) * ticks).sum(1) / total, (weights.sum(2) * ticks).sum(1) / total), 1)


def shares(points: Tensor, cloud_points: Tensor) -> tuple[float, float]:
    """The share of points (n, 2) that lie on the cloud (items, 2), and the share of the cloud that they cover."""
    distance = torch.cdist(points, cloud_points)  # (n, items)
    return float((distance.amin(1) <= ON_CLOUD_DISTANCE).float().mean()), float(
        (distance.amin(0) <= COVERED_DISTANCE).float().mean()
    )


def chance_shares(seed: int) -> tuple[float, float]:
    """The shares of as many dots at random places within the margin: what a family reaches that has learned nothing."""
    points, rng = cloud(ITEMS, seed), torch.Generator().manual_seed(seed)
    draws = (EDGE + (1 - 2 * EDGE) * torch.rand(SHOWN, 2, generator=rng) for _ in range(CHANCE_DRAWS))
    inside, covered = zip(*(shares(draw, points) for draw in draws), strict=True)
    return sum(inside) / CHANCE_DRAWS, sum(covered) / CHANCE_DRAWS


class _Slices(Progress):
    """Progress by the time that was given to one family."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.used = seconds, 0.0

    def at(self, step: int) -> float | None:
        return self.used / self.seconds if self.used < self.seconds else None

    def seconds_left(self, step: int) -> float | None:
        return max(0.0, self.seconds - self.used)


class _Data:
    """The same batches for every family: the rows of a batch follow from the step alone."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(self.x), (size,), generator=rng)[first : first + count]
        return Batch(self.x[rows])

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None:
        pass


class _Training:
    """The training of one family on the cloud.

    Args:
        name: Name of the family.
        pictures: (n, 1, S, S) pictures to learn.
        points: (n, 2) the cloud.
        seconds: Training time of this family.
        seed: Seed of all that is random.
    """

    def __init__(self, name: str, pictures: Tensor, points: Tensor, seconds: float, seed: int) -> None:
        family_class = load_family(name)
        grid = Grid((1, SIDE, SIDE), "CHW", 0, float(pictures.std()))
        tokens = Tokens(
            BRIGHTNESS_LEVELS + 1, SIDE * SIDE, {"begin": BRIGHTNESS_LEVELS}, packed=False, shape=(SIDE, SIDE)
        )
        self.reads_tokens = not family_class.supports(grid)
        self.name, self.points, self.seed = name, points, seed
        spec = tokens if self.reads_tokens else grid
        x = as_tokens(pictures) if self.reads_tokens else pictures
        scale = Scale(len(x), float(len(x) * SIDE * SIDE), seconds)
        config = family_class.suggest(spec, scale)
        world = World()
        self.family = build_family(family_class, spec, config, seed, world.device)
        self.family.fit_closed_form([Batch(x)])
        self.progress = _Slices(seconds)
        batch = config.batch_size
        self.data = _Data(x)
        self.trainer = Trainer(
            self.family, self.data, self.progress, seed=seed, batch_size=batch, micro_batch=batch, world=world
        )
        self._steps = iter(self.trainer)
        self._reported_at = 0.0
        self.is_over = False

    def turn(self) -> ToyReport | None:
        """Take steps for a slice of time. Returns a report now and then and at the end, else None."""
        stop = time.monotonic() + SLICE_SECONDS
        while time.monotonic() < stop and not self.is_over:
            begin = time.monotonic()
            self.is_over = next(self._steps, None) is None
            self.progress.used += time.monotonic() - begin
        is_due = self.progress.used - self._reported_at >= SECONDS_BETWEEN_REPORTS or not self._reported_at
        if not is_due and not self.is_over:
            return None
        self._reported_at = self.progress.used
        return self.report()

    @torch.no_grad()
    def report(self) -> ToyReport:
        """The report on samples of the family, drawn with the same seed each time."""
        with self.trainer.averaged() as family, fitted_latents(family, [Batch(self.data.x)]):
            request = SampleRequest(SHOWN, sampling=type(family).Sampling())
            *_, generated = family.sample(request, self.seed)
        pictures = from_tokens(generated) if self.reads_tokens else generated[:, 0].float()
        points = points_of(pictures)
        inside, covered = shares(points, self.points)
        return ToyReport(
            self.name, self.trainer.step, self.progress.used, points, pictures, inside, covered, self.is_over
        )


def as_tokens(pictures: Tensor) -> Tensor:
    """Turn pictures (n, 1, S, S) into ids (n, 1 + S * S): the token that begins each, then its levels of brightness."""
    levels = (
        pictures.flatten(1).add(1).mul(0.5 * (BRIGHTNESS_LEVELS - 1)).round().long().clamp(0, BRIGHTNESS_LEVELS - 1)
    )
    return torch.cat((torch.full((len(levels), 1), BRIGHTNESS_LEVELS), levels), 1)


def from_tokens(ids: Tensor) -> Tensor:
    """Turn ids (n, <= S * S) into pictures (n, S, S); missing pixels are dark."""
    levels = torch.zeros(len(ids), SIDE * SIDE)
    levels[:, : ids.shape[1]] = ids[:, : SIDE * SIDE].clamp(0, BRIGHTNESS_LEVELS - 1).float()
    return levels.view(-1, SIDE, SIDE) * (2 / (BRIGHTNESS_LEVELS - 1)) - 1


def compare_on_toy_data(seconds: float, seed: int = 0, names: Sequence[str] = FAMILIES) -> Iterator[ToyReport]:
    """Let families learn in turns until each has had its share.

    Args:
        seconds: Training time of all together.
        seed: Seed of the cloud and of all training.
        names: The families.

    Yields:
        Reports as they come; the last one of each family has `is_last`.
    """
    points = cloud(ITEMS, seed)
    trainings = [_Training(name, pictures_of(points), points, seconds / len(names), seed) for name in names]
    for training in cycle(trainings):
        if all(other.is_over for other in trainings):
            return
        if training.is_over:
            continue
        report = training.turn()
        if report is not None:
            yield report
