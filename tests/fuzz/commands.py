"""Command lines that nobody would type, from a grammar of the verbs: each ends with a known exit code and no traceback."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fuzz.children import Failed, Limits, Outcome, run
from fuzz.runs import finished

LIMITS = Limits(cpu=60.0)
EXIT_CODES = (0, 2, 75)
GROUP = 12  # command lines in one child; those that train or measure are rare

PATHS = ("data", "data/a.txt", "run", "run/config.json", "nowhere", "", ".", "..", "/", "~", "a\0b", "x" * 300, "fifo", "-", "--",
         "hf://", "owner/name", "\udcff", "empty", "link", "run/model.safetensors", "/dev/null", "data\n", "'; ls", "*")  # fmt: skip
NUMBERS = ("1", "2", "3", "0", "-1", "1.5", "x", "", "1e3", "9" * 30, "nan", "0x10", " 2", "\u0663")
TIMES = ("3s", "0", "0s", "-1s", "x", "", "1.5", "2 s", "1h2m", "nan", "inf", "1e-9s", "s")
WORDS = ("text", "image", "x", "", "quality", "speed", "latent", "vae", "transformer", "diffusion", "fuzz.py", "../x", "a" * 300, "\x1b[2J",
         "os", "__init__", "_layouts", "family", "None", "1")  # fmt: skip
SETTINGS = ("width=64", "width=x", "width=", "=3", "x", "width=1000000000", "width=-1", "batch_size=0", "nothing=1", "train.x=1", "a=b=c",
            "=",
            "temperature=0", "temperature=nan", "temperature=1e999", "top_k=-1", "stop=\0", "train_seconds=1", "device=tpu",
            "precision=x", "evaluate_samples=8", "model_size=99", "context=0", "prompt=x")  # fmt: skip

TARGETS = ("transformers", "gguf", "onnx", "hub", "Transformers", "", "../hub")

# values of the flags of each verb; None: a flag without a value
FLAGS: dict[str, dict[str, Sequence[str] | None]] = {
    "look": {"--modality": WORDS, "--prefer": WORDS, "--seed": NUMBERS, "--set": SETTINGS, "--json": None},
    "train": {"--run": PATHS, "--budget": TIMES, "--steps": NUMBERS, "--plan": PATHS, "--family": WORDS, "--modality": WORDS,
              "--prefer": WORDS, "--seed": NUMBERS, "--set": SETTINGS, "--json": None, "--verbose": None},
    "resume": {"--budget": TIMES, "--steps": NUMBERS, "--data": PATHS, "--trust-code": None, "--json": None, "--verbose": None},
    "sample": {"--out": PATHS, "-n": NUMBERS, "--seed": NUMBERS, "--prompt": WORDS, "--prompt-file": PATHS, "--suffix": WORDS,
               "--suffix-file": PATHS, "--stop": WORDS, "--label": WORDS, "--set": SETTINGS, "--trust-code": None, "--json": None},
    "score": {"--json": None, "--trust-code": None},
    "evaluate": {"-n": NUMBERS, "--samples": PATHS, "--data": PATHS, "--held-out": PATHS, "--features": PATHS, "--modality": WORDS,
                 "--out": PATHS, "--seed": NUMBERS, "--json": None, "--verbose": None},
    "compare": {"--out": PATHS, "--families": WORDS, "--runs": PATHS, "--budget": TIMES, "--steps": NUMBERS, "--modality": WORDS,
                "-n": NUMBERS, "--seed": NUMBERS, "--set": SETTINGS, "--json": None},
    "walk": {"--out": PATHS, "-n": NUMBERS, "--stops": NUMBERS, "--seed": NUMBERS, "--label": WORDS, "--from": PATHS, "--to": PATHS,
             "--set": SETTINGS, "--json": None},
    "export": {"--to": TARGETS, "--out": PATHS, "--number-type": ("f32", "f16", "q8_0", *WORDS), "--trust-code": None, "--json": None},
    "settings": {"--json": None},
    "example": {"--json": None},
}  # fmt: skip
PLACES = {
    "look": 1,
    "train": 1,
    "resume": 1,
    "sample": 1,
    "score": 2,
    "evaluate": 1,
    "compare": 1,
    "walk": 1,
    "export": 1,
    "settings": 1,
    "example": 2,
}
# what keeps a valid command short: the default would be minutes of training, or thousands of samples
SHORT = {"train": ("--steps", "1"), "compare": ("--steps", "1"), "evaluate": ("-n", "4"), "resume": ("--steps", "3")}
FEW = ("--set", "evaluate_samples=4")


def arguments(source: random.Random) -> list[str]:
    """One command line: mostly a verb with flags of its own, sometimes anything at all."""
    if source.random() < 0.05:
        return [
            source.choice((*PATHS, *FLAGS, "--help", "--version", "-h", "--x")) for _ in range(source.randint(0, 4))
        ]
    verb = source.choice(sorted(FLAGS))
    flags = FLAGS[verb] if source.random() < 0.9 else FLAGS[source.choice(sorted(FLAGS))]
    line = [verb]
    for _ in range(max(0, PLACES[verb] + source.choice((0, 0, 0, 0, 0, 0, -1, 1)))):
        likely = ("data", "run", "run") if verb not in ("look", "train", "compare") else ("data",)
        line.append(source.choice(likely) if source.random() < 0.6 else source.choice(PATHS))
    for name in source.sample(sorted(flags), min(len(flags), source.choice((0, 1, 1, 2, 3, 5)))):
        values = flags[name]
        line += [name] if values is None else [name, source.choice(values)]
    if verb in SHORT and not {"--steps", "--budget", "--plan"} & set(line) and SHORT[verb][0] not in line:
        line += SHORT[verb]
    if verb == "export" and "--to" not in line:
        line += ["--to", source.choice(TARGETS)]
    if verb in ("sample", "walk", "compare", "export") and "--out" not in line and source.random() < 0.9:
        line += ["--out", f"out-{source.randrange(10**6)}"]
    if verb in ("train", "compare"):
        line += FEW
    if verb == "compare" and "-n" not in line:
        line += ["-n", "4"]
    return line


def called(line: list[str]) -> int:
    """The exit code of a command line, in this process."""
    from anew.cli import main

    try:
        return main(line)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0


def _lines(place: Path, lines: list[list[str]], call: Callable[[list[str]], int]) -> None:
    os.chdir(place)
    os.environ["ANEW_CACHE"] = str(place / "cache")
    os.environ["TMPDIR"], tempfile.tempdir = str(place), None  # reports of bugs are written there
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    for line in lines:
        (place / "line").write_text(repr(line))
        code = call(line)
        if code not in EXIT_CODES:
            raise Failed("exit", f"exit code {code} of {line}")


def _tried(lines: list[list[str]], call: Callable[[list[str]], int]) -> tuple[Outcome, str]:
    """The outcome of command lines, one after the other, and the last that was begun."""
    home = finished("text")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as top:
        place = Path(top) / "place"
        shutil.copytree(home / "run", place / "run")
        shutil.copytree(home / "data", place / "data")
        (place / "empty").mkdir()
        (place / "link").symlink_to("link")
        os.mkfifo(place / "fifo")
        outcome = run(lambda: _lines(place, lines, call), LIMITS, quiet=False)
        last = (place / "line").read_text() if (place / "line").exists() else ""
        reports = [path.read_text(errors="replace") for path in place.glob("anew-bug-*.txt")]
    if outcome.fault == "exit":
        output = [*outcome.log.strip().splitlines(), *(line for report in reports for line in report.splitlines())]
        ours = [frame for line in output for frame in re.findall(r'/anew/(\S+\.py)", line \d+, in (\w+)', line)]
        outcome.where, outcome.detail = (
            ":".join(ours[-1]) if ours else "",
            f"{outcome.detail}; {output[-1] if output else ''}",
        )
    if outcome.fault is None and "Traceback" in outcome.log:
        outcome.fault, outcome.detail = "traceback", outcome.log[outcome.log.rindex("Traceback") :][:300]
    return outcome, last


def group(seed: int, call: Callable[[list[str]], int] = called) -> tuple[Outcome, list[Outcome], int]:
    """Some command lines: (outcome of the last child, failures, command lines tried). After a failure the others go on."""
    source = random.Random(f"commands {seed}")
    lines = [arguments(source) for _ in range(GROUP)]
    failures, peak, seconds = [], 0, 0.0
    while True:
        outcome, last = _tried(lines, call)
        peak, seconds = max(peak, outcome.peak), seconds + outcome.seconds
        if outcome.fault is None:
            break
        failures.append(outcome)
        outcome.detail = f"{last}: {outcome.detail}"
        lines = lines[[repr(line) for line in lines].index(last) + 1 :] if last else []
        if not lines:
            break
    outcome.peak, outcome.seconds = peak, seconds
    return outcome, failures, GROUP
