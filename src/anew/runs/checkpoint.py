"""Contents of the JSON files of a checkpoint."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from anew.core.schema import NotNegative, Positive, Real, Record, Share, Whole

Digest = Annotated[str, StringConstraints(strict=True, pattern="^[0-9a-f]{64}$")]


SHARD = re.compile(r"shards/[\w.-]{1,100}\.(safetensors|json)")
# Files of a checkpoint: more than any number of processes writes; one from somebody else may have any number.
MAX_FILES = 100_000


class CheckpointManifest(Record):
    """SHA-256 of all files of a checkpoint. No other file is read."""

    step: Whole
    sha256: Annotated[dict[str, Digest], Field(min_length=2, max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _both(self) -> CheckpointManifest:
        if self.is_sharded:
            if any(name != "meta.json" and not SHARD.fullmatch(name) for name in self.sha256):
                raise ValueError("sha256 must name meta.json and the files of shards/")
        elif set(self.sha256) | {"buffers.safetensors"} != {"state.safetensors", "meta.json", "buffers.safetensors"}:
            raise ValueError(
                "sha256 must name state.safetensors, meta.json and, where there are any, buffers.safetensors"
            )
        return self

    @property
    def is_sharded(self) -> bool:
        """Whether each process wrote its own part."""
        return "meta.json" in self.sha256 and "state.safetensors" not in self.sha256


class Meta(Record):
    """Checks a `CheckpointMeta`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: Whole
    examples: Whole
    lr_scale: Positive
    overcome_at: Whole = 0
    num_restores: Whole = 0
    early_decay: Share | None
    updates: dict[str, Whole]
    spent: NotNegative
    length: NotNegative | None = None
    validation: tuple[tuple[Whole, Real], ...] = ()
