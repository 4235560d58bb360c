"""How a streamed source is divided without reading all of it: by content where a pass is cheap, else by whole blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anew.data.modality import Modality, reasons
from anew.data.skipped import Refusals
from anew.data.sources.base import Block
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.records import ALIKE_ITEMS, Records, content_key, expanded
from anew.data.types import Item, Refusal
from anew.errors import DataError

PASS_ITEMS = 20_000  # items, and
PASS_BYTES = 256 * 1024 * 1024  # bytes, up to which every item is hashed once before training
STREAM_BYTES = 4 * 1024**3  # the same of files that stay where they lie: of large ones little is read
HELD_BLOCKS = {split.VALIDATION: 8, split.TEST: 16}  # of a source too large for a pass: 2,048 and 4,096 images
OWN_BLOCKS = 40  # blocks of the user's own held-out parts that are read, evenly spread
LOOKED = 4  # blocks of lines that are counted where none has to be read
EMPTY = 32_768  # records of blocks without anything usable that are read before the split
ROUNDS = 16  # of drawing what is held out and reading it, where much of it turns out to be unusable
SPREAD = 16  # records of a block that show whether it holds anything usable
OUT = 255  # the part of an item that was refused


def wanted_parts(blocks: Sequence[Block]) -> tuple[dict[str | None, int], list[int], list[str]]:
    """(part number by the name that folders give, parts to carve from train, notes).

    What lies outside named parts goes to train. Held-out names alone, with nothing to train on, do not count.
    """
    named = {block.part for block in blocks if block.part is not None}
    code: dict[str | None, int] = {None: split.TRAIN, "train": split.TRAIN}
    both = [split.VALIDATION, split.TEST]
    if not named - {"train"}:
        return code, both, []
    if all(block.part not in (None, "train") for block in blocks):
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
    """parts: a part number a block, or one for each of its records (OUT: refused). classes: train items by class name.
    each: records that an item of the listing holds, where blocks are not counted.

    drawn: carved items were drawn one by one, not by whole blocks or
    recordings. held: keys of carved items of other blocks; twins: sketches of the same; a train item like them is dropped.
    """

    parts: list[int | NDArray[np.uint8]]
    carve: list[int] = field(default_factory=list)
    drawn: bool = True
    held: set[int] = field(default_factory=set)
    twins: split.Twins = field(default_factory=split.Twins)
    classes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    each: float = 1.0

    def items(self, block: int, listed: int, part: int) -> float:
        """How many records of the part a block of so many listed items holds, estimated where it was not read."""
        own = self.parts[block]
        return listed * self.each * float(own == part) if isinstance(own, int) else float((own == part).sum())

    def share(self, block: int, part: int) -> float:
        """The share of a block's records that belong to the part."""
        own = self.parts[block]
        return float(own == part) if isinstance(own, int) else float((own == part).mean()) if len(own) else 0.0

    def repeats(self, item: Item, modality: Modality) -> bool:
        """Whether a train item is a twin of a carved one."""
        if not self.held:
            return False
        if content_key(item) in self.held:
            return True
        return isinstance(item.data, str) and self.twins.match(split.sketch(item.data)) is not None

    def counts(self, blocks: Sequence[Block]) -> dict[str, int]:
        """Items by part, estimated where blocks are not counted."""
        return {
            name: round(sum(self.items(b, blocks[b].items, part) for b in range(len(blocks))))
            for part, name in enumerate(split.NAMES[: split.CLUSTERS])
        }


def divide(source: Source, blocks: Sequence[Block], modality: Modality) -> Division:
    """Decide every block's parts. Raises DataError where there is too little to divide."""
    code, carve, notes = wanted_parts(blocks)
    base = [code[block.part] for block in blocks]
    for part in {split.VALIDATION, split.TEST} & set(base):
        if base.count(part) > OWN_BLOCKS:
            notes.append(
                f"of the large {split.NAMES[part]} part {OWN_BLOCKS} of {base.count(part)} blocks are read, evenly spread"
            )
    out = Division(list(base), carve, notes=notes)
    listed = modality.layout == "list"
    train = [i for i, part in enumerate(base) if part == split.TRAIN]
    if not carve:
        if listed:  # how many lines a block has, from some of them
            some = train[:: max(1, len(train) // LOOKED)]
            records = sum(isinstance(one, Item) for b in some for one in expanded(source, blocks[b], modality))
            out.each = max(records / max(sum(blocks[b].items for b in some), 1), 1.0)
        return out
    notes += split.without_clusters(modality)
    items = sum(blocks[i].items for i in train)
    most = STREAM_BYTES if modality.traits.reads_file_slices else PASS_BYTES
    cheap = items <= PASS_ITEMS and sum(blocks[i].bytes for i in train) <= most
    # Pieces of one large document are no documents of their own.
    documents = items - sum(blocks[i].continues for i in train)
    few_texts = modality.layout == "document" and documents < split.FEW
    if (cheap and not listed and not few_texts) or len(train) < 8:
        _by_content(source, blocks, modality, train, out)
    else:
        _by_blocks(source, blocks, modality, train, out)
    return out


def _by_content(
    source: Source, blocks: Sequence[Block], modality: Modality, train: Sequence[int], out: Division
) -> None:
    found = Records()
    found.read(source, blocks, modality, train)
    out.refusals += found.refusals
    bodies, tells = _Bodies(source, blocks, modality, found, out), _tells(modality)
    if tells:
        bodies.empty_blocks()
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
    _enough(left, out, source.refusals, modality.traits.singular, len(left) - twins)
    for number in train:
        out.parts[number] = np.full(found.lengths[number], OUT, dtype=np.uint8)
    for (number, at), part in zip(found.where, parts.tolist(), strict=True):
        out.parts[number][at] = part  # type: ignore[index]
    out.classes = Counter(found.classes[i] for i in np.flatnonzero(parts == split.TRAIN))
    out.notes += split.said(left, twins, modality.layout == "document") + notes
    if len(found.keys) > ALIKE_ITEMS:
        out.notes.append(f"copies that are not byte for byte the same were looked for among {ALIKE_ITEMS} items only")


def _enough(parts: NDArray[np.uint8], out: Division, others: Sequence[Refusal], what: str, different: int) -> None:
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
        self, source: Source, blocks: Sequence[Block], modality: Modality, found: Records, out: Division
    ) -> None:
        self._source, self._blocks, self._modality, self._found, self._out = source, blocks, modality, found, out
        self._seen = np.array(found.sound, dtype=bool)
        self.parts = np.full(len(found.keys), split.TRAIN, dtype=np.uint8)

    @property
    def usable(self) -> NDArray[np.intp]:
        """Numbers of what is left to divide."""
        return np.flatnonzero(self.parts != OUT)

    def empty_blocks(self) -> None:
        """Read all of those blocks of which a few records, evenly spread, show nothing usable."""
        block_of = np.array([number for number, _ in self._found.where], dtype=np.int64)
        left = EMPTY
        for number in np.unique(block_of[~self._seen]).tolist():
            todo = np.flatnonzero(~self._seen & (block_of == number))
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
        for number in sorted({block for block, _ in number_of}):
            records = enumerate(expanded(self._source, self._blocks[number], self._modality))
            wanted = [(at, one) for at, one in records if (number, at) in number_of]
            found = reasons(self._modality, "validate_body", [one for _, one in wanted])
            for (at, _), (one, reason) in zip(wanted, found, strict=True):
                if reason is not None:
                    bad.append(number_of[number, at])
                    self._out.refusals.append(Refusal(one.name, reason, one.group))
        self.parts[bad] = OUT
        return len(bad)


def _tells(modality: Modality) -> bool:
    return type(modality).validate_body is not Modality.validate_body


def holds(modality: Modality, records: Sequence[Item]) -> bool:
    """Whether a few records, evenly spread, show one that can be used; always, where the modality does not tell."""
    if not _tells(modality):
        return True
    some = [records[place] for place in _spread(len(records))]
    return any(reason is None for _, reason in reasons(modality, "validate_body", some))


def _spread(n: int) -> NDArray[np.intp]:
    """A few of n places, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(SPREAD, n)).round().astype(np.intp))


def _by_blocks(
    source: Source, blocks: Sequence[Block], modality: Modality, train: Sequence[int], out: Division
) -> None:
    """Whole blocks are held out, drawn by the hash of their names; twins of theirs are dropped from train as they turn up."""
    order = _order(blocks, train, modality)
    records = listed = 0
    items = sum(blocks[i].items for i in train)
    for part in out.carve:
        n = min(max(1, round(split.SHARE * len(train))), HELD_BLOCKS[part])
        drawn = _with_content(source, blocks, modality, order, n)
        for number in drawn:
            out.parts[number] = part
            records += _remember(source, blocks[number], modality, out)
            listed += blocks[number].items
        order = [number for number in order if number not in drawn]
    out.each = max(records / max(listed, 1), 1.0)
    held = sum(blocks[i].items for i in train if out.parts[i] != split.TRAIN)
    names = " and ".join(split.NAMES[part] for part in out.carve)
    out.notes.append(
        f"too large for a first pass: {len(train) - len(order)} of {len(train)} blocks ({held / items:.1%}), drawn at random, "
        f"go to {names}; what repeats an item of theirs is dropped from train; the rest is read in random order, so that what "
        "a budget cannot read is missed at random"
    )


def _with_content(
    source: Source, blocks: Sequence[Block], modality: Modality, order: Sequence[int], n: int
) -> list[int]:
    """The first n blocks of those that hold something usable, as far as that is cheap to tell."""
    if not _tells(modality):
        return list(order[:n])
    held: list[int] = []
    for number in order:
        records = [one for one in expanded(source, blocks[number], modality) if isinstance(one, Item)]
        if holds(modality, records):
            held.append(number)
        if len(held) == n:
            return held
    return held or list(order[:n])


def _order(blocks: Sequence[Block], train: Sequence[int], modality: Modality) -> list[int]:
    """Blocks in random order; of recordings in parts, where there are many, the parts of one lie side by side."""
    first, name = {}, ""
    for i in train:
        name = name if blocks[i].continues else blocks[i].name
        first[i] = name
    whole = modality.traits.reads_file_slices and len(set(first.values())) >= split.RECORDINGS
    return sorted(train, key=lambda i: (split.name_hash(first[i] if whole else blocks[i].name), i))


def _remember(source: Source, block: Block, modality: Modality, out: Division) -> int:
    """Keep what twins of a block's records would share; returns how many records it holds."""
    records = 0
    for one in expanded(source, block, modality):
        records += isinstance(one, Item)
        if isinstance(one, Item) and one.begins and one.ends:
            key = content_key(one)
            out.held.add(key)
            if isinstance(one.data, str):
                out.twins.add(key, split.sketch(one.data))
    return records
