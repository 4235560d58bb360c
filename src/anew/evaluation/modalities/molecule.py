"""Evaluation of molecules: the metrics of text, and whether samples are valid, unique and new molecules (RDKit, an extra)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.errors import DataError
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.measure import BOTH, NEITHER, Measure
from anew.evaluation.memorization.edit_distance import EditDistance
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.item_types import RECORDS, edit_text
from anew.evaluation.metrics.duplicate_groups import equal_keys
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.modalities.text import MAX_SEARCHED_CHARACTERS, TextEvaluation
from anew.evaluation.nearest_texts import edits_caption, nearest_records
from anew.evaluation.reporting.content import NearestPairs, ReportItem, SamplePair
from anew.evaluation.score import Group, MetricSpec, Score, Tolerance, bounded_spec

VALID_SHARE = bounded_spec(
    "valid_share",
    "Valid",
    "Share of samples that are valid molecules.",
    Tolerance(
        "closeness",
        small=0.05,
        large=0.3,
        clause="{value:.0%} of the molecules are valid (real data: {real:.0%})",
        relative=True,
    ),
    better="higher",
)
UNIQUE_SHARE = bounded_spec(
    "unique_share",
    "Unique",
    "Share of different molecules among the valid samples; as many held-out ones are compared.",
    Tolerance(
        "variety",
        small=0.05,
        large=0.5,
        clause="{value:.0%} of valid samples are different molecules (real data: {real:.0%})",
        relative=True,
    ),
    better="higher",
)
NOVEL_SHARE = MetricSpec(
    "novel_share",
    "New",
    "Share of the unique samples that are not in the training data.",
    better="higher",
    group=Group.NOVELTY,
    maximum=1.0,
)


CACHED_MOLECULES = 1 << 16  # molecules whose canonical SMILES are kept: a memorization test asks for them several times
WITHOUT_RDKIT = (
    " Nor are molecules that are written in another SMILES; "
    "install RDKit with `pip install '.[molecules]'` in a clone of Anew to see them."
)

CANONICAL = "Molecules are compared by their canonical SMILES, which are shown where two molecules differ."


@lru_cache(CACHED_MOLECULES)
def canonical_or_text(molecule: str) -> str:
    """The canonical SMILES of a molecule; a text that is not SMILES is returned unchanged."""
    return canonical([molecule])[0] or molecule


def is_same_molecule(sample: str, train: str) -> bool:
    return canonical_or_text(str(sample)) == canonical_or_text(str(train))


def same_molecule_pair(sample: str, train: str) -> SamplePair:
    """Two SMILES of the same molecule, as they are written."""
    caption = edits_caption(0) if sample == train else "the same molecule, written differently"
    return SamplePair(ReportItem(text=sample), ReportItem(text=train), caption)


# Edits of a canonical SMILES are those of a molecule as its copy would be written, whatever its spelling in the data
MOLECULES: ItemType[str] = ItemType(
    "molecules",
    lambda items, groups: [EditDistance(list(map(canonical_or_text, items)), groups)],
    (lambda item, rng: edit_text(canonical_or_text(item), rng),),
    "The test sees molecules that are the same, in whichever SMILES they are written, and those in whose canonical SMILES a few "
    "characters were changed, added or left out. It does not see those whose canonical SMILES changed much, or that were joined from "
    "two molecules.",
    keys=lambda item: [canonical_or_text(item)],
    likeness=", in whichever SMILES",
)


class MoleculeEvaluation(TextEvaluation):
    """Metrics of lists of text, and validity, uniqueness and novelty as MOSES defines them (arXiv 1811.12823)."""

    noun = "molecules"

    def __init__(self, inputs: EvaluationInputs[str]) -> None:
        super().__init__(inputs)
        if self.records:
            try:
                canonical([])
                self.item_type = MOLECULES
            except DataError:
                self.item_type = replace(RECORDS, scope=RECORDS.scope + WITHOUT_RDKIT)

    @classmethod
    def type_of(cls, items: Sequence[str]) -> ItemType[str]:
        return MOLECULES

    def nearest(self, items: Sequence[str], effort: float = 1.0) -> NearestPairs:
        """The molecules whose canonical SMILES have the fewest edits, as in the copying test."""
        if self.item_type is not MOLECULES:
            return super().nearest(items, effort)
        samples = [str(text) for text in items]
        training: list[str] = []  # molecules as they are written

        def train(n: int) -> list[str]:
            training[:] = map(str, self.searched_items(n)[0])
            return list(map(canonical_or_text, training))

        nearest = nearest_records(list(map(canonical_or_text, samples)), train, effort)
        pairs = [
            pair
            if pair.train is None or not is_same_molecule(sample, training[pair.train])
            else replace(same_molecule_pair(sample, training[pair.train]), distance=0.0, train=pair.train)
            for sample, pair in zip(samples, nearest.pairs, strict=True)
        ]
        return replace(nearest, pairs=pairs, explanation=f"{nearest.explanation} {CANONICAL}")

    def pair_view(self, sample: str, train: str, distance: float, usual: float, measure: str) -> SamplePair:
        if self.item_type is not MOLECULES:
            return super().pair_view(sample, train, distance, usual, measure)
        if is_same_molecule(sample, train):
            return replace(same_molecule_pair(sample, train), close=distance < 0.5 * usual)
        return super().pair_view(canonical_or_text(sample), canonical_or_text(train), distance, usual, measure)

    def text_metrics(self) -> dict[str, Measure]:
        return {
            "validity and uniqueness": Measure(self._validity, BOTH),
            **super().text_metrics(),
            # All training molecules are read, which takes longer than all other figures
            "novelty of molecules": Measure(self._novelty, NEITHER),
        }

    @cached_property
    def _canonical(self) -> tuple[list[str | None], list[str | None]]:
        """Canonical SMILES of samples and of held-out molecules, None for what is not valid; both empty if they cannot be read."""
        samples = [str(text) for text in self.inputs.samples]
        test = self.inputs.test(len(samples))
        if not samples or not len(test):
            return [], []
        try:
            return canonical(samples), canonical(test)
        except DataError as error:
            self.note_not_measured("validity, uniqueness and novelty", str(error))
            return [], []

    @property
    def _valid(self) -> tuple[list[str], list[str]]:
        """Canonical SMILES of valid samples and of valid held-out molecules."""
        samples, held_out = ([smiles for smiles in part if smiles is not None] for part in self._canonical)
        return samples, held_out

    def _validity(self) -> Iterator[Score]:
        parsed, held_out = self._canonical
        if not parsed:
            return
        is_valid, is_real_valid = ([smiles is not None for smiles in part] for part in (parsed, held_out))
        source = "samples that RDKit reads and sanitises; real: held-out molecules"
        yield share_score(VALID_SHARE, is_valid, is_real_valid, source)
        valid, real = self._valid
        n = min(len(valid), len(real))  # the more molecules, the more repeat an earlier one
        if n:
            source = f"different canonical SMILES among {n:,} valid samples; real: among as many held-out molecules"
            score = share_score(UNIQUE_SHARE, _is_first(valid[:n]), _is_first(real[:n]), source)
            yield replace(score, among=len(parsed))

    def _novelty(self) -> Iterator[Score]:
        valid, real = self._valid
        if not valid or not real:
            return
        self.announcements.measuring("novelty of molecules")
        training = set(canonical(self._part("train", MAX_SEARCHED_CHARACTERS))) - {None}
        is_new, is_real_new = ([smiles not in training for smiles in set(part)] for part in (valid, real))
        source = f"unique samples that are none of {len(training):,} training molecules; real: held-out molecules"
        yield share_score(NOVEL_SHARE, is_new, is_real_new, source)


def _is_first(molecules: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether no earlier molecule is the same."""
    return np.isin(np.arange(len(molecules)), np.unique(equal_keys(molecules), return_index=True)[1])


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
