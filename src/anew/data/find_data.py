"""Find the data of a saved run again, check that it is what the run was trained on, and restore its modality."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from anew.core import files
from anew.core import settings as configs
from anew.core.data_record import DataRecord
from anew.core.stores.addresses import address_of, is_hub_name
from anew.data.modality import Modality, load_modality
from anew.data.sources.columns import ColumnChoice
from anew.data.sources.remote import is_known
from anew.data.sources.selected_data import SelectedData, are_comparable, detect_modality
from anew.data.sources.source import existing_place
from anew.errors import DataError, MovedDataError, restoring


def find_data(state: DataRecord, path: str | None) -> SelectedData:
    """Find the data that a run was trained on, at `path` if it was moved. Raises DataError if it is not the same."""
    if path is None:
        check_present(state.path)
    columns = ColumnChoice.of(state.config)
    chosen = detect_modality(path or state.path, state.modality, is_requested=state.asked, columns=columns)
    if chosen.fingerprint != state.fingerprint:
        location = path or state.path
        advice = "give its new place as `data`" if path is None else "give the same, unchanged files"
        raise DataError(f"{location!r} is not the data of this run: it has moved or changed; {advice}")
    _check_content(path or state.path, state.content, chosen.content)
    return chosen


def check_exists(path: str | os.PathLike[str]) -> None:
    """Refuse a mistyped path of new data at once: opening the data imports PyTorch, which takes seconds.

    Raises:
        DataError: It is neither there nor an address or a dataset of the hub.
    """
    existing_place(os.fspath(path))


def _check_content(path: str, content: str | None, content_now: str | None) -> None:
    """Raise DataError if files of the same names and sizes hold something else than in the run, where that is known of both."""
    if content is None or content_now is None or not are_comparable(content, content_now):
        return
    if content != content_now:
        raise DataError(
            f"{path!r} is not the data of this run: names and sizes are the same, but files hold something else, or "
            "items have other classes; give the same, unchanged files"
        )


def check_division(parts: Mapping[str, int], parts_now: Mapping[str, int]) -> None:
    """Raise DataError if the same items are split differently than in the run, which would be scored on training items."""
    if dict(parts) != dict(parts_now) and sum(parts.values()) == sum(parts_now.values()):
        raise DataError(
            f"this version holds out other items than the one that made the run ({parts.get('train', 0):,} were for training, now "
            f"{parts_now.get('train', 0):,}), so held-out items could be training items; train again, or use that version"
        )


def check_present(path: str) -> None:
    """Raise MovedDataError if the data of a run is missing, or must not be read from its recorded path.

    The run may be a stranger's, and could make this computer read any file or send any request. Therefore data is not read from folders of
    the system or of settings, nor from addresses that were never used on this computer.
    """
    address = None if is_hub_name(path) else address_of(path)
    if address is not None and not is_known(address):
        raise MovedDataError(
            f"the data of this run is at {address!r}, which was never read on this computer; if you trust it, give it as `data`"
        )
    is_there = os.path.exists(path)  # returns False for invalid names, for which Path.exists could raise an error
    if Path(path).is_absolute() and not is_there:
        raise MovedDataError(f"the data of this run is no longer at {path!r}; give its new place as `data`")
    if address is None and is_there and files.is_private(Path(path)):
        raise MovedDataError(
            f"the run names {path!r} as its data, a folder of the system or of your settings; if you trust it, give it as `data`"
        )


def restore_item_modality(state: DataRecord, folder: Path, *, generated: bool = False) -> Modality:
    """Restore the modality of a saved run, for its own data or for generated items. Raises RunError if its state is invalid."""
    owner = load_modality(state.modality)
    with restoring(folder / "config.json"):
        modality = owner(configs.from_json(owner.Config, state.config), generated=generated)
        modality.restore(dict(state.learned), folder)
    return modality
