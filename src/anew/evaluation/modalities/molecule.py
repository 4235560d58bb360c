"""Evaluation of molecules: the metrics of text, and whether samples are valid, unique and new molecules (RDKit, an extra)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anew.core.extras import require
from anew.errors import DataError
from anew.evaluation.base import OUT_OF_TIME
from anew.evaluation.metrics.bootstrap import wilson_interval
from anew.evaluation.modalities.text import TRAINING_MOST, TextEvaluation
from anew.evaluation.score import Group, MetricSpec, Score, Tolerance

VALID_SHARE = MetricSpec(
    "valid_share",
    "Valid",
    "Share of samples that are valid molecules.",
    better="higher",
    maximum=1.0,
    tolerance=Tolerance(
        "closeness", 0.05, 0.3, "{value:.0%} of the molecules are valid (real data: {real:.0%})", relative=True
    ),
)
UNIQUE_SHARE = MetricSpec(
    "unique_share",
    "Unique",
    "Share of the valid samples that differ from all others.",
    better="higher",
    group=Group.DIVERSITY,
    maximum=1.0,
    tolerance=Tolerance(
        "variety",
        0.05,
        0.5,
        "{value:.0%} of valid samples differ from all others (real data: {real:.0%})",
        relative=True,
    ),
)
NOVEL_SHARE = MetricSpec(
    "novel_share",
    "New",
    "Share of the unique samples that are not in the training data.",
    better="higher",
    group=Group.NOVELTY,
    maximum=1.0,
)


class MoleculeEvaluation(TextEvaluation):
    """Metrics of lists of text, and validity, uniqueness and novelty as MOSES defines them (arXiv 1811.12823)."""

    noun = "molecules"

    def modality_metrics(self) -> Iterator[Score]:
        yield from self._chemistry()
        yield from super().modality_metrics()

    def _chemistry(self) -> Iterator[Score]:
        samples = [str(text) for text in self.inputs.samples]
        if not samples:
            return
        try:
            parsed = canonical(samples)
        except DataError as error:
            self.skip("validity, uniqueness and novelty", str(error))
            return
        held_out = canonical(self.inputs.test(len(samples)))
        valid, real = ([smiles for smiles in part if smiles is not None] for part in (parsed, held_out))
        source = "samples that RDKit reads and sanitises; real: held-out molecules"
        yield share_score(VALID_SHARE, len(valid), len(samples), len(real) / max(len(held_out), 1), source)
        if not valid or not real:
            return
        unique, real_unique = set(valid), set(real)
        source = "different canonical SMILES among the valid samples; real: among held-out molecules"
        yield share_score(UNIQUE_SHARE, len(unique), len(valid), len(real_unique) / len(real), source)
        if self.clock.over(0.7):
            self.skip("novelty of molecules", OUT_OF_TIME)
            return
        self.announcements.measuring("novelty of molecules")
        training = set(canonical(self._part("train", TRAINING_MOST))) - {None}
        source = f"unique samples that are none of {len(training):,} training molecules; real: held-out molecules"
        real_novel = len(real_unique - training) / len(real_unique)
        yield share_score(NOVEL_SHARE, len(unique - training), len(unique), real_novel, source)


def share_score(spec: MetricSpec, hits: int, n: int, real_baseline: float, source: str) -> Score:
    """The score of a share, with Wilson's 95% interval."""
    low, high = wilson_interval(hits, n)
    return Score(spec, hits / n, low=low, high=high, real_baseline=real_baseline, n=n, source=source)


def canonical(molecules: Sequence[str]) -> list[str | None]:
    """The canonical SMILES of each, None for what is not a molecule. Raises DataError without RDKit."""
    chem = require("rdkit.Chem", extra="molecules", purpose="chemistry")
    base = require("rdkit.rdBase", extra="molecules", purpose="chemistry")
    smiles: list[str | None] = []
    with base.BlockLogs():
        for text in molecules:
            molecule = chem.MolFromSmiles(text) if text else None
            smiles.append(None if molecule is None else chem.MolToSmiles(molecule))
    return smiles


EXPORT = MoleculeEvaluation
