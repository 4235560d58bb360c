"""Bodies of requests to the Studio that start and stop commands, and the types of their fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

from anew.core.settings import EXACT_INT
from anew.planning.request import MAX_MEASURED
from anew.server.limits import Limits

LIMITS = Limits(body_bytes=2**18)
ShortText = Annotated[str, Strict(), Field(min_length=1, max_length=1000)]
# Larger seeds would arrive as others: a browser holds whole numbers as floats.
Seed = Annotated[int, Strict(), Field(ge=0, le=EXACT_INT - 1)]
SampleCount = Annotated[int, Strict(), Field(ge=1, le=MAX_MEASURED)]
Settings = dict[ShortText, Annotated[str, Strict(), Field(max_length=1000)]]


class StudioBody(BaseModel):
    """A body that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainBody(StudioBody):
    """A new training run. data: name of a file or folder below the start folder; the other fields are as in `anew.train`."""

    data: ShortText
    budget: ShortText | None = None
    steps: Annotated[int, Strict()] | None = None
    family: ShortText | None = None
    modality: ShortText | None = None
    prefer: ShortText = "quality"
    seed: Seed = 0
    settings: Settings = {}


class RunBody(StudioBody):
    """run: Name of a run."""

    run: ShortText


class ResumeBody(RunBody):
    """budget: Additional time."""

    budget: ShortText | None = None


class AgainBody(RunBody):
    """seed: Seed of the new run."""

    seed: Seed


class EvaluateBody(RunBody):
    """n: Number of samples. data: Where the run's data lies now, if it was moved."""

    n: SampleCount
    data: ShortText | None = None


class EvaluateSamplesBody(RunBody):
    """run: The run whose data the samples are compared with. samples, held_out: Names below the start folder."""

    samples: ShortText
    held_out: ShortText | None = None
    n: SampleCount


class CompareBody(StudioBody):
    """runs: Names of runs."""

    runs: list[ShortText]
