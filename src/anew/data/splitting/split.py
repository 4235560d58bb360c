"""Who is held out: by each item's own content hash, twins together; contiguous spans where documents are few."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anew.core.random import splitmix64
from anew.data.modality import Modality
from anew.data.skipped import named
from anew.data.types import Handle, Item, Refusal
from anew.errors import DataError
from anew.estimators.sequence_clusters import SequenceClusters

TRAIN, VALIDATION, TEST, CLUSTERS = 0, 1, 2, 3
NAMES = ("train", "validation", "test", "clusters")  # the last: whole clusters of relatives, where items have such
FEW = 50  # documents below which spans are held out instead of documents
SHARE = 0.05  # of validation and of test; small data hold out more, up to LARGEST
LARGEST = 0.10
ENOUGH = 200  # items that a held-out part should have, where the share may grow for it
ENOUGH_CHARACTERS = 20_000  # the same for spans
STEERING = 0.6  # a validation span's share of a test span's: it fits few numbers, and its text is lost to the counts
LEAST = 10  # different items, without which no split by item is made
RECORDINGS = 40  # recordings from which whole ones are held out: each is then a small share of a held-out part
REACH = 2000  # characters within which a cut moves to a line end, or a quarter of what lies before the next cut
REGION = 100_000  # characters of text that give one held-out span a part, at most REGIONS of them
REGIONS = 10
SHINGLE = 12  # characters
SKETCH = 64  # smallest shingle hashes kept of a document
LEAST_SKETCHED = 200  # characters below which only equality after normalisation makes twins
ALIKE = 0.7  # shared shingles (Jaccard) that make two documents near-duplicates
SKETCHED_ITEMS = 20_000
SKETCHED_CHARACTERS = 4_000  # of the beginning of each document


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def key(item: Item, modality: Modality) -> int:
    """64 bits that twins share: of the text without case and spacing, of the modality's signature, or of the bytes."""
    try:
        return usable_key(item, modality)
    except ValueError:
        return exact_key(item)


def usable_key(item: Item, modality: Modality) -> int:
    """The same of an item that can be used. Raises ValueError (one clause) where the signature finds that it cannot."""
    signature = None if isinstance(item.data, str) else modality.signature(item)
    return exact_key(item) if signature is None else signature_key(signature)


def signature_key(signature: bytes) -> int:
    """64 bits of a modality's signature."""
    return _hash(b"signature" + signature)


def exact_key(item: Item) -> int:
    """The same without the signature: 64 bits of the text without case and spacing, or of the bytes."""
    if isinstance(item.data, str):
        return _hash(" ".join(item.data.casefold().split()).encode("utf-8", "surrogatepass"))
    if isinstance(item.data, np.ndarray):
        return _hash(repr(item.data.shape).encode() + np.ascontiguousarray(item.data).tobytes())
    return _hash(item.data.digest() if isinstance(item.data, Handle) else bytes(item.data))


def name_hash(name: str) -> int:
    """64 bits of a name, the same everywhere."""
    return _hash(name.encode("utf-8", "surrogateescape"))


def sketch(text: str) -> NDArray[np.uint64] | None:
    """(<=SKETCH,) the smallest hashes of the text's shingles, sorted; None for a text too short to compare by parts."""
    if len(text) < LEAST_SKETCHED:
        return None
    plain = " ".join(text[:SKETCHED_CHARACTERS].casefold().split())
    points = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(points) <= SHINGLE:
        return None
    n = len(points) - SHINGLE + 1
    hashes = np.zeros(n, dtype=np.uint64)
    for offset in range(SHINGLE):
        hashes = hashes * np.uint64(1_000_003) + points[offset : offset + n]
    hashes = np.unique(splitmix64(hashes))
    return hashes[:SKETCH]


class Twins:
    """Near-duplicate texts by their sketches (bottom-k MinHash, Broder 1997), found through shared smallest hashes."""

    def __init__(self) -> None:
        self._where: dict[int, list[int]] = defaultdict(list)
        self._sketches: list[NDArray[np.uint64]] = []
        self._names: list[int] = []

    def match(self, one: NDArray[np.uint64] | None) -> int | None:
        """The name of a near-duplicate that was added before."""
        if one is None:
            return None
        candidates: dict[int, None] = {}
        for value in one[:16].tolist():
            candidates.update(dict.fromkeys(self._where.get(value, ())[:8]))
        for candidate in candidates:
            if alike(one, self._sketches[candidate]) >= ALIKE:
                return self._names[candidate]
        return None

    def add(self, name: int, one: NDArray[np.uint64] | None) -> None:
        """Remember a text's sketch under a name."""
        if one is None:
            return
        for value in one[:16].tolist():
            self._where[value].append(len(self._sketches))
        self._sketches.append(one)
        self._names.append(name)


def alike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    """Estimated Jaccard similarity of two sketches; below ALIKE a bound of it."""
    shared = int((a[np.minimum(np.searchsorted(a, b), len(a) - 1)] == b).sum())
    most = shared / min(SKETCH, len(a) + len(b) - shared)
    if most < ALIKE:  # the estimate is no larger, and takes ten times as long
        return most
    both = np.union1d(a, b)[:SKETCH]
    return float(np.isin(both, a).__and__(np.isin(both, b)).mean())


def groups(items: Sequence[Item], modality: Modality) -> list[int]:
    """The key of each item's group of twins; of large data a sample is compared for likeness, all for equality."""
    keys = [key(item, modality) for item in items]
    twins = Twins()
    leader: dict[int, int] = {}
    every = max(1, len(items) // SKETCHED_ITEMS)
    for at in range(0, len(items), every):
        if keys[at] in leader or not isinstance(items[at].data, str):
            continue
        one = sketch(items[at].data)
        found = twins.match(one)
        leader[keys[at]] = keys[at] if found is None else leader[found]
        twins.add(keys[at], one)
    return [leader.get(k, k) for k in keys]


def together(keys: Sequence[int], groups: Sequence[str | None], share: float) -> tuple[list[int], list[str]]:
    """(keys, notes): records that were cut out of one recording (`Item.group`) get one key, so that they stay in one part.

    With fewer than RECORDINGS recordings that would leave too little to choose from: runs of neighbouring records, at most
    a quarter of a held-out part each, stay together instead."""
    names = {name for name in groups if name is not None}
    if not names:
        return list(keys), []
    cut = sum(name is not None for name in groups)
    whole = len(names) >= RECORDINGS
    run = len(keys) if whole else max(1, int(share * len(keys) / 4))
    seen: dict[str, int] = defaultdict(int)
    first: dict[tuple[str, int], int] = {}
    out = []
    for one, name in zip(keys, groups, strict=True):
        if name is not None:
            place = (name, seen[name] // run)
            seen[name] += 1
            one = first.setdefault(place, one)
        out.append(one)
    if whole:
        return out, [f"what was cut out of one of the {len(names)} recordings is in one part"]
    if 10 * cut < len(keys):
        return out, []
    recordings = "1 recording is" if len(names) == 1 else f"{len(names)} recordings are"
    return out, [
        f"{recordings} too few to hold whole ones out (fewer than {RECORDINGS}): runs of {run} neighbouring clips stay in one part"
    ]


def share_of(amount: float, enough: float) -> float:
    """The share of each held-out part: SHARE, and up to LARGEST where SHARE would be less than `enough`."""
    return float(np.clip(enough / max(amount, 1), SHARE, LARGEST))


def divide(keys: Sequence[int], sizes: Sequence[int], share: float, wanted: Sequence[int]) -> NDArray[np.uint8]:
    """(n,) parts. Groups in the order of their hash go to each wanted held-out part until it has its share of the sizes.

    What alone would make half of a held-out part stays in train: one huge file must not be the score.
    """
    which: dict[int, list[int]] = defaultdict(list)
    for at, one in enumerate(keys):
        which[one].append(at)
    names = np.fromiter(which, dtype=np.uint64, count=len(which))
    order = names[np.argsort(splitmix64(names), kind="stable")].tolist()
    total = sum(sizes)
    target = share * total
    most = max(target / 2, float(np.median(sizes))) if len(sizes) else 0.0
    parts = np.full(len(keys), TRAIN, dtype=np.uint8)
    filled = dict.fromkeys(wanted, 0)
    for one in order:
        open_parts = [part for part in wanted if filled[part] < target]
        size = sum(sizes[at] for at in which[one])
        if not open_parts:
            break
        if size <= most:
            parts[which[one]] = open_parts[0]
            filled[open_parts[0]] += size
    return parts


def by_relatives(
    kin: SequenceClusters, keys: Sequence[int], share: float, wanted: Sequence[int]
) -> tuple[NDArray[np.uint8], list[str]]:
    """(n,) parts: whole clusters of relatives to CLUSTERS (where TEST is wanted) and to half of VALIDATION, others at random
    to TEST and to the other half; and sentences on it."""
    n = len(keys)
    names = np.array(keys, dtype=np.uint64)
    target = share * n
    own = (target if TEST in wanted else 0.0) + (target / 2 if VALIDATION in wanted else 0.0)
    rank, large = kin.hold(np.argsort(splitmix64(names), kind="stable"), round(own), max(target / 2, 1.0))
    clusters, held = int(rank.max(initial=-1)) + 1, int((rank >= 0).sum())
    if clusters < LEAST or held < own / 3:
        return divide(keys, [1] * n, share, wanted), [_no_clusters(kin, clusters, held, large, held < own / 3)]
    parts = np.full(n, TRAIN, dtype=np.uint8)
    rest = np.flatnonzero(rank < 0)
    parts[rest] = divide(names[rest].tolist(), [1] * len(rest), share, wanted)
    parts[(parts == VALIDATION) & (splitmix64(names + np.uint64(1)) % 2 == 0)] = TRAIN  # the other half are clusters
    order = np.argsort(rank[rank >= 0], kind="stable")
    first = np.flatnonzero(rank >= 0)[order]
    ends = np.searchsorted(rank[first], np.arange(clusters), side="right")
    scored = int(ends[np.searchsorted(ends, target)]) if TEST in wanted and ends[-1] > target else 0
    scored = len(first) if TEST in wanted and VALIDATION not in wanted else scored
    parts[first[:scored]] = CLUSTERS
    parts[first[scored:]] = VALIDATION
    return parts, _clusters_said(kin, parts, large)


def _linked(kin: SequenceClusters) -> str:
    return f"linked by shared {kin.k}-mers over the smaller set, at least {kin.threshold:g}"


def _no_clusters(kin: SequenceClusters, clusters: int, held: int, large: int, few: bool) -> str:
    """A sentence on why no clusters are held out: most lie in larger ones (few), or those that could be are too few."""
    why = (
        f"{large / kin.n:.0%} of the sequences or more lie in clusters of relatives too large to be held out"
        if few
        else f"{held:,} sequences to hold out would be {clusters} cluster{'s' * (clusters != 1)} of relatives alone, and at "
        f"least {LEAST} are needed"
    )
    return (
        f"{why} ({_linked(kin)}, single linkage): all parts are drawn at random, and the figures hold for new members of the "
        "families in train, not for new families"
    )


def _clusters_said(kin: SequenceClusters, parts: NDArray[np.uint8], large: int) -> list[str]:
    """Sentences on clusters that are held out; large: sequences in those that are too large."""
    scored, what = int((parts == CLUSTERS).sum()), "figures of the part clusters hold"
    if scored:
        said = (
            f"{scored:,} of them are held out as whole clusters of relatives (part `clusters`; {_linked(kin)}), and half of "
            "validation is"
        )
    else:
        said = (
            f"half of validation is whole clusters of relatives ({_linked(kin)}); there is no part `clusters`, since the test "
            "part is the source's own"
        )
        what = "that half holds"
    notes = [said]
    if large > kin.n / 2:
        notes.append(
            f"at least {large / kin.n:.0%} of the sequences lie in clusters too large to be held out and stay in train: {what} "
            "for outlying relatives of these, not for an unrelated family"
        )
    return notes


def without_clusters(modality: Modality) -> list[str]:
    """A sentence where records may have relatives, but are too many to look for them."""
    if not modality.traits.max_cluster_bytes or modality.layout != "list":
        return []
    return [
        "there is no part `clusters`: clusters of relatives are looked for in up to "
        f"{modality.traits.max_cluster_bytes >> 20} MB of sequences; "
        "the figures hold for new members of the families in train, not for new families"
    ]


def check(
    parts: NDArray[np.uint8],
    carved: Sequence[int],
    what: str,
    different: int | None = None,
    refused: Sequence[Refusal] = (),
) -> None:
    """Raise DataError where train or a carved part is empty, or where fewer than LEAST `different` items were divided.

    what: what an item is called. different: groups of twins among what was divided; None where nothing was. refused: what
    else there was."""
    counts = np.bincount(parts, minlength=3)
    few = bool(carved) and different is not None and different < LEAST
    if few or any(counts[part] == 0 for part in (TRAIN, *carved)):
        said = "" if different in (None, len(parts)) else f" ({different} different, copies count once)"
        items = f"1 {what} is" if len(parts) == 1 else f"{len(parts)} {what}s{said} are"
        others = f" (others were refused: {named(refused)})" if refused else ""
        raise DataError(
            f"{items} too few to train on some and hold others out; give at least {LEAST} different ones{others}"
        )


def said(parts: NDArray[np.uint8], twins: int, by_size: bool) -> list[str]:
    """Sentences on a split by content into these parts. by_size: the held-out ones have their shares of the text."""
    items, counts = len(parts), np.bincount(parts, minlength=len(NAMES)).tolist()
    each = ", so that each has its share of the text" if by_size else ""
    where = [f"{n:,} to {name}" for name, n in zip(NAMES, counts, strict=True) if n]
    notes = [f"split at random by content{each}: of {items:,} items {', '.join(where)}"]
    if twins:
        notes.append(f"{twins:,} of {items:,} items repeat another or nearly so; such twins are in one part")
    return notes


def spans(documents: Sequence[Item], wanted: Sequence[int]) -> list[tuple[Item, int]]:
    """Pieces of the documents with their parts: in each of up to REGIONS equal regions the last shares are held out.

    Cuts are moved to the next line end (or space) where one is near. Raises DataError where a part would be empty.
    """
    total = sum(len(item.data) for item in documents)
    share = share_of(total, ENOUGH_CHARACTERS)
    regions = int(np.clip(total // REGION, 1, REGIONS))
    marks: list[tuple[int, int]] = []  # (position in the joined text, part that begins there)
    for region in range(regions):
        start, stop = total * region // regions, total * (region + 1) // regions
        marks.append((start, TRAIN))
        shares = [share * (STEERING if part == VALIDATION else 1.0) for part in wanted]
        for place, part in enumerate(wanted):
            marks.append((stop - round(sum(shares[place:]) * (stop - start)), part))
    pieces = _cut(documents, marks)
    if any(part not in {own for _, own in pieces} for part in (TRAIN, *wanted)):
        raise DataError(
            f"{total:,} characters of text are too few to train on some and hold others out; give more text"
        )
    return pieces


def _cut(documents: Sequence[Item], marks: Sequence[tuple[int, int]]) -> list[tuple[Item, int]]:
    pieces: list[tuple[Item, int]] = []
    offset, part, todo = 0, TRAIN, list(marks)
    total = sum(len(item.data) for item in documents)
    for item in documents:
        text, at = item.data, 0
        while at < len(text):
            while todo and todo[0][0] <= offset + at:
                part = todo.pop(0)[1]
            stop = len(text)
            if todo:
                mark, after = todo[0][0], todo[1][0] if len(todo) > 1 else total
                stop = min(_line_end(text, mark - offset, min(REACH, (after - mark) // 4)), len(text))
            stop = max(stop, at + 1)
            begins, ends = at == 0 and item.begins, stop == len(text) and item.ends
            pieces.append((replace(item, data=text[at:stop], begins=begins, ends=ends), part))
            at = stop
        offset += len(text)
    return pieces


def _line_end(text: str, at: int, reach: int) -> int:
    """Where the line (or word) ends that `at` lies in, if that is less than `reach` away; else `at`."""
    if at >= len(text):
        return len(text)
    for mark in ("\n", " "):
        found = text.find(mark, max(at - 1, 0), at + reach)
        if found >= 0:
            return found + 1
    return at
