"""What the JSON files of a checkpoint hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from anew.core.schema import NotNegative, Positive, Real, Record, Share, Whole

Digest = Annotated[str, StringConstraints(strict=True, pattern="^[0-9a-f]{64}$")]


class Manifest(Record):
    """SHA-256 of all files: what it does not name could be anything."""

    step: Whole
    sha256: Annotated[dict[str, Digest], Field(min_length=2, max_length=3)]

    @model_validator(mode="after")
    def _both(self) -> Manifest:
        if set(self.sha256) | {"buffers.safetensors"} != {"state.safetensors", "meta.json", "buffers.safetensors"}:
            raise ValueError(
                "sha256 must name state.safetensors, meta.json and, where there are any, buffers.safetensors"
            )
        return self


class Meta(Record):
    """Of `Trainer.state_dict` and `Validation.state`. spent: seconds of training so far; lr_scale: factor of the learning rate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: Whole
    examples: Whole
    lr_scale: Positive
    early_decay: Share | None
    updates: dict[str, Whole]
    spent: NotNegative
    validation: tuple[tuple[Whole, Real], ...] = ()
