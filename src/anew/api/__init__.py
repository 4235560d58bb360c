"""The verbs: look, train, resume, load, score, evaluate, walk, compare, export, serve, studio, settings, example.

The command line and every page call these and nothing below. They are the functions of `anew` itself.
"""

from anew.api.catalog import example, examples, setting_groups, settings
from anew.api.exporting import export, export_targets
from anew.api.measure import compare, evaluate, look, read_report, score, walk
from anew.api.serving import serve
from anew.api.studio_page import studio
from anew.api.training import load, resume, train
from anew.planning.folder_names import default_report, default_run
from anew.sampling.scores import new_csv_file
from anew.workflows.inspect_run import RunInspection

__all__ = [
    "RunInspection",
    "compare",
    "default_report",
    "default_run",
    "evaluate",
    "example",
    "examples",
    "export",
    "export_targets",
    "load",
    "look",
    "new_csv_file",
    "read_report",
    "resume",
    "score",
    "serve",
    "setting_groups",
    "settings",
    "studio",
    "train",
    "walk",
]
