"""The run folder: atomic, verified, never pickled, and clear about what is wrong with it."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from anew.core import files
from anew.core.files import read_json, write_json
from anew.errors import RunError
from anew.runs.folder import RunFolder
from anew.runs.record import BegunRun, Request
from anew.runs.tensors import read_tensors, write_tensors


def meta(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "examples": 8 * step,
        "lr_scale": 1.0,
        "early_decay": None,
        "updates": {"main": step},
        "spent": 1.0,
    }


def state(step: int) -> dict[str, Any]:
    return {"tensors": {"weights/w": torch.full((4, 3), float(step))}, "meta": meta(step)}


def test_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    for step in (1, 2, 3):
        folder.save(f"step-{step:08d}", state(step))
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["step-00000002", "step-00000003"]
    checkpoint, notes = folder.latest()
    assert checkpoint is not None and checkpoint["meta"]["step"] == 3 and not notes
    assert float(checkpoint["tensors"]["weights/w"][0, 0]) == 3.0


def with_buffers(step: int, counts: float) -> dict[str, Any]:
    tensors = {"weights/w": torch.full((4, 3), float(step)), "weights/counts": torch.full((50_000,), counts)}
    return {"tensors": tensors, "meta": meta(step), "buffers": {"weights/counts"}}


def test_buffers_that_do_not_change_are_on_the_disk_once(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("decay-start", with_buffers(1, 7.0))
    for step in (2, 3, 4):
        folder.save(f"step-{step:08d}", with_buffers(step, 7.0))
    inodes = {path.stat().st_ino for path in folder.checkpoints.rglob("buffers.safetensors")}
    assert len(inodes) == 1
    state, notes = folder.latest()
    assert state is not None and not notes and float(state["tensors"]["weights/counts"][0]) == 7.0
    folder.save("step-00000005", with_buffers(5, 8.0))
    tensors = {name: folder.checkpoint(name)["tensors"] for name in ("step-00000004", "step-00000005")}
    assert [float(t["weights/counts"][0]) for t in tensors.values()] == [7.0, 8.0]


def test_buffers_of_earlier_checkpoints_are_read_only_if_their_manifests_say_that_they_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    for step, counts in ((1, 1.0), (2, 2.0)):
        folder.save(f"step-{step:08d}", with_buffers(step, counts))
    read_names: list[str] = []
    file_digest = hashlib.file_digest

    def watched(file: Any, algorithm: str) -> Any:
        read_names.append(Path(file.name).name)
        return file_digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    folder.save("step-00000003", with_buffers(3, 3.0))
    assert read_names.count("buffers.safetensors") == 1
    read_names.clear()
    folder.save("step-00000004", with_buffers(4, 3.0))
    assert read_names.count("buffers.safetensors") == 2


def test_damaged_buffers_are_not_shared(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", with_buffers(1, 7.0))
    buffers = folder.checkpoints / "step-00000001" / "buffers.safetensors"
    buffers.write_bytes(buffers.read_bytes()[:-1] + b"\xff")
    folder.save("step-00000002", with_buffers(2, 7.0))
    state, notes = folder.latest()
    assert state is not None and state["meta"]["step"] == 2 and not notes


def test_buffers_are_written_again_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Any, target: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder = RunFolder.create(tmp_path / "run")
    for step in (1, 2):
        folder.save(f"step-{step:08d}", with_buffers(step, 7.0))
    assert len({path.stat().st_ino for path in folder.checkpoints.rglob("buffers.safetensors")}) == 2
    assert folder.latest()[1] == []


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
    checkpoint, notes = folder.latest()
    assert checkpoint is not None and checkpoint["meta"]["step"] == 1
    assert len(notes) == 1 and notes[0].startswith("Checkpoint step-00000002 is damaged (")
    assert notes[0].endswith("); going back to the one before.") and str(tmp_path) not in notes[0]


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

        monkeypatch.setattr(files.os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            folder.save("step-00000002", state(2))
        monkeypatch.setattr(files.os, "replace", real)
        checkpoint, _ = folder.latest()
        assert checkpoint is not None and checkpoint["meta"]["step"] == 1
        folder.clear_temporary()
        assert [p.name for p in folder.checkpoints.iterdir()] == ["step-00000001"]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(
        RunError, match=r"No space left on device.*checkpoints kept: step-00000001; .* `anew resume RUN`"
    ):
        folder.save("step-00000002", state(2))
    monkeypatch.undo()
    checkpoint, _ = folder.latest()
    assert checkpoint is not None and checkpoint["meta"]["step"] == 1
    assert not list(folder.checkpoints.glob(".*"))


def test_a_checkpoint_that_a_bug_interrupts_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    broken = state(1)
    broken["meta"]["spent"] = math.nan  # no JSON
    with pytest.raises(ValueError, match="Out of range float"):
        folder.save("step-00000001", broken)
    assert not list(folder.checkpoints.iterdir())


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04pickle", b"\xff" * 100, b"PK\x03\x04" + b"0" * 50],
    ids=["empty", "pickle", "huge header", "zip"],
)
def test_what_only_pretends_to_be_safetensors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(RunError, match="not a complete safetensors file"):
        read_tensors(path)


def test_tensors_are_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    first, second = {"a": torch.ones(3), "b": torch.zeros(2)}, {"b": torch.zeros(2), "a": torch.ones(3)}
    write_tensors(tmp_path / "1", first)
    write_tensors(tmp_path / "2", second)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_decay_that_is_taken_back_is_not_found_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("decay-start", state(2))
    folder.save("step-00000002", state(2))
    folder.save("step-00000004", state(4))
    assert folder.saved_step() == 4
    folder.delete_checkpoints_after(2)
    assert folder.saved_step() == 2
    checkpoint, _ = folder.latest()
    assert checkpoint is not None and checkpoint["meta"]["step"] == 2
    assert folder.decay_start()[0] is not None


def test_an_existing_run_is_not_touched(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config(BegunRun(request=Request(data="x")))
    with pytest.raises(RunError, match="is already a run; give another folder, or continue it with `anew resume"):
        RunFolder.create(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder.create(tmp_path / "other")


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"is not a run \(it has no config\.json\)"):
        RunFolder.open(tmp_path).read()
    write_json(tmp_path / "config.json", [1, 2])
    with pytest.raises(RunError, match="does not describe a run"):
        RunFolder.open(tmp_path).read()
    (tmp_path / "config.json").write_text('{"cut": ')
    with pytest.raises(RunError, match="cannot be read"):
        RunFolder.open(tmp_path).read()


def test_a_folder_that_is_deleted_while_it_trains_is_said(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    (tmp_path / "run").rmdir()
    with pytest.raises(
        RunError, match="is gone, so nothing can be saved there; if it was moved, continue it where it is now"
    ):
        folder.save("step-00000001", state(1))


@pytest.mark.parametrize("suffix", ["/../../../x.txt", "", ".py/x", 5, ".waytoolongforone"])
def test_the_ending_of_samples_is_checked_where_it_is_restored(suffix: object, tmp_path: Path) -> None:
    from anew.data.modalities.code import Code, CodeConfig

    state = {"suffix": suffix, "layout": "document", "length": 16, "many": False, "tokens": {}}
    with pytest.raises(ValueError, match=r"suffix (must be the ending of a file|is wrong: must be a string)"):
        Code(CodeConfig()).restore(state, tmp_path)


@pytest.mark.parametrize("harm", ["tokens", "starts", "cut"])
def test_counts_that_lead_outside_are_refused(harm: str) -> None:
    from anew.estimators.kneser_ney import KneserNey

    counts = KneserNey.fit([[0, 1, 2, 1, 0, 2]], 3, 1)
    arrays = {name: array.copy() for name, array in counts.arrays().items()}
    if harm == "tokens":
        arrays["tokens_1"][0] = 3
    elif harm == "starts":
        arrays["starts_1"][1] = 10**6
    else:
        arrays["values_1"] = arrays["values_1"][:-1]
    with pytest.raises(ValueError, match=r"counts|negative"):
        KneserNey.restore(3, arrays)


def test_names_that_are_not_utf8_are_written_and_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"labels": ["caf\udce9", "Zürich"]})
    (tmp_path / "config.json").read_text(encoding="ascii")
    assert read_json(tmp_path / "config.json") == {"labels": ["caf\udce9", "Zürich"]}


def test_a_run_whose_weights_could_not_be_read_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not UTF-8"):
        RunFolder.create(tmp_path / "r\udcff")
    assert not list(tmp_path.iterdir())


def test_a_header_of_a_million_tensors_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((9 * 2**20).to_bytes(8, "little") + b"{}")
    with pytest.raises(RunError, match="header would have 9,437,184 bytes"):
        read_tensors(path)


def test_a_kill_while_a_checkpoint_is_replaced_leaves_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))
    real = os.replace

    def dying(source: Any, target: Any) -> None:
        if Path(target).name == "step-00000001":
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files.os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        folder.save("step-00000001", state(1))
    monkeypatch.setattr(files.os, "replace", real)
    folder.clear_temporary()
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-00000001"]
    checkpoint, notes = folder.latest()
    assert checkpoint is not None and checkpoint["meta"]["step"] == 1 and not notes
    folder.save("step-00000001", state(1))
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-00000001"]


def test_a_checkpoint_that_cannot_replace_another_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.save("step-00000001", state(1))
    real = os.replace
    calls: list[str] = []

    def failing(source: Any, target: Any) -> None:
        calls.append(Path(target).name)
        if calls.count("step-00000001") == 1 and calls[-1] == "step-00000001":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", failing)
    with pytest.raises(RunError, match="kept: step-00000001"):
        folder.save("step-00000001", state(1))
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-00000001"]


def test_saved_bytes_are_those_of_the_largest_state_and_of_no_link(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    assert folder.saved_bytes() == 0
    folder.save("step-00000001", state(1))
    saved = folder.saved_bytes()
    assert saved == (folder.checkpoints / "step-00000001" / "state.safetensors").stat().st_size
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large.safetensors").write_bytes(bytes(10 * saved))
    os.symlink(tmp_path / "elsewhere", folder.checkpoints / "step-00000002")
    assert folder.saved_bytes() == saved
