"""Sequences: bits of held-out proteins, programs, names and molecules after a time of training on one core.

    python bench/sequences.py --proteins FASTA --code FOLDER --names FOLDER --molecules FOLDER

With --budget the whole command has that wall-clock time and all the cores given; without it, training alone is timed, on one.
Each is what a user would give, split by Anew itself: proteins at random and by clusters of relatives, programs by file.
The naive rows (Kneser-Ney, compressors, and for proteins frequencies and a profile) are those of the same report. Proteins are
also scored by a profile HMM (pyhmmer) that is fitted to the run's own training part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anew as library
from _common import HERE, Table, anew, environment, fresh, parser, pinned, setting_words, version_in
from _runs import by_name, read_config, read_report, train_seconds
from anew.data.dataset import Dataset

KINDS = {"proteins": 300.0, "code": 300.0, "names": 60.0, "molecules": 300.0}  # seconds of training each
SHOWN = (
    "valid_share",
    "unique_share",
    "novel_share",
    "parse_share",
    "composition_distance",
)


def report(run: Path) -> dict[str, Any]:
    """The scores of a run by name, and whether copies were detected."""
    report = read_report(run)
    scores = by_name(report.scores)
    values = {name: score.value for name, score in scores.items() if name.startswith("bits_per_") or name in SHOWN}
    values |= {f"{name}_real": scores[name].real_baseline for name in SHOWN if name in scores}
    detected = None if report.copies is None else report.copies.detected
    return values | {"copies_detected": detected, "modality": read_config(run).data.modality}


def profile_hmm(run: Path, data: Path, cores: list[int], work: Path) -> dict[str, Any]:
    """Bits a residue of the run's test part by a profile HMM of its training part."""
    record = library.load(run).record
    dataset = Dataset.reopen(record.data, run, str(data))
    for part in ("train", "test"):
        records = (f">{part}{i}\n{record}\n" for i, record in enumerate(dataset.text(part)))
        (run.parent / f"{part}.fasta").write_text("".join(records))
    python = environment("pyhmmer", ["pyhmmer"], work)
    files = ["--train", str(run.parent / "train.fasta"), "--test", str(run.parent / "test.fasta")]
    output = pinned([python, str(HERE / "_peer_hmm.py"), *files], cores[-1:], work).check().json()
    return {"what": "proteins: profile HMM", "version": version_in(python, "pyhmmer"), **output}


def main() -> None:
    build = parser(__doc__)
    for modality in KINDS:
        build.add_argument(f"--{modality}", type=Path, help=f"a file or folder of {modality}")
    build.add_argument("--seconds", type=float, help="training seconds of each, instead of its own")
    build.add_argument("--budget", help="wall-clock time of the whole command on all cores, such as 30m")
    build.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0")
    build.add_argument("--samples", type=int, default=500, help="samples that the report measures")
    options = build.parse_args()
    taken = {modality: getattr(options, modality) for modality in KINDS if getattr(options, modality)}
    if not taken:
        build.error("give at least one of --" + ", --".join(KINDS))
    options.work.mkdir(parents=True, exist_ok=True)
    rows = Table("sequences")
    for modality, data in taken.items():
        for seed in range(options.seeds):
            seconds = options.seconds or KINDS[modality]
            run = fresh(options.work / "sequences" / f"{modality}-{seed}") / "run"
            time = ["--budget", options.budget] if options.budget else setting_words([f"train_seconds={seconds:g}"])
            settings = setting_words(options.set, [f"evaluate_samples={options.samples}", "previews=0"])
            words = ["train", data, "--run", run, "--seed", seed, *time, *settings]
            completed = anew(
                *words, cores=options.cores if options.budget else options.cores[-1:], scratch=options.work
            )
            spent, steps = train_seconds(run)
            requested = {"budget": options.budget} if options.budget else {}
            rows.add(
                what=modality,
                seed=seed,
                train_seconds=spent,
                steps=steps,
                wall=completed.wall,
                cpu=completed.cpu,
                **requested,
                **report(run),
            )
            if modality == "proteins":
                rows.add(seed=seed, **profile_hmm(run, data, options.cores, options.work))
    rows.show()


if __name__ == "__main__":
    main()
