"""The types of items that the audit for copies compares: images, clips, records, passages of texts."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers, Numbers
from anew.evaluation.memorization.audit import audit
from anew.evaluation.memorization.copying_test import Distance, Indices
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult, ItemType
from anew.evaluation.memorization.texts import EditDistance, PassageDistance

PASSAGE = 256  # characters: long enough that unrelated texts share none, short enough that samples hold some
SHORTEST = 64  # characters of a passage at the end of a text; what is shorter coincides by chance
EDITS = 0.05  # of the characters of a disturbed text
NOISE, QUALITY = 8.0, 75  # disturbances of images: standard deviation of noise (of 255), JPEG quality
SHIFTS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # disturbances of images: (down, right) in pixels
SPANS = 4.0  # held-out texts this many times shorter than training ones were cut out of them


def _image_distances(items: Sequence[Numbers], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import EmbeddingDistance, PixelDistance

    return [PixelDistance(items, groups), EmbeddingDistance(items, groups)]


def disturbed_image(image: Numbers, source: np.random.Generator) -> Numbers:
    """Shifted by a pixel, or noisy, or after JPEG compression. image: (H, W) or (H, W, C) uint8."""
    alteration = source.integers(3)
    if alteration == 0:
        return shifted_image(image, *SHIFTS[source.integers(len(SHIFTS))])
    if alteration == 1:
        return noisy_image(image, source)
    return jpeg_image(image)


def _clip_distances(items: Sequence[NDArray[np.uint8]], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import ClipDistance

    return [ClipDistance(items, groups)]


def disturbed_clip(clip: NDArray[np.uint8], source: np.random.Generator) -> NDArray[np.uint8]:
    """All frames disturbed in one way. clip: (T, H, W) or (T, H, W, C) uint8."""
    seed = source.integers(1 << 30)
    frames = [disturbed_image(frame, np.random.default_rng(seed)) for frame in clip]
    return np.stack(frames).astype(np.uint8, copy=False)


def shifted_image(image: Numbers, down: int, right: int) -> Numbers:
    """Moved by whole pixels; the edge is repeated."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return np.asarray(image[rows][:, columns])


def noisy_image(image: Numbers, source: np.random.Generator) -> Numbers:
    noise = source.normal(0.0, NOISE, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def jpeg_image(image: Numbers) -> Numbers:
    """Each image of one or three channels as JPEG gives it back; further channels stay as they are."""
    from PIL import Image

    channels = 1 if image.ndim == 2 else image.shape[2]
    colours = 3 if channels >= 3 else 1
    plain = image if image.ndim == 2 else image[..., :colours]
    plain = plain[..., 0] if plain.ndim == 3 and colours == 1 else plain
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(file, "JPEG", quality=QUALITY)
    decoded = np.asarray(Image.open(file))
    if image.ndim == 2:
        return decoded
    decoded = decoded[..., None] if decoded.ndim == 2 else decoded
    return np.concatenate([decoded, image[..., colours:]], axis=2)


def edited(text: str, source: np.random.Generator, share: float = EDITS) -> str:
    """At least one edit, else `share` of the characters: inserted, deleted or replaced by others of the text."""
    characters = list(text)
    alphabet = sorted(set(text)) or ["?"]
    for _ in range(max(round(share * len(text)), 1)):
        edit, place = source.integers(3), int(source.integers(max(len(characters), 1)))
        replacement = alphabet[source.integers(len(alphabet))]
        if edit == 0:
            characters.insert(place, replacement)
        elif edit == 1:
            del characters[place : place + 1]
        else:
            characters[place : place + 1] = [replacement]
    return "".join(characters)


IMAGES = ItemType("images", _image_distances, disturbed_image)
CLIPS = ItemType("clips", _clip_distances, disturbed_clip)
RECORDS = ItemType("records", lambda items, groups: [EditDistance(items, groups)], edited)
PASSAGES = ItemType("passages", lambda items, groups: [PassageDistance(items, groups)], edited, whole=False)


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts cut into passages, all lists of one length.

    Attributes:
        texts: The passages.
        owner: Index of the text that each is of.
        start: Its place there, in characters.
        group: Which passages belong together, counted from 0.
    """

    texts: list[str]
    owner: Indices
    start: Indices
    group: Indices

    def __len__(self) -> int:
        return len(self.texts)


def passages(texts: Sequence[str], width: int = PASSAGE, block: int | None = None) -> Passages:
    """Cut each text into passages of `width` characters, side by side; ends of under SHORTEST are left out.

    block: characters that are one group; None: a whole text is.
    """
    cut: list[str] = []
    places: list[tuple[int, int, int]] = []  # owner, start, group
    group = -1
    for owner, text in enumerate(texts):
        last_block = -1
        for start in range(0, len(text), width):
            if start and len(text) - start < SHORTEST:
                break
            this_block = 0 if block is None else start // block
            group += this_block != last_block
            last_block = this_block
            cut.append(text[start : start + width])
            places.append((owner, start, group))
    owners, starts, groups = np.array(places, dtype=np.intp).reshape(-1, 3).T
    return Passages(cut, owners, starts, groups)


def audit_texts(
    samples: Sequence[str],
    train: Sequence[str],
    held_out: Sequence[str],
    *,
    width: int = PASSAGE,
    max_samples: int | None = None,
    most_real: int | None = None,
    randomly_held_out: bool = True,
    seed: int = 0,
    controls: bool = True,
    remaining: Callable[[], float] = lambda: math.inf,
) -> CopyTestResult:
    """The audit of passages of texts.

    What was held out as one piece is permuted as one: a document, or where spans were cut out of few documents, spans of
    that length.

    Args:
        samples, train, held_out: Texts.
        width: Characters of a passage.
        max_samples: Passages of samples that are compared, drawn at random; None: all.
        most_real: Passages of training and held-out texts together; None: all.
        randomly_held_out, seed, controls, remaining: See `audit`.
    """
    block, source = _block(train, held_out), np.random.default_rng(seed)
    of_samples, of_train, of_held_out = (
        passages(samples, width),
        passages(train, width, block),
        passages(held_out, width, block),
    )
    sample_rows = _choose_groups(np.arange(len(of_samples)), max_samples, source)
    most_held_out = None if most_real is None else max(most_real // 2, most_real - len(of_train))
    held_out_rows = _choose_groups(of_held_out.group, most_held_out, source)
    most_train = None if most_real is None else most_real - len(held_out_rows)
    train_rows = _choose_groups(of_train.group, most_train, source)
    first_held_out_group = int(of_train.group.max(initial=-1)) + 1
    groups = np.concatenate([of_train.group[train_rows], of_held_out.group[held_out_rows] + first_held_out_group])
    result = audit(
        PASSAGES,
        [of_samples.texts[i] for i in sample_rows],
        [of_train.texts[i] for i in train_rows],
        [of_held_out.texts[i] for i in held_out_rows],
        groups,
        n_train_total=len(of_train),
        randomly_held_out=randomly_held_out,
        seed=seed,
        controls=controls,
        remaining=remaining,
    )
    pairs = [_in_texts(pair, of_samples, sample_rows, of_train, train_rows) for pair in result.pairs]
    return replace(result, pairs=pairs)


def _in_texts(
    pair: ClosestPair, of_samples: Passages, sample_rows: Indices, of_train: Passages, train_rows: Indices
) -> ClosestPair:
    """A pair of passages that were compared as places in the texts they were cut from."""
    sample, train = sample_rows[pair.sample], train_rows[pair.train]
    return replace(
        pair,
        sample=int(of_samples.owner[sample]),
        train=int(of_train.owner[train]),
        sample_start=int(of_samples.start[sample]),
        train_start=int(of_train.start[train]),
    )


def _choose_groups(groups: Indices, max_items: int | None, source: np.random.Generator) -> Indices:
    """Indices of about `max_items` items of whole groups drawn at random, rising; all of them where they are no more."""
    if max_items is None or len(groups) <= max_items:
        return np.arange(len(groups))
    different, sizes = np.unique(groups, return_counts=True)
    order = source.permutation(len(different))
    last = max(int(np.searchsorted(np.cumsum(sizes[order]), max_items, side="right")), 1)
    return np.flatnonzero(np.isin(groups, different[order[:last]]))


def _block(train: Sequence[str], held_out: Sequence[str]) -> int | None:
    """Characters of a span, where held-out texts are spans cut out of documents; None where they are documents."""
    if not held_out or not train:
        return None
    train_length, held_out_length = (float(np.median([len(text) for text in part])) for part in (train, held_out))
    return max(int(held_out_length), 1) if train_length > SPANS * held_out_length else None
