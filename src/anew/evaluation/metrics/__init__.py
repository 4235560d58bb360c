"""Metrics, each beside its baselines."""
