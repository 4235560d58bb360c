"""`look` in a process of its own: what it loads is most of its time."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from anew.core.specs import Grid
from anew.families.base import Scale
from anew.families.diffusion.family import Diffusion
from anew.families.gan.family import Gan
from anew.workflows.inspect import Alternative, BudgetEstimate, Inspection, SkippedFile, inspect_data
from samples import shapes

LOOK = """
import sys
from anew.workflows.inspect import inspect_data
assert len(inspect_data(sys.argv[1]).budgets) == 3
print([name for name in ("torch._dynamo", "scipy", "sympy") if name in sys.modules])
"""


def test_look_loads_no_compiler(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 64)
    completed = subprocess.run(
        [sys.executable, "-c", LOOK, str(data)], capture_output=True, text=True, timeout=240, check=True
    )
    assert completed.stdout.strip() == "[]"


def test_a_size_is_said_to_follow_an_assumed_budget(tmp_path: Path) -> None:
    for index in range(20):
        pixels = np.random.default_rng(index).integers(0, 255, (10, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((300, 300)).save(tmp_path / f"{index}.png")
    for budget, is_assumed in ((None, True), (60.0, False)):
        (note,) = (note for note in inspect_data(str(tmp_path), budget=budget).notes if "are learned at" in note)
        assert ("(assumed, as no budget was given)" in note) == is_assumed


def test_the_size_and_the_colours_in_which_items_are_learned_are_said(tmp_path: Path) -> None:
    for index in range(20):
        pixels = np.random.default_rng(index).integers(0, 255, (16, 12, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    look = inspect_data(str(tmp_path), budget=60.0)
    assert look.details()[0] == "learned at 12x16 pixels, in colour with transparency"
    assert look.to_json()["form"] == look.form


def test_families_that_a_training_would_not_try_are_not_promised(tmp_path: Path) -> None:
    assert inspect_data(str(shapes(tmp_path / "few", 200)), budget=300.0).tried == ()  # 20 validation images
    assert len(inspect_data(str(shapes(tmp_path / "many", 800)), budget=300.0).tried) > 1


def test_what_a_note_says_is_known_by_a_field(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 40)
    (data / "bar" / "read me.txt").write_text("what this is\n" * 100)
    (data / "bar" / "old.xyz").write_bytes(b"\0\1\2")
    look = inspect_data(str(data), budget=60.0)
    assert set(look.not_taken) == {"text", ".xyz"} and look.noted_kinds == ("text",) and look.is_split_noted
    assert [line for line in look.details() if line.startswith("not used")] == ["not used: 1 .xyz"]
    assert not [line for line in look.details() if line.startswith("split:")]
    assert look.to_json()["noted_kinds"] == ["text"]


def test_a_single_recording_gives_another_number_of_clips_with_another_budget(tmp_path: Path) -> None:
    """The sentence was left out, since the note said "file was", not "files were cut into clips"."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", rng.normal(size=8000 * 60) * rng.uniform(0.1, 0.2, 8000 * 60), 8000)
    notes = inspect_data(str(tmp_path)).notes
    assert any(note.startswith("Only 1 file was cut into clips") for note in notes)
    assert any(note.startswith("Another budget may give clips of another length") for note in notes)


def test_counting_parameters_takes_no_chance() -> None:
    spec, scale = Grid((3, 16, 16), "CHW", 0, 0.5), Scale(1000, 1e6, 60.0)
    for family_class in (Diffusion, Gan):
        config, before = family_class.suggest(spec, scale), torch.get_rng_state()
        first = family_class.target_examples(spec, config, scale)
        assert first == family_class.target_examples(spec, config, scale) > 0
        assert torch.equal(before, torch.get_rng_state())


def inspection() -> Inspection:
    return Inspection(
        path="data", modality="image", item_name="image", items=1797, bytes=420_000, family="diffusion", reason="few images",
        tried=("diffusion", "gan"),
        alternatives={"speed": Alternative("gan", "one pass")}, labels=("a", "<b>"), parts={"train": 1600, "test": 197},
        examples=1600, shape=(1, 8, 8), notes=("8x8 grey",), skipped=1, skipped_files=(SkippedFile("x.png", "empty"),),
        not_taken={".txt": 2}, budgets=(BudgetEstimate(600.0, 1, 4000, 500, 2.5, 32),), fingerprint="f",
    )  # fmt: skip


def test_an_inspection_begins_with_modality_amount_choice_and_reason() -> None:
    first, *details = repr(inspection()).split("\n")
    assert first == "1,797 images, 0.42 MB -> diffusion: few images"
    assert "  prefer='speed': gan (one pass)" in details
    assert any(
        line.startswith("  With 3 min or more, diffusion and gan are tried on your data first") for line in details
    )
    assert details[-1] == "  10 min: 4,000 parameters, about 500 steps of 32 examples, 2.5 passes over the data"
    assert "&lt;b&gt;" in inspection()._repr_html_() and "<b>)" not in inspection()._repr_html_()


def test_estimates_and_what_is_not_listed_are_said() -> None:
    files = tuple(SkippedFile(f"{i}.png", "empty", 2 if i == 0 else 1) for i in range(7))
    rough = replace(inspection(), is_estimate=True, items=101_872, skipped=104, skipped_files=files)
    assert rough.amount == "about 100,000 images, 0.42 MB"
    assert "split, about: train 1,600, test 200" in rough.details() and "  and 98 more items" in rough.details()
    assert not any("more" in line for line in inspection().details()[:5])


def test_pieces_of_a_few_documents_are_not_called_items() -> None:
    document = replace(inspection(), items=1, parts={"train": 1, "validation": 1, "test": 1})
    assert "split: train 1 span, validation 1 span, test 1 span" in document.details()
    assert "split: train 1,600, test 197" in inspection().details()


def test_an_inspection_is_plain_json() -> None:
    values = json.loads(json.dumps(inspection().to_json()))
    assert values["family"] == "diffusion" and values["reason"] == "few images" and values["item_name"] == "image"
    assert values["alternatives"] == {"speed": {"family": "gan", "reason": "one pass"}}
    assert values["tried"]["families"] == ["diffusion", "gan"] and "3 min" in values["tried"]["reason"]
    assert values["skipped"] == 1 and values["skipped_files"] == [{"name": "x.png", "reason": "empty"}]
    assert values["budgets"][0]["seconds"] == 600.0


def test_a_look_reads_for_a_limited_time_and_estimates_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shapes(tmp_path / "data", 600)
    whole = inspect_data(str(data), budget=60.0)
    monkeypatch.setattr("anew.workflows.inspect.READING_SECONDS", 1e-9)
    look = inspect_data(str(data), budget=60.0)
    assert any("of 600 items are used, from all over the data" in note and "`anew look`" in note for note in look.notes)
    assert look.is_estimate and 570 <= look.items <= 630 and look.labels == whole.labels
    assert abs(look.examples - whole.examples) < 60 and not whole.is_estimate


def test_parts_of_the_user_are_not_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes(tmp_path / "data" / "train", 3000)
    shapes(tmp_path / "data" / "test", 100)
    monkeypatch.setattr("anew.workflows.inspect.READING_SECONDS", 1e-9)
    look = inspect_data(str(tmp_path / "data"), budget=60.0)
    assert look.parts["test"] == 100 and 2950 <= look.items - 100 <= 3050


def test_a_forecast_is_of_all_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shapes(tmp_path / "data", 3000)
    monkeypatch.setattr("anew.workflows.inspect.READING_SECONDS", 1e-9)
    look = inspect_data(str(data), budget=3600.0)
    assert 290 <= look.parts["test"] <= 310
