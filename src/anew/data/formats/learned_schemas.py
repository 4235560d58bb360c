"""Schemas of the learned state of modalities in runs: types and ranges are checked before anything is built from it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from anew.core.schema import Count, Flag, Positive, Real, Record, Text, Whole, checked
from anew.data.formats.images.pixel_matching import PixelMatching
from anew.data.formats.sound.clip_levels import ClipLevels

if TYPE_CHECKING:
    from anew.functional.band_levels import BandLevels
    from anew.functional.steadiness import Stage

Side = Annotated[int, Field(strict=True, ge=1, le=2**16)]
Share = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]
Window = Annotated[int, Field(strict=True, ge=3, le=99)]
R = TypeVar("R", bound=Record)
NAMED = "data.learned"  # its key in config.json


def _steady_stage(stage: Stage) -> Stage:
    window, levels, factors = stage
    if window % 2 == 0 or len(levels) != len(factors) or any(a >= b for a, b in itertools.pairwise(levels)):
        raise ValueError("a window must be odd, and each of some rising levels must have a factor")
    return stage


# See `anew.functional.steadiness`
SteadyStage = Annotated[
    tuple[Window, Annotated[tuple[Real, ...], Field(min_length=2, max_length=99)], tuple[Share, ...]],
    AfterValidator(_steady_stage),
]


def _band_levels(levels: BandLevels) -> BandLevels:
    edges, *tables = levels
    if edges[0] or any(low >= high for low, high in itertools.pairwise(edges)):
        raise ValueError("edges of bands must rise from 0")
    if len({len(rows) for rows in tables}) > 1 or any(len(row) != len(edges) - 1 for rows in tables for row in rows):
        raise ValueError("each band of each channel must have a level, a shift and a factor")
    return levels


# See `anew.functional.band_levels`
Edges = Annotated[tuple[Whole, ...], Field(min_length=2, max_length=99)]
ByChannel = Annotated[tuple[tuple[Real, ...], ...], Field(min_length=1, max_length=2)]
LearnedBandLevels = Annotated[tuple[Edges, ByChannel, ByChannel, ByChannel], AfterValidator(_band_levels)]


class LearnedGrid(Record):
    """See `GridModality`."""

    shape: list[Side]
    classes: Whole
    std: Positive
    notes: list[Text]


class LearnedImage(LearnedGrid):
    """See `Image.state`."""

    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    frame: Literal["crop", "pad"]
    block: Count = 1  # older runs learn enlarged pixel art as it is
    levels: Annotated[list[Real], Field(min_length=2, max_length=2)] | None
    matching: PixelMatching = PixelMatching()


class LearnedVideo(LearnedGrid):
    """See `Video.state`."""

    shape: Annotated[list[Side], Field(min_length=4, max_length=4)]
    frame: Literal["crop", "pad"]
    block: Count = 1  # older runs learn enlarged pixel art as it is
    rate: Positive
    step: Count
    span: Count
    only_beginnings: Flag = False  # older runs cut no clip
    matching: PixelMatching = PixelMatching()


class LearnedAudio(LearnedGrid):
    """See `Audio.state`. clip: the fields of an `audio_clips.Shape`."""

    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    clip: dict[str, Count]
    top: Real
    gain: Positive
    noise_from: Positive | None = None
    pitched: Flag = False
    floor: Annotated[float, Field(strict=True, ge=-1.0, le=1.0)] = -1.0
    tail: Annotated[float, Field(strict=True, ge=-1.0, le=1.0)] = -1.0
    lag: Annotated[int, Field(strict=True, ge=-(2**24), le=2**24)] | None = None
    steadiness: Annotated[tuple[SteadyStage, ...], Field(max_length=9)] = ()  # older runs have samples as they come
    band_levels: LearnedBandLevels | None = None  # older runs have samples of signals as they come
    longest: Count | None = None  # older runs have samples as long as the grid
    levels: ClipLevels | None = None
    written_rate: Count | None = None  # older runs write the rate that they learn
    singles: Flag = False  # older runs cut every long file
    trims_first: Flag = False  # and their silent ends with it
    beginnings: Flag = False

    @model_validator(mode="after")
    def _has_bands_of_its_shape(self) -> Self:
        if self.band_levels is not None:
            edges, means, *_ = self.band_levels
            if (len(means), edges[-1]) != (self.shape[0], self.shape[2] + 1):
                raise ValueError(
                    f"edges of bands must end with the frequencies of {self.shape[2]} values, for each channel"
                )
        return self


class _Sequences(Record):
    model_config = ConfigDict(extra="allow", frozen=True)  # a subclass has fields of its own

    layout: Literal["document", "list"]
    length: Annotated[int, Field(strict=True, ge=1, le=2**20)]
    many: Flag


class LearnedText(_Sequences):
    """See `Text.state`. tokens: the state of a `TextTokenizer`; files: that of a `TextDecoder`; by_file: see `RecordLabels`; suffixes,
    rest: see `SuffixClasses`; suffix: that of files of samples; table: see `RowTable`."""

    class LearnedDecoder(Record):
        encoding: Text = "cp1252"
        is_sure: Flag = False
        agree: Flag = True  # older runs read every file that is not UTF-8 as Windows-1252

    class LearnedTable(Record):
        header: Text
        suffix: Text

    tokens: dict[str, object]
    classes: Whole = 0
    by_file: Flag = False
    opening: tuple[Whole, ...] = ()  # older runs begin a sample with any token
    record_start: Text = ""  # older runs read files of such records as they are
    suffix: Text = ".txt"  # which older runs of texts write
    suffixes: tuple[Text, ...] = ()  # older runs have no classes by suffixes
    rest: Text = ""
    files: LearnedDecoder = LearnedDecoder()
    table: LearnedTable | None = None  # older runs write each row into a file of its own


class LearnedProtein(_Sequences):
    """See `Protein.state`. tokens: the state of `Residues`."""

    class LearnedResidues(Record):
        kind: Text
        alphabet: Text
        letters: Text
        seen: Whole

    class LearnedLayout(Record):
        width: Whole = 60
        has_crlf: Flag = False
        has_stop: Flag = False

    tokens: LearnedResidues
    alphabet: Text
    classes: Whole
    written: LearnedLayout = LearnedLayout()


def read(record: type[R], state: Mapping[str, object]) -> R:
    """The record of a state. Raises ValueError (one clause) if it does not fit."""
    return checked(record, state, NAMED)
