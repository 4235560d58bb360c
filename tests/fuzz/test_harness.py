"""The harness catches bugs that are planted: a check that finds nothing proves nothing otherwise."""

from __future__ import annotations

import collections
import gc
import itertools
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import fuzz.__main__ as main
from fuzz import commands, containers, corpus, runs, tampering, verbs
from fuzz.children import Limits, Outcome, run
from fuzz.formats import CONTAINERS, FORMATS, good_files
from fuzz.mutations import BLIND, LIES, mutated


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (lambda: 1, None),
        (lambda: [][0], "traceback"),
        (spin, "hang"),
        (lambda: time.sleep(60), "hang"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "crash"),
        (lambda: os._exit(3), "crash"),
        (lambda: os.write(2, b"warning: a library speaks"), "stderr"),
        (lambda: print("warning", file=sys.stderr), "stderr"),
    ],
)
def test_a_child_is_watched(work: Any, fault: str | None) -> None:
    assert run(work, Limits(cpu=0.7, idle=2.0)).fault == fault


def test_what_children_import_is_there() -> None:
    containers.preload()
    assert {"anew.data.modalities.image", "anew.functional.schedules"} <= sys.modules.keys()


def test_a_child_that_takes_too_much_memory_is_ended() -> None:
    def hoard() -> None:
        # New pages: what earlier tests left to the allocator, and to the collector, would be taken first, and is no new memory.
        memory = mmap.mmap(-1, 1_000_000_000)
        for offset in range(0, len(memory), mmap.PAGESIZE):
            memory[offset] = 1
        time.sleep(5)
        memory.close()

    gc.collect()
    outcome = run(hoard, Limits(memory=300_000_000))
    assert outcome.fault == "memory"
    assert outcome.peak > 300_000_000


def test_what_the_harness_itself_holds_does_not_count() -> None:
    memory = bytearray(b"x") * 400_000_000
    outcome = run(lambda: time.sleep(0.3), Limits(memory=300_000_000))
    assert outcome.fault is None
    del memory


def test_what_a_child_starts_counts_too() -> None:
    def start() -> None:
        subprocess.run([sys.executable, "-c", "held = bytearray(b'x') * 400_000_000; import time; time.sleep(60)"])

    assert run(start, Limits(memory=300_000_000)).fault == "memory"
    busy = [sys.executable, "-c", "while True: pass"]
    assert run(lambda: subprocess.run(busy, check=True), Limits(cpu=0.5)).fault == "hang"


def test_a_failure_names_the_code() -> None:
    from anew.core.durations import parse_duration

    outcome = run(lambda: parse_duration(object()))  # type: ignore[arg-type]
    assert outcome.fault in (None, "traceback")
    outcome = run(lambda: json.loads("{"))
    assert outcome.fault == "traceback"
    assert "JSONDecodeError" in outcome.detail


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_mutations_are_a_function_of_the_seed(name: str) -> None:
    good = (b"", b"x", bytes(range(256)) * 3, FORMATS[name].make(0), FORMATS[name].make(3))
    variants = [[mutated(random.Random(seed), name, good, good) for seed in range(60)] for _ in range(2)]
    assert variants[0] == variants[1]
    assert len(set(variants[0])) > 20


def test_every_mutation_takes_any_bytes() -> None:
    for mutation in (*BLIND, *(lie for lies in LIES.values() for lie in lies)):
        for seed in range(5):
            for data in (b"", b"\0", b"abc", bytes(40), b"\xff" * 300):
                assert isinstance(mutation(random.Random(seed), data), bytes)


def test_every_mutation_changes_files_of_its_format() -> None:
    for name, mutations in ((name, [*BLIND, *LIES.get(name, ())]) for name in FORMATS):
        good = FORMATS[name].make(0)
        for mutation in mutations:
            changed = sum(mutation(random.Random(seed), good) != good for seed in range(10))
            assert changed > 2, (name, mutation)  # some swap equal parts now and then


def test_lies_are_of_formats_there_are() -> None:
    assert set(LIES) <= set(FORMATS)


def planted(folder: Path, modality: str | None) -> None:
    """Fails at files that begin with another byte than they should."""
    for path in sorted(folder.iterdir()):
        if path.read_bytes()[:1] != b"B":
            raise ValueError("planted")


@pytest.mark.slow
def test_a_failing_batch_comes_down_to_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "HERE", tmp_path)
    monkeypatch.setattr(corpus, "INDEX", tmp_path / "index.jsonl")
    whole, failures, tried = containers.batch("bmp", 1, path=planted)
    assert whole.fault == "traceback"
    assert len(failures) == containers.TRIES
    assert tried == containers.FEW
    entries = corpus.lines()
    assert len(entries) == corpus.ALIKE  # no file is kept of more that fail alike
    for entry in entries:
        (data,) = corpus.data_of(entry)
        assert data[:1] != b"B"
        assert containers.try_files("bmp", [data], entry["modality"], entry["first"], planted).fault == "traceback"
    assert [f.detail for f in containers.batch("bmp", 1, keep=False, path=planted)[1]] == [f.detail for f in failures]


def test_a_batch_that_fails_only_together_is_not_cut_further() -> None:
    files, outcome = containers.reduce(
        [b"a", b"b", b"c", b"d"], lambda subset: Outcome("lost" if {b"a", b"d"} <= set(subset) else None)
    )
    assert files == [b"a", b"b", b"c", b"d"]
    assert outcome is None or outcome.fault == "lost"


def small_run(home: Path) -> Path:
    """What has the files of a run, and nothing in them that a verb could use."""
    folder = home / "run"
    step = folder / "checkpoints" / "step-00000002"
    step.mkdir(parents=True)
    (home / "data").mkdir()
    (folder / "config.json").write_text(
        json.dumps({"request": {"family": None, "data": "x"}, "family": {"name": "x"}, "data": {"path": "x"}})
    )
    (folder / "events.jsonl").write_text('{"event": "step", "step": 1}\n')
    (folder / "tokenizer.json").write_text('{"model": {"x": [1]}}')
    for name in ("meta.json", "manifest.json"):
        (step / name).write_text('{"step": 2}')
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = small_run(tmp_path / "home")
    monkeypatch.setattr(runs, "finished", lambda kind: home)
    monkeypatch.setattr(commands, "finished", lambda kind: home)
    return home


def test_every_tamper_alters_the_run(home: Path, tmp_path: Path) -> None:
    for number, tamper in enumerate(set(tampering.TAMPERS)):
        for seed in range(25):
            place = tmp_path / f"{number}-{seed}"
            place.mkdir()
            folder = small_run(place) / "run"
            assert tamper(random.Random(seed), folder)


def executed(place: Path, names: list[str]) -> list[Any]:
    (place / tampering.CANARY).write_text("executed")
    return []


def written(place: Path, names: list[str]) -> list[Any]:
    (place / "victim.txt").write_text("touched")
    return []


def harmless(place: Path, names: list[str]) -> list[Any]:
    (place / "run" / "report").mkdir(exist_ok=True)
    (place / "out" / "x").write_text("a result")
    return []


@pytest.mark.parametrize(("work", "faults"), [(executed, ["executed"]), (written, ["written"]), (harmless, [])])
def test_what_leaves_the_run_is_seen(home: Path, work: Any, faults: list[str]) -> None:
    for seed in range(12):
        _, failures, about = runs.case("text", seed, work)
        assert [f.fault for f in failures] == faults or "report is a" in about or "is a link" in about


def test_a_traceback_of_a_verb_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(place: Path) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(verbs, "SHORT", {"look": broken, "sample": broken})
    monkeypatch.setattr(verbs, "LONG", {"evaluate": broken, "resume": broken})
    monkeypatch.setattr(runs, "BUILD", home)
    monkeypatch.setattr(runs, "preload", lambda kind: None)
    _, failures, _ = runs.case("text", 0)
    assert [f.fault for f in failures] == ["traceback"] * 4
    assert (home / "verbs.txt").read_text().split() == ["look", "sample", "evaluate", "resume"]
    assert "planted" in failures[0].detail


def test_command_lines_are_a_function_of_the_seed() -> None:
    lines = [[commands.arguments(random.Random(seed)) for seed in range(300)] for _ in range(2)]
    assert lines[0] == lines[1]
    assert {line[0] for line in lines[0] if line} >= set(commands.FLAGS)


def test_odd_exit_codes_and_tracebacks_of_the_command_line_are_seen(home: Path) -> None:
    def call(line: list[str]) -> int:
        if "--seed" in line:
            raise KeyError("planted")
        return 3 if "--json" in line else 0

    faults = [outcome.fault for seed in range(4) for outcome in commands.group(seed, call)[1]]
    assert {"traceback", "exit"} <= set(faults)
    assert not commands.group(0, lambda line: 2)[1]


def test_good_files_are_small() -> None:
    for name in ("png", "wav", "jsonl"):
        assert max(map(len, good_files(name))) < corpus.MOST_BYTES


def test_figures_are_shown_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "RESULTS", tmp_path / "results" / "fuzz.jsonl")
    fine, broken = Outcome(peak=3 << 20), Outcome("crash", "killed", peak=5 << 20)
    turns = [("gif", lambda: (fine, [], 40, "seed 0")), ("gif", lambda: (broken, [broken], 40, "seed 1"))]
    rows = main.fuzz(iter(turns), 60.0)
    assert main.table(rows).splitlines()[1].split()[:4] == ["gif", "80", "2", "1"]
    cells = main.table(rows).splitlines()[-1].split()
    assert (cells[:4], cells[-1]) == (["all", "80", "2", "1"], "5")
    main.record(rows, 0, 60.0)
    (line,) = (tmp_path / "results" / "fuzz.jsonl").read_text().splitlines()
    assert json.loads(line)["kinds"]["gif"]["signatures"] == ["crash killed"]


def test_a_campaign_gives_every_kind_of_container_so_many_files() -> None:
    turns = collections.Counter(name for name, _ in main.campaign(["containers"], 0, False, 2000))
    for formats in CONTAINERS.values():
        assert 2000 <= containers.MANY * sum(turns[name] for name in formats) < 2000 + containers.MANY * len(formats)
    assert {name for formats in CONTAINERS.values() for name in formats} == set(FORMATS) == set(turns)
    assert {name for name, _ in main.campaign(["video", "png"], 0, False, 400)} == {"png", *CONTAINERS["video"]}


def test_turns_take_every_kind_that_is_wanted() -> None:
    names = [name for name, _ in itertools.islice(main.steps([], 0), 100)]
    assert set(names) == {*FORMATS, *(f"run {kind}" for kind in runs.KINDS), "commands"}
    assert {name for name, _ in itertools.islice(main.steps(["gif", "run text"], 0), 20)} == {"gif", "run text"}
    with pytest.raises(SystemExit, match="nothing is called"):
        next(main.steps(["x"], 0))
