"""Writes the pictures of the family pages into docs/assets/: python docs/make_pictures.py [NAME ...]

Each is computed by Anew itself: small trainings of a fixed number of steps on example data (the extra `demo`), a few
minutes on one core, or, for diffusion, the closed form and the solver in two dimensions.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import anew
from anew.core.specs import SampleRequest
from anew.data.loading.rows import examples_of
from anew.data.types import Item
from anew.estimators.gaussian_mixture import GaussianMixture, fit_mixture
from anew.evaluation.reporting.sheet import sheet
from anew.functional.ode import multistep

ASSETS = Path(__file__).parent / "assets"
INK, PALE, BLUE = (40, 44, 52), (205, 208, 214), (48, 98, 200)
SCALE = 2  # pictures are drawn at twice the size at which pages show them
Picture = NDArray[np.uint8]


# ---- diffusion: from noise to data in two dimensions ----

LEVELS = (3.0, 1.9, 1.2, 0.85, 0.6, 0.42, 0.3, 0.2, 0.12, 0.07, 0.0)
SHOWN = (0, 2, 4, 6, 8, 10)  # of the levels
PANEL, COLUMNS, CAPTION = 150 * SCALE, 3, 22 * SCALE


def diffusion(place: Path) -> bytes:
    """Points on their way from noise to two half moons. The denoiser is the closed form alone, without a network."""
    points = two_moons(2000)
    rng = torch.Generator().manual_seed(0)
    grid = points.view(-1, 1, 1, 2)
    mixture = fit_mixture(grid, None, rank=2, num_clusters=40, classes=0, rng=rng, rotate_residual=False)
    noisy: list[Tensor] = []

    def denoise(y: Tensor, sigma: Tensor) -> Tensor:
        noisy.append(y)
        return posterior_mean(mixture, y, sigma)

    start = points[:400] + LEVELS[0] * torch.randn(400, 2, generator=rng)
    *_, last = multistep(denoise, start, torch.tensor(LEVELS))
    stages = [*noisy, last]
    height = PANEL + CAPTION
    canvas = Image.new("RGB", (COLUMNS * PANEL, len(SHOWN) // COLUMNS * height), "white")
    pen = ImageDraw.Draw(canvas)
    for number, index in enumerate(SHOWN):
        left, top = number % COLUMNS * PANEL, number // COLUMNS * height
        dots(pen, points, (left, top), PALE, radius=1)
        dots(pen, stages[index], (left, top), BLUE, radius=2)
        caption = f"noise {LEVELS[index]:g}" if LEVELS[index] else "no noise: the samples"
        label(pen, (left + PANEL // 2, top + PANEL + CAPTION // 2), caption)
    return as_png(canvas, colours=32)


def two_moons(n: int) -> Tensor:
    """(n, 2) points of two interleaved half circles, about 1 apart from the origin."""
    rng = torch.Generator().manual_seed(1)
    angle = math.pi * torch.rand(n, generator=rng)
    side = (torch.arange(n) % 2) * 2.0 - 1.0
    moons = torch.stack([side * (angle.cos() - 0.5), side * (angle.sin() - 0.25)], 1)
    return moons + 0.07 * torch.randn(n, 2, generator=rng)


def posterior_mean(mixture: GaussianMixture, y: Tensor, sigma: Tensor) -> Tensor:
    """(N, 2) mean of x given y = x + sigma e: each component's best estimate, weighted by how probable it is."""
    estimates, evidence = [], []
    for k in range(len(mixture.weights)):
        component = torch.full((len(y),), k)
        estimates.append(mixture.denoise(y, sigma.expand(len(y)), component))
        along = (mixture.project(y)[0] - mixture.means[k]) @ mixture.eigenvectors[k]
        variances = mixture.variances[k] + sigma.square()
        evidence.append(mixture.weights[k].log() - 0.5 * (along.square() / variances + variances.log()).sum(1))
    share = torch.stack(evidence).softmax(0)  # (K, N)
    return (share[:, :, None] * torch.stack(estimates)).sum(0)


def dots(
    pen: ImageDraw.ImageDraw, points: Tensor, corner: tuple[int, int], colour: tuple[int, int, int], radius: int
) -> None:
    """Those of the points (N, 2) that lie within the panel."""
    for x, y in (0.5 * PANEL + points * 0.25 * PANEL).tolist():
        if radius <= x < PANEL - radius and radius <= y < PANEL - radius:
            middle = (corner[0] + x, corner[1] + y)
            pen.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=colour)


# ---- Transformer: what each character of a new name costs ----

NAMES = ("Santa Monica", "Port Blair", "St Martin")  # none of them is in the example data
TILE = 40 * SCALE


def transformer(place: Path) -> bytes:
    """Bits of each character under the network alone, and with counts beside it."""
    model = trained("names", place, steps=300)
    width, height = (1 + max(map(len, NAMES))) * TILE, 2 * TILE
    left, gap = 90 * SCALE, 16 * SCALE
    canvas = Image.new("RGB", (left + width, len(NAMES) * (height + gap) - gap), "white")
    pen = ImageDraw.Draw(canvas)
    for number, name in enumerate(NAMES):
        top = number * (height + gap)
        for row, part in enumerate(("network", "all")):
            title = "network" if part == "network" else "with counts"
            label(pen, (left // 2, top + row * TILE + TILE // 2), title)
            costs = zip([*name, "end"], character_bits(model, name, part), strict=True)
            for column, (character, bits) in enumerate(costs):
                draw_tile(pen, left + column * TILE, top + row * TILE, character, bits)
    return as_png(canvas, colours=64)


def character_bits(model: anew.Model, name: str, part: str) -> list[float]:
    """What each character costs, and the end."""
    rows = model.modality.encode_many([Item("name", name)])
    (batch,) = examples_of(model.modality, rows, None).scoring(model.modality, 1, None, None)
    bits = []
    for position in torch.nonzero(batch.mask[0] > 0).flatten():
        mask = torch.zeros_like(batch.mask)
        mask[0, position] = 1.0
        bits.append(float(model.family.bits(replace(batch, mask=mask), part)))
    return bits


def draw_tile(pen: ImageDraw.ImageDraw, x: int, y: int, character: str, bits: float) -> None:
    strength = min(1.0, bits / 8.0)
    colour = tuple(round(255 - strength * (255 - end)) for end in BLUE)
    pen.rectangle((x, y, x + TILE - SCALE, y + TILE - SCALE), fill=colour)
    ink = (255, 255, 255) if strength > 0.7 else INK
    label(pen, (x + TILE // 2, y + TILE * 2 // 5), character, size=14, colour=ink)
    label(pen, (x + TILE // 2, y + TILE * 4 // 5), f"{bits:.1f}", size=9, colour=ink)


# ---- images: VAE, GAN, FSQ codec ----


def vae(place: Path) -> bytes:
    """Three walks between real digits."""
    model = trained("digits", place, steps=500, family="vae")
    digits = example_digits(place)
    walks = [model.walk(9, ends=(digits[a], digits[b])) for a, b in ((0, 3), (4, 9), (2, 7))]
    cells = [cell for walk in walks for cell in with_ends(walk)]
    return sheet(cells, columns=11)


def with_ends(walk: anew.Walk) -> list[Picture]:
    first, last = walk.frames.modality.pictures(walk.ends or [])
    return [first, *(walk.frames.pictures() or []), last]


def gan(place: Path) -> bytes:
    """Coarse items of the prior, and below what the generator makes of each."""
    model = trained("digits", place, steps=700, family="gan")
    family = model.family
    request = SampleRequest(12)
    latents = family.initial_latents(request, 3)
    dim = family.config.latent_dim
    with torch.no_grad():
        coarse = family.coarse_prior(latents[:, :dim], latents[:, dim:])
        *_, made = family.generate(latents, request)
    rows = [model.decode_items(x.clamp(-1, 1), request) for x in (coarse, made)]
    return sheet(list(itertools.chain(*rows)), columns=12)


def fsq(place: Path) -> bytes:
    """Digits, their codes as coloured tiles, and what the codec makes of the codes."""
    model = trained("digits", place, steps=500, family="transformer")
    digits = example_digits(place)
    codes = model.encode(digits)
    restored = model.decode(codes).pictures() or []
    originals = [np.asarray(Image.open(path)) for path in digits]
    return sheet([*originals, *map(code_tiles, codes), *restored], columns=len(digits))


def code_tiles(codes: Tensor) -> Picture:
    """(28, 28, 3): one colour a code of the grid; its three numbers of four levels are red, green and blue."""
    grid = codes[1:]  # the first names the cluster
    side = math.isqrt(len(grid))
    levels = torch.stack([grid // 4**digit % 4 for digit in range(3)], 1)  # (L, 3)
    tiles = (40 + levels * 65).to(torch.uint8).view(side, side, 3).numpy()
    place = np.minimum(np.arange(28) * side // 28, side - 1)
    return np.ascontiguousarray(tiles[place][:, place])


def example_digits(place: Path) -> list[Path]:
    """One file of each class."""
    return [sorted((place / "digits-data" / str(digit)).glob("*.png"))[7] for digit in range(10)]


# ---- shared ----


def trained(example: str, place: Path, **arguments: Any) -> anew.Model:
    data = place / f"{example}-data"
    if not data.exists():
        anew.example(example, data)
    run = place / f"{example}-{arguments.get('family', 'run')}"
    settings = {"model_size": 0, "evaluate_samples": 0, "previews": 0}
    return anew.train(data, run, settings=settings, **arguments)


def label(
    pen: ImageDraw.ImageDraw,
    middle: tuple[int, int],
    text: str,
    size: int = 12,
    colour: tuple[int, int, int] = INK,
) -> None:
    pen.text(middle, text, fill=colour, font=ImageFont.load_default(size * SCALE), anchor="mm")


def as_png(canvas: Image.Image, colours: int) -> bytes:
    buffer = io.BytesIO()
    canvas.quantize(colours).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


PICTURES: dict[str, Callable[[Path], bytes]] = {
    "diffusion": diffusion,
    "transformer": transformer,
    "vae": vae,
    "gan": gan,
    "fsq": fsq,
}


def main(names: Sequence[str]) -> None:
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names or PICTURES:
            (ASSETS / f"{name}.png").write_bytes(PICTURES[name](Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
