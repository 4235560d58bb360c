"""Models in memory: one that has to go says why to whoever still waits for it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from anew.server.errors import ApiError
from anew.studio_app.loaded_models import MAX_LOADED, LoadedModel, LoadedModels


def weights(folder: Path) -> Path:
    """A folder that looks like a run with weights, which nobody loads here."""
    folder.mkdir()
    (folder / "model.safetensors").touch()
    return folder


def refusal(loaded: LoadedModel) -> str:
    """The sentence for a request that comes too late; models end in a thread of their own."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            loaded.worker.submit([])
        except ApiError as error:
            assert error.status == 503
            return str(error)
        time.sleep(0.01)
    pytest.fail("the model stayed")


def test_new_weights_and_deleted_ones(tmp_path: Path) -> None:
    loaded_models, run = LoadedModels(), weights(tmp_path / "run")
    first = loaded_models.get(run)
    assert loaded_models.get(run) is first
    os.utime(run / "model.safetensors", (1, 1))
    second = loaded_models.get(run)
    assert "have just been changed or deleted" in refusal(first)
    (run / "model.safetensors").write_bytes(b"of another size, in the same tick of the clock")
    os.utime(run / "model.safetensors", (1, 1))
    third = loaded_models.get(run)
    assert "have just been changed or deleted" in refusal(second)
    shutil.rmtree(run)
    assert loaded_models.get(run) is not third
    assert "have just been changed or deleted" in refusal(third)
    loaded_models.stop()


def test_more_models_than_there_is_room_for(tmp_path: Path) -> None:
    loaded_models = LoadedModels()
    first, *_ = [loaded_models.get(weights(tmp_path / str(number))) for number in range(MAX_LOADED + 1)]
    assert f"keeps {MAX_LOADED} models in memory" in refusal(first)
    loaded_models.stop()


def test_names_of_samples_never_come_again(tmp_path: Path) -> None:
    loaded_models, run = LoadedModels(), weights(tmp_path / "run")
    samples: Any = ["a sample"]
    first = loaded_models.get(run)
    name = first.keep(samples)
    assert first.samples(name) is samples
    os.utime(run / "model.safetensors", (1, 1))
    second = loaded_models.get(run)
    second.keep(samples)
    with pytest.raises(ApiError, match="no longer in memory") as refusal:
        second.samples(name)
    assert refusal.value.status == 404
    loaded_models.stop()
