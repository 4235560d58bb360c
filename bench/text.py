"""Text: loss at a time, time to quality, the whole command at a budget, against nanoGPT's documented CPU recipe.

    python bench/text.py --data DIR-OR-FILE --nanogpt CHECKOUT

The text is split by position: the first 90% of the characters may be trained on, the whole last 10% is scored in nats
per character of the original text, whatever the tokens. Without a checkout the same recipe runs on transformers' GPT-2.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from _common import HERE, Table, anew, environment, fresh, knob_words, parser, pinned, train_seconds


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


def kneser_ney(run: Path) -> float | None:
    """Nats per character of the counting model, as Anew's own report has it."""
    report = json.loads((run / "report" / "report.json").read_text())
    for score in report["scores"]:
        words = f"{score['name']} {score.get('source', '')}".lower()
        if "kneser" in words and score.get("value") is not None:
            return float(score["value"]) * math.log(2)
    return None


def trained(
    given: argparse.Namespace, data: Path, cores: list[int], seed: int, *options: str, label: str
) -> dict[str, Any]:
    """Trains Anew with these options, then scores the test part with a command of its own."""
    name = "-".join(options).replace("-", "").replace("=", "")
    place = fresh(given.work / "text" / "runs" / f"{data.name}{name}-{len(cores)}c-s{seed}")
    run, parts = place / "run", data / "parts"
    words = ["--run", run, "--seed", seed, *knob_words(given.set), *options]
    done = anew("train", parts, *words, cores=cores, scratch=given.work)
    scored = anew("score", run, parts / "test", "--json", cores=cores, scratch=given.work).json()
    seconds, steps = train_seconds(run)
    return {
        "what": label,
        "seed": seed,
        "cores": len(cores),
        "nats": float(scored["bits_per_character"]) * math.log(2),
        "train_seconds": seconds,
        "steps": steps,
        "wall": done.wall,
        "cpu": done.cpu,
        "kneser_ney": kneser_ney(run),
    }


def counted(rows: Table, row: dict[str, Any]) -> None:
    """Adds the naive floor that the run's report gives as a row of its own, once."""
    value = row.pop("kneser_ney")
    if value is not None and not any(
        r["what"].startswith("Kneser-Ney") and r["text"] == row["text"] for r in rows.rows
    ):
        rows.add(text=row["text"], what="Kneser-Ney, from Anew's report", nats=value)


def at_times(given: argparse.Namespace, rows: Table, text: Path, data: Path, core: list[int], seed: int) -> None:
    """Loss after fixed seconds of training on one core, and the least time that reaches the peer's loss."""
    found = None
    if "peer" in given.only:
        found = peer(given, text, core, seed)
        found = {"what": found.pop("name"), "seed": seed, "cores": 1, **found}
        rows.add(text=text.name, **found)
    for seconds in given.seconds if "times" in given.only else []:
        row = trained(
            given, data, core, seed, "--set", f"train_seconds={seconds:g}", label=f"Anew, {seconds:g} s of training"
        )
        row["text"] = text.name
        counted(rows, row)
        rows.add(**row)
    if found is None or "quality" not in given.only:
        return
    for ratio in given.ratios:
        seconds = found["train_seconds"] / ratio
        label = f"Anew, 1/{ratio:g} of the peer's time"
        row = trained(given, data, core, seed, "--set", f"train_seconds={seconds:.3f}", label=label)
        row["text"] = text.name
        row.pop("kneser_ney")
        rows.add(**row, ratio=ratio, passes=row["nats"] <= found["nats"])
        if row["nats"] > found["nats"]:
            break


def whole(given: argparse.Namespace, rows: Table, name: str, data: Path, budgets: list[str], seed: int) -> None:
    """The whole command at a budget on all the cores given."""
    for budget in budgets:
        row = trained(
            given, data, given.cores, seed, "--budget", budget, label=f"Anew, whole command, --budget {budget}"
        )
        row["text"] = name
        counted(rows, row)
        rows.add(**row)


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
    build.add_argument("--only", nargs="*", default=["peer", "times", "quality", "whole"], help="which parts to run")
    given = build.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.data is None and given.book is None:
        build.error("give --data, --book or both")

    rows = Table("text")
    for seed in range(given.seeds if given.data else 0):
        text = text_file(given.data)
        data = given.work / "text" / text.stem
        split(text, data / "parts")
        at_times(given, rows, text, data, given.cores[-1:], seed)
        budgets = (given.budgets if "whole" in given.only else []) + ([given.long] if given.long else [])
        whole(given, rows, text.name, data, budgets, seed)
    if given.book:
        for text in [given.book] if given.book.is_file() else sorted(given.book.glob("*.txt")):
            data = given.work / "text" / text.stem
            split(text, data / "parts")
            whole(given, rows, text.name, data, given.book_budgets, 0)
    rows.show(
        ["text", "what", "seed", "cores", "nats", "nats_stride_32", "train_seconds", "steps", "wall", "ratio", "passes"]
    )


if __name__ == "__main__":
    main()
