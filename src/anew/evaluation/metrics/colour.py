"""Distance of joint colour histograms in OKLab (Ottosson 2020), where equal distances look about equal.

Legend for shapes: n images, P pixels of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array, jensen_shannon
from anew.evaluation.score import MetricSpec, Tolerance

COLOUR_DISTANCE = MetricSpec(
    "colour_distance",
    "Colours",
    "How far the mix of colours is from that of real images (0 = the same, 1 = no colour in common).",
    maximum=1.0,
    tolerance=Tolerance(
        "closeness",
        0.08,
        0.35,
        "the mix of colours differs (divergence {value:.2f}; real data: {real:.2f})",
        agreement="the mix of colours agrees (divergence {value:.2f}; real data: {real:.2f})",
    ),
)
# Bins of lightness, and of each of the two axes of colour; chosen: few enough for some hundred images
LIGHTNESS, CHROMA = 16, 9
MAX_CHROMA = 0.3  # end of the axes of colour; the largest chroma of screen colours is 0.32
CELLS = LIGHTNESS * CHROMA * CHROMA
# Matrices of the definition of OKLab: linear sRGB to cone responses, and their cube roots to OKLab.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(rgb: Numbers) -> Array:
    """OKLab (..., 3) of sRGB values 0 to 1 (..., 3): lightness 0 to 1, and two axes of colour of about -0.4 to 0.4."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T)


def colour_counts(images: Sequence[Numbers] | Numbers) -> Array:
    """(n, CELLS) pixels of each colour of uint8 images (H, W) or (H, W, C); what is transparent lies on white."""
    x = np.stack([np.asarray(image) for image in images]).astype(np.float64) / 255.0
    x = x[..., None] if x.ndim == 3 else x
    rgb = x[..., :3] * x[..., 3:] + 1.0 - x[..., 3:] if x.shape[3] == 4 else np.broadcast_to(x, (*x.shape[:3], 3))
    lab = oklab(rgb.reshape(len(x), -1, 3))  # (n, P, 3)
    lightness = np.clip((lab[..., 0] * LIGHTNESS).astype(np.intp), 0, LIGHTNESS - 1)
    a, b = (
        np.clip(((lab[..., axis] / MAX_CHROMA + 1.0) / 2.0 * CHROMA).astype(np.intp), 0, CHROMA - 1) for axis in (1, 2)
    )
    cell = (lightness * CHROMA + a) * CHROMA + b + CELLS * np.arange(len(x))[:, None]
    return np.bincount(cell.ravel(), minlength=len(x) * CELLS).reshape(len(x), CELLS).astype(np.float64)


def colour_distance(a: Numbers, b: Numbers) -> float:
    """Jensen-Shannon divergence in bits of the colours of a (n, CELLS) and b (m, CELLS)."""
    return jensen_shannon(a.sum(axis=0), b.sum(axis=0))
