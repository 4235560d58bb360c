"""The format of report.json, which `evaluation` writes and `runs` reads."""

from __future__ import annotations

REPORT_FORMAT = 2  # a larger one if a field is renamed or means something else
