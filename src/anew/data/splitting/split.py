"""Chooses held-out items by the hash of their content, near-duplicates together; of few documents, contiguous spans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anew.core.splitmix import splitmix64
from anew.core.wording import are, plural
from anew.data.skipped import name_reasons
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

# Numbers of the parts, in the order of NAMES; runs and caches store them.
TRAIN, VALIDATION, TEST, TEST_CLUSTERS = 0, 1, 2, 3
NAMES = ("train", "validation", "test", "test_clusters")  # the last: whole clusters of relatives, if items have any
HELD_OUT_SHARE = 0.05  # share of the items for validation, and for test; small data hold out more, up to MAX_SHARE
MAX_SHARE = 0.10  # a larger share would cost training more than a more certain score is worth
ENOUGH_ITEMS = 300  # the share grows until a held-out part has so many: enough for a report's answers
ENOUGH_CHARACTERS = 80_000  # the same for running text, which is compared in pieces of 256: 300 pieces
FEW_TO_JUDGE = 150  # with fewer held-out items a report cannot confirm that samples are as good as real ones
FEW_CHARACTERS = ENOUGH_CHARACTERS * FEW_TO_JUDGE // ENOUGH_ITEMS  # the same for running text
NEEDED_ITEMS = 150  # least items of validation and of test: together ENOUGH_ITEMS
# Share to which a part may grow for that: among 500 molecules copies were caught at no rate with a tenth each, 2% with 15% each.
NEEDED_SHARE = 0.15
# A validation span is so much shorter than a test span: it fits few numbers, and its text is missing from the counts.
VALIDATION_SPAN = 0.6
# Records of a list are draws from a distribution if fewer than this share of them differ: then copies are not an accident; chosen.
DIFFERENT_DRAWS = 0.5
# Their counts must also vary by this many times their mean (variance over mean), as those of independent draws do, which gives
# 0.6 or more. In a list that was copied as a whole all counts are equal; chosen.
MIN_UNEVEN = 0.5
MIN_ITEMS = 10  # fewer different items are not split by item; chosen
# Least recordings of a class, as expected in each held-out part, to divide it by itself: else a small class would lose most of its
# few recordings to these parts. Smaller classes are divided together; chosen.
RECORDINGS_OF_CLASS = 2
MANY_RECORDINGS = 40  # with so many or more, whole recordings are held out: each is then a small share of a part
# Recordings that are a larger share of the held-out items of their class stay in train, since the last one that a part takes is the
# error of its mix of classes. At least three quarters of the recordings can be held out. Chosen.
LARGEST_RECORDING, HELD_OUT_RECORDINGS = 0.2, 75
MAX_GROUPS = 1.25  # a held-out part may take so many times its share of the files, to have its share of the text
# The same of the recordings of a class: with fewer, its short ones cannot make up its share of the clips
MAX_RECORDINGS = 2.0
# A cut moves to a line end within so many characters, at most a quarter of the way to the next cut
MAX_CUT_SHIFT = 2000
REGION = 100_000  # characters of text for each held-out span of a part, up to MAX_REGIONS spans
MAX_REGIONS = 10  # most spans of a part: more would cut the text into pieces that are too short for their context


def keep_groups_together(
    keys: Sequence[int], groups: Sequence[str | None], share: float
) -> tuple[list[int], list[str]]:
    """Give records that were cut out of one recording the same key, so that they stay in one part.

    With fewer than MANY_RECORDINGS recordings that would leave too little choice. Then only runs of neighbouring records stay
    together, each at most a quarter of a held-out part.

    Args:
        keys: The key of each record.
        groups: The recording of each record (`Item.group`), or None.
        share: The share of a held-out part.

    Returns:
        The keys, and sentences on what was done.
    """
    recordings = {name for name in groups if name is not None}
    if not recordings:
        return list(keys), []
    whole_recordings = len(recordings) >= MANY_RECORDINGS
    run_length = len(keys) if whole_recordings else max(1, int(share * len(keys) / 4))
    num_before: dict[str, int] = defaultdict(int)  # records of each recording so far
    key_of_run: dict[tuple[str, int], int] = {}
    shared: list[int] = []
    for key, name in zip(keys, groups, strict=True):
        if name is None:
            shared.append(key)
            continue
        run = (name, num_before[name] // run_length)
        num_before[name] += 1
        shared.append(key_of_run.setdefault(run, key))
    if whole_recordings:
        return shared, [
            f"{len(recordings)} files were cut into clips, each of which is an item; all clips of a file stay in one part."
        ]
    if 10 * sum(num_before.values()) < len(keys):  # too few to be worth a sentence
        return shared, []
    verb, their = ("was", "its") if len(recordings) == 1 else ("were", "their")
    division = f"runs of {run_length} neighbouring clips stay in one part"
    division = f"{their} clips are divided one by one" if run_length == 1 else division
    return shared, [
        f"Only {plural(len(recordings), 'file')} {verb} cut into clips, too few to hold whole ones out (that takes {MANY_RECORDINGS}): "
        f"{division}."
    ]


def are_draws(keys: Sequence[int]) -> bool:
    """Whether the records of a list are draws from a distribution in which some are common, as the first names of people are.

    keys: the key of each record, which its copies share.
    """
    counts = np.unique(np.array(keys, dtype=np.uint64), return_counts=True)[1]
    return len(counts) < DIFFERENT_DRAWS * len(keys) and bool(counts.var() >= MIN_UNEVEN * counts.mean())


def keys_of_draws(keys: Sequence[int]) -> list[int]:
    """A key of its own for each record, also for copies: it follows from the record and from how many equal ones precede it."""
    num_before: dict[int, int] = defaultdict(int)
    ranks = []
    for key in keys:
        ranks.append(num_before[key])
        num_before[key] += 1
    own: list[int] = splitmix64(splitmix64(np.array(keys, dtype=np.uint64)) + np.array(ranks, dtype=np.uint64)).tolist()
    return own


def held_out_share(amount: float, target: float) -> float:
    """The share of each held-out part: HELD_OUT_SHARE, or up to MAX_SHARE to reach `target`; even more, up to NEEDED_SHARE, to reach
    NEEDED_ITEMS."""
    share = float(np.clip(target / max(amount, 1), HELD_OUT_SHARE, MAX_SHARE))
    return max(share, min(NEEDED_ITEMS / max(amount, 1), NEEDED_SHARE))


def assign_parts(
    keys: Sequence[int],
    sizes: Sequence[int],
    share: float,
    held_out: Sequence[int],
    largest: float | None = None,
    max_groups: float = MAX_GROUPS,
) -> NDArray[np.uint8]:
    """Groups in the order of their hash go to each held-out part until it has its share of the sizes, the others to train.

    A group that alone would be half of a held-out part stays in train, so that no huge file decides the score, unless half of them
    are as large. If there are a few such files, the parts must not take nearly all other files instead: a part gets at most `max_groups`
    times its share of the groups.

    Args:
        keys: The key of each item; items with one key are a group.
        sizes: The size of each item.
        share: The share of each held-out part.
        held_out: The parts to fill, in order.
        largest: The largest size of a group that may be held out, None for half of a part.
        max_groups: How many times its share of the groups a held-out part may take.

    Returns:
        (n,) part numbers.
    """
    distinct, group_of = np.unique(np.array(keys, dtype=np.uint64), return_inverse=True)
    group_sizes: list[float] = np.bincount(group_of, sizes).tolist()
    target = share * sum(sizes)
    if largest is None:
        largest = max(target / 2, float(np.median(group_sizes))) if group_sizes else 0.0
    most_groups = max(max_groups * share * len(distinct), 1.0)
    part_of_group = np.full(len(distinct), TRAIN, dtype=np.uint8)
    filled = dict.fromkeys(held_out, 0.0)
    groups = dict.fromkeys(held_out, 0)
    for group in np.argsort(splitmix64(distinct), kind="stable").tolist():
        part = next((part for part in held_out if filled[part] < target and groups[part] < most_groups), None)
        if part is None:
            break
        if group_sizes[group] <= largest:
            part_of_group[group] = part
            filled[part] += group_sizes[group]
            groups[part] += 1
    parts: NDArray[np.uint8] = part_of_group[group_of]
    return parts


def assign_parts_by_class(
    keys: Sequence[int], sizes: Sequence[int], classes: Sequence[str], share: float, held_out: Sequence[int]
) -> NDArray[np.uint8]:
    """The parts of `assign_parts`, of which each has its share of every class that has enough groups.

    Groups of very different sizes, as recordings are, would else give a part a mix of classes that is far from that of the data,
    and intervals, which take items for independent, know nothing of that.

    Args:
        classes: Class name of each item, "" without one. A group with several counts for the first of them by name.
    """
    class_of: dict[int, str] = {}
    for key, name in zip(keys, classes, strict=True):
        class_of[key] = min(name, class_of.get(key, name))
    num_groups = Counter(class_of.values())
    largest_class = max(sorted(num_groups), key=num_groups.__getitem__, default="")
    small = [name for name, count in num_groups.items() if count * share < RECORDINGS_OF_CLASS]
    small_stratum = "" if sum(num_groups[name] for name in small) * share >= RECORDINGS_OF_CLASS else largest_class
    stratum_of = dict.fromkeys(small, small_stratum)
    members: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        members[stratum_of.get(class_of[key], class_of[key])].append(number)
    parts = np.full(len(keys), TRAIN, dtype=np.uint8)
    for numbers in members.values():
        own_keys, own_sizes = [keys[i] for i in numbers], [sizes[i] for i in numbers]
        recordings = np.unique(np.array(own_keys, dtype=np.uint64), return_inverse=True)[1]
        lengths = np.bincount(recordings, own_sizes)
        largest = max(LARGEST_RECORDING * share * sum(own_sizes), float(np.percentile(lengths, HELD_OUT_RECORDINGS)))
        parts[numbers] = assign_parts(own_keys, own_sizes, share, held_out, largest, MAX_RECORDINGS)
    return parts


def check(
    parts: NDArray[np.uint8],
    held_out: Sequence[int],
    singular: str,
    num_different: int | None = None,
    skipped: Sequence[SkippedItem] = (),
) -> None:
    """Raise DataError if a part is empty, or if there were too few items to split.

    Args:
        parts: (n,) part of each item.
        held_out: The parts that were taken from train.
        singular: Noun for an item.
        num_different: Number of groups of near-duplicates among the items that were split, of draws the number of items; None if
            none were split.
        skipped: Items that were refused.
    """
    counts = np.bincount(parts, minlength=len(NAMES))
    too_few = bool(held_out) and num_different is not None and num_different < MIN_ITEMS
    if not too_few and all(counts[part] for part in (TRAIN, *held_out)):
        return
    copies = "" if num_different in (None, len(parts)) else f" ({num_different} different, copies count once)"
    items = f"1 {singular} is" if len(parts) == 1 else f"{len(parts)} {singular}s{copies} are"
    refused = f" (others were refused: {name_reasons(skipped)})" if skipped else ""
    raise DataError(
        f"{items} too few to train on some and hold others out; give at least {MIN_ITEMS} different ones{refused}"
    )


def draws_note(num_copies: int, n: int) -> str:
    """A sentence on a list whose records are draws from a distribution. num_copies: how many of n repeat an earlier one."""
    return (
        f"{num_copies:,} of {n:,} items repeat an earlier one, some of them often. So items count as draws from a distribution: copies "
        "of one are in several parts, as a new sample of the same source would have them too."
    )


def split_notes(
    parts: NDArray[np.uint8],
    num_copies: int,
    by_size: bool,
    *,
    are_draws: bool = False,
    test_characters: float | None = None,
    num_refused: int = 0,
    num_alike: int = 0,
) -> list[str]:
    """Sentences on a split by content into these parts.

    Args:
        parts: (n,) part of each item.
        num_copies: How many of them repeat an earlier one.
        by_size: Whether held-out parts have about their shares of the text.
        are_draws: Whether copies were divided like other items.
        test_characters: Characters of the test part, if it is running text, of which pieces are compared; None: many, or other data.
        num_refused: How many more items were read that cannot be used.
        num_alike: How many nearly repeat an earlier one, where such items were divided like others; 0 where they stay together.
    """
    counts = np.bincount(parts, minlength=len(NAMES)).tolist()
    by_length = " and length" if by_size else ""
    shares = ", ".join(f"{count:,} to {name}" for name, count in zip(NAMES, counts, strict=True) if count)
    refused = f" ({num_refused:,} more cannot be used)" if num_refused else ""
    notes = [f"Split at random by content{by_length}: of {len(parts):,} items{refused} {shares}."]
    if are_draws:
        notes.append(draws_note(num_copies, len(parts)))
    elif num_alike:
        notes.append(
            f"{num_alike:,} of {len(parts):,} items {are(num_alike)} nearly the same as an earlier one. This is usual in this data, so "
            "they are held out at random, like all others, and only exact copies are kept in the same part."
        )
    elif num_copies:
        notes.append(
            f"{num_copies:,} of {len(parts):,} items {are(num_copies)} the same as an earlier one, or nearly. Items that "
            "are found to be alike are kept in the same part."
        )
    num_held_out = counts[TEST] + counts[VALIDATION]  # reports compare with both
    too_few = "can show faults of samples, but cannot confirm that samples are as good as real"
    if not counts[TEST]:
        return notes
    if by_size and test_characters is not None and test_characters < FEW_CHARACTERS:
        notes.append(
            f"{test_characters:,.0f} characters in the test part {too_few} text; that takes about {ENOUGH_CHARACTERS:,}."
        )
    elif not by_size and num_held_out < FEW_TO_JUDGE:
        notes.append(
            f"{plural(num_held_out, 'held-out item')} {too_few} items; that takes at least {FEW_TO_JUDGE}, "
            f"usually about {ENOUGH_ITEMS}, and about {round(ENOUGH_ITEMS / (2.0 * NEEDED_SHARE)):,} items would give them."
        )
    return notes


# ---- spans of few documents ----


def split_spans(documents: Sequence[Item], held_out: Sequence[int]) -> list[tuple[Item, int]]:
    """Pieces of the documents with their parts: in each of up to MAX_REGIONS equal regions the last shares are held out.

    Cuts are moved to the next line end (or space) if one is near. Raises DataError if a part would be empty.
    """
    total = sum(item.size for item in documents)
    share = held_out_share(total, ENOUGH_CHARACTERS)
    shares = [share * (VALIDATION_SPAN if part == VALIDATION else 1.0) for part in held_out]
    num_regions = int(np.clip(total // REGION, 1, MAX_REGIONS))
    marks: list[tuple[int, int]] = []  # (position in the joined text, part that begins there)
    for region in range(num_regions):
        start, stop = total * region // num_regions, total * (region + 1) // num_regions
        marks.append((start, TRAIN))
        for number, part in enumerate(held_out):
            marks.append((stop - round(sum(shares[number:]) * (stop - start)), part))
    pieces = _cut(documents, marks)
    if any(part not in {piece_part for _, piece_part in pieces} for part in (TRAIN, *held_out)):
        raise DataError(
            f"{total:,} characters of text are too few to train on some and hold others out; give more text"
        )
    return pieces


def _cut(documents: Sequence[Item], marks: Sequence[tuple[int, int]]) -> list[tuple[Item, int]]:
    """The documents cut at marks (position in the joined text, part that begins there), with the part of each piece."""
    pieces: list[tuple[Item, int]] = []
    part = TRAIN
    remaining = list(marks)
    total = sum(item.size for item in documents)
    document_start = 0
    for item in documents:
        text, start = item.text, 0
        while start < len(text):
            while remaining and remaining[0][0] <= document_start + start:
                part = remaining.pop(0)[1]
            stop = len(text)
            if remaining:
                mark = remaining[0][0]
                next_mark = remaining[1][0] if len(remaining) > 1 else total
                reach = min(MAX_CUT_SHIFT, (next_mark - mark) // 4)
                stop = min(_line_end(text, mark - document_start, reach), len(text))
            stop = max(stop, start + 1)
            begins = start == 0 and item.begins
            ends = stop == len(text) and item.ends
            pieces.append((replace(item, data=text[start:stop], begins=begins, ends=ends), part))
            start = stop
        document_start += len(text)
    return pieces


def _line_end(text: str, position: int, reach: int) -> int:
    """End of the line (or word) that contains `position`, if that is less than `reach` away; else `position`."""
    if position >= len(text):
        return len(text)
    for mark in ("\n", " "):
        index = text.find(mark, max(position - 1, 0), position + reach)
        if index >= 0:
            return index + 1
    return position
