"""Which runs can be compared. Does not import PyTorch, so that a page can refuse others at once."""

from __future__ import annotations

from collections.abc import Mapping

from anew.core.data_record import DataRecord
from anew.core.settings import as_text
from anew.errors import RunError
from anew.runs.record import BegunRun, RunRecord

NOT_SET = "–"


def comparable(read: Mapping[str, BegunRun | RunRecord]) -> dict[str, RunRecord]:
    """The records of runs that can be compared.

    Args:
        read: Two or more records, by the names of their runs.

    Raises:
        RunError: A run is not finished, or they learned different data or parts of it, or the same data at different sizes.
    """
    records: dict[str, RunRecord] = {}
    for name, record in read.items():
        if record.status != "finished":
            raise RunError(f"the run {name!r} is not finished; finish it with resume, then compare")
        records[name] = record
    first, *other_runs = records
    for other_run in other_runs:
        data, other_data = records[first].data, records[other_run].data
        if data.fingerprint != other_data.fingerprint:
            raise RunError(f"the runs {first!r} and {other_run!r} are of different data; give runs of the same data")
        if data.row_steps != other_data.row_steps:
            raise RunError(
                f"the runs {first!r} and {other_run!r} read different parts of the same data, so one may have learned what the other is "
                "scored on; train both with the setting read_all"
            )
        if _division(data) != _division(other_data):
            raise RunError(
                f"the runs {first!r} and {other_run!r} hold out different items of the same data, since versions of anew differ in that; "
                "train both with this version"
            )
        shapes = [d.learned.get("shape") for d in (data, other_data)]
        if shapes[0] != shapes[1]:
            sizes = ["x".join(map(str, s if isinstance(s, list) else ())) for s in shapes]
            raise RunError(
                f"the runs {first!r} and {other_run!r} are of the same data at different sizes ({sizes[0]} and {sizes[1]}), "
                "whose scores cannot be compared; train both with the same setting size"
            )
    return records


def _division(data: DataRecord) -> tuple[bool, bool, bool, bool, int]:
    """What decides, besides the data itself, which items are held out."""
    return (
        data.balances_classes,
        data.draws_records,
        data.splits_near_duplicates,
        data.validates_at_random,
        data.signature_version,
    )


def differing_settings(records: Mapping[str, RunRecord]) -> dict[str, dict[str, str]]:
    """The settings in which runs differ: name -> run -> value. If families differ, only those that were asked for.

    Args:
        records: The records by the names of their runs.
    """
    is_one_family = len({record.family.name for record in records.values()}) == 1
    settings = {name: _settings(record, is_one_family) for name, record in records.items()}
    names = dict.fromkeys(setting for values in settings.values() for setting in values)
    rows = {name: {run: values.get(name, NOT_SET) for run, values in settings.items()} for name in names}
    return {name: values for name, values in rows.items() if len(set(values.values())) > 1}


def _settings(record: RunRecord, is_one_family: bool) -> dict[str, str]:
    """Values that a training followed from, by name. is_one_family: whether all runs are of the family of this one."""
    request = record.request
    options = {"budget in seconds": request.budget, "steps": request.steps, "seed": record.plan.seed}
    values = {name: value for name, value in options.items() if value is not None}
    chosen = record.family.config if is_one_family else {}
    return {name: _as_given(value) for name, value in (values | dict(request.settings) | dict(chosen)).items()}


def _as_given(value: object) -> str:
    """A value as a user writes it."""
    return str(value).lower() if isinstance(value, bool) else as_text(value)
