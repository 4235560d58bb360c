"""Bits per character, residue or value of held-out data, which say how well a model predicts what it has not seen.

Legend for shapes: n examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.bootstrap import Interval, ratio_interval
from anew.evaluation.score import Group, MetricSpec, Score

BitsAndUnits = tuple[float, float]  # bits of an example, and how many characters, residues or values it has

# Title and meaning of the model's own bits, by their unit.
UNITS = {
    "character": (
        "Bits per character",
        "Bits needed per held-out character (lower = better predicted).",
    ),
    "residue": (
        "Bits per residue",
        "Bits needed per held-out residue; the end of a sequence counts as one more (lower = better predicted).",
    ),
    "dimension": (
        "Bits per value",
        "Bits needed per held-out value, such as a pixel's red (lower = better predicted; an upper bound for most models).",
    ),
}
# Rows next to the model's own bits: naive models, file formats, parts of the model.
REFERENCES = {
    "network": ("… its network alone", "The model without the counts that are mixed in."),
    "kneser_ney": ("… n-gram counts (Kneser-Ney)", "Counts which symbol follows which, and nothing else."),
    "clusters_kneser_ney": ("… n-gram counts, new families", "The same counts on the held-out families."),
    "uniform": ("… uniform", "Knows nothing but the alphabet."),
    "unigram": ("… frequencies alone", "Knows how common each residue is."),
    "profile": ("… position profile", "Knows how common each residue is at each position."),
    "xz": ("… xz compression", "A general compressor that has read the training data."),
    "bz2": ("… bz2 compression", "A general compressor that has read the training data."),
    "ppmd": ("… PPMd compression", "The strongest common compressor of text, which has read the training data."),
    "png": ("… PNG files", "A lossless image format, which has learned from no image."),
    "gif": ("… GIF files", "A lossless clip format, which has learned from no clip."),
}
CLUSTERS = MetricSpec(
    "bits_per_residue_clusters",
    "Bits per residue, new families",
    "The same for held-out items without a near relative in training (a quarter of their k-mers in common).",
    group=Group.PREDICTION,
    order=41,
)
BITS_GAP = MetricSpec(
    "bits_gap",
    "Gap to training data",
    "How many more bits held-out items need than training items; near 0: training items are no more predictable than new ones, on average.",
    group=Group.NOVELTY,
    is_signed=True,
    order=43,
)


def network_gap() -> MetricSpec:
    """BITS_GAP of a network that counts are mixed with."""
    return replace(
        BITS_GAP,
        title="Gap to training data, network alone",
        meaning="How many more bits held-out items need than training items under the network alone, without the counts that are "
        "mixed with it, which have read the training items; near 0: it predicts both equally well, on average.",
    )


def bits_spec(unit: str, reference: str = "") -> MetricSpec:
    """The metric of a unit ("character"), or of a reference row next to it ("kneser_ney", or a part of the model)."""
    if not reference:
        title, meaning = UNITS.get(unit, (f"Bits per {unit}", "Lower is better predicted."))
        return MetricSpec(
            f"bits_per_{unit}",
            title,
            meaning,
            group=Group.PREDICTION,
            order=40,
            award="Best prediction of held-out data",
        )
    title, meaning = REFERENCES.get(reference, (f"… its {reference} alone", "A part of the model."))
    name = f"bits_per_{unit}_{reference}"
    return MetricSpec(name, title, meaning, group=Group.PREDICTION, order=42, role="reference")


def gap_score(
    bits_of: Callable[[str], list[BitsAndUnits]], unit: str, noun: str, seed: int, has_counts: bool
) -> Iterator[Score]:
    """Yield the score of the bits by which training items are predicted better than held-out ones; none with too few items.

    If counts are mixed with the network, the bits of held-out items under the network alone are a score, too: exports hold the network
    alone.

    Args:
        bits_of: Returns (bits, units) of each example of a part, "test" or "train".
        unit: Unit of the bits.
        noun: Name of the items, plural.
        seed: Seed of the intervals.
        has_counts: Whether these are bits of a network that counts are mixed with.
    """
    rows = [np.array(bits_of(part)).reshape(-1, 2) for part in ("test", "train")]  # each (n, 2)
    if min(map(len, rows)) < 2:
        return
    held_out, train = (float(r[:, 0].sum() / r[:, 1].sum()) for r in rows)
    half_widths = [_half_width(r, seed) for r in rows]
    gap, half = held_out - train, math.hypot(*half_widths)
    alone = " under the network alone" if has_counts else ""
    source = f"bits per {unit}{alone} of held-out less those of training {noun}: {held_out:.3f} and {train:.3f}"
    spec = network_gap() if has_counts else BITS_GAP
    if has_counts:
        network = f"the network alone, on {sum(rows[0][:, 1]):,.0f} held-out {unit}s"
        yield bits_score(bits_spec(unit, "network"), rows[0], network, seed)
    yield Score(spec, gap, low=gap - half, high=gap + half, real_baseline=0.0, n=sum(map(len, rows)), source=source)


def _half_width(rows: Numbers, seed: int) -> float:
    low, high = _interval(rows, seed)
    return ((high or 0.0) - (low or 0.0)) / 2.0


def _interval(rows: Numbers, seed: int) -> Interval:
    """The interval of bits per unit of examples (n, 2), over at most 200 blocks of neighbours, which depend on each other."""
    starts = np.linspace(0, len(rows), min(len(rows), 200) + 1).astype(int)[:-1]
    bits, units = np.add.reduceat(rows, starts).T
    return ratio_interval(bits, units, seed)


def bits_score(spec: MetricSpec, examples: Sequence[BitsAndUnits] | Numbers, source: str, seed: int) -> Score:
    """The score of bits per unit of examples (n, 2), with an interval over at most 200 blocks of neighbours."""
    rows = np.asarray(examples, dtype=np.float64)  # (n, 2)
    bits, total = (float(column.sum()) for column in rows.T)
    low, high = _interval(rows, seed)
    return Score(spec, bits / total, low=low, high=high, n=round(total), source=source)
