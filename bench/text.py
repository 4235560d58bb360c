"""Text: loss at a time, time to quality, the whole command at a budget, against nanoGPT's documented CPU recipe and nanochat.

    python bench/text.py --data DIR-OR-FILE --nanogpt CHECKOUT

Rows of compressors (xz, PPMd, and zpaq where it is installed) say what they add for the last 10% to an archive of the rest.

The text is split by position: the first 90% of the characters may be trained on, the whole last 10% is scored in nats
per character of the original text, whatever the tokens. With --passages N it is also scored in passages of N characters,
each by itself. Without a checkout the same recipe runs on transformers' GPT-2.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from _common import HERE, Table, anew, environment, fresh, parser, pinned, setting_words
from _runs import by_name, read_report, train_seconds

PARTS = ("peer", "nanochat", "times", "quality", "whole")
COMPRESSORS = {"xz": "xz -9", "ppmd": "PPMd, order 6", "zpaq": "zpaq -m5"}


def text_file(path: Path) -> Path:
    """The one text file at a path: the file itself, or the largest of a folder."""
    if path.is_file():
        return path
    documents = sorted(path.glob("*.txt"), key=lambda p: p.stat().st_size)
    if not documents:
        raise SystemExit(f"{path} has no .txt file; give a text file, or a folder with one, with --data")
    return documents[-1]


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


def passages(test: Path, folder: Path, length: int) -> Path:
    """The text of a folder in passages of `length` characters, a file each; a last shorter one is left out."""
    with open(next(test.glob("*.txt")), encoding="utf-8", newline="") as source:
        content = source.read()
    for number, start in enumerate(range(0, len(content) - length + 1, length)):
        with open(folder / f"{number:05d}.txt", "w", encoding="utf-8", newline="") as out:
            out.write(content[start : start + length])
    return folder


def peer(arguments: argparse.Namespace, text: Path, core: list[int], seed: int) -> dict[str, Any]:
    """Trains and scores the peer on one core."""
    place = arguments.work / "text"
    if arguments.nanogpt is None:
        command = [sys.executable, str(HERE / "_peer_gpt2.py"), "train", "--text", str(text), "--seed", str(seed)]
        return {"name": "GPT-2 of transformers, nanoGPT's CPU recipe", **pinned(command, core, place).check().json()}
    python = environment("nanogpt", ["requests"], arguments.work)
    script = [str(HERE / "_peer_nanogpt.py"), "train", "--checkout", str(arguments.nanogpt)]
    more = ["--work", str(place / "nanogpt"), "--text", str(text), "--seed", str(seed)]
    completed = pinned([python, *script, *more], core, place).check()
    return {"name": "nanoGPT, documented CPU recipe", **completed.json()}


def nanochat(arguments: argparse.Namespace, rows: Table, text: Path, core: list[int], seed: int) -> None:
    """Loss of nanochat's model and optimiser after the seconds that Anew has, on one core."""
    for seconds in arguments.seconds:
        words = ["--text", str(text), "--seconds", str(seconds), "--seed", str(seed)]
        command = [sys.executable, str(HERE / "_peer_nanochat.py"), *words]
        completed = pinned(command, core, arguments.work / "text").check()
        title = f"nanochat's model and optimiser, {seconds:g} s of training"
        rows.add(text=text.name, what=title, seed=seed, cores=1, **completed.json(), wall=completed.wall)


# the counting model of Anew's reports, on the whole of both parts whatever a report had time for
COUNTED = """
import json, math, sys, time
from pathlib import Path
from anew.evaluation.metrics.text.baselines import kneser_ney_bits
begun = time.process_time()
parts = [open(next(Path(p).glob("*.txt")), encoding="utf-8", newline="").read() for p in sys.argv[1:3]]
bits = kneser_ney_bits(parts[:1], parts[1:], 6, False)
seconds = time.process_time() - begun
print(json.dumps({"nats": float(bits.mean()) * math.log(2), "characters": len(bits), "cpu": seconds}))
"""


def kneser_ney(arguments: argparse.Namespace, rows: Table, text: Path, data: Path) -> float:
    """Adds the naive floor: a Kneser-Ney model of six characters of context."""
    command = [sys.executable, "-c", COUNTED, str(data / "parts" / "train"), str(data / "parts" / "test")]
    result = pinned(command, arguments.cores[-1:], arguments.work).check().json()
    return float(rows.add(text=text.name, what="Kneser-Ney, context 6", cores=1, **result)["nats"])


def compressors(arguments: argparse.Namespace, rows: Table, text: Path, data: Path) -> None:
    """Adds what compressors need for the test part when they have read the train part."""
    python = {"xz": sys.executable, "zpaq": sys.executable if shutil.which("zpaq") else None}
    python["ppmd"] = environment("compressors", ["pyppmd"], arguments.work)
    parts = [str(next((data / "parts" / part).glob("*.txt"))) for part in ("train", "test")]
    for name, interpreter in python.items():
        if interpreter is None:
            print(f"{name} is not installed, so it has no row (Debian: apt install {name})")
            continue
        command = [str(interpreter), str(HERE / "_compressors.py"), name, *parts]
        result = pinned(command, arguments.cores[-1:], arguments.work).check().json()
        rows.add(text=text.name, what=COMPRESSORS[name], cores=1, **result)


def reported(run: Path) -> float | None:
    """Nats per character of the counting model as the run's own report has it."""
    score = by_name(read_report(run).scores).get("bits_per_character_kneser_ney")
    return None if score is None or score.value is None else score.value * math.log(2)


def scored(arguments: argparse.Namespace, run: Path, texts: Path, cores: list[int]) -> dict[str, float]:
    """Nats per character of the texts of a folder, each by itself, and their characters."""
    scores = anew("score", run, texts, "--json", cores=cores, scratch=arguments.work).json()
    return {"nats": float(scores["bits_per_character"]) * math.log(2), "characters": round(scores["characters"])}


def trained(
    arguments: argparse.Namespace, text: Path, data: Path, cores: list[int], seed: int, measure: str, *options: str
) -> dict[str, Any]:
    """Trains Anew with these options, then scores the test part with a command of its own."""
    name = "-".join(options).replace("-", "").replace("=", "")
    place = fresh(arguments.work / "text" / "runs" / f"{data.name}-{name}-{len(cores)}c-s{seed}")
    run, parts = place / "run", data / "parts"
    words = ["--run", run, "--seed", seed, *setting_words(arguments.set), *options]
    completed = anew("train", parts, *words, cores=cores, scratch=arguments.work)
    nats = scored(arguments, run, parts / "test", cores)
    if arguments.passages:
        folder = passages(parts / "test", fresh(place / "passages"), arguments.passages)
        nats["nats_passages"] = scored(arguments, run, folder, cores)["nats"]
    seconds, steps = train_seconds(run)
    return {
        "text": text.name,
        "what": f"Anew, {measure}",
        "seed": seed,
        "cores": len(cores),
        **nats,
        "train_seconds": seconds,
        "steps": steps,
        "wall": completed.wall,
        "cpu": completed.cpu,
        "reported_kneser_ney": reported(run),
    }


def at_times(arguments: argparse.Namespace, rows: Table, text: Path, data: Path, core: list[int], seed: int) -> None:
    """Loss after fixed seconds of training on one core."""
    for seconds in arguments.seconds:
        setting = f"train_seconds={seconds:g}"
        row = trained(arguments, text, data, core, seed, f"{seconds:g} s of training", "--set", setting)
        rows.add(**row | {"train_seconds": seconds})


def to_quality(
    arguments: argparse.Namespace, rows: Table, text: Path, data: Path, core: list[int], seed: int, peer: dict[str, Any]
) -> None:
    """The least share of the peer's training time, of those to be tried, that reaches the peer's loss."""
    reached = None
    for ratio in sorted(arguments.ratios):
        seconds = peer["train_seconds"] / ratio
        setting = f"train_seconds={seconds:.3f}"
        row = trained(arguments, text, data, core, seed, f"1/{ratio:g} of the peer's training", "--set", setting)
        passes = row["nats"] <= peer["nats"]
        rows.add(**row | {"train_seconds": seconds, "ratio": ratio, "passes": passes})
        if not passes:
            break
        reached = ratio
    print(f"time to the peer's loss of {peer['nats']:.4f}: " + (f"1/{reached:g} or less" if reached else "not reached"))


def whole(
    arguments: argparse.Namespace, rows: Table, text: Path, data: Path, budgets: list[str], seed: int, floor: float
) -> None:
    """The whole command at a budget on all the cores given."""
    for budget in budgets:
        row = trained(
            arguments, text, data, arguments.cores, seed, f"whole command, --budget {budget}", "--budget", budget
        )
        rows.add(**row, below_kneser_ney=row["nats"] < floor)


def one_text(arguments: argparse.Namespace, rows: Table, text: Path, seed: int) -> None:
    """All rows of the text that the figures are for."""
    data, core = arguments.work / "text" / text.stem, arguments.cores[-1:]
    split(text, data / "parts")
    floor = kneser_ney(arguments, rows, text, data)
    compressors(arguments, rows, text, data)
    peer_row = None
    if "peer" in arguments.only:
        peer_row = peer(arguments, text, core, seed)
        rows.add(text=text.name, what=peer_row.pop("name"), seed=seed, cores=1, **peer_row)
    if "nanochat" in arguments.only:
        nanochat(arguments, rows, text, core, seed)
    if "times" in arguments.only:
        at_times(arguments, rows, text, data, core, seed)
    if "quality" in arguments.only and peer_row is not None:
        to_quality(arguments, rows, text, data, core, seed, peer_row)
    budgets = (arguments.budgets if "whole" in arguments.only else []) + ([arguments.long] if arguments.long else [])
    whole(arguments, rows, text, data, budgets, seed, floor)


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
    build.add_argument("--passages", type=int, metavar="N", help="also score the test part in passages of N characters")
    build.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="which parts to run")
    arguments = build.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.data is None and arguments.book is None:
        build.error("give --data, --book or both")

    rows = Table("text")
    for seed in range(arguments.seeds if arguments.data else 0):
        one_text(arguments, rows, text_file(arguments.data), seed)
    books = (
        sorted(arguments.book.glob("*.txt"))
        if arguments.book and arguments.book.is_dir()
        else filter(None, [arguments.book])
    )
    for text in books:
        data = arguments.work / "text" / text.stem
        split(text, data / "parts")
        compressors(arguments, rows, text, data)
        whole(arguments, rows, text, data, arguments.book_budgets, 0, kneser_ney(arguments, rows, text, data))
    columns = [
        "text",
        "what",
        "seed",
        "cores",
        "nats",
        "nats_passages",
        "nats_stride_32",
        "nats_half_stride",
        "train_seconds",
        "steps",
        "wall",
    ]
    rows.show([*columns, "ratio", "passes", "below_kneser_ney"])


if __name__ == "__main__":
    main()
