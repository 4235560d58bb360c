"""The verbs: look, train, resume, load, again, score, evaluate, nearest, walk, compare, export, serve, studio, settings,
example.

The command line and every page call these and nothing below. They are the functions of `anew` itself. The other names serve the
command line: checks before a command begins, default places, and messages after it.
"""

from typing import TYPE_CHECKING

from anew.api.catalog import check_example, example, examples, setting_groups, settings
from anew.api.comparing import compare
from anew.api.exporting import export, export_targets
from anew.api.measure import (
    check_requirements,
    check_scored,
    evaluate,
    look,
    nearest,
    new_picture_file,
    parse_requirements,
    read_report,
    score,
    walk,
)
from anew.api.sampling import (
    again,
    check_files,
    loaded_together,
    repeated_samples,
    sample_together,
    sample_writer,
)
from anew.api.serving import serve
from anew.api.studio_page import studio
from anew.api.training import device_of, is_begun, load, resume, train
from anew.planning.request import default_report, default_run
from anew.runs.report_record import CopiesRecord, ReportRecord, as_record
from anew.sampling.scores import new_csv_file
from anew.workflows.inspect_run import RunInspection
from anew.workflows.next_step import next_steps
from anew.workflows.requirements import CheckResult

if TYPE_CHECKING:  # they need PyTorch
    from anew.sampling.origins import RepeatedSamples
    from anew.sampling.sample_writer import SampleWriter
    from anew.workflows.inspect import Inspection
    from anew.workflows.list_settings import SettingInfo
    from anew.workflows.nearest import NearestItems

__all__ = [
    "CheckResult",
    "CopiesRecord",
    "Inspection",
    "NearestItems",
    "RepeatedSamples",
    "ReportRecord",
    "RunInspection",
    "SampleWriter",
    "SettingInfo",
    "again",
    "as_record",
    "check_example",
    "check_files",
    "check_requirements",
    "check_scored",
    "compare",
    "default_report",
    "default_run",
    "device_of",
    "evaluate",
    "example",
    "examples",
    "export",
    "export_targets",
    "is_begun",
    "load",
    "loaded_together",
    "look",
    "nearest",
    "new_csv_file",
    "new_picture_file",
    "next_steps",
    "parse_requirements",
    "read_report",
    "repeated_samples",
    "resume",
    "sample_together",
    "sample_writer",
    "score",
    "serve",
    "setting_groups",
    "settings",
    "studio",
    "train",
    "walk",
]
