"""Weights of a run in one file, or in several with an index."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anew.core import files
from anew.errors import RunError
from anew.runs import weights
from anew.runs.folder import RunFolder
from anew.runs.weights import read_weights, remove_weights, weight_files, weights_digest, weights_path, write_weights

INDEX = "model.safetensors.index.json"


def tensors(scale: float = 1.0, count: int = 5) -> dict[str, Tensor]:
    return {f"layer{number}.weight": torch.full((10, 10), scale * number) for number in range(count)}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_FILE_BYTES", 800)  # two tensors of 400 bytes


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_small_weights_are_one_file(tmp_path: Path) -> None:
    write_weights(tmp_path, tensors())
    assert names_in(tmp_path) == ["model.safetensors"] and weights_path(tmp_path).name == "model.safetensors"
    assert equal(read_weights(tmp_path), tensors())


@pytest.mark.usefixtures("small_files")
def test_large_weights_are_divided_as_transformers_divides_them(tmp_path: Path) -> None:
    write_weights(tmp_path, tensors())
    parts = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert names_in(tmp_path) == [*parts, INDEX]
    assert [path.name for path in weight_files(tmp_path)] == [*parts, INDEX]
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["metadata"]["total_size"] == 2000
    assert index["weight_map"]["layer0.weight"] == parts[0] and index["weight_map"]["layer4.weight"] == parts[2]
    assert equal(read_weights(tmp_path), tensors())
    assert RunFolder(tmp_path).saved_bytes() > 2000


def test_neither_form_leaves_files_of_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for limit, count in ((800, 5), (400, 5), (800, 4), (5000, 5), (800, 3)):
        monkeypatch.setattr(weights, "MAX_FILE_BYTES", limit)
        write_weights(tmp_path, tensors(limit, count))
        assert equal(read_weights(tmp_path), tensors(limit, count))
        assert sorted(names_in(tmp_path)) == sorted(path.name for path in weight_files(tmp_path))
        digests.add(weights_digest(tmp_path))
    assert len(digests) == 5
    remove_weights(tmp_path)
    assert not names_in(tmp_path) and not weight_files(tmp_path) and weights_digest(tmp_path) == ""


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_what_is_half_written_is_never_taken_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Files of two trainings have the same names and sizes."""
    write_weights(tmp_path, tensors(1.0))
    calls = []
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target).parent == tmp_path:
            calls.append(target)
            if len(calls) > kept:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_weights(tmp_path, tensors(2.0))
    assert not weight_files(tmp_path) and not weights_path(tmp_path).exists()
    write_weights(tmp_path, tensors(2.0))
    assert equal(read_weights(tmp_path), tensors(2.0))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_leaves_the_weights_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index was written last, when the old weights were gone."""

    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_weights(tmp_path, tensors(1.0))
    names = names_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", full)
        with pytest.raises(RunError, match="free some space"):
            write_weights(tmp_path, tensors(2.0))
    assert names_in(tmp_path) == names and equal(read_weights(tmp_path), tensors(1.0))


@pytest.mark.usefixtures("small_files")
def test_files_that_are_missing_or_of_another_model(tmp_path: Path) -> None:
    write_weights(tmp_path, tensors())
    second = tmp_path / "model-00002-of-00003.safetensors"
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(RunError, match=r"model-00002-of-00003.safetensors' is missing, so the folder is incomplete"):
        read_weights(tmp_path)
    second.write_bytes(content[:-1])
    with pytest.raises(RunError, match="not a complete safetensors file"):
        read_weights(tmp_path)
    second.write_bytes((tmp_path / "model-00001-of-00003.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"00002-of-00003.safetensors' does not fit model.safetensors.index.json"):
        read_weights(tmp_path)


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../../secret"}}',
                                   '{"weight_map": {"a": 1}}', "{"])  # fmt: skip
def test_an_index_of_a_stranger(tmp_path: Path, index: str) -> None:
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(RunError, match=INDEX):
        read_weights(tmp_path)
