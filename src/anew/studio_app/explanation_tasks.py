"""Views of how models work, on the run's own data: denoising; the discriminator's logits; a VAE's latent space, its principal directions
and why samples are soft; and how a Transformer reads a sentence (attention, next tokens, predictions of network and counts)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.specs import Batch, Codec, Condition, Grid, SampleRequest, Tokens
from anew.data.dataset import Dataset
from anew.data.modalities.text import Text
from anew.errors import ConfigError
from anew.evaluation.reporting.sheet import png, shrink
from anew.families.base import SamplesTokens
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.functional.plane import Plane, principal_components
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.model import Model
from anew.studio_app.item_views import data_url
from anew.studio_app.loaded_models import LoadedModel
from anew.studio_app.sample_tasks import (
    TOKEN_SETTINGS,
    Json,
    PlayTask,
    SampleOptions,
    explanation_view,
    token_event,
    token_text,
)

LEVEL_ITEMS = 3  # samples that are shown at each noise level
# Items on which the error at each level is measured: enough for a smooth curve, in a second or two; chosen.
LEVEL_ERRORS = 64
MAX_LEVELS = 24  # noise levels that are shown: a row has room for no more
NUM_SCORED = 48  # real items, and as many generated ones: an image of each is shown; chosen
MAX_LABELS = 6  # labels that one starting point is shown with: a row has room for no more
# Items; arrows per side; standard deviations from the centre, the middle 99% of a normal; noise levels; chosen.
FIELD_ITEMS, FIELD_SIDE, FIELD_REACH, FIELD_LEVELS = 256, 11, 2.5, 8
IMAGE_SIDE = 256  # pixels: the page shows these images no larger
MAX_CACHED_BYTES = 64 * 2**20  # so many data items stay in memory, for each number of items; chosen
NUM_MAPPED = 300  # items on the map of latents: enough to see clusters, few enough to point at one; chosen
NUM_RECONSTRUCTED = 12  # held-out items next to the map: a row or two of the page; chosen
SHARPNESS_ITEMS = 64  # real items whose sharpness the samples are compared with; chosen
MAP_REACH = 2.5  # standard deviations from the centre to the edge of the map: the middle 99% of a normal
# Principal directions, and standard deviations at which each is shown, up to the edge of the map; chosen.
NUM_DIRECTIONS, STRIP_DEVIATIONS = 6, (-2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5)
# Samples, and the temperatures at which each is shown, up to half as much again as the model's; chosen.
SOFT_ITEMS, TEMPERATURES = 6, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)
MAX_SENTENCE_TOKENS = 96  # attention is shown for each pair; chosen
MAX_HEADS = 32  # attention heads that are shown, each as an image; chosen
NUM_CANDIDATES = 14  # candidates for the next token: others are hardly ever drawn; chosen


def images_of(model: Model, x: Tensor) -> list[str]:
    """Items or latents (n, *shape) as data URLs of images: sounds as spectrograms, clips as their middle frames."""
    spec, modality = model.item_spec, model.item_modality
    assert isinstance(spec, Grid)
    values = x.cpu() if model.codec is None else model.codec.decode(x.to(model.device)).cpu()
    values = values.clamp(-1, 1) if spec.bounded else values
    is_image = modality.name == "image"  # decoding others would take seconds, and their grids are shown anyway
    images = modality.pictures(modality.decode(values)) if is_image else _grid_images(modality.draw_grids(values))
    return [data_url("image/png", png(shrink(image, IMAGE_SIDE), 64)) for image in images]


def _grid_images(x: Tensor) -> list[NDArray[np.uint8]]:
    """(n, C, *axes) in [-1, 1] as images (H, W) or (H, W, C)."""
    levels = _middle(x).movedim(1, -1).add(1).mul(127.5).round().byte()  # (n, H, W, C)
    return [image[..., 0] if image.shape[-1] == 1 else image for image in levels.numpy()]


def _middle(x: Tensor) -> Tensor:
    """(n, C, H, W), the middle frames of clips (n, C, T, H, W)."""
    return x[:, :, x.shape[2] // 2] if x.dim() == 5 else x


def noise_events(model: Model, options: SampleOptions, each_label: bool) -> Iterator[Json]:
    """Samples at each noise level: the noisy input of the model, and its estimate of the clean items.

    each_label: whether to show one starting point with each of the first labels, instead of several starting points.
    """
    family = model.family
    if explanation_view(model) != "noise" or not isinstance(family, Denoises):
        raise ConfigError("this model does not turn noise into samples step by step")
    request = _noise_request(model, options, each_label)
    levels = list(family.noise_levels(request, options.seed))
    names = model.label_names(request.labels, request.n)
    yield {"labels": names, "levels": len(levels)}
    shown_levels = sorted({*np.linspace(0, len(levels) - 1, min(MAX_LEVELS, len(levels))).round().astype(int).tolist()})
    for index in shown_levels:
        level = levels[index]
        # Scaled to the range of items: otherwise the image would be black and white.
        noisy = level.noisy / max(1.0, level.sigma)
        yield {
            "step": index + 1,
            "sigma": level.sigma,
            "noisy": images_of(model, noisy),
            "estimate": images_of(model, level.estimate),
        }


def _noise_request(model: Model, options: SampleOptions, each_label: bool) -> SampleRequest:
    sampling = model.sampling_config(options.settings)
    if not each_label:
        return model.request(LEVEL_ITEMS, options.seed, label=options.label, sampling=sampling)
    if not model.spec.classes:
        raise ConfigError("this model has no classes")
    count = min(MAX_LABELS, model.spec.classes)
    keys = ((options.seed, 0),) * count
    return SampleRequest(count, torch.arange(count), sampling=sampling, keys=keys)


def field_events(task: PlayTask, model: Model) -> Iterator[Json]:
    """The vector field of a denoiser at each noise level, on a plane through the data and projected onto it."""
    family = model.family
    if explanation_view(model) != "noise" or not isinstance(family, Denoises):
        raise ConfigError("this model does not remove noise")
    x, labels = data_values(task.loaded, model, FIELD_ITEMS)
    plane = Plane.of(x)
    ticks = torch.linspace(-FIELD_REACH, FIELD_REACH, FIELD_SIDE)
    starts = torch.cartesian_prod(ticks, ticks)  # (n, 2)
    sigmas, errors = family.denoising_errors(
        x[:LEVEL_ERRORS], None if labels is None else labels[:LEVEL_ERRORS], FIELD_LEVELS
    )
    on_plane = plane.points(starts)
    yield {
        "share": plane.share,
        "reach": FIELD_REACH,
        "levels": len(sigmas),
        "points": plane.places(x).tolist(),
        "starts": starts.tolist(),
    }
    for sigma, error in zip(sigmas.tolist(), errors.tolist(), strict=True):
        ends = plane.places(family.denoise_items(on_plane, sigma).cpu())
        yield {"sigma": sigma, "mean_squared_error": error, "ends": ends.tolist()}


def data_values(loaded: LoadedModel, model: Model, n: int, part: str = "train") -> tuple[Tensor, Tensor | None]:
    """(n, *shape) data items as the model sees them, and (n,) their classes if it has any; cached with the model."""
    key = f"{part} {n}"
    if key not in loaded.cache:
        values = _read_values(model, n, part)
        if values[0].nbytes > MAX_CACHED_BYTES:
            return values
        loaded.cache[key] = values
    return cast(tuple[Tensor, Tensor | None], loaded.cache[key])


def _read_values(model: Model, n: int, part: str) -> tuple[Tensor, Tensor | None]:
    with closing(Dataset.reopen(model.record.data, model.folder.path, None)) as data:
        rows = data.stored_rows(part, n)
        names, numbers = data.item_labels(part, n)
    assert isinstance(rows, np.ndarray), "running text has no pictures"
    x = model.modality.batch(rows, None, None).x.float()
    has_labels = model.spec.classes > 0 and len(numbers) == len(rows)
    labels = None
    if has_labels:
        labels = torch.tensor([model.labels.index(names[int(number)]) for number in numbers])
    return x, labels


def discriminator_events(task: PlayTask, model: Model, options: SampleOptions) -> Iterator[Json]:
    """The discriminator's logits of real and generated items, and the gradients by which generated ones would fool it better."""
    family = model.family
    if explanation_view(model) != "discriminator" or not isinstance(family, Discriminates):
        raise ConfigError("this model has no discriminator")
    real, real_labels = data_values(task.loaded, model, NUM_SCORED)
    request = model.request(
        len(real), options.seed, label=options.label, sampling=model.sampling_config(options.settings)
    )
    generated = model.generate(request, options.seed)
    device = model.device
    real_logits = family.discriminator_logits(
        real.to(device), None if real_labels is None else real_labels.to(device)
    ).cpu()
    labels = None if request.labels is None else request.labels.to(device)
    generated_logits = family.discriminator_logits(generated.to(device), labels).cpu()
    differences = real_logits[:, None] - generated_logits[None]
    auc = (differences > 0).double().mean() + (differences == 0).double().mean() / 2  # ties tell nothing
    direction = _middle(family.input_gradient(generated.to(device), labels).cpu())
    if model.item_modality.name == "audio":
        direction = direction.flip(-2)  # low frequencies at the bottom, as in the spectrogram
    yield {
        "auc": float(auc),
        "real": _scored(images_of(model, real), real_logits),
        "generated": _scored(images_of(model, generated), generated_logits),
        "directions": [_direction(image) for image in direction.numpy()],
    }


def _scored(images: list[str], logit: Tensor) -> list[Json]:
    return [{"src": src, "logit": float(value)} for src, value in zip(images, logit, strict=True)]


def _direction(gradient: NDArray[np.float32]) -> str:
    """A gradient (C, H, W) as an image: blue where the item should be brighter, red where darker, white where it does not matter."""
    values = gradient.mean(0)
    strength = np.clip(np.abs(values) / max(float(np.quantile(np.abs(values), 0.99)), 1e-12), 0, 1)[..., None]
    colour = np.where(values[..., None] > 0, np.array([[[40, 70, 220]]]), np.array([[[200, 40, 30]]]))
    mixed = 255 * (1 - strength) + colour * strength
    return data_url("image/png", png(mixed.round().astype(np.uint8), 96))


def codec_of(model: Model) -> Codec:
    """The codec with the latents that are shown on a map; ConfigError if there is none."""
    if explanation_view(model) != "map" or not isinstance(model.family, Codec):
        raise ConfigError("this model has no latents to show on a map")
    return model.family


def map_events(task: PlayTask, model: Model) -> Iterator[Json]:
    """A map of the data in latent space, in its two principal directions, and held-out items with their reconstructions."""
    codec, x = codec_of(model), data_values(task.loaded, model, NUM_MAPPED)[0]
    latents = codec.encode(x.to(model.device)).cpu()  # (n, *latent)
    plane = task.loaded.cache[f"plane {task.step}"] = Plane.of(latents)
    places = plane.places(latents)  # (n, 2)
    test, _ = data_values(task.loaded, model, NUM_RECONSTRUCTED, "test")
    reconstructed = codec.decode(codec.encode(test.to(model.device)))
    yield {
        "share": plane.share,
        "reach": MAP_REACH,
        "points": [
            {"x": float(place[0]), "y": float(place[1]), "src": src}
            for place, src in zip(places, images_of(model, x), strict=True)
        ],
        "directions": _principal_strips(codec, latents, model),
        "softness": hasattr(model.sampling_config(), "temperature"),
        "pairs": [list(pair) for pair in zip(images_of(model, test), images_of(model, reconstructed), strict=True)],
    }


def _principal_strips(codec: Codec, latents: torch.Tensor, model: Model) -> list[Json]:
    """Items along each principal direction, through the centre."""
    rows = latents.flatten(1)
    centre = rows.mean(0)
    directions, deviations, _ = principal_components(rows - centre, NUM_DIRECTIONS)
    total = float((rows - centre).square().sum()) / max(1, len(rows) - 1)
    strips: list[Json] = []
    for direction, deviation in zip(directions, deviations, strict=True):
        z = centre + torch.tensor(STRIP_DEVIATIONS)[:, None] * deviation * direction  # (s, D)
        decoded = codec.decode(z.view(len(STRIP_DEVIATIONS), *latents.shape[1:]).to(model.device))
        strips.append({"share": float(deviation) ** 2 / max(total, 1e-12), "items": images_of(model, decoded)})
    return strips


def place_events(task: PlayTask, model: Model, places: list[tuple[float, float]]) -> Iterator[Json]:
    """The decoded items at positions on the map of latents."""
    codec = codec_of(model)
    key = f"plane {task.step}"
    plane = task.loaded.cache.get(key)
    if not isinstance(plane, Plane):
        plane = Plane.of(codec.encode(data_values(task.loaded, model, NUM_MAPPED)[0].to(model.device)).cpu())
        task.loaded.cache[key] = plane
    z = plane.points(torch.tensor(places))
    yield {"items": images_of(model, codec.decode(z.to(model.device)))}


def softness_events(task: PlayTask, model: Model, options: SampleOptions) -> Iterator[Json]:
    """The same samples at several temperatures of the detail latents, which shows why they are soft, or fall apart."""
    usual = model.sampling_config(options.settings)
    if not hasattr(usual, "temperature") or explanation_view(model) != "map":
        raise ConfigError("this model has no temperature of details")
    for temperature in TEMPERATURES:
        sampling = model.sampling_config({**options.settings, "temperature": str(temperature)})
        request = model.request(SOFT_ITEMS, options.seed, label=options.label, sampling=sampling)
        generated = model.generate(request, options.seed)
        # Neighbouring pixels of a soft image differ little.
        detail = sum(float(generated.diff(dim=axis).abs().mean()) for axis in (-2, -1))
        yield {"temperature": temperature, "items": images_of(model, generated), "detail": detail}
    real, _ = data_values(task.loaded, model, SHARPNESS_ITEMS)
    yield {"real_detail": sum(float(real.diff(dim=axis).abs().mean()) for axis in (-2, -1))}


def sentence_events(model: Model, options: SampleOptions) -> Iterator[Json]:
    """A sentence, the prompt of the options, as the model reads it."""
    family, modality, spec = model.family, model.item_modality, model.item_spec
    if not isinstance(family, Attends) or not isinstance(modality, Text) or not isinstance(spec, Tokens):
        raise ConfigError("this model does not read text")
    ids, was_cut = _sentence_ids(model, options, spec)
    if len(ids) < 2:
        raise ConfigError("the sentence is empty; type some words")
    labels = model.sample_labels(1, options.seed, options.label, condition=Condition(ids))
    end_id = spec.special.get("end", -1)
    batch = Batch(ids[None], labels).to(model.device)
    sides = family.log_probs_by_side(batch)
    yield {
        "tokens": [token_text(modality, int(token), end_id) for token in ids],
        "was_cut": was_cut,
        "sides": {name: (-nats[0] / math.log(2)).tolist() for name, nats in sides.items()},
    }
    yield _attention(family, ids, labels, model)
    yield {"next": _next_token(model, options, modality, end_id)}


def _sentence_ids(model: Model, options: SampleOptions, spec: Tokens) -> tuple[Tensor, bool]:
    """(L,) ids of the sentence, begin tokens included, and whether it was truncated."""
    condition = condition_from_prompt(model.modality, options.prompt or "", None)
    assert condition is not None
    ids = torch.as_tensor(condition.x).flatten().long()
    max_tokens = min(MAX_SENTENCE_TOKENS, spec.length)
    return ids[:max_tokens], len(ids) > max_tokens


def _attention(family: Attends, ids: Tensor, labels: Tensor | None, model: Model) -> Json:
    """The attention of all heads over the whole sentence, as base64 of one byte per weight."""
    inputs = torch.cat((ids, ids[-1:]))  # so that the last token is an input, too; its target does not matter here
    weights = family.attention_weights(Batch(inputs[None], labels).to(model.device))[:, :, 0]  # (layers, heads, L, L)
    skipped = weights.shape[2] - len(ids)  # tokens of a label
    heads = weights.flatten(0, 1)[:MAX_HEADS, skipped:, skipped:]
    levels = heads.mul(255).round().clamp(0, 255).byte().cpu().numpy()
    return {
        "heads": weights.shape[1],
        "shown": len(heads),
        "attention": base64.b64encode(levels.tobytes()).decode(),
    }


def _next_token(model: Model, options: SampleOptions, modality: Text, end_id: int) -> Json | None:
    """Candidates for the next token, before and after temperature and cutoffs."""
    family = model.family
    if not isinstance(family, SamplesTokens):
        return None
    sampling = model.sampling_config({**options.settings, "max_tokens": "1"})
    condition = condition_from_prompt(model.modality, options.prompt or "", None)
    if condition is not None:
        condition = replace(condition, ending=None)  # what may follow all tokens that are shown
    request = model.request(1, options.seed, label=options.label, condition=condition, sampling=sampling)
    cutoffs = {name: getattr(sampling, name) for name in TOKEN_SETTINGS if hasattr(sampling, name)}
    for draft in family.sample_tokens(request, [(options.seed, 0)]):
        return token_event(modality, int(draft.ids[0][-1]), draft.weights[0], end_id, cutoffs, NUM_CANDIDATES)
    return None
