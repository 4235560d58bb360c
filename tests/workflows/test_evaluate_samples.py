"""Samples made elsewhere: tested with held-out items, with parts of the data, and without."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import anew
from anew.cli import main
from anew.core.reporter import SilentReporter
from anew.data.dataset import Dataset
from anew.errors import BudgetError, DataError
from anew.workflows import evaluate_samples
from anew.workflows.timing.time_limit import SHORT_REPORT, TEXT_REPORT
from reporters import Lines
from samples import tones


def pictures(folder: Path, n: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    small = np.random.default_rng(seed).normal(size=(n, 4, 4))
    for i, image in enumerate(np.clip(128 + 50 * np.kron(small, np.ones((1, 3, 3))), 0, 255).astype(np.uint8)):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("elsewhere")
    for name, n, seed in (("data", 120, 0), ("held", 120, 1), ("new", 60, 2)):
        pictures(base / name, n, seed)
    pictures(base / "copied", 60, 0)
    return base


def test_a_copier_is_found_with_held_out_items_and_a_clean_one_is_not(place: Path, tmp_path: Path) -> None:
    stolen = anew.evaluate(samples=place / "copied", data=place / "data", held_out=place / "held", out=tmp_path / "a")
    assert stolen.copies.detected and stolen.copies.share > 0.8 and stolen.copies.method == "scan"
    assert stolen.copies.held_out == 120 and stolen.copies.train == 120
    # Notes on a split of the data
    assert not any("too few to confirm" in note or "learned" in note for note in stolen.notes)
    clean = anew.evaluate(samples=place / "new", data=place / "data", held_out=place / "held", out=tmp_path / "b")
    assert not clean.copies.detected and clean.grades["novelty"] != "poor"
    page = (tmp_path / "b" / "report.html").read_text()
    assert "made elsewhere" in page and json.loads((tmp_path / "b" / "report.json").read_text()) == clean.to_json()


def test_a_memorization_test_keeps_its_budget_and_says_what_it_left_out(place: Path, tmp_path: Path) -> None:
    begin = time.monotonic()
    report = anew.evaluate(
        samples=place / "copied", data=place / "data", held_out=place / "held", out=tmp_path / "a", budget="10s"
    )
    assert time.monotonic() - begin < 13.0  # 10 s, and a call into C that ends first
    assert (tmp_path / "a" / "report.html").is_file()
    assert report.copies is not None or any("was not measured" in note for note in report.notes)
    with pytest.raises(BudgetError, match="the budget was over before the data was read"):
        anew.evaluate(samples=place / "copied", data=place / "data", out=tmp_path / "b", budget=0.5)
    assert not (tmp_path / "b").exists()


def test_reading_that_takes_longer_than_the_budget_is_stopped_in_time(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_slowly(*_: object) -> None:
        for _ in range(300):
            time.sleep(0.1)

    monkeypatch.setattr("anew.workflows.evaluate_samples._common_form", read_slowly)
    begin = time.monotonic()
    with pytest.raises(BudgetError, match=r"the budget was over before the data was read.*; give at least \d+ s more"):
        anew.evaluate(samples=place / "copied", data=place / "data", out=tmp_path / "a", budget=2.0)
    assert time.monotonic() - begin < 5.0 and not (tmp_path / "a").exists()


def test_a_report_on_one_long_text_says_so_at_its_head_and_in_its_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), size)) for size in rng.integers(2, 9, 300)]
    for name in ("data", "held", "made"):
        (tmp_path / name).mkdir()
        for i in range(1 if name == "made" else 2):
            text = ".\n\n".join(" ".join(rng.choice(words, 40)) for _ in range(25))
            (tmp_path / name / f"{i}.txt").write_text(text)
    out, heard = tmp_path / "out", Lines()
    report = anew.evaluate(
        samples=tmp_path / "made", data=tmp_path / "data", held_out=tmp_path / "held", out=out, reporter=heard
    )
    sentence = "All figures are of pieces of this one text: another one may differ."
    assert sentence in report.notes and any(line.startswith("1 sample made elsewhere") for line in heard.lines)
    head = (out / "report.html").read_text().partition("Are the samples close")[0]
    assert sentence in head
    assert "of one text" in report.verdict["variety"]


def test_without_held_out_items_the_weaker_method_is_named(place: Path, tmp_path: Path) -> None:
    report = anew.evaluate(samples=place / "copied", data=place / "data", out=tmp_path / "out")
    assert (
        "not assumption-free" in report.to_json()["copies"]["method"] and "Copying found" in report.verdict["novelty"]
    )
    assert any("perfect there" in note for note in report.notes)
    assert report.figures["variety"].startswith("60 compared, as many as half of the data holds; about ")


def test_parts_of_the_data_are_held_out(place: Path, tmp_path: Path) -> None:
    data = tmp_path / "parts"
    data.mkdir()
    (data / "train").symlink_to(place / "data")
    (data / "test").symlink_to(place / "held")
    report = anew.evaluate(samples=place / "copied", data=data, out=tmp_path / "out")
    assert report.copies.detected and report.copies.held_out == 120


def test_samples_smaller_than_the_data_are_compared_at_their_size(place: Path, tmp_path: Path) -> None:
    """Otherwise they would be enlarged, and their blur would tell them from anything real."""
    for part in ("data", "new"):
        (tmp_path / part).mkdir()
        for path in (place / part).glob("*.png"):
            image = Image.open(path)
            enlarged = image.resize((48, 48), Image.Resampling.BICUBIC)
            noisy = np.asarray(enlarged, np.int16) + np.random.default_rng(0).integers(-40, 40, (48, 48))
            large = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            smaller = large.resize((16, 16), Image.Resampling.BICUBIC) if part == "new" else large
            smaller.save(tmp_path / part / path.name)
    report = anew.evaluate(samples=tmp_path / "new", data=tmp_path / "data", out=tmp_path / "out")
    assert "Real items are converted to the form of the samples: size=16x16." in report.notes
    assert "Images of 48x48 are compared at 16x16: as the samples are." in report.notes
    scores = {score.name: score for score in report.scores}
    assert scores["sharpness"].value < 0.65 and scores["pixel_noise"].value < 0.65


def test_texts_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"{a}{b}" for a in ("al", "be", "cor", "du", "es", "fi") for b in ("na", "ro", "tis", "vex", "mo")]
    for name, seed in (("data", 0), ("held", 1), ("made", 2)):
        rng = np.random.default_rng(seed)
        (tmp_path / name).mkdir()
        for i in range(70):
            (tmp_path / name / f"{i}.txt").write_text(" ".join(rng.choice(words, 130)))
    arguments = ["--samples", str(tmp_path / "made"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", *arguments, "--held-out", str(tmp_path / "held"), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert not output["copies"]["detected"] and output["modality"] == "text"
    assert {"copied_share", "kernel_distance", "fourgram_divergence"} <= {s["name"] for s in output["scores"]}


def test_samples_of_another_kind_are_refused_and_single_ones_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passwords were read as DNA, each letter as an unknown base, and got a full report."""
    rng = np.random.default_rng(0)

    def sequences(letters: str, n: int) -> list[str]:
        return ["".join(rng.choice(list(letters), 60)) for _ in range(n)]

    for name, rows in (
        ("data", sequences("ACGT", 200)),
        ("made", [*sequences("ACGT", 100), "AC%GT", "AC&GT"]),
        ("words", sequences("abcdefghijklmnopqrstuvwxyz", 100)),
    ):
        (tmp_path / f"{name}.fasta").write_text("".join(f">{i}\n{row}\n" for i, row in enumerate(rows)))

    def evaluated(samples: str) -> tuple[int, str]:
        places = ["--samples", str(tmp_path / samples), "--data", str(tmp_path / "data.fasta")]
        code = main(["evaluate", *places, "--out", str(tmp_path / "out"), "--budget", "40s"])
        return code, "".join(capsys.readouterr())

    code, output = evaluated("words.fasta")
    assert code == 2 and "is of another kind than the data: 100% of its sequences hold letters outside the" in output
    code, output = evaluated("made.fasta")
    assert code == 0 and "2 samples cannot be read as sequences and are left out." in output


def test_settings_say_which_columns_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("data", "made"):
        lines = ["".join(rng.choice(list("aeklmnst"), 7)) for _ in range(160)]
        (tmp_path / f"{name}.csv").write_text("author,quote\n" + "".join(f"someone else,{line}\n" for line in lines))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))

    def evaluated(samples: str, data: str, *more: str) -> int:
        place = ["--samples", str(tmp_path / samples), "--data", str(tmp_path / data), "--out", str(tmp_path / "out")]
        return main(["evaluate", *place, *more, "--json"])

    assert evaluated("made.csv", "data.csv", "--set", "text_column=quote") == 0
    assert json.loads(capsys.readouterr().out)["copies"]["samples"] == 160
    assert evaluated("made.csv", "data.txt", "--set", "text_column=quote", "--set", "layout=list") == 0
    assert json.loads(capsys.readouterr().out)["copies"]["samples"] == 160
    for samples, data, setting, message in (
        ("made.csv", "data.csv", "text_column=quot", "data.csv' has no column 'quot'; did you mean 'quote'?"),
        ("made.csv", "data.txt", "text_column=quot", "made.csv' has no column 'quot'; did you mean 'quote'?"),
        (
            "made.txt",
            "data.txt",
            "vocab=300",
            "'vocab' cannot be set for data that is only read; only text_column, image_column",
        ),
        ("made.txt", "data.txt", "image_column=a", "'image_column' cannot be set for texts that are only read"),
    ):
        assert evaluated(samples, data, "--set", setting) == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("text_colum=quote",), "'text_colum' cannot be set for data that is only read; did you mean 'text_column'?"),
        (("text_colum=quote", "--modality", "text"), "for texts that are only read; did you mean 'text_column'?"),
        (("budget=3",), "only text_column, image_column, label_column, encoding, header, layout or cell can"),
        (("layout=lists",), "layout='lists' is not allowed; did you mean 'list'?"),
        (("encoding=koi8-rr",), "is not allowed; did you mean 'koi8-r'?"),
        (("text.layout=lists",), "layout='lists' is not allowed; did you mean 'list'?"),
    ],
)
def test_settings_are_checked_before_data_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    for name in ("data", "made"):  # no column is found by its name: opened, they would be refused for that
        (tmp_path / f"{name}.csv").write_text("author,quote\nsomeone,a line\n")
    place = ["--samples", str(tmp_path / "made.csv"), "--data", str(tmp_path / "data.csv")]
    assert main(["evaluate", *place, "--json", "--set", *words]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and not printed.out


def test_held_out_draws_may_be_in_the_data_too(tmp_path: Path) -> None:
    frequencies = 1.0 / np.arange(1, 201)
    for name, seed in (("data", 0), ("held", 1), ("made", 2)):
        ranks = np.random.default_rng(seed).choice(200, 800, p=frequencies / frequencies.sum())
        (tmp_path / f"{name}.txt").write_text("".join(f"name {chr(97 + rank % 26)}{rank}\n" for rank in ranks))
    data, held_out, out = tmp_path / "data.txt", tmp_path / "held.txt", tmp_path / "out"
    report = anew.evaluate(samples=tmp_path / "made.txt", data=data, held_out=held_out, out=out)
    assert report.copies.held_out == 800 and not report.copies.detected
    assert not any("left out" in note for note in report.notes)
    with pytest.raises(anew.DataError, match="are also in the data"):
        anew.evaluate(samples=tmp_path / "made.txt", data=data, held_out=data, out=out)


def test_what_does_not_fit_is_refused_in_one_sentence(place: Path, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match="give `run`, or `samples`"):
        anew.evaluate()
    with pytest.raises(anew.ConfigError, match="`samples` needs `data`"):
        anew.evaluate(samples=place / "new")
    with pytest.raises(anew.DataError, match="does not exist"):
        anew.evaluate(samples=place / "nowhere", data=place / "data")
    with pytest.raises(anew.ConfigError, match="lacks the tensor 'train'"):
        save_file({"samples": np.zeros((30, 2)), "held_out": np.zeros((30, 2))}, tmp_path / "f.safetensors")
        anew.evaluate(samples=place / "new", data=place / "data", features=tmp_path / "f.safetensors")
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "a.txt").write_text("no picture " * 50)
    with pytest.raises(anew.DataError, match="it must hold images"):
        anew.evaluate(samples=tmp_path / "words", data=place / "data", out=tmp_path / "out")


def test_held_out_items_that_the_data_holds_too_are_left_out_and_counted(place: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(place / "held", mixed)
    # Seven would be repeated by a random division with p .008, so its draws might say either.
    for number in range(12):
        shutil.copy(place / "data" / f"{number:03d}.png", mixed / f"again-{number}.png")
    heard = Lines()
    report = anew.evaluate(
        samples=place / "copied", data=place / "data", held_out=mixed, out=tmp_path / "out", reporter=heard
    )
    assert heard.lines[2].startswith("12 of 132 held-out items") and heard.lines[3].startswith("measuring 60 samples")
    assert not any("to train" in note for note in report.notes)  # the generator knew all of the data
    assert "12 of 132 held-out items are also in the training data; they are left out." in report.notes
    assert report.copies.detected and report.copies.held_out == 120
    with pytest.raises(
        anew.DataError, match=r"all of 60 items of `held_out` .* are also in the data .*; give items that"
    ):
        anew.evaluate(samples=place / "new", data=place / "data", held_out=place / "copied", out=tmp_path / "none")
    with pytest.raises(
        anew.DataError, match=r"all of 120 samples of .* are also in `held_out` .*; give items that are no"
    ):
        anew.evaluate(samples=place / "held", data=place / "data", held_out=place / "held", out=tmp_path / "none")


def test_all_held_out_items_are_compared_where_one_training_item_is_repeated_among_them(
    place: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(place / "held", mixed)
    for i in range(120):
        shutil.copy(place / "data" / "000.png", mixed / f"again_{i}.png")
    report = anew.evaluate(samples=place / "new", data=place / "data", held_out=mixed, out=tmp_path / "out")
    assert "120 of 240 held-out items are also in the training data; they are left out." in report.notes
    assert not any(
        note.startswith("Distances, variety and many other figures were measured on") for note in report.notes
    )


def test_that_lines_are_read_as_one_text_is_said_where_samples_are_few(tmp_path: Path) -> None:
    for name in ("data", "made"):
        lines = [f"2026-11-{day:02d} {hour:02d}:00 {name} is well" for day in range(1, 29) for hour in range(24)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    heard = Lines()
    report = anew.evaluate(
        samples=tmp_path / "made.txt", data=tmp_path / "data.txt", out=tmp_path / "out", reporter=heard
    )
    assert any("layout=list reads each line as a record" in message for message in heard.lines)
    assert not any("too few for most metrics" in note for note in report.notes)  # passages are compared, not samples
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Compared: 1 sample with" in page and "1 samples" not in page


def test_larger_samples_and_samples_without_transparency_are_said(tmp_path: Path) -> None:
    for name, side, mode in (("data", 12, "RGBA"), ("made", 24, "RGB")):
        pictures(tmp_path / name, 40, side)
        for path in (tmp_path / name).iterdir():
            image = Image.open(path).resize((side, side)).convert(mode)
            if mode == "RGBA":
                image.putpixel((0, 0), (0, 0, 0, 0))
                image.putpixel((1, 0), (0, 0, 0, 0))
            image.save(path)
    heard = Lines()
    report = anew.evaluate(samples=tmp_path / "made", data=tmp_path / "data", out=tmp_path / "out", reporter=heard)
    sentences = (
        "Samples are converted to the form of the data: size=12x12.",
        "Items of the data have transparent pixels, no sample has any: real items are laid on white.",
    )
    assert all(sentence in report.notes and sentence in heard.lines for sentence in sentences)


def test_the_column_that_is_compared_is_said_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("data", "made"):
        rows = [{"package": "".join(rng.choice(list("aeklmnst"), 7)), "kb": int(rng.integers(99))} for _ in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    heard = Lines()
    report = anew.evaluate(
        samples=tmp_path / "made.jsonl", data=tmp_path / "data.jsonl", out=tmp_path / "out", reporter=heard
    )
    assert sum("column 'package'" in message for message in heard.lines) == 1
    assert sum("data.jsonl: column 'package'" in note for note in report.notes) == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("package") >= 2  # below the title, and among the notes


def test_without_held_out_items_no_share_of_half_the_data_is_given(tmp_path: Path) -> None:
    """It was half of the samples that the next sentence said are identical to training items."""
    rng = np.random.default_rng(0)
    rows = sorted({"".join(rng.choice(list("aeklmnst"), 7)) for _ in range(300)})
    (tmp_path / "data.txt").write_text("\n".join(rows))
    (tmp_path / "made.txt").write_text("\n".join([*rows[:30], *("zz" + row for row in rows[30:100])]))
    report = anew.evaluate(samples=tmp_path / "made.txt", data=tmp_path / "data.txt", out=tmp_path / "out")
    assert report.copies is not None and report.copies.identical == 30
    assert "verbatim_share" not in {score.name for score in report.scores}
    assert any("Not measured: verbatim passages" in note for note in report.notes)


@pytest.mark.parametrize("name", ["texts", "pictures"])
def test_without_held_out_items_the_nearest_is_sought_among_all_of_the_data(
    name: str, place: Path, tmp_path: Path
) -> None:
    """It was sought in one half of it: beside "all are identical to a training item" stood pairs that differ."""
    source = place / "data"
    if name == "texts":
        rng, source = np.random.default_rng(0), tmp_path / "data.txt"
        source.write_text("\n".join(sorted({"".join(rng.choice(list("aeklmnst"), 9)) for _ in range(300)})))
    anew.evaluate(samples=source, data=source, out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    captions = {"texts": (">identical", r"\d edits?<"), "pictures": ("exact copy<", r"difference \d+<")}[name]
    assert page.count(captions[0]) >= 6 and re.search(captions[1], page) is None


def test_codes_that_any_generator_reaches_are_no_proof_without_held_out_items(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "codes.txt").write_text("\n".join(f"{code:04}" for code in rng.permutation(10_000)[:1_000]))
    (tmp_path / "made.txt").write_text("\n".join(f"{code:04}" for code in rng.integers(0, 10_000, 600)))
    report = anew.evaluate(samples=tmp_path / "made.txt", data=tmp_path / "codes.txt", out=tmp_path / "out")
    assert report.copies is not None and report.copies.identical and not report.copies.has_proven_copies
    assert report.grades["novelty"] == "fair"


def test_that_one_sample_is_no_copy_says_nothing(place: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "one", 1, 99)
    report = anew.evaluate(samples=tmp_path / "one", data=place / "data", out=tmp_path / "out")
    assert report.grades["novelty"] == "too_few"
    assert report.figures["novelty"] == "1 sample compared; at least 20 are needed"


@pytest.mark.parametrize("broken", ["samples", "held_out"])
def test_data_is_closed_where_samples_or_held_out_items_cannot_be_read(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("hello world\n" * 40)
    closed: list[Path] = []
    close = Dataset.close

    def watched_close(data: Dataset) -> None:
        closed.append(Path(data.path))
        close(data)

    monkeypatch.setattr(Dataset, "close", watched_close)
    paths = {"samples": place / "new", "data": place / "data", "held_out": place / "held", broken: texts}
    with pytest.raises(DataError, match="it must hold images"):
        anew.evaluate(**paths, out=tmp_path / "report")
    assert closed == ([place / "data"] if broken == "samples" else [place / "new", place / "data"])


def shades(folder: Path, n: int, seed: int, names: tuple[str, str]) -> Path:
    """Dark and bright pictures, in class folders of these names."""
    rng = np.random.default_rng(seed)
    for name, level in zip(names, (80, 170), strict=True):
        (folder / name).mkdir(parents=True)
        for number in rng.permutation(10**6)[:n]:  # files in sequence would be frames of a clip
            shade = np.clip(level + 20 * np.kron(rng.normal(size=(4, 4)), np.ones((2, 2))), 0, 255)
            Image.fromarray(shade.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def test_what_a_report_takes_depends_on_the_kind_of_items(tmp_path: Path) -> None:
    """Pictures got the seconds of a report of texts, so the advised budget ended in a report without any figure."""
    shades(tmp_path / "pictures", 3, 0, ("dark", "bright"))
    (tmp_path / "names.txt").write_text("".join(f"name {i}\n" for i in range(40)))
    for name, seconds in (("pictures", SHORT_REPORT), ("names.txt", TEXT_REPORT)):
        path = str(tmp_path / name)
        compared = evaluate_samples.ForeignSamples(path, path, n=20)
        form = evaluate_samples._common_form(compared, SilentReporter())
        assert form.report_seconds == seconds, name


def test_samples_in_class_folders_are_compared_with_their_class(tmp_path: Path) -> None:
    data = shades(tmp_path / "data", 200, 0, ("dark", "bright"))
    held_out = shades(tmp_path / "held", 100, 1, ("dark", "bright"))

    def report(samples: Path) -> anew.EvaluationReport:
        return anew.evaluate(samples=samples, data=data, held_out=held_out, out=tmp_path / "out" / samples.name)

    right = report(shades(tmp_path / "right", 80, 2, ("dark", "bright")))
    assert right["label_accuracy"].value > 0.9 and right["label_histogram"].value < 0.2
    assert right.grades["closeness"] != "poor"
    wrong = report(shades(tmp_path / "wrong", 80, 2, ("bright", "dark")))
    assert wrong["label_accuracy"].value < 0.1 and wrong.grades["closeness"] == "poor"
    assert wrong.grades["novelty"] == right.grades["novelty"]  # they look like real items, of another class
    strange = report(shades(tmp_path / "strange", 80, 2, ("dark", "light")))
    assert "label_accuracy" not in {score.name for score in strange.scores}
    assert any("the data has 2 classes, and 80 of 160 samples are in none of them" in note for note in strange.notes)


def test_sounds_that_are_cut_into_clips_are_counted_as_files_too(tmp_path: Path) -> None:
    tones(tmp_path / "data", 60, seconds=0.4)
    tones(tmp_path / "made", 24, seconds=0.4)
    tones(tmp_path / "made", 6, seconds=2.0)
    heard = Lines()
    anew.evaluate(samples=tmp_path / "made", data=tmp_path / "data", out=tmp_path / "out", reporter=heard)
    assert any(
        "24 samples made elsewhere, cut into " in text and " clips, compared with" in text for text in heard.lines
    )
