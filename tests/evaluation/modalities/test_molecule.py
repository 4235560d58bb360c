"""Molecules: what is valid, new and unique, in whatever spelling."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from anew.evaluation.inputs import RealPool
from anew.evaluation.memorization.item_types import RECORDS
from anew.evaluation.modalities.molecule import MoleculeEvaluation, canonical_or_text
from samples import molecule
from text_inputs import scores_of, text_inputs


def test_molecules_are_valid_unique_and_new() -> None:
    pytest.importorskip("rdkit")
    real = [molecule(i) for i in range(300)]
    samples = [*real[:20], *real[:20], "C1CC", "c1cc", *(molecule(i) for i in range(900, 930))]
    evaluation = MoleculeEvaluation(text_inputs(samples, real[:200], real[200:], False))
    scores = scores_of([*evaluation._validity(), *evaluation._novelty()])
    assert scores["valid_share"].value == pytest.approx(70 / 72) and scores["valid_share"].real_baseline == 1.0
    assert scores["unique_share"].value < 0.8 and 0.3 < scores["novel_share"].value < 0.8


def test_ten_times_as_many_molecules_are_no_less_unique() -> None:
    pytest.importorskip("rdkit")
    rng = np.random.default_rng(0)
    samples, test = ([molecule(int(i)) for i in rng.integers(0, 300, n)] for n in (2_000, 100))
    unique = scores_of(MoleculeEvaluation(text_inputs(samples, test, test, False))._validity())["unique_share"]
    assert unique.n == 100 and unique.value > 0.75 and unique.real_baseline > 0.75


def test_what_is_measured_before_the_features_is_not_measured_again() -> None:
    """Short reports held the same figures twice."""
    real = [molecule(i) for i in range(60)]
    evaluation = MoleculeEvaluation(text_inputs(real[:20], real[20:40], real[40:], False, seconds=60.0))
    figures = [score.name for _ in range(2) for score in evaluation.modality_metrics()]
    assert figures and len(set(figures)) == len(figures)


def written_backwards(smiles: str) -> str:
    """The same molecule in a SMILES that begins at its last atom."""
    chem = pytest.importorskip("rdkit.Chem")
    parsed = chem.MolFromSmiles(smiles)
    return str(chem.MolToSmiles(parsed, rootedAtAtom=parsed.GetNumAtoms() - 1, canonical=False))


def test_training_molecules_in_another_spelling_are_found() -> None:
    pytest.importorskip("rdkit")
    real = list(dict.fromkeys(canonical_or_text(molecule(i) + molecule(5_000 + i)) for i in range(700)))
    train, held_out, new = real[:250], real[250:450], real[450:600]
    copies = [written_backwards(smiles) for smiles in train[:50]]
    assert not set(copies) <= set(train)
    for samples, has_copies in (([*copies, *new], True), (new, False)):
        pool = RealPool(train, held_out, None, len(train), randomly_held_out=True)
        evaluation = MoleculeEvaluation(text_inputs(samples, train, held_out, False, pool=lambda n, pool=pool: pool))
        (result,) = evaluation.copy_tests()
        assert result.detected is has_copies and (result.identical == 50) is has_copies
    assert canonical_or_text("OCC") == canonical_or_text("C(O)C") and canonical_or_text("no molecule") == "no molecule"


def test_the_nearest_molecule_may_be_written_differently() -> None:
    train = [*dict.fromkeys(molecule(i) + molecule(5_000 + i) for i in range(200)), f"OC(=O){30 * 'C'}", "not SMILES"]
    copy = written_backwards(train[40])
    samples = [copy, train[50], f"{30 * 'C'}C(O)=O", "not SMILES", f"{31 * 'C'}C(O)=O"]
    evaluation = MoleculeEvaluation(text_inputs(samples, train, train[:20], False))
    nearest = evaluation.nearest(samples)
    different, same = "the same molecule, written differently", "identical"
    assert [pair.caption for pair in nearest.pairs[:4]] == [different, same, different, same]
    assert [pair.train for pair in nearest.pairs[:4]] == [40, 50, 200, 201]
    texts = [(pair.sample.text, pair.nearest and pair.nearest.text) for pair in nearest.pairs]
    assert (
        texts[0] == (copy, train[40])
        and texts[4] == (f"{32 * 'C'}(=O)O", f"{31 * 'C'}(=O)O")
        and "canonical" in nearest.explanation
    )
    assert nearest.pairs[4].caption == "1 edit"
    view = evaluation.pair_view(copy, train[40], 0.0, 9.0, "edit distance")
    assert (view.caption, view.close) == (different, True) and view.nearest and view.nearest.text == train[40]
    near = evaluation.pair_view(samples[4], train[200], 0.1, 0.4, "edit distance")
    assert near.caption == "1 edit; 25% of the usual distance"  # by which pairs are the closest
    assert evaluation.pair_view(samples[4], train[200], 0.25, 0.75, "fields that differ").caption == (
        "1 edit; 25% of the fields differ (usual: 75%)"
    )


def test_that_other_spellings_are_not_seen_is_said_without_rdkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit.Chem", None)
    evaluation = MoleculeEvaluation(text_inputs(["CCO"], ["CCN"], ["CCC"], False))
    assert evaluation.item_type is not None
    assert "another SMILES" in evaluation.item_type.scope and evaluation.item_type.keys is RECORDS.keys
