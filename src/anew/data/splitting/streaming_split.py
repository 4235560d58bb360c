"""How a streamed source is divided without reading all of it: by content where a pass is cheap, else by whole shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anew.data.modality import Modality, reasons
from anew.data.skipped import Refusals
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.records import ALIKE_ITEMS, Records, content_key, expanded
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

PASS_ITEMS = 20_000  # items, and
PASS_BYTES = 256 * 1024 * 1024  # bytes, up to which every item is hashed once before training
STREAM_BYTES = 4 * 1024**3  # the same of files that stay where they lie: of large ones little is read
HELD_SHARDS = {split.VALIDATION: 8, split.TEST: 16}  # of a source too large for a pass: 2,048 and 4,096 images
OWN_SHARDS = 40  # shards of the user's own held-out parts that are read, evenly spread
LOOKED = 4  # shards of lines that are counted where none has to be read
EMPTY = 32_768  # records of shards without anything usable that are read before the split
ROUNDS = 16  # of drawing what is held out and reading it, where much of it turns out to be unusable
SPREAD = 16  # records of a shard that show whether it holds anything usable
OUT = 255  # the part of an item that was refused


def wanted_parts(shards: Sequence[Shard]) -> tuple[dict[str | None, int], list[int], list[str]]:
    """(part number by the name that folders give, parts to carve from train, notes).

    What lies outside named parts goes to train. Held-out names alone, with nothing to train on, do not count.
    """
    named = {shard.part for shard in shards if shard.part is not None}
    code: dict[str | None, int] = {None: split.TRAIN, "train": split.TRAIN}
    both = [split.VALIDATION, split.TEST]
    if not named - {"train"}:
        return code, both, []
    if all(shard.part not in (None, "train") for shard in shards):
        note = f"there is only a {' and a '.join(sorted(named))} part and none for training; all of it is split anew"
        return dict.fromkeys([None, *split.NAMES], split.TRAIN), both, [note]
    if named >= {"validation", "test"}:
        code |= {"validation": split.VALIDATION, "test": split.TEST}
        return code, [], ["the source's own train, validation and test parts are kept"]
    if "test" in named:
        code["test"] = split.TEST
        return code, [split.VALIDATION], ["the source's own test part is kept; validation is carved from train"]
    code["validation"] = split.TEST
    note = "the source's own validation part is what gets scored (test); another validation part is carved from train"
    return code, [split.VALIDATION], [note]


@dataclass(slots=True)
class Division:
    """parts: a part number a shard, or one for each of its records (OUT: refused). classes: train items by class name.
    each: records that an item of the listing holds, where shards are not counted.

    drawn: carved items were drawn one by one, not by whole shards or
    recordings. held: keys of carved items of other shards; twins: sketches of the same; a train item like them is dropped.
    """

    parts: list[int | NDArray[np.uint8]]
    carve: list[int] = field(default_factory=list)
    drawn: bool = True
    held: set[int] = field(default_factory=set)
    twins: split.Twins = field(default_factory=split.Twins)
    classes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    refusals: list[SkippedItem] = field(default_factory=list)
    each: float = 1.0

    def items(self, shard: int, listed: int, part: int) -> float:
        """How many records of the part a shard of so many listed items holds, estimated where it was not read."""
        own = self.parts[shard]
        return listed * self.each * float(own == part) if isinstance(own, int) else float((own == part).sum())

    def share(self, shard: int, part: int) -> float:
        """The share of a shard's records that belong to the part."""
        own = self.parts[shard]
        return float(own == part) if isinstance(own, int) else float((own == part).mean()) if len(own) else 0.0

    def repeats(self, item: Item, modality: Modality) -> bool:
        """Whether a train item is a twin of a carved one."""
        if not self.held:
            return False
        if content_key(item) in self.held:
            return True
        return isinstance(item.data, str) and self.twins.match(split.sketch(item.data)) is not None

    def counts(self, shards: Sequence[Shard]) -> dict[str, int]:
        """Items by part, estimated where shards are not counted."""
        return {
            name: round(sum(self.items(b, shards[b].items, part) for b in range(len(shards))))
            for part, name in enumerate(split.NAMES[: split.TEST_CLUSTERS])
        }


def divide(source: Source, shards: Sequence[Shard], modality: Modality) -> Division:
    """Decide every shard's parts. Raises DataError where there is too little to divide."""
    code, carve, notes = wanted_parts(shards)
    base = [code[shard.part] for shard in shards]
    for part in {split.VALIDATION, split.TEST} & set(base):
        if base.count(part) > OWN_SHARDS:
            notes.append(
                f"of the large {split.NAMES[part]} part {OWN_SHARDS} of {base.count(part)} shards are read, evenly spread"
            )
    out = Division(list(base), carve, notes=notes)
    listed = getattr(modality, "layout", "") == "list"
    train = [i for i, part in enumerate(base) if part == split.TRAIN]
    if not carve:
        if listed:  # how many lines a shard has, from some of them
            some = train[:: max(1, len(train) // LOOKED)]
            records = sum(isinstance(one, Item) for b in some for one in expanded(source, shards[b], modality))
            out.each = max(records / max(sum(shards[b].items for b in some), 1), 1.0)
        return out
    notes += split.without_clusters(modality)
    items = sum(shards[i].items for i in train)
    most = STREAM_BYTES if modality.streams else PASS_BYTES
    cheap = items <= PASS_ITEMS and sum(shards[i].bytes for i in train) <= most
    # Pieces of one large document are no documents of their own.
    documents = items - sum(shards[i].continues for i in train)
    few_texts = getattr(modality, "layout", "") == "document" and documents < split.FEW
    if (cheap and not listed and not few_texts) or len(train) < 8:
        _by_content(source, shards, modality, train, out)
    else:
        _by_shards(source, shards, modality, train, out)
    return out


def _by_content(
    source: Source, shards: Sequence[Shard], modality: Modality, train: Sequence[int], out: Division
) -> None:
    found = Records()
    found.read(source, shards, modality, train)
    out.refusals += found.refusals
    bodies, tells = _Bodies(source, shards, modality, found, out), _tells(modality)
    if tells:
        bodies.empty_shards()
    own = bodies.usable
    share = split.share_of(len(own), split.ENOUGH)
    recordings = [found.recordings[i] for i in own]
    runs, notes = split.together([found.keys[i] for i in own], recordings, share)
    out.drawn = 10 * sum(name is not None for name in recordings) < len(recordings)
    kept = dict(zip(own.tolist(), runs, strict=True))
    for _ in range(ROUNDS):
        own = bodies.usable
        bodies.parts[own] = split.divide([kept[i] for i in own], [found.sizes[i] for i in own], share, out.carve)
        if not tells or not bodies.held():
            break
    parts = bodies.parts
    left = parts[parts != OUT]
    twins = len(left) - len({one for one, part in zip(found.keys, parts.tolist(), strict=True) if part != OUT})
    _enough(left, out, source.refusals, modality.called(), len(left) - twins)
    for number in train:
        out.parts[number] = np.full(found.lengths[number], OUT, dtype=np.uint8)
    for (number, at), part in zip(found.where, parts.tolist(), strict=True):
        out.parts[number][at] = part  # type: ignore[index]
    out.classes = Counter(found.classes[i] for i in np.flatnonzero(parts == split.TRAIN))
    out.notes += split.said(left, twins, getattr(modality, "layout", "") == "document") + notes
    if len(found.keys) > ALIKE_ITEMS:
        out.notes.append(f"copies that are not byte for byte the same were looked for among {ALIKE_ITEMS} items only")


def _enough(parts: NDArray[np.uint8], out: Division, others: Sequence[SkippedItem], what: str, different: int) -> None:
    """Raise DataError where too little is left to divide, with what was refused first."""
    refused = Refusals()
    refused.add([*out.refusals, *others])
    if not len(parts) and refused.count:
        raise DataError(f"none of the {refused.count} {what}s can be used{refused.said()}")
    try:
        split.check(parts, out.carve, what, different)
    except DataError as error:
        more = f" ({refused.count} more cannot be used{refused.said()})" if refused.count else ""
        raise DataError(f"{error}{more}") from None


class _Bodies:
    """Reads records whose bodies were not read yet; what cannot be used is refused. parts: of all records; OUT of those."""

    def __init__(
        self, source: Source, shards: Sequence[Shard], modality: Modality, found: Records, out: Division
    ) -> None:
        self._source, self._shards, self._modality, self._found, self._out = source, shards, modality, found, out
        self._seen = np.array(found.sound, dtype=bool)
        self.parts = np.full(len(found.keys), split.TRAIN, dtype=np.uint8)

    @property
    def usable(self) -> NDArray[np.intp]:
        """Numbers of what is left to divide."""
        return np.flatnonzero(self.parts != OUT)

    def empty_shards(self) -> None:
        """Read all of those shards of which a few records, evenly spread, show nothing usable."""
        shard_of = np.array([number for number, _ in self._found.where], dtype=np.int64)
        left = EMPTY
        for number in np.unique(shard_of[~self._seen]).tolist():
            todo = np.flatnonzero(~self._seen & (shard_of == number))
            some = todo[_spread(len(todo))]
            if self.read(some) == len(some) and len(todo) <= left:
                self.read(todo[~self._seen[todo]])
                left -= len(todo)

    def held(self) -> int:
        """Read what is held out."""
        return self.read(np.flatnonzero(~self._seen & (self.parts != split.TRAIN) & (self.parts != OUT)))

    def read(self, todo: NDArray[np.intp]) -> int:
        """Read these; how many cannot be used."""
        self._seen[todo] = True
        number_of = {self._found.where[i]: i for i in todo.tolist()}
        bad: list[int] = []
        for number in sorted({shard for shard, _ in number_of}):
            records = enumerate(expanded(self._source, self._shards[number], self._modality))
            wanted = [(at, one) for at, one in records if (number, at) in number_of]
            found = reasons(self._modality, "damage", [one for _, one in wanted])
            for (at, _), (one, reason) in zip(wanted, found, strict=True):
                if reason is not None:
                    bad.append(number_of[number, at])
                    self._out.refusals.append(SkippedItem(one.name, reason, one.group))
        self.parts[bad] = OUT
        return len(bad)


def _tells(modality: Modality) -> bool:
    return type(modality).damage is not Modality.damage


def holds(modality: Modality, records: Sequence[Item]) -> bool:
    """Whether a few records, evenly spread, show one that can be used; always, where the modality does not tell."""
    if not _tells(modality):
        return True
    some = [records[place] for place in _spread(len(records))]
    return any(reason is None for _, reason in reasons(modality, "damage", some))


def _spread(n: int) -> NDArray[np.intp]:
    """A few of n places, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(SPREAD, n)).round().astype(np.intp))


def _by_shards(
    source: Source, shards: Sequence[Shard], modality: Modality, train: Sequence[int], out: Division
) -> None:
    """Whole shards are held out, drawn by the hash of their names; twins of theirs are dropped from train as they turn up."""
    order = _order(shards, train, modality)
    records = listed = 0
    items = sum(shards[i].items for i in train)
    for part in out.carve:
        n = min(max(1, round(split.SHARE * len(train))), HELD_SHARDS[part])
        drawn = _with_content(source, shards, modality, order, n)
        for number in drawn:
            out.parts[number] = part
            records += _remember(source, shards[number], modality, out)
            listed += shards[number].items
        order = [number for number in order if number not in drawn]
    out.each = max(records / max(listed, 1), 1.0)
    held = sum(shards[i].items for i in train if out.parts[i] != split.TRAIN)
    names = " and ".join(split.NAMES[part] for part in out.carve)
    out.notes.append(
        f"too large for a first pass: {len(train) - len(order)} of {len(train)} shards ({held / items:.1%}), drawn at random, "
        f"go to {names}; what repeats an item of theirs is dropped from train; the rest is read in random order, so that what "
        "a budget cannot read is missed at random"
    )


def _with_content(
    source: Source, shards: Sequence[Shard], modality: Modality, order: Sequence[int], n: int
) -> list[int]:
    """The first n shards of those that hold something usable, as far as that is cheap to tell."""
    if not _tells(modality):
        return list(order[:n])
    held: list[int] = []
    for number in order:
        records = [one for one in expanded(source, shards[number], modality) if isinstance(one, Item)]
        if holds(modality, records):
            held.append(number)
        if len(held) == n:
            return held
    return held or list(order[:n])


def _order(shards: Sequence[Shard], train: Sequence[int], modality: Modality) -> list[int]:
    """Shards in random order; of recordings in parts, where there are many, the parts of one lie side by side."""
    first, name = {}, ""
    for i in train:
        name = name if shards[i].continues else shards[i].name
        first[i] = name
    whole = modality.streams and len(set(first.values())) >= split.RECORDINGS
    return sorted(train, key=lambda i: (split.name_hash(first[i] if whole else shards[i].name), i))


def _remember(source: Source, shard: Shard, modality: Modality, out: Division) -> int:
    """Keep what twins of a shard's records would share; returns how many records it holds."""
    records = 0
    for one in expanded(source, shard, modality):
        records += isinstance(one, Item)
        if isinstance(one, Item) and one.begins and one.ends:
            key = content_key(one)
            out.held.add(key)
            if isinstance(one.data, str):
                out.twins.add(key, split.sketch(one.data))
    return records
