"""Encoded records in memory or streamed, in the order of training."""
