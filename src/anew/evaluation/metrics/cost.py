"""Cost of a run, as a comparison lists it."""

from __future__ import annotations

from anew.evaluation.score import Group, MetricSpec

SECONDS_PER_1000 = MetricSpec(
    "seconds_per_1000",
    "Seconds for 1,000 samples",
    "Measured on this machine, without writing files.",
    group=Group.COST,
    order=300,
    award="Fastest sampling",
    format="seconds",
)
PASSES_PER_1000 = MetricSpec(
    "passes_per_1000",
    "Network passes for 1,000 samples",
    "How often a weight is used, on average over the weights that sampling uses.",
    group=Group.COST,
    order=301,
)
TRAINING_SECONDS = MetricSpec(
    "training_seconds",
    "Seconds of training",
    "Time in training steps, those of a codec included; the budget also pays for reading the data and for the report.",
    group=Group.COST,
    order=302,
    role="fact",
    format="count",
)
STEPS = MetricSpec(
    "steps",
    "Training steps",
    "Steps of the family itself, without those of its codec.",
    group=Group.COST,
    order=303,
    role="fact",
    format="count",
)
PARAMETERS = MetricSpec(
    "parameters",
    "Parameters",
    "Weights of all networks that sampling may need.",
    group=Group.COST,
    order=304,
    role="fact",
    format="count",
)
