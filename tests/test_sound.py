"""A run on sound from files to files: samples that play, a sheet to look at, a report with players."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import anew
from anew.core import reporter
from anew.data.splitting import records
from samples import tones

QUICK = {"width": 8, "batch_size": 4, "evaluate_samples": 24, "previews": 1, "seconds": 0.3}


@pytest.mark.parametrize(
    "family", ["diffusion", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gan", "vae"))]
)
def test_a_run_on_sound(tmp_path: Path, family: str) -> None:
    folder = tones(tmp_path / "data", 260)
    run = tmp_path / "run"
    extra = {"space": "pixel"} if family == "diffusion" else {}
    model = anew.train(folder, run, steps=2, family=family, settings={**QUICK, **extra})
    samples = model.sample(3, label="a")
    for path in samples.save(tmp_path / "out"):
        x, rate = soundfile.read(path)
        assert path.name.endswith("-a.wav") and rate == 8000 and np.isfinite(x).all() and len(x) == len(samples[0])
    assert samples.save_sheet(tmp_path / "out").read_bytes().startswith(b"\x89PNG")
    assert "<audio" in samples._repr_html_()
    page = (run / "report" / "report.html").read_text()
    assert "data:audio/wav;base64," in page and "media-src data:" in page
    if family != "diffusion":
        return
    report = json.loads((run / "report" / "report.json").read_text())
    names = {score["name"] for score in report["scores"]}
    assert {
        "frechet_distance",
        "periodicity_distance",
        "loudness_distance",
        "spectrum_distance",
    } <= names
    # The classes of these tones are those of their numbers: nobody hears them.
    assert any("the class mix" in note and "the classifier is right on" in note for note in report["notes"])
    assert soundfile.read(io.BytesIO(samples.artifacts[0].data))[1] == 8000


def test_what_turns_out_bad_in_training_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_COMPARED", 0)  # no body is read before
    folder = tones(tmp_path / "data", 60)
    soundfile.write(folder / "a_98.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    soundfile.write(folder / "a_99.wav", np.zeros(4000), 8000)
    lines: list[str] = []
    monkeypatch.setattr(reporter.SilentReporter, "message", lambda self, text: lines.append(text))
    anew.train(folder, tmp_path / "run", steps=2, family="gan", settings=QUICK)
    sentences = [
        "skipped a_98.wav: it holds values that are not numbers (NaN or infinite)",
        "skipped a_99.wav: it is silent",
    ]
    assert set(sentences) <= set(lines) and len(lines) == len(set(lines))
    notes = json.loads((tmp_path / "run" / "report" / "report.json").read_text())["notes"]
    assert set(sentences) <= set(notes)
    data = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert data["refused"] == 2 and any("a_99.wav: it is silent" in refusal for refusal in data["refusals"])
