"""Learns from samples and real images how strong detail is; `detail_bands` carries it out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anew.core.schema import NotNegative, Record
from anew.data.formats.images import detail_bands
from anew.data.formats.images.detail_bands import Levels
from anew.data.formats.images.plain_matching import curve

# The second round sees what the first one did; with it, grey crops came nearer again (docs/log.md, 2026-12-01)
ROUNDS = 2
# Least samples: with 32 crops and photographs came nearer or stayed, with 8 photographs became worse (docs/log.md, 2026-12-01)
MIN_SAMPLES = 24

# Quantiles of a curve: a run holds 18 curves, and with 129 quantiles each they came no nearer (docs/log.md, 2026-12-01)
KNOTS = 33

Strengths = Annotated[tuple[NotNegative, ...], Field(min_length=KNOTS, max_length=KNOTS)]
AxisCurves = Annotated[tuple[tuple[Strengths, Strengths] | None, ...], Field(min_length=1, max_length=3)]
BandCurves = Annotated[
    tuple[AxisCurves, ...], Field(min_length=detail_bands.NUM_BANDS, max_length=detail_bands.NUM_BANDS)
]


class DetailStep(Record):
    """See `detail_bands.detail`: afterwards fine and coarse detail is as strong in as many places as in real images.

    That is histogram matching of bands (Heeger and Bergen, Pyramid-based texture analysis/synthesis, 1995), of how strong they are around
    a pixel instead of their values: noise in smooth areas becomes fainter, and soft detail stronger.
    """

    step: Literal["detail"] = "detail"
    rounds: Annotated[tuple[BandCurves, ...], Field(min_length=1, max_length=8)]

    @classmethod
    def learn(cls, samples: Levels, real: Levels, *, keeps_brightness: bool = False) -> DetailStep | None:
        """None where there are too few samples (m, C, H, W). keeps_brightness: whether only detail of colours changes."""
        if len(samples) < MIN_SAMPLES or min(samples.shape[2:]) < 2:
            return None
        real_strengths = [strength for _, strength in detail_bands.strengths(real)]
        rounds: list[BandCurves] = []
        for _ in range(ROUNDS):
            curves = tuple(
                tuple(
                    None if keeps_brightness and k == 0 else curve(strength[:, k], real_strength[:, k], num_knots=KNOTS)
                    for k in range(strength.shape[1])
                )
                for (_, strength), real_strength in zip(detail_bands.strengths(samples), real_strengths, strict=True)
            )
            rounds.append(curves)
            samples = detail_bands.with_strengths(samples, curves)
        return cls(rounds=tuple(rounds))
