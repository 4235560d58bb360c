"""The parts that a source names by its folders, such as train/ and test/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anew.data.sources.base import Shard
from anew.data.splitting import split


class NamedParts(NamedTuple):
    """The parts that a source names by its folders.

    Attributes:
        numbers: Part number by the name that folders give; None for files outside named folders.
        to_split_off: Parts that are taken from train, since the source has none of their names.
        notes: Sentences on what that means.
    """

    numbers: dict[str | None, int]
    to_split_off: list[int]
    notes: list[str]


def parts_by_name(shards: Sequence[Shard]) -> NamedParts:
    """The parts of shards. Files outside named parts go to train. If all names are of held-out parts, with nothing to train on,
    they are ignored."""
    parts = {shard.part for shard in shards if shard.part is not None}
    code: dict[str | None, int] = {None: split.TRAIN, "train": split.TRAIN}
    held_parts = [split.VALIDATION, split.TEST]
    if not parts - {"train"}:
        return NamedParts(code, held_parts, [])
    if all(shard.part not in (None, "train") for shard in shards):
        note = (
            f"There is only a {' and a '.join(sorted(parts))} part and none for training, so all of it is split again."
        )
        return NamedParts(dict.fromkeys([None, *split.NAMES], split.TRAIN), held_parts, [note])
    if parts >= {"validation", "test"}:
        code |= {"validation": split.VALIDATION, "test": split.TEST}
        return NamedParts(code, [], ["The source's own train, validation and test parts are kept."])
    if "test" in parts:
        code["test"] = split.TEST
        note = "The source's own test part is kept; validation is split off from train."
        return NamedParts(code, [split.VALIDATION], [note])
    code["validation"] = split.TEST
    note = (
        "The source's own validation part is what gets scored (test); another validation part is split off from train."
    )
    return NamedParts(code, [split.VALIDATION], [note])
