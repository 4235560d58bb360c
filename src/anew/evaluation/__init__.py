"""How close samples are to the data, how varied and how new: each metric beside what real data gets."""

from anew.evaluation.score import Group, MetricSpec, Score

__all__ = ["Group", "MetricSpec", "Score"]
