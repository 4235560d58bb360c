"""Paths in config.json: relative to the run on disk, absolute in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.runs.portable import absolute_paths, relative_path, relative_paths


def config(data: str, plan: str | None = None) -> dict[str, object]:
    return {"request": {"data": data, "plan_from": plan, "seed": 1}, "data": {"path": data}, "format": 1}


def test_paths_are_seen_from_the_run_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "a"
    saved = config(str(tmp_path / "data"), str(tmp_path / "runs" / "b"))
    on_disk = relative_paths(saved, run)
    assert on_disk == config("../../data", "../b")
    monkeypatch.chdir(tmp_path)
    assert absolute_paths(on_disk, Path("runs/a")) == saved


def test_a_path_from_the_folder_of_a_run(tmp_path: Path) -> None:
    assert relative_path(str(tmp_path / "data"), tmp_path) == "./data"
    assert relative_path(str(tmp_path / "data"), tmp_path / "runs") == "../data"
    assert relative_path("hf://owner/name", tmp_path) == "hf://owner/name"


def test_data_inside_the_run(tmp_path: Path) -> None:
    saved = config(str(tmp_path / "data"))
    assert relative_paths(saved, tmp_path) == config("./data")
    assert absolute_paths(config("./data"), tmp_path) == saved


def test_a_run_behind_a_link_is_where_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "deep" / "runs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "runs")
    saved = config(str(tmp_path / "data"))
    assert relative_paths(saved, tmp_path / "link") == config("../../data")
    assert absolute_paths(config("../../data"), tmp_path / "link") == saved


@pytest.mark.parametrize("name", ["owner/name", "hf://owner/name", "owner/name:config"])
def test_names_of_the_hub_stay(name: str, tmp_path: Path) -> None:
    assert relative_paths(config(name), tmp_path) == absolute_paths(config(name), tmp_path) == config(name)


@pytest.mark.parametrize("value", [{}, {"request": 5}, {"request": {"data": 5}, "data": None}])
def test_what_does_not_fit_is_left_to_the_record(value: dict[str, object], tmp_path: Path) -> None:
    assert relative_paths(value, tmp_path) == absolute_paths(value, tmp_path) == value
