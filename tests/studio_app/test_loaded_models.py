"""Models in memory: one that has to go says why to whoever still waits for it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from anew.server.faults import ApiError
from anew.studio_app.loaded_models import MAX_PLAYERS, Player, Players


def weights(folder: Path) -> Path:
    """A folder that looks like a run with weights, which nobody loads here."""
    folder.mkdir()
    (folder / "model.safetensors").touch()
    return folder


def refusal(player: Player) -> str:
    """The sentence for a request that comes too late; models end in a thread of their own."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            player.worker.submit([])
        except ApiError as error:
            assert error.status == 503
            return str(error)
        time.sleep(0.01)
    pytest.fail("the model stayed")


def test_new_weights_and_deleted_ones(tmp_path: Path) -> None:
    players, run = Players(), weights(tmp_path / "run")
    first = players.player(run)
    assert players.player(run) is first
    os.utime(run / "model.safetensors", (1, 1))
    second = players.player(run)
    assert "have just been changed or deleted" in refusal(first)
    shutil.rmtree(run)
    assert players.player(run) is not second
    assert "have just been changed or deleted" in refusal(second)
    players.stop()


def test_more_models_than_there_is_room_for(tmp_path: Path) -> None:
    players = Players()
    first, *_ = [players.player(weights(tmp_path / str(number))) for number in range(MAX_PLAYERS + 1)]
    assert f"keeps {MAX_PLAYERS} models in memory" in refusal(first)
    players.stop()


def test_names_of_samples_never_come_again(tmp_path: Path) -> None:
    players, run = Players(), weights(tmp_path / "run")
    samples: Any = ["a sample"]
    first = players.player(run)
    name = first.keep(samples)
    assert first.samples(name) is samples
    os.utime(run / "model.safetensors", (1, 1))
    second = players.player(run)
    second.keep(samples)
    with pytest.raises(ApiError, match="no longer in memory") as refusal:
        second.samples(name)
    assert refusal.value.status == 404
    players.stop()
