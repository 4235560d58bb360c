"""Texts next to the nearest training texts: records by edits, running text by the longest passage in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from anew.core.wording import plural
from anew.evaluation.memorization.texts import EDIT_WORK, MIN_MATCH, longest_matches, nearest_record
from anew.evaluation.reporting.content import NearestPairs, ReportItem, SamplePair
from anew.functional.text_hashes import code_points

RECORDS_SEARCHED = 20_000  # training records that are searched for the nearest one, at most: bounds the time
# Records that are searched at least, however long they are; and records whose lengths say how many more can be searched.
MIN_SEARCHED, RECORDS_MEASURED = 20, 100
CHARACTERS_HELD = 1 << 27  # characters of training records that are held to be searched, at most: bounds memory
MARKED_SHARE = 0.5  # characters that differ are marked up to this share of two records; chosen
# Records up to this share of the length of the median training record are also compared with parts of records; chosen
MAX_SHORT_RATIO = 0.5
CONTEXT = 60  # characters of training text shown around a passage: about a line


def nearest_passages(samples: Sequence[str], texts: Sequence[str], max_characters: int) -> NearestPairs:
    """Samples of running text, each next to its longest passage in training texts, which are cut at `max_characters`."""
    training, ends = "\n".join(texts), np.cumsum([len(text) + 1 for text in texts])
    searched = f"the {len(training):,} characters of the training text"
    if len(training) >= max_characters:
        searched = f"{len(training):,} characters of the training text (the rest was not searched)"
    pairs = []
    for text, match in zip(samples, longest_matches(samples, code_points(training)), strict=True):
        if match is None:
            pairs.append(
                SamplePair(ReportItem(text=text), None, f"fewer than {MIN_MATCH} characters in a row in common")
            )
            continue
        start, stop = max(match.place - CONTEXT, 0), match.place + match.length
        nearest = ReportItem(
            text=training[start : stop + CONTEXT], marks=((match.place - start, stop - start),), is_cut=True
        )
        sample = ReportItem(text=text, marks=((match.start, match.start + match.length),))
        caption = f"{match.length} characters in a row in common"
        train = int(np.searchsorted(ends, match.place, side="right"))
        pairs.append(SamplePair(sample, nearest, caption, distance=float(match.length), train=train))
    explanation = (
        f"The longest passage of each sample that also occurs word for word in {searched}. Real texts share passages too, such "
        "as set phrases and names."
    )
    return NearestPairs(pairs, explanation, None, "The passage is marked, and shown with its surroundings there.")


def nearest_records(samples: Sequence[str], train: Callable[[int], list[str]], effort: float) -> NearestPairs:
    """Samples that are records, each next to the training record with the fewest edits.

    Args:
        train: Returns n training records.
        effort: How many records are searched, as a multiple of the usual number.
    """
    length = max(float(np.mean([len(str(text)) for text in train(RECORDS_MEASURED)])), 1.0)
    requested = max(min(int(RECORDS_SEARCHED * effort), int(CHARACTERS_HELD / length)), MIN_SEARCHED)
    training = [str(text) for text in train(requested)]
    work = sum(map(len, samples)) * length + 1.0  # pairs of characters for each training record
    compared = _drawn(len(training), max(int(EDIT_WORK / work), MIN_SEARCHED))
    places = {text: place for place, text in reversed(list(enumerate(training)))}  # the first of equal records
    records = [training[place] for place in compared]
    max_short_length = MAX_SHORT_RATIO * float(np.median([len(text) for text in training])) if training else 0.0
    pairs, has_parts = [], False
    for text in samples:
        if 0 < len(text) < max_short_length and text not in places:
            has_parts = True
            pairs.append(_nearest_part(text, records, compared))
            continue
        if text in places:
            place, edits = places[text], 0
        else:
            index, edits = nearest_record(text, records)
            place = compared[index] if index >= 0 else -1
        if place < 0:
            pairs.append(SamplePair(ReportItem(text=text), None))
            continue
        sides = edited_records(text, training[place], edits)
        is_same = edits > 0 and text.casefold() == training[place].casefold()
        caption = f"{edits_caption(edits)}, all of upper and lower case" if is_same else edits_caption(edits)
        pairs.append(SamplePair(*sides, caption, distance=float(edits), train=place))
    is_part = len(compared) < len(training)
    drawn = ", drawn at random" if is_part or len(training) == requested else ""
    also = f"; identical ones were looked up among {len(training):,}" if is_part else ""
    explanation = (
        f"The nearest of {len(compared):,} training records{drawn}: the one with the fewest characters to insert, delete or "
        f"replace{also}. {'An item less than half as long as usual is compared with parts of records. ' if has_parts else ''}"
        "Short records can match by chance; the copying test says whether they do so too often."
    )
    marking = "Edits are marked unless they are more than half of a record."
    if has_parts:
        marking += " If an item was compared with parts of records, the nearest part is marked."
    return NearestPairs(pairs, explanation, requested, marking)


def _drawn(count: int, n: int) -> list[int]:
    """The numbers of n of some records, drawn at random, in order; all of them if there are no more."""
    if n >= count:
        return list(range(count))
    chosen: list[int] = np.sort(np.random.default_rng(0).permutation(count)[:n]).tolist()
    return chosen


def _nearest_part(text: str, records: Sequence[str], places: Sequence[int]) -> SamplePair:
    """A short record next to the training record with the most similar part; whole records would all need as many edits as they
    are longer. places: the number of each record among all of the training part."""
    similarity = process.cdist([text], records, scorer=fuzz.partial_ratio, dtype=np.float32)[0]
    index = int(similarity.argmax())
    nearest = records[index]
    place = fuzz.partial_ratio_alignment(text, nearest)
    start, stop = (0, len(nearest)) if place is None or len(nearest) < len(text) else (place.dest_start, place.dest_end)
    edits = Levenshtein.distance(text, nearest[start:stop])
    caption = f"{'identical' if edits == 0 else plural(edits, 'edit')} to a part of it"
    train = ReportItem(text=nearest, marks=((start, stop),))
    return SamplePair(ReportItem(text=text), train, caption, distance=float(edits), train=places[index])


def passage_pair(sample: str, train: str) -> SamplePair:
    """Two passages with their longest common part marked."""
    match = longest_matches([sample], code_points(train))[0]
    if match is None:
        return SamplePair(ReportItem(text=sample), ReportItem(text=train, is_cut=True))
    return SamplePair(
        ReportItem(text=sample, marks=((match.start, match.start + match.length),)),
        ReportItem(text=train, marks=((match.place, match.place + match.length),), is_cut=True),
        f"{match.length} characters in a row in common",
        close=match.length > len(sample) / 2,
    )


def edited_records(sample: str, train: str, edits: int) -> tuple[ReportItem, ReportItem]:
    """Two records, the characters in which they differ marked, unless most of them do."""
    if edits > MARKED_SHARE * max(len(sample), len(train)):
        return ReportItem(text=sample), ReportItem(text=train)
    blocks = Levenshtein.editops(sample, train).as_matching_blocks()  # the last one is empty, at both ends
    starts = [(0, 0), *((block.a + block.size, block.b + block.size) for block in blocks)]
    gaps = [((a, block.a), (b, block.b)) for (a, b), block in zip(starts, blocks, strict=False)]
    sides = zip(*gaps, strict=True)
    marks, train_marks = (tuple(gap for gap in side if gap[0] < gap[1]) for side in sides)
    return ReportItem(text=sample, marks=marks), ReportItem(text=train, marks=train_marks)


def edits_caption(edits: int) -> str:
    """The difference between two records in words: "identical", "3 edits"."""
    return "identical" if edits == 0 else plural(edits, "edit")
