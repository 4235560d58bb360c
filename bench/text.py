"""Text: loss at a time, time to quality, the whole command at a budget, against nanoGPT's documented CPU recipe.

    python bench/text.py --data DIR-OR-FILE --nanogpt CHECKOUT

Rows of compressors (xz, PPMd, and zpaq where it is installed) say what they add for the last 10% to an archive of the rest.

The text is split by position: the first 90% of the characters may be trained on, the whole last 10% is scored in nats
per character of the original text, whatever the tokens. Without a checkout the same recipe runs on transformers' GPT-2.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from _common import HERE, Table, anew, environment, fresh, parser, pinned, setting_words, train_seconds

PARTS = ("peer", "times", "quality", "whole")
COMPRESSORS = {"xz": "xz -9", "ppmd": "PPMd, order 6", "zpaq": "zpaq -m5"}


def text_file(path: Path) -> Path:
    """The one text file at a path: the file itself, or the largest of a folder."""
    if path.is_file():
        return path
    found = sorted(path.glob("*.txt"), key=lambda p: p.stat().st_size)
    if not found:
        raise SystemExit(f"{path} has no .txt file; give a text file, or a folder with one, with --data")
    return found[-1]


def split(text: Path, folder: Path) -> Path:
    """`folder`/train and `folder`/test: the first 90% of the characters, and the rest."""
    with open(text, encoding="utf-8", newline="") as source:
        content = source.read()
    cut = int(len(content) * 0.9)
    for part, piece in (("train", content[:cut]), ("test", content[cut:])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        with open(folder / part / text.name, "w", encoding="utf-8", newline="") as out:
            out.write(piece)
    return folder


def peer(given: argparse.Namespace, text: Path, core: list[int], seed: int) -> dict[str, Any]:
    """Trains and scores the peer on one core."""
    place = given.work / "text"
    if given.nanogpt is None:
        command = [sys.executable, str(HERE / "_peer_gpt2.py"), "train", "--text", str(text), "--seed", str(seed)]
        return {"name": "GPT-2 of transformers, nanoGPT's CPU recipe", **pinned(command, core, place).check().json()}
    python = environment("nanogpt", ["requests"], given.work)
    script = [str(HERE / "_peer_nanogpt.py"), "train", "--checkout", str(given.nanogpt)]
    more = ["--work", str(place / "nanogpt"), "--text", str(text), "--seed", str(seed)]
    done = pinned([python, *script, *more], core, place).check()
    return {"name": "nanoGPT, documented CPU recipe", **done.json()}


# the counting model of Anew's reports, on the whole of both parts whatever a report had time for
COUNTED = """
import json, math, sys, time
from pathlib import Path
from anew.evaluation.metrics.baselines import kneser_ney_bits
begun = time.process_time()
parts = [open(next(Path(p).glob("*.txt")), encoding="utf-8", newline="").read() for p in sys.argv[1:3]]
bits = kneser_ney_bits(parts[:1], parts[1:], 6, False)
seconds = time.process_time() - begun
print(json.dumps({"nats": float(bits.mean()) * math.log(2), "characters": len(bits), "cpu": seconds}))
"""


def kneser_ney(given: argparse.Namespace, rows: Table, text: Path, data: Path) -> float:
    """Adds the naive floor: a Kneser-Ney model of six characters of context."""
    command = [sys.executable, "-c", COUNTED, str(data / "parts" / "train"), str(data / "parts" / "test")]
    found = pinned(command, given.cores[-1:], given.work).check().json()
    return float(rows.add(text=text.name, what="Kneser-Ney, context 6", cores=1, **found)["nats"])


def compressors(given: argparse.Namespace, rows: Table, text: Path, data: Path) -> None:
    """Adds what compressors need for the test part when they have read the train part."""
    python = {"xz": sys.executable, "zpaq": sys.executable if shutil.which("zpaq") else None}
    python["ppmd"] = environment("compressors", ["pyppmd"], given.work)
    parts = [str(next((data / "parts" / part).glob("*.txt"))) for part in ("train", "test")]
    for name, interpreter in python.items():
        if interpreter is None:
            print(f"{name} is not installed, so it has no row (Debian: apt install {name})")
            continue
        command = [str(interpreter), str(HERE / "_compressors.py"), name, *parts]
        found = pinned(command, given.cores[-1:], given.work).check().json()
        rows.add(text=text.name, what=COMPRESSORS[name], cores=1, **found)


def reported(run: Path) -> float | None:
    """Nats per character of the counting model as the run's own report has it."""
    report = json.loads((run / "report" / "report.json").read_text())
    found = (score["value"] for score in report["scores"] if score["name"] == "bits_per_character_kneser_ney")
    return next((value * math.log(2) for value in found if value is not None), None)


def trained(
    given: argparse.Namespace, text: Path, data: Path, cores: list[int], seed: int, what: str, *options: str
) -> dict[str, Any]:
    """Trains Anew with these options, then scores the test part with a command of its own."""
    name = "-".join(options).replace("-", "").replace("=", "")
    place = fresh(given.work / "text" / "runs" / f"{data.name}-{name}-{len(cores)}c-s{seed}")
    run, parts = place / "run", data / "parts"
    words = ["--run", run, "--seed", seed, *setting_words(given.set), *options]
    done = anew("train", parts, *words, cores=cores, scratch=given.work)
    scored = anew("score", run, parts / "test", "--json", cores=cores, scratch=given.work).json()
    seconds, steps = train_seconds(run)
    return {
        "text": text.name,
        "what": f"Anew, {what}",
        "seed": seed,
        "cores": len(cores),
        "nats": float(scored["bits_per_character"]) * math.log(2),
        "train_seconds": seconds,
        "steps": steps,
        "wall": done.wall,
        "cpu": done.cpu,
        "characters": round(scored["characters"]),
        "reported_kneser_ney": reported(run),
    }


def at_times(given: argparse.Namespace, rows: Table, text: Path, data: Path, core: list[int], seed: int) -> None:
    """Loss after fixed seconds of training on one core."""
    for seconds in given.seconds:
        setting = f"train_seconds={seconds:g}"
        row = trained(given, text, data, core, seed, f"{seconds:g} s of training", "--set", setting)
        rows.add(**row | {"train_seconds": seconds})


def to_quality(
    given: argparse.Namespace, rows: Table, text: Path, data: Path, core: list[int], seed: int, peer: dict[str, Any]
) -> None:
    """The least share of the peer's training time, of those to be tried, that reaches the peer's loss."""
    reached = None
    for ratio in sorted(given.ratios):
        seconds = peer["train_seconds"] / ratio
        setting = f"train_seconds={seconds:.3f}"
        row = trained(given, text, data, core, seed, f"1/{ratio:g} of the peer's training", "--set", setting)
        passes = row["nats"] <= peer["nats"]
        rows.add(**row | {"train_seconds": seconds, "ratio": ratio, "passes": passes})
        if not passes:
            break
        reached = ratio
    print(f"time to the peer's loss of {peer['nats']:.4f}: " + (f"1/{reached:g} or less" if reached else "not reached"))


def whole(
    given: argparse.Namespace, rows: Table, text: Path, data: Path, budgets: list[str], seed: int, floor: float
) -> None:
    """The whole command at a budget on all the cores given."""
    for budget in budgets:
        row = trained(given, text, data, given.cores, seed, f"whole command, --budget {budget}", "--budget", budget)
        rows.add(**row, below_kneser_ney=row["nats"] < floor)


def one_text(given: argparse.Namespace, rows: Table, text: Path, seed: int) -> None:
    """All rows of the text that the figures are for."""
    data, core = given.work / "text" / text.stem, given.cores[-1:]
    split(text, data / "parts")
    floor = kneser_ney(given, rows, text, data)
    compressors(given, rows, text, data)
    found = None
    if "peer" in given.only:
        found = peer(given, text, core, seed)
        rows.add(text=text.name, what=found.pop("name"), seed=seed, cores=1, **found)
    if "times" in given.only:
        at_times(given, rows, text, data, core, seed)
    if "quality" in given.only and found is not None:
        to_quality(given, rows, text, data, core, seed, found)
    budgets = (given.budgets if "whole" in given.only else []) + ([given.long] if given.long else [])
    whole(given, rows, text, data, budgets, seed, floor)


def main() -> None:
    build = parser(__doc__)
    build.add_argument(
        "--data", type=Path, help="the text file, or a folder with it (tiny Shakespeare for the figures)"
    )
    build.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT; without it, transformers' GPT-2")
    build.add_argument("--book", type=Path, help="other texts: a file, or a folder of .txt, each a text of its own")
    build.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0")
    build.add_argument("--seconds", type=float, nargs="*", default=[10.0, 133.0], help="training seconds on one core")
    build.add_argument("--budgets", nargs="*", default=["30s", "150s"], help="budgets of the whole command")
    build.add_argument("--book-budgets", nargs="*", default=["60s"], help="budgets for each other text")
    build.add_argument(
        "--ratios", type=float, nargs="*", default=[10, 20, 40, 80], help="shares of the peer's time to try"
    )
    build.add_argument("--long", metavar="BUDGET", help="also one long run of the whole command, e.g. 30m")
    build.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="which parts to run")
    given = build.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.data is None and given.book is None:
        build.error("give --data, --book or both")

    rows = Table("text")
    for seed in range(given.seeds if given.data else 0):
        one_text(given, rows, text_file(given.data), seed)
    books = sorted(given.book.glob("*.txt")) if given.book and given.book.is_dir() else filter(None, [given.book])
    for text in books:
        data = given.work / "text" / text.stem
        split(text, data / "parts")
        compressors(given, rows, text, data)
        whole(given, rows, text, data, given.book_budgets, 0, kneser_ney(given, rows, text, data))
    columns = ["text", "what", "seed", "cores", "nats", "nats_stride_32", "train_seconds", "steps", "wall"]
    rows.show([*columns, "ratio", "passes", "below_kneser_ney"])


if __name__ == "__main__":
    main()
