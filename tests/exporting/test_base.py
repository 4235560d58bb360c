"""How an export is written: whole, or not at all; and what is refused, in one sentence."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anew
from anew.cli import main
from anew.core import files
from anew.core.registry import available
from anew.exporting.base import new_folder
from anew.exporting.traits import TRAITS
from anew.exporting.transformers import DTYPES
from commands import anew as command
from samples import shapes

from .conftest import train


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gan")
    return train(shapes(place / "data", 60), place / "run", {"width": 8, "batch_size": 8}, steps=2, family="gan")


def test_a_command_writes_a_folder_and_says_what_stays_behind(
    text_run: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = text_run("characters")
    assert main(["export", str(run), "--to", "transformers", "--out", str(tmp_path / "deep" / "out")]) == 0
    printed = capsys.readouterr().out
    assert "6 files" in printed and "Left out: counts of what followed many kinds of context" in printed
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    figures = "2.50 bits per character of held-out data instead of 2.00"
    assert f"This export predicts much worse than the run, so expect worse samples: {figures}.\n" in printed
    card = (tmp_path / "deep" / "out" / "README.md").read_text()
    assert "| the run, as `anew sample` draws from it | 2.00 |" in card and "| this export | 2.50 |" in card
    assert "value: 2.5" in card and "precision" not in card  # what was measured on samples holds for the run alone


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "transformer"], "unknown export target 'transformer'; did you mean 'transformers'?"),
        (["--to", "transformers", "--number-type", "f8"], "unknown --number-type 'f8' for transformers; "),
        (["--to", "transformers", "--out", "{full}"], "exists and is not empty; give another folder"),
        (["--to", "transformers", "--out", "{file}"], "exists and is not a folder; give another folder"),
        (["--to", "transformers"], "the family 'gan' is not a language model"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    words: list[str], sentence: str, gan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    places = {"full": tmp_path / "full", "file": tmp_path / "full" / "file"}
    words = [word.format(**places) for word in words]
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    assert main(["export", str(gan), *words, *out]) == 2
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "file"]


def test_a_missing_package_names_the_extra(
    gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(gan), "--to", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert (
        "needs the package onnx; install it with `pip install '.[export]'` in a clone of Anew"
        in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def test_a_run_without_weights_is_one_sentence(gan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes((gan / "config.json").read_bytes())
    with pytest.raises(anew.RunError, match="is missing and there is no whole checkpoint"):
        anew.export(run, "transformers", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(
    text_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = text_run("characters")
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(anew.RunError, match=r"cannot write '.*/out/model.safetensors' \(No space left on device\)"):
        anew.export(run, "transformers", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_library_cut_short_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(anew.RunError, match=r"cannot write '.*out' \(7 requested and 3 written\)"),
        new_folder(tmp_path / "out", None),
    ):
        raise OSError("7 requested and 3 written")
    assert not list(tmp_path.iterdir())


def test_a_long_export_says_that_it_goes_on(
    text_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("anew.core.activity.LINE_SECONDS", 0.002)
    with caplog.at_level(logging.INFO, "anew.reading"):
        anew.export(text_run("characters"), "transformers", tmp_path / "out")
    assert "writing out" in caplog.messages


def test_an_export_says_that_it_goes_on_while_pytorch_is_silenced(
    text_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch says of a graph is suppressed, and these lines were, too: a command was silent for 79 seconds."""
    monkeypatch.setattr("anew.core.activity.LINE_SECONDS", 0.05)
    printed = command("export", text_run("characters"), "--to", "html", "--out", tmp_path / "page.html")
    assert "writing page.html: turning network 1 of " in printed.stderr
    assert "torch" not in printed.stderr.replace("PyTorch", "")


@pytest.mark.parametrize(
    ("target", "arguments", "sentence"),
    [
        ("transformers", {"number_type": "f61"}, "unknown `number_type` 'f61' for transformers; did you mean 'f16'"),
        ("transformers", {"push": "me/names"}, "`push` uploads a folder for the hub, and transformers makes another"),
        ("hub", {"push": "names"}, "`push` must be the name of a repository, OWNER/NAME"),
    ],
)
def test_arguments_are_refused_before_anything_is_loaded(
    target: str, arguments: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.api.exporting.note_loading", lambda *_: pytest.fail("PyTorch was loaded first"))
    with pytest.raises(anew.ConfigError, match=re.escape(sentence)):
        anew.export(tmp_path / "run", target, tmp_path / "out", **arguments)  # type: ignore[arg-type]


def test_traits_are_those_of_the_targets() -> None:
    assert set(TRAITS) == set(available("exporting"))
    assert set(DTYPES) == set(TRAITS["transformers"].number_types)


def test_an_empty_folder_is_taken(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export = anew.export(text_run("characters"), "transformers", tmp_path / "out", number_type="f16")
    assert export.folder == tmp_path / "out" and all(path.parent == export.folder for path in export.files)
    assert '"dtype": "float16"' in (tmp_path / "out" / "config.json").read_text()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("to", value) for value in (None, 5, "", "../hub", "base", "card")),
        *(("out", value) for value in (None, 5, "", "a\0b", "x" * 5000)),
        *(("number_type", value) for value in (5, "", "f64")),
        *(("push", value) for value in (5, "", "name", "a/b/c", "../x")),
        *(("trust_code", value) for value in (None, 1, "yes")),
        *(("run", value) for value in (None, 5, "", "nowhere")),
    ],
)
def test_a_wrong_argument_is_one_sentence(argument: str, value: Any, gan: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"run": gan, "to": "hub", "out": tmp_path / "out", argument: value}
    with pytest.raises(anew.UserError) as refusal:
        anew.export(**arguments)
    assert "\n" not in str(refusal.value) and not (tmp_path / "out").exists()
