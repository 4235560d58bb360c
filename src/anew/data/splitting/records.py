"""The records of blocks, read once before the split: what twins share, and what cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from anew.core import isolation
from anew.data.modality import Modality, each, reasons
from anew.data.sources.base import Block
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.types import Item, Refusal

CHECKED = 4096  # items up to which every header is checked in that pass
ALIKE_ITEMS = 2048  # items whose likeness (not only equality) is compared
BODIES = 4 * ALIKE_ITEMS  # that are read for it, where many cannot be used


def expanded(source: Source, block: Block, modality: Modality) -> Iterator[Item | Refusal]:
    """The records of a block; each item that cannot be expanded is one Refusal."""
    if type(modality).split_records is Modality.split_records:
        yield from source.read(block)
        return
    for one, records in each(modality, "split_records", source.read(block)):
        if isinstance(one, Refusal):
            yield one
        elif isinstance(records, ValueError):
            yield Refusal(one.name, str(records))
        else:
            yield from records


def content_key(item: Item) -> int:
    """What byte-equal twins share; pieces of one long text share its name."""
    return split.exact_key(item if item.begins and item.ends else Item(item.name, item.name))


def alike_keys(modality: Modality, items: Sequence[Item]) -> Iterator[int | ValueError]:
    """The same for near-copies too, as the modality's signature knows them; a ValueError (one clause) in the place of an item
    that cannot be used."""
    asked = [one for one in items if one.begins and one.ends and not isinstance(one.data, str)]
    signatures = isolation.each(modality, "signature", asked)
    for one in items:
        signature = next(signatures) if one.begins and one.ends and not isinstance(one.data, str) else None
        if isinstance(signature, ValueError):
            yield signature
        else:
            yield content_key(one) if signature is None else split.signature_key(signature)


class Records:
    """The usable records of the blocks that are divided, in order. where: (block, place in it) of each; lengths: records of
    each block, the refused ones too; sound: whether the body of each was read already."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.sizes: list[int] = []
        self.where: list[tuple[int, int]] = []
        self.classes: list[str] = []
        self.recordings: list[str | None] = []
        self.sound: list[bool] = []
        self.lengths: dict[int, int] = {}
        self.refusals: list[Refusal] = []
        self._bodies = 0  # that were read

    def read(self, source: Source, blocks: Sequence[Block], modality: Modality, train: Sequence[int]) -> None:
        """All of them; what cannot be used joins `refusals`."""
        check = sum(blocks[i].items for i in train) <= CHECKED
        by_size = modality.layout == "document"
        for number in train:
            length = 0
            for piece in isolation.pieces(expanded(source, blocks[number], modality)):
                usable = self._usable(modality, piece, check)
                alike = self._alike(modality, [one for one, fits in zip(piece, usable, strict=True) if fits])
                for at, (one, fits) in enumerate(zip(piece, usable, strict=True), length):
                    reason = self._take(one, next(alike), by_size) if fits and isinstance(one, Item) else None
                    if reason is not None:
                        self.refusals.append(Refusal(one.name, reason, one.group))
                    elif fits:
                        self.where.append((number, at))
                length += len(piece)
            self.lengths[number] = length

    def _usable(self, modality: Modality, piece: Sequence[Item | Refusal], check: bool) -> list[bool]:
        found = (
            reasons(modality, "validate_header", piece)
            if check
            else ((one, getattr(one, "reason", None)) for one in piece)
        )
        usable = []
        for one, reason in found:
            usable.append(reason is None)
            if reason is not None:
                self.refusals.append(Refusal(one.name, reason, one.group))
        return usable

    def _alike(self, modality: Modality, items: Sequence[Any]) -> Iterator[int | ValueError | None]:
        """The keys of these; None where no more are looked for."""
        most = min(BODIES - self._bodies, len(items)) if len(self.keys) < ALIKE_ITEMS else 0
        for found in alike_keys(modality, items[:most]):
            more = len(self.keys) < ALIKE_ITEMS
            self._bodies += more
            yield found if more else None
        while True:
            yield None

    def _take(self, one: Item, alike: int | ValueError | None, by_size: bool) -> str | None:
        if isinstance(alike, ValueError):
            return str(alike)
        self.keys.append(content_key(one) if alike is None else alike)
        self.sound.append(alike is not None)
        self.sizes.append(len(one.data) if by_size else 1)
        self.classes.append(one.label or "")
        self.recordings.append(one.group)
        return None
