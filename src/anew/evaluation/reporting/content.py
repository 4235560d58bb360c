"""Items that a report shows: pictures, playable sound and clips, texts with marked passages, and pairs of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from anew.core.arrays import Integers, Numbers

X = TypeVar("X")  # an item
EXACT_COPY = "exact copy"  # the caption of a pair of equal items


@dataclass(frozen=True, slots=True)
class ReportItem:
    """One item on the page. All of its forms are shown, one below the other.

    Attributes:
        picture: PNG bytes.
        media: Bytes of sound or of a clip.
        media_type: Media type of these, "audio/wav" or "video/mp4".
        text: Text that is shown as it is.
        marks: The (start, stop) of each run of characters that is highlighted, in order.
        is_cut: Whether the text is a part of a longer one.
        is_playable: Whether browsers play `media`; else only the picture is shown.
    """

    picture: bytes | None = None
    media: bytes | None = None
    media_type: str = ""
    text: str | None = None
    marks: tuple[tuple[int, int], ...] = ()
    is_cut: bool = False
    is_playable: bool = True

    @property
    def marked(self) -> list[str]:
        """The text in pieces: one that is not highlighted, one that is, and so on in turn."""
        text = self.text or ""
        bounds = [0, *(place for mark in self.marks for place in mark), len(text)]
        return [text[start:stop] for start, stop in itertools.pairwise(bounds)]

    @property
    def is_video(self) -> bool:
        return self.media_type.startswith("video/")


@dataclass(frozen=True, slots=True)
class SamplePair:
    """A sample next to its nearest training item.

    Attributes:
        nearest: The training item; None if nothing is near.
        caption: The distance in a few words.
        close: Whether the two are so near that the sample looks like a copy.
        distance: Their distance, in the unit of the caption; of passages, the length of the one in common.
        train: Index of the training item among those that were searched; None if nothing is near.
    """

    sample: ReportItem
    nearest: ReportItem | None
    caption: str = ""
    close: bool = False
    distance: float | None = None
    train: int | None = None


@dataclass(frozen=True, slots=True)
class NearestPairs:
    """Items, each next to its nearest training item.

    Attributes:
        pairs: One for each item, in their order.
        explanation: Sentences on how the nearest items were searched and how to read the pairs.
        requested: The n of `EvaluationInputs.train(n)`, of which the indices `SamplePair.train` are, unless nothing is held out
            (`Evaluation.searched_items`); None if they are of `EvaluationInputs.train_text`.
        marking: A sentence on what a page marks in the pairs; empty if it marks nothing.
    """

    pairs: list[SamplePair]
    explanation: str
    requested: int | None
    marking: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """The items of a report.

    Attributes:
        sheet, real_sheet: PNG of many samples, and of held-out items.
        samples, real: First samples, and held-out items, that can be played; empty unless they are sound or clips.
        pairs: Samples in the order in which they were drawn, each next to its nearest training item.
        explanation: Sentences on how the nearest items were searched and how to read the pairs.
        closest_pairs: The samples that the copying test found closest to training items.
        form: The size in which pictures are learned, and their channels, in words; "" for all others.
    """

    sheet: bytes | None = None
    real_sheet: bytes | None = None
    samples: list[ReportItem] = field(default_factory=list)
    real: list[ReportItem] = field(default_factory=list)
    pairs: list[SamplePair] = field(default_factory=list)
    explanation: str = ""
    closest_pairs: list[SamplePair] = field(default_factory=list)
    form: str = ""

    @property
    def layout(self) -> Literal["players", "tiles", "rows", "texts"]:
        """How pairs are laid out: "players" of sound or clips, "tiles" of pictures, "rows" of short texts, or "texts"."""
        items = [item for pair in self.pairs for item in (pair.sample, pair.nearest) if item is not None]
        if any(item.media is not None for item in items):
            return "players"
        if any(item.picture is not None for item in items):
            return "tiles"
        texts = [item.text or "" for item in items]
        return "rows" if all(len(text) < 120 and "\n" not in text for text in texts) else "texts"


def nearest_explanation(start: str, noun: str, typical: str | None, num_held_out: int, are_halves: bool) -> str:
    """How to read the distances of pairs. typical: the median of that many held-out items, or of those of one half to the other;
    None if there are none."""
    counted = f"the median of {num_held_out:,}" if num_held_out > 1 else "one was looked at"
    compared = f"a held-out {noun} to the nearest of the same training {noun}s"
    if are_halves:
        compared = f"a{'n' if noun[0] in 'aeiou' else ''} {noun} of one half of these to the nearest of the other half"
    rest = f"; from {compared}, it is typically {typical} ({counted})"
    return f"{start}{'' if typical is None else rest}."


def nearest_pairs(
    show: Callable[[X], ReportItem],
    samples: Sequence[X],
    training: Sequence[X],
    index: Integers,
    distances: Numbers,
    typical: float,
    *,
    exact: float,
    form: str = "difference {:.0f}",
    caption_of_copy: Callable[[X, X], str] = lambda sample, item: EXACT_COPY,
) -> list[SamplePair]:
    """Pair samples with their nearest training items, for the report.

    Args:
        show: Returns the report's view of an item.
        training: Training items.
        index: (n,) index of the nearest of these.
        distances: (n,) distances to these.
        typical: Median distance of held-out items to their nearest training item; pairs within a quarter of it are marked.
        exact: Distance below which two items count as identical.
        form: Format of the caption of a distance.
        caption_of_copy: Returns the caption of a sample and an identical training item.
    """
    return [
        SamplePair(
            show(sample),
            show(training[i]),
            caption_of_copy(sample, training[i]) if distance < exact else form.format(distance),
            close=bool(distance < 0.25 * typical),
            distance=float(distance),
            train=int(i),
        )
        for sample, i, distance in zip(samples, index, distances, strict=True)
    ]
