"""The kinds of items that the audit for copies compares: images, clips, records, passages of texts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization.audit import audit
from anew.evaluation.memorization.result import Copies, Kind
from anew.evaluation.memorization.statistics import Distance, Indices
from anew.evaluation.memorization.texts import EditDistance, PassageDistance

WIDTH = 256  # characters of a passage
SHORTEST = 64  # shorter ends of texts are no passages
EDITS = 0.05
NOISE, QUALITY = 8.0, 75  # disturbances of images: standard deviation of noise (of 255), JPEG quality
SPANS = 4.0  # held-out texts this many times shorter than training ones were cut out of them


def _image_distances(items: Sequence[Any], groups: NDArray[Any]) -> list[Distance]:
    from anew.evaluation.memorization.images import EmbeddingDistance, PixelDistance

    return [PixelDistance(items, groups), EmbeddingDistance(items, groups)]


def disturbed_image(image: NDArray[Any], source: np.random.Generator) -> NDArray[Any]:
    """Shifted by a pixel, or noisy, or after JPEG compression. image: (H, W) or (H, W, C) uint8."""
    which = source.integers(3)
    if which == 0:
        return shifted_image(image, *SHIFTS[source.integers(len(SHIFTS))])
    if which == 1:
        return noisy_image(image, source)
    return jpeg_image(image)


def _clip_distances(items: Sequence[Any], groups: NDArray[Any]) -> list[Distance]:
    from anew.evaluation.memorization.images import ClipDistance

    return [ClipDistance(items, groups)]


def disturbed_clip(clip: NDArray[Any], source: np.random.Generator) -> NDArray[Any]:
    """All frames disturbed in one way. clip: (T, H, W) or (T, H, W, C) uint8."""
    seed = source.integers(1 << 30)
    return np.stack([disturbed_image(frame, np.random.default_rng(seed)) for frame in clip])


SHIFTS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def shifted_image(image: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    """Moved by whole pixels; the edge is repeated."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return np.asarray(image[rows][:, columns])


def noisy_image(image: NDArray[Any], source: np.random.Generator) -> NDArray[Any]:
    noise = source.normal(0.0, NOISE, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def jpeg_image(image: NDArray[Any]) -> NDArray[Any]:
    """Each image of one or three channels as JPEG gives it back; further channels stay as they are."""
    from PIL import Image

    channels = 1 if image.ndim == 2 else image.shape[2]
    colours = 3 if channels >= 3 else 1
    plain = image if image.ndim == 2 else image[..., :colours]
    plain = plain[..., 0] if plain.ndim == 3 and colours == 1 else plain
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(file, "JPEG", quality=QUALITY)
    back = np.asarray(Image.open(file))
    if image.ndim == 2:
        return back
    back = back[..., None] if back.ndim == 2 else back
    return np.concatenate([back, image[..., colours:]], axis=2)


def edited(text: str, source: np.random.Generator, share: float = EDITS) -> str:
    """At least one edit, else `share` of the characters: inserted, deleted or replaced by others of the text."""
    characters = list(text)
    alphabet = sorted(set(text)) or ["?"]
    for _ in range(max(round(share * len(text)), 1)):
        kind, place = source.integers(3), int(source.integers(max(len(characters), 1)))
        other = alphabet[source.integers(len(alphabet))]
        characters[place : place + (kind > 0)] = [] if kind == 1 else [other]
    return "".join(characters)


IMAGES = Kind("images", _image_distances, disturbed_image)
CLIPS = Kind("clips", _clip_distances, disturbed_clip)
RECORDS = Kind("records", lambda items, groups: [EditDistance(items, groups)], edited)
PASSAGES = Kind("passages", lambda items, groups: [PassageDistance(items, groups)], edited)


def features_kind(rows: NDArray[Any]) -> Kind:
    """Items that are indices into rows of features (n, d) the caller has. A disturbed copy is moved by a tenth of the
    median deviation of the features, in a random direction."""
    from anew.evaluation.memorization.images import FeatureDistance

    def distances(items: Sequence[Any], groups: NDArray[Any]) -> list[Distance]:
        return [FeatureDistance(np.stack([np.asarray(i, dtype=np.float32) for i in items]), groups)]

    size = 0.1 * float(np.median(np.asarray(rows).std(axis=0)))

    def disturb(item: Any, source: np.random.Generator) -> Any:
        return np.asarray(item) + source.normal(0.0, size, np.shape(item))

    return Kind("features", distances, disturb)


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts cut into pieces. owner: index of the text of each; start: its place there; group: which pieces belong
    together, counted from 0. All of one length."""

    texts: list[str]
    owner: Indices
    start: Indices
    group: Indices


def passages(texts: Sequence[str], width: int = WIDTH, block: int | None = None) -> Passages:
    """Cut each text into pieces of `width` characters, side by side; ends of under SHORTEST are left out.

    block: characters that are one group; None: a whole text is.
    """
    found: list[tuple[str, int, int, int]] = []
    group = -1
    for owner, text in enumerate(texts):
        last = -1
        for start in range(0, len(text), width):
            if start and len(text) - start < SHORTEST:
                break
            part = 0 if block is None else start // block
            group += part != last
            last = part
            found.append((text[start : start + width], owner, start, group))
    columns = [np.array([row[i] for row in found], dtype=np.intp) for i in (1, 2, 3)]
    return Passages([row[0] for row in found], *columns)


def audit_texts(
    samples: Sequence[str],
    train: Sequence[str],
    held: Sequence[str],
    *,
    width: int = WIDTH,
    most: int | None = None,
    most_real: int | None = None,
    drawn: bool = True,
    seed: int = 0,
    controls: bool = True,
    late: Callable[[], bool] = lambda: False,
) -> Copies:
    """The audit of passages of texts. What was held out as one piece is permuted as one: a document, or where spans were
    cut out of few documents, spans of that length. most, most_real: passages of samples, and of training and held-out
    texts together, that are looked at, drawn by chance."""
    block, source = _block(train, held), np.random.default_rng(seed)
    made, known, kept = (passages(t, width, b) for t, b in ((samples, None), (train, block), (held, block)))
    chosen = _some(np.arange(len(made.texts)), most, source)
    half = None if most_real is None else max(most_real // 2, most_real - len(known.texts))
    theirs = _some(kept.group, half, source)
    ours = _some(known.group, None if most_real is None else most_real - len(theirs), source)
    groups = np.concatenate([known.group[ours], kept.group[theirs] + int(known.group.max(initial=-1)) + 1])
    found = audit(
        PASSAGES,
        [made.texts[i] for i in chosen],
        [known.texts[i] for i in ours],
        [kept.texts[i] for i in theirs],
        groups,
        of=len(known.texts),
        drawn=drawn,
        seed=seed,
        controls=controls,
        late=late,
    )
    pairs = [
        replace(
            pair,
            sample=int(made.owner[chosen[pair.sample]]),
            train=int(known.owner[ours[pair.train]]),
            sample_start=int(made.start[chosen[pair.sample]]),
            train_start=int(known.start[ours[pair.train]]),
        )
        for pair in found.pairs
    ]
    return replace(found, pairs=pairs)


def _some(groups: Indices, most: int | None, source: np.random.Generator) -> Indices:
    """Indices of about `most` items of whole groups drawn by chance, rising; all of them where they are no more."""
    if most is None or len(groups) <= most:
        return np.arange(len(groups))
    known, count = np.unique(groups, return_counts=True)
    order = source.permutation(len(known))
    last = max(int(np.searchsorted(np.cumsum(count[order]), most, side="right")), 1)
    return np.flatnonzero(np.isin(groups, known[order[:last]]))


def _block(train: Sequence[str], held: Sequence[str]) -> int | None:
    """Characters of a span, where held-out texts are spans cut out of documents; None where they are documents."""
    if not held or not train:
        return None
    ours, theirs = (float(np.median([len(t) for t in part])) for part in (train, held))
    return max(int(theirs), 1) if ours > SPANS * theirs else None
