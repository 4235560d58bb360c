"""Whole commands on small data: train, resume, sample, score, evaluate, look; and what goes wrong, in one sentence."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from anew.cli import _waiting_shown, main, sampling
from anew.cli.sampling import print_num_without_continuation, print_strange_prompt
from anew.core.specs import SampleRequest
from anew.data.formats.text.tokenizer import Characters
from anew.data.modalities.text import Text, TextConfig
from anew.runs.events import read as read_events
from anew.sampling.generator import Generator
from anew.sampling.origins import Origin
from anew.sampling.samples import Samples
from commands import anew, setting_words
from processes import Forked
from samples import TINY, names, prose, sequences, shapes, weights_digest

SMALL_TEXT = setting_words(TINY | {"evaluate_samples": 4, "precision": "fp32"})
SMALL_IMAGES = setting_words({"width": 8, "batch_size": 16})
ENV = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:anew"}


def in_a_process(*words: object) -> None:
    """`python -m anew WORDS`, which must end with 0 and without a warning of ours."""
    command = [sys.executable, "-m", "anew", *map(str, words)]
    completed = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=900, check=False)
    assert completed.returncode == 0, completed.stdout[-1500:] + completed.stderr[-1500:]
    assert "Traceback" not in completed.stderr


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("text")
    data = prose(folder / "data" / "book.txt").parent
    in_a_process("train", data, "--run", folder / "run", "--steps", 12, *SMALL_TEXT)
    return data, folder / "run"


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("image")
    data = shapes(folder / "data")
    anew("train", data, "--run", folder / "run", "--steps", 8, *SMALL_IMAGES, "--set", "evaluate_samples=24")
    return data, folder / "run"


@pytest.mark.parametrize("fixture", ["text_run", "image_run"])
def test_a_run_is_complete(fixture: str, request: pytest.FixtureRequest) -> None:
    _, run = request.getfixturevalue(fixture)
    for name in (
        "config.json",
        "model.safetensors",
        "README.md",
        "events.jsonl",
        "report/report.json",
        "report/report.html",
    ):
        assert (run / name).stat().st_size > 0, name
    assert not [p for p in run.rglob("*") if p.suffix in (".pt", ".pkl", ".ckpt", ".bin", ".tmp")]
    report = json.loads((run / "report" / "report.json").read_text())
    assert {"run", "family", "modality", "scores"} <= set(report)
    for score in report["scores"]:
        assert {"name", "value", "low", "high", "real_baseline", "better", "n", "source"} <= set(score)
    assert report["scores"]
    config = json.loads((run / "config.json").read_text())
    assert config["status"] == "finished"
    card = (run / "README.md").read_text()
    assert card.startswith("---\n") and 'library_name: "anew"' in card


def test_the_same_steps_give_the_same_bytes(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = image_run
    anew("train", data, "--run", tmp_path / "again", "--steps", 8, *SMALL_IMAGES, "--set", "evaluate_samples=1")
    assert weights_digest(tmp_path / "again") == weights_digest(run)


def test_samples_are_files_and_depend_on_the_seed(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = image_run
    anew("sample", run, "--out", tmp_path / "a", "-n", 5, "--label", "disc")
    anew("sample", run, "--out", tmp_path / "b", "-n", 3, "--label", "disc")
    files = sorted(p.name for p in (tmp_path / "a").glob("0*.png"))
    assert len(files) == 5
    assert all("disc" in name for name in files)
    from PIL import Image

    with Image.open(tmp_path / "a" / files[0]) as image:
        assert image.size == (12, 12)
        assert image.mode == "L"


def test_one_sample_is_one_file_and_a_sheet_says_how_many_it_shows(
    image_run: tuple[Path, Path], tmp_path: Path
) -> None:
    _, run = image_run
    output = anew("sample", run, "--out", tmp_path / "one", "-n", 1).stdout
    assert [p.suffix for p in (tmp_path / "one").iterdir()] == [".png"] and output.startswith("1 item in")
    assert "all of them in all.png" in anew("sample", run, "--out", tmp_path / "two", "-n", 2).stdout
    assert "first 100 of them" in anew("sample", run, "--out", tmp_path / "many", "-n", 101).stdout


@pytest.mark.parametrize("run_fixture", ["image_run", "text_run"])
def test_samples_that_the_run_shows_already_are_counted(
    run_fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _, run = request.getfixturevalue(run_fixture)
    count = len({path.stem for path in (run / "samples").glob("0*")})
    assert 0 < count < 40
    note = (
        f"{f'the first {count} are' if count > 1 else 'the first is'} also in {run / 'samples'}; --seed 1 gives others"
    )
    assert note in anew("sample", run, "--out", tmp_path / "same", "-n", count + 1).stderr
    assert "also in" not in anew("sample", run, "--out", tmp_path / "new", "-n", 2, "--seed", 1).stderr
    setting = "max_tokens=9" if run_fixture == "text_run" else "steps=2"
    other = ["sample", run, "--out", tmp_path / "other", "-n", 2, "--set", setting]
    assert "also in" not in anew(*other).stderr


def test_shares_and_samples_once_more(
    image_run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = image_run

    def sample(*words: object, code: int = 0) -> str:
        assert main(["sample", *map(str, words)]) == code
        output = capsys.readouterr()
        return output.err if code else output.out

    sample(run, "--out", tmp_path / "whole", "-n", 5, "--seed", 2)
    assert "2 items in" in sample(run, "--out", tmp_path / "1", "-n", 5, "--seed", 2, "--share", "1/2")
    sample(run, "--out", tmp_path / "2", "-n", 5, "--seed", 2, "--share", "2/2")
    parts = {path.name: path.read_bytes() for number in "12" for path in (tmp_path / number).iterdir()}
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("0*.png")}
    assert parts == whole and len(whole) == 5
    name = sorted(whole)[3]
    again = tmp_path / "again"
    assert sample(run, "--again", tmp_path / "whole" / name, "--out", again).startswith("1 item in")
    assert [path.read_bytes() for path in again.iterdir()] == [whole[name]]
    file = ("--again", tmp_path / "whole" / name)
    for words, sentence in [
        ((*file, "-n", 5), "so -n has no effect"),
        ((*file, "--stop", "x"), "so --stop has no effect"),
        (("--out", tmp_path / "x"), "RUN is missing"),
        ((run, "--share", "3/2"), "--share must be I/K"),
        ((run, "-n", 2, "--share", "1/3"), "3 shares of 2 samples are too many"),
        ((run, "--again", run / "config.json"), "has no record of its origin"),
    ]:
        out = () if "--out" in words else ("--out", tmp_path / "x")
        assert sentence in sample(*words, *out, code=2)
    assert not (tmp_path / "x").exists()


def test_text_goes_on_from_a_prompt_and_stops(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = text_run
    anew("sample", run, "--out", tmp_path / "a", "-n", 2, "--prompt", "The river ", "--set", "max_tokens=40")
    texts = [p.read_text() for p in sorted((tmp_path / "a").glob("0*.txt"))]
    assert len(texts) == 2
    assert all(t.startswith("The river ") and len(t) > 12 for t in texts)
    anew("sample", run, "--out", tmp_path / "b", "-n", 2, "--prompt", "The ", "--stop", ".", "--set", "max_tokens=200")
    assert all("." not in p.read_text() for p in (tmp_path / "b").glob("0*.txt"))


def test_characters_of_a_prompt_that_the_training_text_lacks_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = Text(TextConfig())
    text.tokenizer = Characters.fit(["The river"])
    samples = [
        Samples(["x"], [None], text, [Origin("run", "0", 0, 0, (0, 3), prompt=prompt)])
        for prompt in ("Ωλ The", "river")
    ]
    print_strange_prompt(samples[0].absent_characters)
    assert capsys.readouterr().err == "the training text has no 'Ω' and 'λ', so the model cannot know what follows\n"
    print_strange_prompt(samples[1].absent_characters)
    assert not capsys.readouterr().err


def test_samples_that_are_the_prompt_alone_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    origins = [Origin("run", "0", 0, index, (0, 3), prompt="ZZZZ 999\n") for index in range(3)]
    samples = Samples(["ZZZZ 999", "ZZZZ 999", "ZZZZ 999 KT"], [None] * 3, Text(TextConfig()), origins)
    print_num_without_continuation(samples.num_empty_continuations, len(samples))
    assert capsys.readouterr().err.startswith("2 of 3 samples add nothing to the prompt: ")
    print_num_without_continuation(samples[2:].num_empty_continuations, 1)
    assert not capsys.readouterr().err


def test_score_and_evaluate_speak_json(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = text_run
    other = prose(tmp_path / "other.txt", 60, seed=9)
    output = json.loads(anew("score", run, other, "--json").stdout)
    assert output["characters"] == len(other.read_text())
    assert 0.5 < output["bits_per_character"] < 8
    for condition in ("coverage<", "no_such_figure<1"):
        assert main(["evaluate", str(run), "--fail-on", condition]) == 2  # before anything is measured
    report = json.loads(anew("evaluate", run, "-n", 4, "--json", "--fail-on", "copies,sharpness<1", code=3).stdout)
    checks = {check["condition"]: check for check in report["checks"]}
    assert not checks["sharpness<1"]["passed"] and "was not measured" in checks["sharpness<1"]["measured"]
    assert (run / "report" / "badge.svg").exists() and (run / "report" / "junit.xml").exists()
    assert {"bits_per_character"} <= {s["name"] for s in report["scores"]}


def test_a_report_outside_of_its_run_leaves_the_run_as_it_is(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    """`--out` was refused for runs."""
    _, run = text_run
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    output = anew("evaluate", run, "-n", 4, "--out", tmp_path / "out")
    assert f"report   {tmp_path / 'out' / 'report.html'}" in output.stdout
    assert json.loads((tmp_path / "out" / "report.json").read_text())["run"] == run.name
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_score_gives_a_row_for_each_record_and_a_line_for_each_file(
    text_run: tuple[Path, Path], tmp_path: Path
) -> None:
    _, run = text_run
    for number in range(2):
        prose(tmp_path / "in" / f"{number}.txt", 40, seed=number + 9)
    whole = anew("score", run, tmp_path / "in")
    assert [line.split()[0] for line in whole.stdout.splitlines()[:3]] == ["file", "0.txt", "1.txt"]
    assert (
        "\nlog-likelihood  " in whole.stdout
        and "scoring tokens: " in whole.stderr
        and "scoring tokens: " not in whole.stdout
    )
    rows = anew("score", run, tmp_path / "in", "--per-item").stdout.splitlines()
    assert len(rows) == 3 and rows[0].startswith("file,record,tokens,characters,log_likelihood,")
    out = tmp_path / "scores.csv"
    assert f"2 rows in {out}" in anew("score", run, tmp_path / "in", "--per-item", "--out", out).stdout
    assert out.read_text().splitlines() == rows
    result = json.loads(anew("score", run, tmp_path / "in", "--per-item", "--json").stdout)
    assert [item["file"] for item in result["items"]] == ["0.txt", "1.txt"]


def test_every_command_speaks_json(text_run: tuple[Path, Path], image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = text_run

    def spoken(*arguments: object) -> dict[str, Any]:
        completed = anew(*arguments, "--json")
        assert completed.stdout.count("\n") == 1
        output: dict[str, Any] = json.loads(completed.stdout)
        return output

    trained = spoken("train", data, "--run", tmp_path / "run", "--steps", 2, *SMALL_TEXT)
    assert trained["folder"] == str(tmp_path / "run") and {"scores", "verdict", "grades"} <= set(trained["report"])
    resumed = spoken("resume", tmp_path / "run")
    assert resumed["report"]["scores"]
    sampled = spoken("sample", run, "--out", tmp_path / "a", "-n", 2, "--set", "max_tokens=20")
    assert sampled["samples"] == sampled["num_files"] == len(sampled["files"]) == 2
    assert all(Path(name).is_file() for name in [*sampled["files"], sampled["sheet"]])
    pictures = spoken("sample", image_run[1], "--out", tmp_path / "b", "-n", 3, "--scale", 3)
    sheet, cells = map(Path, pictures["sprite_sheet"])
    frames = json.loads(cells.read_text())["frames"]
    assert sheet.name == "sheet.png" and list(frames) == [Path(name).name for name in pictures["files"]]
    assert sampled["sprite_sheet"] == []
    assert "leave scale out" in anew("sample", run, "--out", tmp_path / "c", "--scale", 2, code=2).stderr
    walked = spoken("walk", image_run[1], "--out", tmp_path / "w", "-n", 4, "--stops", 2)
    assert walked["frames"] == 4 and Path(walked["strip"]).is_file() and Path(walked["animation"]).is_file()
    written = spoken("example", "names", tmp_path / "names")
    assert written == {"name": "names", "folder": str(tmp_path / "names")}
    assert "names" in spoken("example")["examples"]
    assert {s["owner"] for s in spoken("settings", "temperature")["settings"]} == {"transformer", "vae"}


def test_json_names_no_more_files_than_a_program_can_read_at_once(
    image_run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MOST_NAMED", 300)
    answers = {
        n: json.loads(anew("sample", image_run[1], "--out", tmp_path / str(n), "-n", n, "--json").stdout)
        for n in (300, 301)
    }
    assert len(answers[300]["files"]) == 300 and Path(answers[300]["files"][-1]).name.startswith("0299")
    assert answers[301]["files"] is None and answers[301]["num_files"] == answers[301]["samples"] == 301


def test_json_names_one_file_of_many_batches_once(tmp_path: Path) -> None:
    sequences(tmp_path / "p.fasta", 60)
    anew("train", tmp_path / "p.fasta", "--run", tmp_path / "run", "--steps", 1, *SMALL_TEXT)
    answer = json.loads(
        anew("sample", tmp_path / "run", "--out", tmp_path / "s", "-n", 300, "--set", "max_tokens=3", "--json").stdout
    )
    assert answer["files"] == [str(tmp_path / "s" / "samples.fasta")] and answer["num_files"] == 1


def test_a_run_ends_with_three_answers_and_two_commands(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = image_run
    completed = anew(
        "train", data, "--run", tmp_path / "run", "--steps", 2, *SMALL_IMAGES, "--set", "evaluate_samples=24"
    )
    ending = completed.stdout.splitlines()[-8:]
    assert [line.split("?")[0] for line in ending[:3]] == ["Close to your data", "As varied", "New"]
    assert [line.split()[0] for line in ending[4:7]] == ["samples", "report", "more"]
    assert ending[7].split()[1:3] in (["anew", "resume"], ["anew", "evaluate"])
    assert not [
        line for line in completed.stdout.splitlines() if line.startswith("  ")
    ]  # details and the table: --verbose


def test_what_is_waited_for_is_printed_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("anew.stores")
    with _waiting_shown():
        logger.info("copying %s", "s3://bucket\x1b[2J")
        logging.getLogger("anew.reading").info("reading the data (10 s so far)")
    logger.info("of another program")
    assert capsys.readouterr().err == "copying s3://bucket\\x1b[2J\nreading the data (10 s so far)\n"


def test_look_says_what_it_is(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = image_run
    output = json.loads(anew("look", data, "--json").stdout)
    assert output["modality"] == "image" and output["family"] == "diffusion"
    assert output["items"] == 240 and output["labels"] == ["bar", "disc"]
    words = anew("look", names(tmp_path / "names.txt")).stdout
    assert words.startswith("data:   ") and "\nmodel:  transformer\nbecause " in words


def test_look_at_a_run_says_how_good_it_is_and_what_comes_next(text_run: tuple[Path, Path]) -> None:
    data, run = text_run
    lines = anew("look", run).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["run", "data", "model", "so far"]
    assert str(data) in lines[1] and "12 steps" in lines[3] and lines[5].startswith("Close to your data?")
    assert lines[-2].startswith("more ")
    assert json.loads(anew("look", run, "--json").stdout)["status"] == "finished"


@pytest.mark.parametrize("after", [3.0, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.3, 1.5, 4.5, 6.0))])
def test_a_killed_run_goes_on_to_the_same_bytes(text_run: tuple[Path, Path], tmp_path: Path, after: float) -> None:
    data, run = text_run
    target = tmp_path / "killed"
    command = [sys.executable, "-m", "anew", "train", str(data), "--run", str(target), "--steps", "12"]
    settings = [*SMALL_TEXT, "--set", "checkpoint_seconds=0"]
    process = subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    while not (target / "config.json").exists():
        time.sleep(0.02)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    anew("resume", target)
    assert weights_digest(target) == weights_digest(run)
    assert json.loads((target / "config.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_more_steps_go_on_from_the_undecayed_weights(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = image_run
    common = (*SMALL_IMAGES, "--set", "evaluate_samples=1")
    anew("train", data, "--run", tmp_path / "run", "--steps", 6, *common)
    completed = anew("resume", tmp_path / "run")
    assert "finished" in completed.stdout
    anew("resume", tmp_path / "run", "--steps", 10)
    anew("train", data, "--run", tmp_path / "straight", "--steps", 10, *common)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["plan"]["steps"] == 10
    assert weights_digest(tmp_path / "run") == weights_digest(tmp_path / "straight")
    assert "not more than" in anew("resume", tmp_path / "run", "--steps", 2, code=2).stderr


def test_a_signal_saves_and_leaves_with_75(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = text_run
    command = ["-m", "anew", "train", str(data), "--run", str(tmp_path / "run"), "--steps", "100000", *SMALL_TEXT]
    process = Forked(command, ENV)
    events = tmp_path / "run" / "events.jsonl"
    while not (events.exists() and events.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 75, error
    assert f"continue with `anew resume {tmp_path / 'run'}`" in out
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert f"anew resume {tmp_path / 'run'}`" in anew("sample", tmp_path / "run", "--out", tmp_path / "x").stderr


def test_what_was_drawn_before_a_signal_is_kept(
    text_run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = text_run
    command = ["sample", str(run), "--out", str(tmp_path / "out"), "-n", "20000", "--set", "max_tokens=1"]
    generate = Generator.generate_samples
    batches: list[int] = []

    def interrupted(self: Generator, request: SampleRequest, *rest: Any) -> Samples:
        if batches:
            assert (tmp_path / "out" / "00255.txt").exists() and (tmp_path / "out" / ".unfinished.json").exists()
            raise KeyboardInterrupt
        batches.append(request.n)
        return generate(self, request, *rest)

    monkeypatch.setattr(Generator, "generate_samples", interrupted)
    assert main(command) == 75
    assert f"the first 256 samples are in {tmp_path / 'out'}; the same command draws all" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("00*.txt"))) == 256  # numbered as those of all 20,000
    assert (tmp_path / "out" / "00255.txt").exists()
    assert main([*command, "--seed", "1"]) == 2
    assert main(command) == 75  # nothing was drawn, so what is there stays
    assert len(list((tmp_path / "out").glob("00*.txt"))) == 256


def test_a_run_without_a_name_is_named_where_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from anew import api

    def stopped(data: str, run: str, **settings: Any) -> None:
        settings["reporter"].steps = 1
        Path(run).mkdir()
        (Path(run) / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "train", stopped)
    (tmp_path / "runs" / "book-1").mkdir(parents=True)
    assert main(["train", "book.txt"]) == 75
    assert "continue with `anew resume runs/book-2`" in capsys.readouterr().out


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_torchrun_is_the_same_command(text_run: tuple[Path, Path], tmp_path: Path, parallel: str) -> None:
    data, run = text_run
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "anew"]
    settings = [*SMALL_TEXT, "--set", f"parallel={parallel}"]
    command = [*launcher, "train", str(data), "--run", str(tmp_path / "two"), "--steps", "12", *settings]
    process = Forked(command, {**ENV, "OMP_NUM_THREADS": "1"})
    _, error = process.communicate(timeout=900)
    assert process.returncode == 0, error[-2000:]
    events = [read_events(folder / "events.jsonl") for folder in (run, tmp_path / "two")]
    curves = [[event["loss"] for event in of_run if event["event"] == "step"] for of_run in events]
    assert len(curves[0]) == len(curves[1]) == 12
    assert all(abs(a - b) <= 1e-4 * abs(a) for a, b in zip(*curves, strict=True))


@pytest.mark.slow
def test_a_budget_is_kept_and_its_plan_replays(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data")
    begin = time.monotonic()
    in_a_process("train", data, "--run", tmp_path / "run", "--budget", "20s")
    seconds = time.monotonic() - begin
    assert seconds < 22.0
    assert seconds > 13.0
    anew("train", data, "--run", tmp_path / "again", "--plan", tmp_path / "run", "--set", "evaluate_samples=1")
    assert weights_digest(tmp_path / "again") == weights_digest(tmp_path / "run")


def test_a_family_of_your_own_is_one_file(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = image_run
    family_file = tmp_path / "own.py"
    family_file.write_text((Path(__file__).parents[1] / "toys.py").read_text())
    anew("train", data, "--run", tmp_path / "run", "--steps", 5, "--family", family_file, "--set", "width=32")
    family_file.unlink()  # the run holds all it needs
    assert "--trust-code" in anew("sample", tmp_path / "run", "--out", tmp_path / "out", code=2).stderr
    anew("sample", tmp_path / "run", "--out", tmp_path / "out", "-n", 3, "--trust-code")
    assert len(list((tmp_path / "out").glob("0*.png"))) == 3


def test_tensorboard_files_are_written_when_asked_for(image_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = image_run
    common = ("--steps", 3, *SMALL_IMAGES, "--set", "evaluate_samples=1")
    anew("train", data, "--run", tmp_path / "run", *common, "--set", "tensorboard=true")
    assert list((tmp_path / "run").glob("events.out.tfevents*"))


def test_empty_samples_are_said(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = text_run
    anew("sample", run, "--out", tmp_path / "whole", "-n", 1)
    first = (tmp_path / "whole" / "0000.txt").read_text()[0]
    printed = anew("sample", run, "--out", tmp_path / "stopped", "-n", 1, "--stop", first)
    assert "1 sample is empty: the --stop text came first" in printed.stderr


MISTAKES = [
    (("train", "{none}"), "does not exist"),
    (("train", "{empty}", "--steps", "3"), "no usable|nothing|empty|holds no"),
    (("train", "{data}", "--run", "{run}"), "already holds a run"),
    (("train", "{data}", "--steps", "3", "--budget", "3s"), "--budget and --steps are mutually exclusive"),
    (("train", "{data}", "--budget", "soon"), "--budget must be a time"),
    (("train", "{data}", "--budget", "1s"), "leaves no time to train.*give (at least|more)"),
    (("train", "{data}", "--budget", "99999999999h"), "--budget must be a time of more than 0 s and less than a year"),
    (("train", "{data}", "--set", "width=64", "--set", "width=32"), "--set width was given twice .*give one"),
    (("train", "{data}", "--bugdet", "1m"), "unknown option '--bugdet'; did you mean '--budget'"),
    (("train", "{data}", "{data}", "--steps", "3"), "unexpected argument .*give the folder that holds them"),
    (("compare", "{run}", "{run}", "--out", "{none}"), "unexpected argument .*; runs stand after --runs"),
    (("train", "{data}", "--steps", "x"), "--steps must be an integer"),
    (("train", "{data}", "--prefer", "sped"), "--prefer must be one of quality, speed, latent"),
    (("train", "{data}", "--set", "modality=image"), "unknown setting 'modality'; give it by itself, as --modality"),
    (("settings", "widht"), "no setting, family or kind of data is called 'widht'; did you mean 'width'"),
    (("trian", "{data}"), "did you mean 'train'"),
    (("train", "{data}", "--steps", "3", "--set", "widht=3"), "did you mean 'width'"),
    (("train", "{data}", "--steps", "3", "--set", "encoding=koi8-rr"), "did you mean 'koi8-r'"),
    (("look", "{data}", "--set", "encoding=utf-16"), "known by their byte order mark"),
    (("train", "{data}", "--steps", "3", "--set", "width"), "KEY=VALUE, for example --set width=64"),
    (("score", "{run}", "{data}", "--set", "encoding"), "for example --set text_column=quote"),
    (("evaluate", "--samples", "{data}", "--data", "{data}", "--set", "layout"), "for example --set text_column=quote"),
    (("score", "{run}", "{data}", "--set", "text_colum=quote"), "that are only read; did you mean 'text_column'"),
    (("score", "{run}", "{data}", "--set", "layout=list"), "only text_column, label_column, encoding or header can"),
    (("train", "{data}", "--steps", "3", "--set", "width=-1"), "out of range"),
    (("train", "{data}", "--steps", "3", "--family", "difusion"), "did you mean 'diffusion'"),
    (("train", "{data}", "--steps", "3", "--family", "diffusion"), "does not take texts; give transformer"),
    (("train", "{data}", "--steps", "3", "--modality", "imag"), "did you mean 'image'"),
    (("train", "{data}", "--steps", "3", "--set", "device=tpu"), "give auto, cpu, cuda"),
    (
        ("train", "{data}", "--steps", "3", "--set", "train_seconds=2"),
        "--steps and the setting train_seconds are mutually exclusive",
    ),
    (("train", "{data}", "--steps", "3", "--family", "{odd}"), "cannot be run as Python"),
    (("train", "{data}", "--plan", "{run}", "--set", "width=64"), "--plan takes 'width'"),
    (("train", "{data}", "--plan", "{data}"), "is not a run"),
    (("score", "{run}", "{data}", "--out", "x.csv"), "--out is for the rows of --per-item"),
    (("score", "{run}", "{data}", "--per-item", "--out", "x.txt"), "--out 'x.txt' must end in .csv"),
    (("resume", "{run}", "--steps", "3"), "not more than the 12 steps"),
    (("sample", "{run}", "--out", "{odd}"), "exists and is not empty"),
    (("sample", "{none}", "--out", "x"), "does not exist"),
    (("sample", "{run}", "--out", "x", "-n", "0"), "out of range"),
    (("train", "{data}", "-b", "10m"), "unknown option '-b'; did you mean '--budget'"),
    (("look", "{data}", "-n", "5"), "unknown option '-n'; see `anew look --help`"),
    (("--json", "look", "{data}"), "--json must stand after `anew look`"),
    (("nearest", "{run}", "{data}", "{data}"), "unexpected argument '[^;]*$"),
    (("sample", "{run}", "--out", "x", "--max-tokens", "9"), "unknown option '--max-tokens'; .* --set max_tokens="),
    (("sample", "{run}", "--out", "x", "--length=9"), "it is a setting: --set max_tokens="),
    (
        ("sample", "{run}", "--out", "x", "--fill", "y.png"),
        "parts of pictures, clips and sounds are filled in on the page",
    ),
    (("train", "{data}", "--width", "64"), "unknown option '--width'; it is a setting: --set width="),
    (("train", "{data}", "--length", "64"), "unknown option '--length'; allowed: "),
    (("train", "{data}", "--out", "x"), "unknown option '--out'; did you mean '--run'"),
    (("evaluate", "--run", "{run}"), "unknown option '--run'; give RUN without an option: `anew evaluate RUN`"),
    (("sample", "--run", "{run}", "--out", "{none}"), "give RUN without an option: `anew sample RUN`"),
    (("serve", "--run", "{run}"), "give RUN without an option: `anew serve RUN`"),
    (("example", "cats"), "unknown example 'cats'; allowed: digits"),
    (
        ("settings", "no_such_setting"),
        "no setting, family or kind of data is called 'no_such_setting'; `anew settings` lists all 1",
    ),
    (("serve", "{none}"), "does not exist; give a run that train made"),
    (("sample", "{run}", "--out", "x", "--format", "png"), "--format is for images, sounds and clips"),
    (("sample", "{run}", "--out", "x", "--scale", "3"), "text data has no pixels to enlarge"),
    # No number of frames would help a run without a latent space
    (("walk", "{run}", "--out", "x", "-n", "3"), "the family 'transformer' has no continuous space to interpolate in"),
    (("walk", "{none}", "--out", "x", "-n", "3"), "does not exist"),
    (("nearest", "{run}", "--text", " "), "--text cannot be compared: item 1: it is empty"),
    (("export", "{run}", "--to", "html", "--out", "{none}"), "--out must be a file that ends in .html"),
    (("evaluate", "--samples", "{data}", "--data", "{data}", "--set", "foo=1"), "'foo' cannot be set"),
    (
        ("evaluate", "{run}", "--fail-on", "cleverness<3"),
        "no figure is called 'cleverness'; scores in report/report.json",
    ),
    (("train", "{data}", "--budget", "-1m"), "--budget must be a time of more than 0 s .*got '-1m'"),
    (("compare", "{data}", "--out", "{none}", "--families", "transformer"), "give the finished runs with --runs"),
    (("serve", "{run}", "--allow-origin", "localhost"), "--allow-origin must be the scheme, name and port of a site"),
    (("sample", "{run}", "--out", "x", "--label", "cat"), "has no classes"),
    (("sample", "{run}", "--out", "x", "--set", "temprature=1"), "did you mean 'temperature'"),
    (("sample", "{run}", "--out", "x", "--prompt-file", "{none}"), "--prompt-file .* does not exist"),
    (("sample", "{run}", "--out", "x", "--prompt-file", "{empty}"), "is a folder; give a file"),
    (("sample", "{run}", "--out", "x", "--suffix-file", "{none}"), "--suffix-file .* does not exist"),
    (
        ("sample", "{run}", "--out", "x", "--suffix", "a", "--suffix-file", "{odd}"),
        "--suffix and --suffix-file are mutually exclusive",
    ),
    (("sample", "{run}", "--out", "x", "--stop", ""), "--stop must be a text of one character or more"),
    (("sample", "{run}", "--out", "x", "--seed", "-1"), "seed=-1 is out of range"),
    (("sample", "{run}", "--out", "x", "--set", "temperature=nan"), "temperature=nan is not allowed; give a finite"),
    (("walk", "{run}", "--out", "x", "--seed", "-1"), "seed=-1 is out of range"),
    (("look", "{data}", "--seed", "-1"), "seed=-1 is out of range"),
    (("train", "{data}", "--steps", "3", "--set", "rate=nan"), "rate=nan is not allowed; give a finite number"),
    (("train", "{data}", "--steps", "3", "--set", "checkpoint_seconds=inf"), "checkpoint_seconds=inf is not allowed"),
    (("train", "{data}", "--set", "train_seconds=nan"), "train_seconds=nan is not allowed"),
    (("train", "{data}", "--steps", "3", "--seed", "-1"), "seed=-1 is out of range"),
    (("example", "digitz", "{none}"), "did you mean 'digits'"),
    ((), None),
]


# A budget of a second may end between the opening of a file and its `with`; then the garbage collector closes it, and warns
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES[:-1], ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...],
    message: str,
    text_run: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, run = text_run
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.py").write_text("this is no Python\n")
    places = {
        "none": tmp_path / "none",
        "empty": tmp_path / "empty",
        "data": data,
        "run": run,
        "odd": tmp_path / "odd.py",
    }
    before = weights_digest(run)
    filled = [a.format(**places) for a in arguments]
    if filled[0] == "train" and "--run" not in filled:
        filled += ["--run", str(tmp_path / "made")]
    assert main(filled) == 2
    output, error = capsys.readouterr()
    assert re.search(message, error), error
    assert error.count("\n") == 1 and not output
    assert not (tmp_path / "made").exists()
    assert weights_digest(run) == before


def test_altered_runs_are_refused(
    text_run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = text_run
    for harm, message in (
        ("weights", "which its weights do not fill"),
        ("pretend", "not a complete safetensors"),
        ("config", "cannot be read"),
    ):
        copy = tmp_path / harm
        shutil.copytree(run, copy)
        model = copy / "model.safetensors"
        if harm == "weights":
            import torch
            from safetensors.torch import save_file

            save_file({"net.odd": torch.zeros(2)}, model)
        elif harm == "pretend":
            model.write_bytes(b"not tensors at all")
        else:
            (copy / "config.json").write_text("{")
        assert main(["sample", str(copy), "--out", str(tmp_path / "x")]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_begun_run_is_never_removed(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = text_run
    run = tmp_path / "run"
    run.mkdir()
    request = {"data": str(tmp_path / "gone"), "budget": None, "steps": 4, "family": None, "modality": None,
               "prefer": "quality", "seed": 0, "settings": {"evaluate_samples": "2"}}  # fmt: skip
    (run / "config.json").write_text(json.dumps({"format": 1, "request": request, "status": "begun"}))
    anew("resume", run, code=2)
    assert (run / "config.json").exists()
    anew("resume", run, "--data", data)
    assert json.loads((run / "config.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_a_damaged_decay_start_is_said(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = text_run
    shutil.copytree(run, tmp_path / "run")
    state = tmp_path / "run" / "checkpoints" / "decay-start" / "state.safetensors"
    state.write_bytes(state.read_bytes() + b"junk")
    completed = anew("resume", tmp_path / "run", "--steps", 14, "--data", data)
    assert "decay-start is damaged" in completed.stdout
    assert "began to fall" not in completed.stdout


@pytest.mark.slow
def test_a_run_of_which_every_checkpoint_is_damaged_begins_again(text_run: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = text_run
    shutil.copytree(run, tmp_path / "run")
    for state in (tmp_path / "run" / "checkpoints").glob("*/state.safetensors"):
        state.write_bytes(b"junk")
    shown = anew("resume", tmp_path / "run", "--steps", 14, "--data", data).stdout
    assert "beginning again at step 0, since no checkpoint of the" in shown and "continuing from" not in shown


def test_edited_settings_are_one_sentence(
    text_run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = text_run
    for number, edit in enumerate(
        ({"data": None}, {"spec": {"kind": "tokens"}}, {"family": {"name": "nothing", "config": {}}})
    ):
        copy = tmp_path / str(number)
        shutil.copytree(run, copy)
        config = json.loads((copy / "config.json").read_text()) | edit
        (copy / "config.json").write_text(json.dumps(config))
        assert main(["sample", str(copy), "--out", str(tmp_path / "x")]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_changed_data_is_refused_and_moved_data_is_found(
    image_run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = image_run
    shutil.copytree(run, tmp_path / "run")
    shutil.copytree(data, tmp_path / "moved")
    assert main(["evaluate", str(tmp_path / "run"), "-n", "4", "--data", str(tmp_path / "moved")]) == 0
    (tmp_path / "moved" / "disc" / "0001.png").unlink()
    assert main(["evaluate", str(tmp_path / "run"), "-n", "4", "--data", str(tmp_path / "moved")]) == 2
    assert "changed" in capsys.readouterr().err
