"""Without the optional packages everything else works, and what needs one of them says so in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anew.core.extras import require
from anew.data.formats.sound import audio
from anew.data.formats.video import frames
from anew.errors import DataError
from samples import prose

OPTIONAL = (
    *("av", "datasets", "huggingface_hub", "matplotlib", "mlxtend", "pandas", "pyarrow", "rdkit", "scipy", "sklearn"),
    *("soundfile", "soxr", "tensorboard", "transformers", "tree_sitter_language_pack"),
)


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hides the optional packages, also from the processes that a command starts."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in OPTIONAL:
        missing = f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n"
        (folder / f"{name}.py").write_text(missing, encoding="utf-8")
    return folder


def without_extras(blocked: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process that finds none of the optional packages."""
    paths = os.pathsep.join([str(blocked), *sys.path])
    command = [sys.executable, "-m", "anew", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})


def refusal(completed: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refused command."""
    # What takes long says what it does, so a busy machine has such lines.
    progress = ("loading PyTorch", "listing the data")
    lines = [line for line in completed.stderr.strip().splitlines() if not line.startswith(progress)]
    assert (completed.returncode, len(lines)) == (2, 1), completed.stderr
    return lines[0]


def test_help_and_text_need_no_extra(blocked: Path, tmp_path: Path) -> None:
    assert "train" in without_extras(blocked, "--help").stdout
    prose(tmp_path / "data" / "book.txt", 200)
    options = ("--steps", "2", "--set", "evaluate_samples=4", "--set", "previews=0")
    completed = without_extras(blocked, "train", tmp_path / "data", "--run", tmp_path / "run", *options)
    assert completed.returncode == 0, completed.stderr
    assert (tmp_path / "run" / "report" / "report.html").exists()


def test_sound_names_its_extra(blocked: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    wave = np.sin(np.arange(16000) / 20).astype(np.float32)
    for index in range(3):
        (tmp_path / "data" / f"{index}.wav").write_bytes(audio.to_file(wave * (1 - index / 10), 16000, "wav"))
    sentence = refusal(without_extras(blocked, "look", tmp_path / "data"))
    assert (
        sentence
        == "anew: reading sound needs the package soundfile; install it with `pip install '.[audio]'` in a clone of Anew"
    )


def test_film_names_its_extra(blocked: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for index in range(3):
        clip = np.random.default_rng(index).integers(0, 256, (8, 16, 16), dtype=np.uint8)
        (tmp_path / "data" / f"{index}.mp4").write_bytes(frames.mp4(clip, 8.0))
    sentence = refusal(without_extras(blocked, "look", tmp_path / "data"))
    assert (
        sentence
        == "anew: reading video needs the package av; install it with `pip install '.[video]'` in a clone of Anew"
    )


def test_a_package_that_does_not_load_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("raise OSError('libbroken.so.1 is not there')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"does not load \(libbroken\.so\.1 is not there\); reinstall it with"):
        require("broken_library", extra="audio", purpose="reading sound")
