"""What a store says of a run is checked before any of it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anew.errors import RunError
from anew.runs.manifest import Manifest, State, Stored, parse_manifest, read_state

DIGEST = "0" * 64


def manifest(name: str = "checkpoints/step-1/state", **changes: Any) -> bytes:
    entry = {"bytes": 3, "sha256": DIGEST}
    return json.dumps({"generation": 1, "writer": "0" * 16, "files": {name: entry}} | changes).encode()


def test_an_object_ends_with_the_name_of_its_file() -> None:
    parsed = parse_manifest(manifest(), "s3://b/run")
    ((name, entry),) = parsed.files.items()
    assert entry == Stored(bytes=3, sha256=DIGEST) and entry.key(name) == f"objects/{DIGEST}/state"


@pytest.mark.parametrize(
    ("data", "clause"),
    [
        (b"[" * 100_000, "damaged"),
        (b"no JSON", "damaged"),
        (manifest(writer="../x"), "writer"),
        *((manifest(name), "names the file") for name in ("../x", "a/../x", "/x", "a//x", ".", "a\\x", "x" * 201)),
    ],
    ids=lambda part: str(part)[:12],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(data: bytes, clause: str) -> None:
    with pytest.raises(RunError, match=r"^anew-run.json of 's3://b/run' is damaged \(.*\); restore it$") as refusal:
        parse_manifest(data, "s3://b/run")
    assert clause in str(refusal.value)


def test_a_state_that_is_damaged_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) is None
    known = Manifest.model_validate_json(manifest())
    path.write_text(State(address="s3://b/run", known=known).model_dump_json())
    state = read_state(path)
    assert state is not None and state.known == known
    path.write_text(path.read_text()[:-9])
    assert read_state(path) is None
