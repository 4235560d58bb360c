"""`POST /v1/score`: how likely texts, or files of images, sound and clips, are under a model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from anew.core.specs import Tokens
from anew.errors import ConfigError, DataError, ItemError
from anew.sampling.class_mixture import class_notes
from anew.sampling.model import Model
from anew.server.bodies import ScoreBody
from anew.server.catalog import CatalogEntry
from anew.server.faults import bad_request
from anew.server.items import class_of
from anew.server.limits import MAX_SCORED
from anew.server.worker import Channel, Work


@dataclass(frozen=True, slots=True)
class ItemBits:
    """The score of one item."""

    index: int
    bits: float
    units: float
    tokens: int


class ScoreWork(Work):
    """Items to score, one after another, so that a disconnected client is noticed between two."""

    def __init__(self, items: Sequence[str | bytes], label: str | None, channel: Channel[object]) -> None:
        super().__init__()
        self.items, self.label, self.channel, self.size = items, label, channel, 1

    def batch_key(self) -> Hashable:
        return None

    def run(self, model: Model, group: Sequence[Work]) -> None:
        for index, item in enumerate(self.items):
            if self.channel.is_cancelled:
                return
            try:
                scores = model.score([item], label=self.label)
            except ItemError as error:
                raise bad_request(f"item {index + 1}: {error.reason}", "input") from None
            except (ConfigError, DataError) as error:
                raise bad_request(str(error), "input") from None
            self.channel.put(ItemBits(index, scores.bits, scores.units, scores.tokens))


def score_work(body: ScoreBody, entry: CatalogEntry) -> ScoreWork:
    """The work of a body; ApiError 400 if its items or its label do not fit the model."""
    if not entry.has_likelihood:
        raise bad_request(
            f"the model {entry.name!r} ({entry.family}) has no likelihood, so it cannot score items", "model"
        )
    label = class_of(entry, {"label": body.label})
    if label is not None and not entry.mixed_classes:
        raise bad_request(f"the bits of this model ({entry.family}) are those of all classes; leave label out", "label")
    return ScoreWork(_items_of(body, entry), label, Channel())


def _items_of(body: ScoreBody, entry: CatalogEntry) -> list[str | bytes]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    if any(not text for text in texts):
        raise bad_request("input must not be empty", "input")
    if isinstance(entry.spec, Tokens):
        if sum(map(len, texts)) > MAX_SCORED:
            raise bad_request(
                f"input may have at most {MAX_SCORED:,} characters in all; send several requests", "input"
            )
        return list(texts)
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except (binascii.Error, ValueError):
        message = f"this model scores {entry.modality.traits.plural}: input must hold files as base64"
        raise bad_request(message, "input") from None


async def score_answer(work: ScoreWork, entry: CatalogEntry) -> dict[str, object]:
    """The answer, once all items are scored."""
    data: list[dict[str, object]] = []
    bits = units = 0.0
    while len(data) < len(work.items):
        item = await work.channel.get()
        assert isinstance(item, ItemBits)
        bits, units = bits + item.bits, units + item.units
        row = {"index": item.index, "bits": item.bits, "units": item.units, "tokens": item.tokens}
        data.append(row | {"bits_per_unit": item.bits / item.units if item.units else None})
    return {
        "object": "list",
        "model": entry.name,
        "unit": entry.modality.unit,
        "bound": "exact" if isinstance(entry.spec, Tokens) else "an upper bound",
        "bits_per_unit": bits / units if units else None,
        "notes": class_notes(
            len(data) if entry.mixed_classes and work.label is None else 0, len(data), entry.mixed_classes
        ),
        "data": data,
    }
