"""Metrics, each with its baselines."""
