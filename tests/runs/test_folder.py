"""The run folder: atomic, verified, never pickled, and clear about what is wrong with it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from anew.errors import RunError
from anew.runs import folder as runs
from anew.runs.folder import RunFolder, read_tensors, write_json, write_tensors


def state(step: int) -> dict[str, Any]:
    return {"tensors": {"weights/w": torch.full((4, 3), float(step))}, "meta": {"step": step, "spent": 1.0}}


def test_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    for step in (1, 2, 3):
        folder.save(f"step-{step:08d}", state(step))
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["step-00000002", "step-00000003"]
    found, notes = folder.latest()
    assert found is not None and found["meta"]["step"] == 3 and not notes
    assert float(found["tensors"]["weights/w"][0, 0]) == 3.0


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove manifest", "remove state", "empty manifest", "pretend"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, harm: str) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))
    folder.save("step-00000002", state(2))
    newest = folder.checkpoints / "step-00000002"
    target = newest / "state.safetensors"
    data = bytearray(target.read_bytes())
    if harm == "truncate":
        target.write_bytes(bytes(data[:-5]))
    elif harm == "flip":
        data[-2] ^= 1
        target.write_bytes(bytes(data))
    elif harm == "remove manifest":
        (newest / "manifest.json").unlink()
    elif harm == "remove state":
        target.unlink()
    elif harm == "empty manifest":
        (newest / "manifest.json").write_text("")
    else:
        target.write_bytes(b"\xff" * 64)
    found, notes = folder.latest()
    assert found is not None and found["meta"]["step"] == 1
    assert len(notes) == 1 and "damaged" in notes[0] and "step-00000002" in notes[0]


def test_a_kill_between_any_two_writes_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))
    real = os.replace
    for dies_at in range(4):
        calls = 0

        def dying(a: Any, b: Any, dies_at: int = dies_at) -> None:
            nonlocal calls
            calls += 1
            if calls > dies_at:
                raise KeyboardInterrupt
            real(a, b)

        monkeypatch.setattr(runs.os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            folder.save("step-00000002", state(2))
        monkeypatch.setattr(runs.os, "replace", real)
        found, _ = folder.latest()
        assert found is not None and found["meta"]["step"] == 1
        folder.clear_temporary()
        assert [p.name for p in folder.checkpoints.iterdir()] == ["step-00000001"]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs.os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*kept: step-00000001"):
        folder.save("step-00000002", state(2))
    monkeypatch.undo()
    found, _ = folder.latest()
    assert found is not None and found["meta"]["step"] == 1
    assert not list(folder.checkpoints.glob(".*"))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04pickle", b"\xff" * 100, b"PK\x03\x04" + b"0" * 50],
    ids=["empty", "pickle", "huge header", "zip"],
)
def test_what_only_pretends_to_be_safetensors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(RunError, match="no whole safetensors file"):
        read_tensors(path)


def test_tensors_are_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    one, two = {"a": torch.ones(3), "b": torch.zeros(2)}, {"b": torch.zeros(2), "a": torch.ones(3)}
    write_tensors(tmp_path / "1", one)
    write_tensors(tmp_path / "2", two)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_decay_that_is_taken_back_is_not_found_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("decay-start", state(2))
    folder.save("step-00000002", state(2))
    folder.save("step-00000004", state(4))
    folder.forget_after(2)
    found, _ = folder.latest()
    assert found is not None and found["meta"]["step"] == 2
    assert folder.decay_start()[0] is not None


def test_an_existing_run_is_not_touched(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"request": {}})
    with pytest.raises(RunError, match="is a run already; give another --run, or go on with `anew resume"):
        RunFolder.create(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder.create(tmp_path / "other")


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"holds no config\.json"):
        RunFolder.open(tmp_path).config()
    write_json(tmp_path / "config.json", [1, 2])
    with pytest.raises(RunError, match="does not describe a run"):
        RunFolder.open(tmp_path).config()
    (tmp_path / "config.json").write_text('{"cut": ')
    with pytest.raises(RunError, match="cannot be read"):
        RunFolder.open(tmp_path).config()
