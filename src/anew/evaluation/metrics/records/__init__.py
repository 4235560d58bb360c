"""Metrics of lists: how records begin and end, their formats, fields and numbers."""
