"""The manifest of a run in a store, which says which objects make up the run, and what this machine knows of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from anew.core import files
from anew.core.schema import Count, Flag, Record, Text, Whole, checked
from anew.errors import RunError
from anew.runs.checkpoint import Digest
from anew.runs.paths import STORE_STATE

MANIFEST, OBJECTS = "anew-run.json", "objects"  # names in the store
# Most bytes of the manifest: some hundred thousand files; a store may send anything
MANIFEST_BYTES = 64 * 2**20
PART = re.compile(r"[^/\\\0]{1,200}")  # a valid part of a file's path


class Stored(Record):
    """A file of a run: its size and the digest of its content."""

    bytes: Whole
    sha256: Digest

    def key(self, name: str) -> str:
        """The key of its object. The name after the digest is for people, and for programs that recognize types by it."""
        return f"{OBJECTS}/{self.sha256}/{name.rpartition('/')[2]}"


class Manifest(Record):
    """The files of a run in a store. writer: a random name, different for each time that a manifest is written."""

    generation: Count
    writer: Annotated[str, StringConstraints(strict=True, pattern="^[0-9a-f]{16}$")]
    files: Annotated[dict[Text, Stored], Field(max_length=1_000_000)]

    def check_names(self) -> None:
        """Raise ValueError if a name leads out of the folder."""
        for name in self.files:
            if not all(PART.fullmatch(part) and part not in (".", "..") for part in name.split("/")):
                raise ValueError(f"names the file {name!r}")


class State(Record):
    """This machine's knowledge of the store.

    Attributes:
        known: The manifest that was last read or written.
        pending: The manifest that was about to be written.
        is_partial: Whether checkpoints were left in the store, since they were not needed here.
        set_aside: The place to which the last `fetch` moved work of this machine that the store lacks; None if there was none.
    """

    address: Text
    known: Manifest | None = None
    pending: Manifest | None = None
    is_partial: Flag = False
    set_aside: Text | None = None


def parse_manifest(data: bytes, address: str) -> Manifest:
    """The manifest that a store sent, of which nothing is trusted.

    Args:
        data: Its beginning, of one byte more than MANIFEST_BYTES at most, by which a longer one is noticed.
        address: The store.

    Raises:
        RunError: If it is damaged.
    """
    try:
        if len(data) > MANIFEST_BYTES:
            raise ValueError(f"has more than {MANIFEST_BYTES:,} bytes")
        manifest = checked(Manifest, json.loads(data), MANIFEST)
        manifest.check_names()
    except (ValueError, RecursionError) as error:
        raise RunError(f"{MANIFEST} of {address!r} is damaged ({files.clause(error)}); restore it") from None
    return manifest


def read_state(path: Path) -> State | None:
    """The knowledge of the store in a file; None if it is missing or damaged, so that the store counts."""
    try:
        return checked(State, files.read_json(path), STORE_STATE)
    except (RunError, ValueError):
        return None
