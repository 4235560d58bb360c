"""A profile HMM of a protein family (pyhmmer, HMMER's models): bits a residue of unseen members.

Runs as a script of its own in an environment that has the package (`sequences.py` starts it). The first model is of one
training sequence of middle length; all training sequences are aligned to it, a model is built of the alignment, and so on a
few times, as jackhmmer does. A sequence costs what the null model gives it, less the score (HMMER's user guide, 3.4, "What
the null model is"): its log-odds against that, without the correction for composition. Sequences that the model does not
recognise cost what the null model gives them. The last line it prints is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

from pyhmmer import hmmalign, hmmsearch
from pyhmmer.easel import Alphabet, DigitalSequence, DigitalSequenceBlock, SequenceFile
from pyhmmer.plan7 import HMM, Background, Builder

ROUNDS = 3
# Each sequence counts in full: HMMER's own weights make profiles vaguer, for distant relatives (3.13 bits instead of 2.71).
UNWEIGHTED = {"effective_number": "none", "weighting": "none"}
MOST_ALIGNED = 20_000  # training sequences: more hardly change a profile


def read(path: Path, alphabet: Alphabet) -> DigitalSequenceBlock:
    with SequenceFile(str(path), digital=True, alphabet=alphabet) as file:
        return file.read_block()


def fitted(train: DigitalSequenceBlock, alphabet: Alphabet) -> HMM:
    background, builder = Background(alphabet), Builder(alphabet, seed=1, **UNWEIGHTED)
    middle = sorted(train, key=len)[len(train) // 2]
    hmm, _, _ = builder.build(middle, background)
    for _ in range(ROUNDS):
        alignment = hmmalign(hmm, train, cpus=1, digitize=True, trim=True)
        alignment.name = b"family"
        hmm, _, _ = builder.build_msa(alignment, background)
    return hmm


def null_bits(sequence: DigitalSequence, background: Background) -> float:
    """The bits of the residues alone: the length is given, as it is to the model."""
    frequencies = list(background.residue_frequencies)
    mean = -sum(f * math.log2(f) for f in frequencies)  # for a residue that is not one of the twenty
    return sum(-math.log2(frequencies[r]) if r < len(frequencies) else mean for r in sequence.sequence)


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__)
    build.add_argument("--train", type=Path, required=True, help="FASTA")
    build.add_argument("--test", type=Path, required=True, help="FASTA")
    options = build.parse_args()
    alphabet = Alphabet.amino()
    background = Background(alphabet)
    begun = time.process_time()
    train, test = read(options.train, alphabet), read(options.test, alphabet)
    hmm = fitted(DigitalSequenceBlock(alphabet, train[:MOST_ALIGNED]), alphabet)
    fit_seconds = time.process_time() - begun
    everything = {"E": 1e12, "domE": 1e12, "incE": 1e12, "incdomE": 1e12, "F1": 1.0, "F2": 1.0, "F3": 1.0}
    (hits,) = hmmsearch([hmm], test, cpus=1, bias_filter=False, **everything)
    score = {hit.name: hit.pre_score for hit in hits}
    cost = sum(null_bits(s, background) - max(score.get(s.name, 0.0), 0.0) for s in test)
    residues = sum(len(s) for s in test)
    facts = {"bits_per_residue": cost / residues, "residues": residues, "recognised": len(hits) / len(test)}
    print(json.dumps({**facts, "states": hmm.M, "cpu": time.process_time() - begun, "fit_seconds": fit_seconds}))


if __name__ == "__main__":
    main()
