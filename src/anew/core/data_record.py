"""The state of a data set as a run keeps it: `data` writes and restores it, `runs` checks it in config.json."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from anew.core.schema import Count, Flag, Name, Positive, Real, Record, Text, Whole


class DataRecord(Record):
    """All that opening the same data again needs.

    Attributes:
        seed: Seed of the order and of all draws.
        asked: Whether the user named it.
        learned: Its own state, which it checks.
        rates: Figures from which numbers of examples and units are estimated where data streams; {} where it is read whole.
        fingerprint: Of the listing: other data has another.
        content: Digest of the contents, as far as it is cheap to compute; None in runs of older versions, and where the data stays
            in a store that does not say whether files changed.
        parts: Number of items of each part.
        row_steps: For each shard the n of "one row in n is read"; 0 if none is, since the budget left no time for more. [] if all rows are
            read.
        balances_classes: Whether recordings were held out so that each class has its share; not in runs of older versions, and not
            where items are held out one by one.
        draws_records: Whether records of a list too large for a pass were held out one by one; not in runs of older versions, which held
            out whole shards.
        splits_near_duplicates: Whether near-duplicates were held out one by one, as they are usual in this data; not in runs of older
            versions.
        validates_at_random: Whether validation sequences were drawn at random beside whole clusters of relatives; not in runs of older
            versions, which drew half of them.
        signature_version: Version of the signatures by which near-duplicates were found; 1 in runs of older versions.
        refused: Number of items that could not be used.
        refusals: The first of them, with reasons.
        seconds: The budget that the data was fitted for, None without one.
    """

    path: Text
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)]
    modality: Name
    asked: Flag
    config: dict[str, object]
    learned: dict[str, object]
    labels: list[Text]
    rates: dict[Text, Real]
    fingerprint: Text
    content: Text | None = None
    parts: dict[Text, Whole]
    row_steps: list[Whole] = Field(default_factory=list)
    balances_classes: Flag = False
    draws_records: Flag = False
    splits_near_duplicates: Flag = False
    validates_at_random: Flag = False
    signature_version: Count = 1
    notes: list[Text]
    refused: Whole
    refusals: list[Text]
    seconds: Positive | None

    @model_validator(mode="before")
    @classmethod
    def _without_unread(cls, value: object) -> object:
        # `unread` of older versions: the shards that were left out, mostly none
        if not isinstance(value, dict) or "unread" not in value:
            return value
        if value["unread"] != []:
            raise ValueError("an older version of anew left out shards of this data, and this version leaves out rows")
        return {name: field for name, field in value.items() if name != "unread"}
