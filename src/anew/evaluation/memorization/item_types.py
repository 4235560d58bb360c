"""The types of items that the memorization test compares: images, clips, records, passages of texts.

Records that are rows of fields are compared by edits, and by how many fields differ: a row that was copied but for its longest field is
far from its original by edits. JSON objects are compared by their values, so other spacing, or another order of keys, makes no
difference.

Legend for shapes: n rows, q queries, p rows of the pool, c columns.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers, Numbers
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.edit_distance import MIN_INDEXED, EditDistance, median_length, rare_piece_size
from anew.evaluation.memorization.item_type import (
    Alteration,
    CoarseType,
    ItemType,
    content_bits,
    content_keys,
    short_record_bytes,
)
from anew.evaluation.memorization.sole_source import SoleSourceDistance, WholeText, joined_parts
from anew.evaluation.memorization.texts import PassageDistance
from anew.evaluation.memorization.thresholds import TEXT_ALPHA
from anew.evaluation.metrics.records.row_formats import MAX_READ, RowFormat, row_format
from anew.functional.text_hashes import code_points, window_hashes

# Characters of a passage: long enough that unrelated texts share none, short enough that a sample has several
PASSAGE = 256
MIN_PASSAGE = 64  # characters of the shortest passage, at the end of a text: shorter ones coincide by chance
MAX_RUNS = 20_000  # hashes of a text; chosen: of a megabyte one in 64, so a page that texts share holds some thirty
# Light disturbances of planted copies: a reader would still call each a copy.
EDITS = 0.05  # share of the characters of a text that are edited
# Standard deviation of an image's noise in grey levels of 255; JPEG quality, the default of Pillow
NOISE, QUALITY = 8.0, 75
SHIFTS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # shifts of an image, (down, right) in pixels


def _image_distances(items: Sequence[Numbers], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import EmbeddingDistance, PixelDistance, WhiteDistance

    distances: list[Distance] = [PixelDistance(items, groups), EmbeddingDistance(items, groups)]
    if len(set(map(is_transparent, items))) == 2:  # else it would say the same
        distances.append(WhiteDistance(items, groups))
    return distances


def is_transparent(image: Numbers) -> bool:
    """Whether an image (H, W) or (H, W, C) uint8 has a pixel that is not opaque."""
    return image.ndim == 3 and image.shape[2] == 4 and bool((image[..., 3] < 255).any())


def _coarse_image_distances(items: Sequence[Numbers], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import COARSE_SIDE, PixelDistance

    return [PixelDistance(items, groups, shift=0, side=COARSE_SIDE)]


def _image_bytes(image: Numbers) -> int:
    from anew.evaluation.memorization.images import working_bytes

    return working_bytes(image)


def _clip_bytes(clip: NDArray[np.uint8]) -> int:
    from anew.evaluation.memorization.images import working_bytes

    return working_bytes(clip, FRAMES)


def shifted_by_a_pixel(image: Numbers, rng: np.random.Generator) -> Numbers:
    """Shift an image (H, W, ...) by a pixel, in a random direction."""
    return shift_image(image, *SHIFTS[rng.integers(len(SHIFTS))])


def image_keys(image: Numbers) -> list[Hashable]:
    """A key that is equal for equal images and for mirror images."""
    return [frozenset(key for view in (image, image[:, ::-1]) for key in content_keys(view))]


def clip_keys(clip: NDArray[np.uint8]) -> list[Hashable]:
    """The keys of the frames of a clip that are compared."""
    from anew.evaluation.memorization.images import compared_frames

    return [key for frame in compared_frames(clip, FRAMES) for key in image_keys(frame)]


def clip_bits(clips: Sequence[NDArray[np.uint8]], others: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The bits of the plainest frame of each clip that is compared: clips are identical that have one in common."""
    from anew.evaluation.memorization.images import compared_frames

    return np.array([content_bits(list(compared_frames(clip, FRAMES)), []).min() for clip in clips])


def _clip_distances(items: Sequence[NDArray[np.uint8]], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import ClipDistance

    return [ClipDistance(items, groups, FRAMES)]


def _coarse_clip_distances(items: Sequence[NDArray[np.uint8]], groups: Integers) -> list[Distance]:
    from anew.evaluation.memorization.images import COARSE_SIDE, ClipDistance

    return [ClipDistance(items, groups, FRAMES, shift=0, side=COARSE_SIDE)]


def _of_all_frames(alteration: Alteration[Numbers]) -> Alteration[NDArray[np.uint8]]:
    """The alteration of all frames of a clip (T, H, W) or (T, H, W, C) uint8 in the same way."""

    def alter(clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        seed = rng.integers(1 << 30)
        frames = [alteration(frame, np.random.default_rng(seed)) for frame in clip]
        return np.stack(frames).astype(np.uint8, copy=False)

    return alter


def shift_image(image: Numbers, down: int, right: int) -> Numbers:
    """Move an image (H, W, ...) by whole pixels; the edge is repeated."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return np.asarray(image[rows][:, columns])


def add_noise(image: Numbers, rng: np.random.Generator) -> Numbers:
    """Add Gaussian noise to a uint8 image of any shape."""
    noise = rng.normal(0.0, NOISE, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def jpeg_round_trip(image: Numbers) -> Numbers:
    """Compress an image (H, W) or (H, W, C) as JPEG and decode it again; channels after the third stay as they are."""
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


def edit_text(text: str, rng: np.random.Generator, share: float = EDITS) -> str:
    """Insert, delete or replace `share` of the characters, at least one; new characters are drawn from the text's own.

    The text is never the same afterwards.
    """
    alphabet = sorted(set(text)) or ["?"]
    characters = list(text)
    while characters == list(text):  # edits may undo each other
        characters = list(text)
        for _ in range(max(round(share * len(text)), 1)):
            edit, position = rng.integers(3), int(rng.integers(max(len(characters), 1)))
            new = int(rng.integers(len(alphabet)))
            if edit == 2 and characters[position : position + 1] == [alphabet[new]]:
                new = (new + 1) % len(alphabet)
            characters[position : position + (edit > 0)] = [] if edit == 1 else [alphabet[new]]
    return "".join(characters)


def edited_part(item: WholeText, rng: np.random.Generator) -> WholeText:
    """The compared part of a text, with the edits of `edit_text`."""
    text = edit_text(item.text[item.start : item.stop], rng)
    return WholeText(text, 0, len(text), item.size)


def text_runs(text: str) -> frozenset[int]:
    """Hashes of all MIN_PASSAGE characters in a row of a text; of a long text some MAX_RUNS, which others that share them keep, too."""
    hashes = window_hashes(code_points(text), MIN_PASSAGE)
    step = 1 << (len(hashes) // MAX_RUNS).bit_length()
    return frozenset(hashes[hashes % np.uint64(step) == 0].tolist())


# Cost of a query (shifted and mirrored variants, and preparation), in comparisons. Measured: 1,300 for grey images of 8 x 8,
# 2,100 for digits, 2,200 for photographs and sprites of 32 x 32 (docs/log.md, 2026-11-27). It grows with the size of an image.
IMAGE_QUERY_COST = 2_000
# The same of thumbnails. Measured: photographs, 0.1 s for 300 samples against 300 real ones, 0.9 s against 10,000
COARSE_QUERY_COST = 3_500
# Frames of a clip that are compared, evenly spaced: a comparison of two clips is one of 3 x 3 frames, a query 3 queries
FRAMES = 3

# Alterations that thumbnails still see
UNSHIFTED: tuple[Alteration[Numbers], ...] = (add_noise, lambda image, *_: jpeg_round_trip(image))

IMAGES = ItemType(
    "images",
    _image_distances,
    (shifted_by_a_pixel, *UNSHIFTED),
    "The test sees images that are the same, mirrored, shifted by one pixel, brighter, of another contrast, noisy, compressed or laid on "
    "white. It does not see those that were turned, scaled, cropped, shifted further, made negative, joined from parts of two images, "
    "mixed from two, laid on another colour or, if they are colourful, given other colours.",
    query_cost=IMAGE_QUERY_COST,
    working_bytes=_image_bytes,
    keys=image_keys,
    likeness=" or to its mirror image",
    is_blockwise=True,
    kind=is_transparent,
    coarse=CoarseType(
        _coarse_image_distances,
        UNSHIFTED,
        COARSE_QUERY_COST,
        "In the time given, images were compared as thumbnails of 8 x 8 pixels. The test sees those that are the same, mirrored, brighter, "
        "of another contrast, noisy or compressed. Others, such as those that were shifted by a pixel, may be missed.",
    ),
)
CLIPS = ItemType(
    "clips",
    _clip_distances,
    tuple(map(_of_all_frames, (shifted_by_a_pixel, *UNSHIFTED))),
    "The test sees clips with a frame that is the same, or nearly so, in whichever order frames are. It does not see clips that were "
    "turned, scaled, shifted by several pixels or given other colours.",
    query_cost=IMAGE_QUERY_COST // FRAMES,
    working_bytes=_clip_bytes,
    keys=clip_keys,
    bits=clip_bits,
    likeness=" in a frame",
    is_blockwise=True,
    coarse=CoarseType(
        _coarse_clip_distances,
        tuple(map(_of_all_frames, UNSHIFTED)),
        COARSE_QUERY_COST // FRAMES,
        "In the time given, frames were compared as thumbnails of 8 x 8 pixels. The test sees clips with a frame that is the same, "
        "mirrored, noisy or compressed. Others, such as those that were shifted by a pixel, may be missed.",
    ),
)
RECORDS = ItemType(
    "records",
    lambda items, groups: [EditDistance(items, groups)],
    (edit_text,),
    "The test sees records in which a few characters were changed, added or left out. It does not see those in other letter case, "
    "backwards, with their parts in another order, or joined from two records.",
)
# Records without fields, shorter than MIN_LONG
SHORT_RECORDS = replace(RECORDS, working_bytes=short_record_bytes)
# Records whose nearest one an index of pieces finds. Measured on 19,000 proteins: 0.5 ms a query, 0.1 ms for each that is indexed,
# and 20 ns a pair
INDEX_QUERY_COST = 20_000
INDEXED_RECORDS = replace(RECORDS, query_cost=INDEX_QUERY_COST)
# Records longer than a word, where time is short: an index of pieces takes a tenth of the time for 25,000 proteins of 90 residues
LONG_RECORDS = replace(
    RECORDS,
    coarse=CoarseType(
        lambda items, groups: [EditDistance(items, groups, indexed=True)],
        (edit_text,),
        INDEX_QUERY_COST,
        f"{RECORDS.scope} In the time given, each sample was compared with the records that share the most pieces with it.",
    ),
)
PASSAGES = ItemType(
    "passages",
    lambda items, groups: [PassageDistance(items, groups)],
    (edit_text,),
    "The test sees passages that are the same word for word, also with a word changed now and then. It does not see those with every "
    "fifth word changed, all identifiers renamed, or another letter case.",
    whole=False,
    # Measured on 60 to 25,000 passages of programs: the time of a memorization test grows more slowly than its pairs
    query_cost=2_000,
    keys=lambda passage: [],
    runs=text_runs,
    level=TEXT_ALPHA,
)
WHOLE_TEXTS = ItemType(
    "whole texts",
    lambda items, groups: [SoleSourceDistance(items, groups)],
    (edited_part,),
    PASSAGES.scope,
    keys=lambda item: [],
    runs=lambda item: text_runs(item.text),
    copied=joined_parts,
    level=TEXT_ALPHA,
    label_level=1.0,
)


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts cut into passages, all lists of one length.

    Attributes:
        texts: The passages.
        owner: Index of the text of each passage.
        start: Offset of its first character in that text.
        group: Number of its group, from 0 on.
    """

    texts: list[str]
    owner: Indices
    start: Indices
    group: Indices

    def __len__(self) -> int:
        return len(self.texts)


def cut_passages(texts: Sequence[str], width: int = PASSAGE, block: int | None = None) -> Passages:
    """Cut each text into adjacent passages; a last one that is shorter than MIN_PASSAGE is left out.

    Args:
        width: Characters of a passage.
        block: Characters of a group of passages; None: each text is a group.
    """
    cut: list[str] = []
    places: list[tuple[int, int, int]] = []  # owner, start, group
    group = -1
    for owner, text in enumerate(texts):
        last_block = -1
        for start in range(0, len(text), width):
            if start and len(text) - start < MIN_PASSAGE:
                break
            this_block = 0 if block is None else start // block
            group += this_block != last_block
            last_block = this_block
            cut.append(text[start : start + width])
            places.append((owner, start, group))
    owners, starts, groups = np.array(places, dtype=np.intp).reshape(-1, 3).T
    return Passages(cut, owners, starts, groups)


def count_passages(texts: Sequence[str]) -> int:
    """The number of passages that `cut_passages` makes."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    return int(((lengths > 0) + np.maximum(lengths - MIN_PASSAGE, 0) // PASSAGE).sum())


MIN_LONG = 48  # letters of records from which on an index of pieces saves time; chosen
MIN_FIELDS = 3  # rows of fewer fields that share one are nothing special
PAIRS_AT_ONCE = 4_000_000  # pairs of rows that are compared at once: bounds memory
SCOPE = (
    "The test sees records in which a few characters were changed, or one field, whatever its length, and JSON objects with other "
    "spacing or order of keys. It does not see those with several fields changed or, if they have few fields, in other letter case."
)


class FieldDistance(Distance):
    """Share of the fields in which two rows differ; a malformed row differs from all others in all fields."""

    name = "fields that differ"
    at_once = 256  # so that the progress of a search is seen; chosen

    def __init__(self, records: Sequence[str], groups: Integers, form: RowFormat) -> None:
        self.set_groups(groups)
        rows = [form.fields(record) for record in records]
        width = len(form.columns)
        self._codes = np.empty((len(records), width), dtype=np.int32)  # (n, c)
        for column in range(width):
            numbers: dict[str, int] = {}
            self._codes[:, column] = [
                -1 - i if fields is None else numbers.setdefault(fields[column], len(numbers))
                for i, fields in enumerate(rows)
            ]
        self.resolution = 1.0 / width

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        size = max(PAIRS_AT_ONCE // max(len(pool), 1), 1)
        for start in range(0, len(queries), size) if len(pool) else ():
            part = queries[start : start + size]
            equal = np.zeros((len(part), len(pool)), dtype=np.int16)  # (q, p) fields in common, -1 in one group
            for column in self._codes.T:
                equal += column[part][:, None] == column[pool][None]
            equal[self._group[part][:, None] == self._group[pool][None]] = -1
            best = equal.argmax(axis=1)
            num_equal = equal[np.arange(len(part)), best]
            item[start : start + size] = np.where(num_equal < 0, -1, pool[best])
            distance[start : start + size] = np.where(num_equal < 0, np.inf, 1.0 - num_equal / self._codes.shape[1])
        return item, distance


def records_type(records: Sequence[str]) -> ItemType[str]:
    """How records are compared for copies: by edits, and by fields too if nearly all are rows of at least MIN_FIELDS.

    records: Training records.
    """
    form = row_format(records[:MAX_READ])
    if form is None or len(form.columns) < MIN_FIELDS:
        if rare_piece_size(records) is not None:
            return INDEXED_RECORDS
        is_long = len(records) >= MIN_INDEXED and median_length(records) >= MIN_LONG
        return LONG_RECORDS if is_long else SHORT_RECORDS

    def distances(items: Sequence[str], groups: Integers) -> list[Distance]:
        return [EditDistance(items, groups), FieldDistance(items, groups, form)]

    def keys(record: str) -> list[Hashable]:
        fields = form.fields(record)
        return [record if fields is None else tuple(fields)]

    return replace(RECORDS, distances=distances, keys=keys, scope=SCOPE)
