"""Evaluation: how close samples are to the data, how varied and how new, each metric next to that of real data."""

from anew.evaluation.score import Group, MetricSpec, Score

__all__ = ["Group", "MetricSpec", "Score"]
