"""Keys of items by their signatures, on disk for the next command: a signature needs the decoded body."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from anew.core import settings as configs
from anew.core.files import cache_root
from anew.core.version import __version__
from anew.data.loading.cache import DiskCache, cache_name
from anew.data.modality import Modality

MAX_KEPT = 32_768  # items at one place: four times those that one command compares, 512 KB
NAME = "signatures"


class SignatureCache:
    """Keys of the items at one place. They are known by their content, so an item whose bytes have changed is another one.

    Other versions of Anew may compute other signatures, so each has a cache of its own.

    Attributes:
        keys: See `splitting.records.alike_keys`; what is added is kept by `save`.
    """

    def __init__(self, folder: Path | None, place: str, modality: Modality) -> None:
        """
        Args:
            folder: Folder of the cache; None for the default one.
            place: Where the data lies.
            modality: Whose signatures these are, inspected or restored.
        """
        settings = configs.to_json(modality.config)
        name = cache_name(
            NAME,
            __version__,
            os.path.abspath(place) if os.path.exists(place) else place,
            modality.name,
            settings,
            modality.signature_version,
            modality.signature_state(),
        )
        # Other signatures take no longer than reading them
        self._disk = DiskCache(cache_root(folder), name) if modality.native else None
        stored = {} if self._disk is None else self._disk.load_arrays(NAME)
        contents, keys = (stored.get(part, np.zeros(0, np.uint64)) for part in ("contents", "keys"))
        is_sound = contents.dtype == keys.dtype == np.uint64 and contents.ndim == 1 and contents.shape == keys.shape
        self.keys: dict[int, int] = dict(zip(contents.tolist(), keys.tolist(), strict=True)) if is_sound else {}
        self._num_stored = len(self.keys)

    def save(self) -> None:
        """Keep what was added."""
        if self._disk is None or len(self.keys) == self._num_stored:
            return
        entries = list(self.keys.items())[-MAX_KEPT:]
        contents, keys = np.array(entries, dtype=np.uint64).T
        self._disk.store_arrays(NAME, {"contents": contents, "keys": keys})
