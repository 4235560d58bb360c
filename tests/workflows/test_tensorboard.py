"""TensorBoard: what is missing is said first, and nothing is written that was not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.core import extras
from anew.errors import DataError
from anew.planning.train_config import TrainConfig
from anew.workflows import tensorboard
from anew.workflows.tensorboard import tensorboard_listeners


def test_a_missing_package_is_said_before_data_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    monkeypatch.setattr(tensorboard, "require", extras.require)
    with pytest.raises(DataError, match="tensorboard=true needs the package tensorboard"):
        tensorboard.check_tensorboard(TrainConfig(tensorboard=True))
    tensorboard.check_tensorboard(TrainConfig())


def test_nothing_is_written_where_it_is_not_asked_for(tmp_path: Path) -> None:
    with tensorboard_listeners(TrainConfig(), tmp_path, is_main=True) as listeners:
        assert listeners == []
    with tensorboard_listeners(TrainConfig(tensorboard=True), tmp_path, is_main=False) as listeners:
        assert listeners == []
    assert not list(tmp_path.iterdir())
