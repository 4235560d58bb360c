"""`nearest`: the training item that is nearest to each of some items."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from anew.core import files
from anew.core.arguments import new_file, new_path
from anew.core.machine.threads import use_threads
from anew.core.reporter import Reporter
from anew.core.specs import Grid, Tokens
from anew.data.dataset import ALL, DEFAULT_TEXT_LIMIT, Dataset
from anew.data.loading.epoch_order import permutation, random_subset
from anew.data.skipped import describe_skipped
from anew.data.splitting.split import NAMES
from anew.data.types import DecodedItem, Item
from anew.errors import ConfigError, DataError, printable, shorten
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import MAX_POOL
from anew.evaluation.memorization.item_type import content_keys
from anew.evaluation.modalities.text import MAX_SEARCHED_CHARACTERS
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import NearestPairs, SamplePair
from anew.runs.folder import RunFolder
from anew.sampling.scores import natural_key
from anew.workflows.item_inputs import item_inputs
from anew.workflows.real_pools import MEASURED_ITEMS, pool_limit

EFFORT = 4.0  # so many times the training items of a report are searched: here the user waits for nothing else; chosen
BETWEEN = 2  # pixels between an item and its nearest one


@dataclass(frozen=True, slots=True)
class NearestItem:
    """An item and the training item nearest to it.

    Attributes:
        name: Place of the item: its file, with the record in it if there are several, or "item 1" of a list.
        nearest: Place of the training item in the data; "" if nothing is near.
        text, nearest_text: Both as text, of long texts the part that is compared, of different molecules the canonical SMILES;
            None for other kinds of data.
        distance: Their distance in the unit of `caption`; of long texts, the characters in a row in common. None if nothing is
            near.
        caption: The distance in words: "exact copy", "difference 12", "3 edits".
        close: Whether the two are so near that the item looks like a copy.
        passage: Of long texts, the passage that both have; None for others.
    """

    name: str
    nearest: str
    text: str | None
    nearest_text: str | None
    distance: float | None
    caption: str
    close: bool
    passage: str | None = None

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        texts = {} if self.text is None else {"text": self.text, "nearest_text": self.nearest_text}
        if self.passage is not None:
            texts["passage"] = self.passage
        return {
            "item": self.name,
            "nearest": self.nearest or None,
            **texts,
            "distance": self.distance,
            "caption": self.caption,
            "close": self.close,
        }


class NearestItems:
    """The training items nearest to some items; `save` draws them.

    Attributes:
        items: One entry for each item, in order.
        explanation: Sentences on how they were searched and how to read the distances.
        notes: Lines on items that cannot be used.
    """

    def __init__(
        self,
        names: Sequence[str],
        places: Sequence[str],
        nearest: NearestPairs,
        notes: Sequence[str],
        held_out: Sequence[str],
    ) -> None:
        """
        Args:
            names, places: Places of the items, and of the training items nearest to them.
            notes: See the class.
            held_out: Place of the held-out item that each item is identical to; "" where there is none.
        """
        self._pairs = nearest.pairs
        self.explanation = nearest.explanation
        self.notes = tuple(notes)
        self.items = tuple(
            NearestItem(name, place, *_texts(pair), pair.distance, _caption(pair, same), pair.close, _passage(pair))
            for name, place, pair, same in zip(names, places, nearest.pairs, held_out, strict=True)
        )

    def to_json(self) -> dict[str, object]:
        """As JSON values: what `anew nearest` prints as JSON."""
        return {
            "items": [item.to_json() for item in self.items],
            "explanation": self.explanation,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        rows = [f"{item.name} -> {item.nearest or 'nothing'}: {item.caption}" for item in self.items]
        return "\n".join([*rows, *self.notes, self.explanation])

    def save(self, path: str | Path) -> Path:
        """Draw each item next to its nearest training item.

        Args:
            path: A PNG file to write, or a folder that gets nearest.png.

        Returns:
            The path of the file.

        Raises:
            ConfigError: The items have no pictures, or the file exists or cannot be made.
        """
        target = new_picture(path)
        files.write(target, self.picture())
        return target

    def picture(self) -> bytes:
        """PNG of each item next to its nearest training item, with the distance below. Raises ConfigError where items are texts."""
        drawn = [pair for pair in self._pairs if pair.sample.picture is not None]
        if not drawn:
            raise ConfigError("texts have no picture; leave out `out`")
        return sheet.sheet([_side_by_side(pair) for pair in drawn], labels=[pair.caption for pair in drawn], gap=8)


def new_picture(path: str | Path) -> Path:
    """The PNG file that `NearestItems.save` writes, which does not exist yet; its folder is made. Raises ConfigError."""
    place = new_path("out", path)
    return new_file(place if place.suffix else place / "nearest.png", ".png", advice=", or be a folder")


def _caption(pair: SamplePair, held_out: str) -> str:
    """The distance in words, and which held-out item it is identical to."""
    return f"{pair.caption}; identical to {held_out} of the data, which was held out" if held_out else pair.caption


def _texts(pair: SamplePair) -> tuple[str | None, str | None]:
    return pair.sample.text, None if pair.nearest is None else pair.nearest.text


def _passage(pair: SamplePair) -> str | None:
    """The common passages of two long texts, which are marked in them."""
    text = pair.sample.text
    if text is None or not pair.sample.marks or pair.nearest is None or not pair.nearest.is_cut:
        return None
    start, stop = pair.sample.marks[0]
    return text[start:stop]


def _side_by_side(pair: SamplePair) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An item to the left of its nearest one, (H, W, 3)."""
    pngs = [item.picture for item in (pair.sample, pair.nearest) if item is not None and item.picture is not None]
    pictures = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in pngs]
    height = max(len(picture) for picture in pictures)
    parts = [
        np.pad(picture, ((0, height - len(picture)), (0, BETWEEN), (0, 0)), constant_values=255) for picture in pictures
    ]
    return np.concatenate(parts, axis=1)


def nearest_of_run(
    run: RunFolder,
    items: str | Sequence[object] | None,
    n: int,
    data: str | None,
    reporter: Reporter,
) -> NearestItems:
    """Find the nearest training items of a run.

    Args:
        items: A path, or texts, arrays or bytes of files; None for the samples that the run holds.
        n: Most items of a path; of more, so many are drawn at random.
        data: Where the data of the run lies now, if it was moved.
        reporter: Receives the progress.
    """
    use_threads()
    record = run.record()
    reporter.message("  reading the data")
    with contextlib.closing(Dataset.reopen(record.data, run.path, data)) as training:
        if items is None or isinstance(items, str):
            place = str(run.path / "samples") if items is None else items
            queries, names, notes = _items_at(place, run, n, is_own=items is None)
        else:
            notes = []
            queries, names = _decoded(training, items), [f"item {number}" for number in range(1, len(items) + 1)]
        reporter.message("  searching for the nearest training items")
        evaluation = load_evaluation(record.data.modality)(item_inputs(training, queries, record.plan.seed))
        nearest = evaluation.nearest(queries, EFFORT)
        held_out = _held_out_places(training, queries, record.plan.seed)
        return NearestItems(names, _places(training, nearest, record.plan.seed), nearest, notes, held_out)


class ItemsAtPath(NamedTuple):
    """Items that were read. notes: lines on those that cannot be used."""

    items: list[DecodedItem]
    names: list[str]
    notes: list[str]


def _items_at(place: str, run: RunFolder, n: int, is_own: bool) -> ItemsAtPath:
    """At most n items at a path. is_own: whether they are the samples of the run."""
    if is_own and not Path(place).is_dir():
        raise ConfigError(f"the run {str(run.path)!r} holds no samples; name the items to compare")
    record = run.record()
    with contextlib.closing(Dataset.open_like(record.data, run.path, place, samples=True)) as data:
        notes = describe_skipped(data.scan)
        if isinstance(data.spec, Tokens) and data.spec.packed:
            texts = data.text(ALL)
            index = permutation(len(texts), record.plan.seed)[:n].tolist()
            items: list[DecodedItem] = [texts[i] for i in index]
            names = text_names(data, ALL, index)
        else:
            items = data.items(ALL, n, record.plan.seed)
            names = item_names(data, ALL, n, record.plan.seed, range(len(items)))
        if not items:
            raise DataError(f"{place!r} holds nothing to compare")
        if data.scan.items > len(items):
            notes.append(
                f"These are {len(items):,} of the {data.scan.items:,} items, drawn at random and sorted by name; a larger `n` shows more."
            )
        order = sorted(range(len(items)), key=lambda i: natural_key(names[i]))
        return ItemsAtPath([items[i] for i in order], [names[i] for i in order], notes)


def _decoded(data: Dataset, items: Sequence[object]) -> list[DecodedItem]:
    """Items as the data has them. Raises ConfigError, which names the first one that cannot be used."""
    modality = data.modality.base
    accepted = str if isinstance(data.spec, Tokens) else bytes | np.ndarray
    expected = "strings" if accepted is str else "arrays or the bytes of files"
    if not items:
        raise ConfigError("`items` must hold at least one item (got an empty list)")
    records = []
    for number, item in enumerate(items, 1):
        if isinstance(item, str) and accepted is not str:
            raise ConfigError(
                f"this run has {modality.traits.plural}; only a run of text is searched for texts (item {number} is {shorten(item)})"
            )
        if not isinstance(item, accepted):
            raise ConfigError(f"`items` must be a path or a list of {expected} (item {number} is {shorten(item)})")
        records.append(Item(f"item {number}", item))
    rows = []
    for number, row in enumerate(modality.encode_many(records), 1):
        if isinstance(row, str):
            raise ConfigError(f"`items` cannot be compared: item {number}: {row}; leave it out")
        rows.append(row)
    if isinstance(data.spec, Grid):
        return list(modality.to_items(np.stack(rows)))
    return [modality.decode(row[None].astype(np.int64))[0] for row in rows]


def _places(data: Dataset, nearest: NearestPairs, seed: int) -> list[str]:
    """The place in the data of each nearest item, "" where nothing is near."""
    index = [pair.train for pair in nearest.pairs if pair.train is not None]
    n = nearest.requested
    max_characters = int(EFFORT * MAX_SEARCHED_CHARACTERS)
    names = iter(
        text_names(data, "train", index, max_characters) if n is None else item_names(data, "train", n, seed, index)
    )
    return ["" if pair.train is None else next(names) for pair in nearest.pairs]


def _held_out_places(data: Dataset, items: Sequence[DecodedItem], seed: int) -> list[str]:
    """The place in the data of the held-out item that each item is identical to, "" where there is none."""
    places: dict[Hashable, str] = {}
    for part in NAMES[1:]:
        if not data.scan.parts.get(part):
            continue
        if isinstance(data.spec, Tokens) and data.spec.packed:
            held_out: Sequence[DecodedItem] = data.text(part, DEFAULT_TEXT_LIMIT)
            names = text_names(data, part, range(len(held_out)))
        else:
            first = data.items(part, MEASURED_ITEMS, seed)
            n = min(MAX_POOL, pool_limit(first, data.modality.name)) if first else 0
            held_out = data.items(part, n, seed)
            names = item_names(data, part, n, seed, range(len(held_out)))
        keys = [content_keys(item)[0] for item in held_out]
        places = dict(zip(keys, names, strict=True)) | places
    return [places.get(content_keys(item)[0], "") for item in items]


def item_names(data: Dataset, part: str, n: int, seed: int, index: Sequence[int]) -> list[str]:
    """Names of some of the records or grids that `data.items(part, n, seed)` returns. index: which of them."""
    store, number = data.opened_part(part)
    chosen = random_subset(store.rows(number, n).num_items, n, seed)[list(index)]
    return list(map(printable, store.names(number, chosen.tolist())))


def text_names(data: Dataset, part: str, index: Sequence[int], limit: int = DEFAULT_TEXT_LIMIT) -> list[str]:
    """Names of some of the texts that `data.text(part, limit)` returns. index: which of them."""
    store, number = data.opened_part(part)
    texts = itertools.islice(store.text(number, limit), max(index, default=-1) + 1)
    names = [item.name for item in texts]
    return [printable(names[i]) for i in index]
