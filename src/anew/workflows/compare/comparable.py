"""Which runs can be compared. Does not import PyTorch, so that a page can refuse others at once."""

from __future__ import annotations

from collections.abc import Mapping

from anew.errors import RunError
from anew.runs.record import Begun, RunRecord


def comparable(read: Mapping[str, Begun | RunRecord]) -> dict[str, RunRecord]:
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
        if data.balances_classes != other_data.balances_classes:
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
