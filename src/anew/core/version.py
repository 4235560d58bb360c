"""The version of this package, and that of the reports that it writes."""

__version__ = "0.2.0"
REPORT_FORMAT = 2  # a larger one if a field of report.json is renamed or means something else
