"""Programs, molecules and residues: what parses, what is valid, lengths and likeness."""

from __future__ import annotations

import importlib.util
import math
import random
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from anew.core.specs import Tokens
from anew.estimators.sequence_clusters import NearestSequences
from anew.evaluation.inputs import AuditPool, EvaluationInputs
from anew.evaluation.item_sets import ItemSets
from anew.evaluation.memorization.item_types import RECORDS
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.modalities import text as text_module
from anew.evaluation.modalities.code import (
    WHOLE_SHARE,
    CodeEvaluation,
    judge_functions,
    judge_python,
    python_blocks,
    without_open_guards,
)
from anew.evaluation.modalities.molecule import MoleculeEvaluation, canonical_or_text
from anew.evaluation.modalities.protein import ProteinEvaluation, best_identity, frequency_bits
from anew.evaluation.reporting.grading import Supply, part_of
from anew.evaluation.score import Score
from samples import molecule, program


class Kind:
    suffix = ".py"


def inputs(
    samples: Sequence[str], train: Sequence[str], test: Sequence[str], packed: bool, **more: Any
) -> EvaluationInputs:
    fields: dict[str, Any] = {
        "modality": Kind(), "spec": Tokens(30, 64, packed=packed), "samples": list(samples), "bits": None,
        "train": lambda n: list(train[:n]), "test": lambda n: list(test[:n]), "seconds": None, "seed": 0,
        "train_text": lambda limit: list(train), "test_text": lambda limit: list(test),
    }  # fmt: skip
    return EvaluationInputs(**{**fields, **more})


def scores_of(scores: Any) -> dict[str, Score]:
    return {score.name: score for score in scores}


def test_blocks_are_judged_by_the_parser() -> None:
    text = '"""Doc\nof lines."""\n\nimport a\n\n\n@cached\ndef f(x):\n    return (\n        1\n    )\n\n\nif a:\n    b\nelse:\n    c\nd = ('
    code = "".join(text.removesuffix("d = (").split())
    blocks = judge_python(text, False)
    assert len(python_blocks(text)) == 5 and sum(good for good, _ in blocks) == len(code) == sum(n for _, n in blocks)
    assert judge_python("def f(:\n    x\ny = 1\nz", False) == [(0, 7), (3, 3)]
    assert judge_python("", False) == [] == judge_python("x = 1", False) and judge_python("x = 1", True) == [(3, 3)]
    assert judge_python("# License\n\n# of lines\n\ndef f(:\n    x\nz", False)[-1] == (0, 7)


def test_programs_of_one_function_are_judged_if_they_are_whole() -> None:
    """Of 400 files with one function each, "3 text pieces" were compared: the last block of each was left out."""
    real = [f"def f{i}(x):\n    return {{\n        {i}: x,\n    }}\n" for i in range(60)]
    broken = [text.replace("}", "") for text in real]
    shares = scores_of(CodeEvaluation(inputs(broken, real, real, True, are_whole=True))._parsing())
    whole = shares["whole_parse_share"]
    assert (whole.n, whole.value, whole.real_baseline) == (60, 0.0, 1.0)


def test_one_long_program_is_judged_by_its_blocks() -> None:
    real = ["\n".join(program(i) for i in range(40))]
    share = scores_of(CodeEvaluation(inputs(real, real, real, True, are_whole=True))._parsing())["parse_share"]
    assert share.n > 40 and share.interval is not None


def test_functions_are_judged_where_they_end_within_the_text() -> None:
    text = "class A:\n    def f(self,\n    ):\n        return 1\n\n    def g(self:\n        pass\n\ndef h():\n    x\ny\ndef cut(a):\n    b"
    assert judge_functions(text) == (2, 3) and judge_functions("x = 1\n") == (0, 0)


def test_parse_share_of_real_programs_is_whole_and_of_broken_ones_not() -> None:
    real = [program(i) for i in range(30)]
    shares = scores_of(CodeEvaluation(inputs(real[:10], real[10:20], real[20:], True))._parsing())
    for own in (shares["parse_share"], shares["function_share"]):
        assert own.value == 1.0 == own.real_baseline and own.better == "higher"
    broken = [text.replace("):", ")") for text in real[:10]]
    assert scores_of(CodeEvaluation(inputs(broken, real, real, True))._parsing())["parse_share"].value < 0.6


def test_real_programs_are_judged_from_their_beginning_where_only_part_of_the_held_out_text_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the test part had more than a million characters, its files were cut in the middle, and few of them parsed."""
    monkeypatch.setattr(text_module, "MAX_TEST_CHARACTERS", 20_000)
    real = ["def f(x):\n    return {\n        1: x,\n    }\n\n" * 80] * 60
    samples = [text[:300] for text in real]
    shares = scores_of(CodeEvaluation(inputs(samples, real, real, True))._parsing())
    assert {name: score.real_baseline for name, score in shares.items()} == dict.fromkeys(shares, 1.0)


def test_a_program_with_one_error_does_not_parse_though_nearly_all_of_it_does() -> None:
    block = "def f(x):\n    return x\n\n"
    real, broken = [block * 12] * 60, [block * 9 + "def g(:\n    return 1\n\n" + block * 2] * 60
    shares = scores_of(CodeEvaluation(inputs(broken, real, real, True))._parsing())
    assert shares["parse_share"].value > 0.85
    assert (shares["whole_parse_share"].value, shares["whole_parse_share"].real_baseline) == (0.0, 1.0)


def test_where_half_of_the_programs_do_not_parse_the_samples_are_not_like_real_ones() -> None:
    """It was "partly" at 49% of CMake files, of which all real ones parse."""
    real = np.ones(250, bool)
    for share, grade in ((1.0, "good"), (0.75, "fair"), (0.49, "poor")):
        part = part_of(share_score(WHOLE_SHARE, np.arange(250) < share * 250, real, ""))
        assert part is not None and part.grade == grade


def test_other_languages_are_judged_by_their_grammars() -> None:
    pytest.importorskip("tree_sitter_language_pack")

    class JavaScript:
        suffix = ".js"

    good, bad = "function f(x) { return x + 1; }\n" * 4, "function f(x { return x + ; }\n" * 4
    for text, whole in ((good, True), (bad, False)):
        evaluation = CodeEvaluation(inputs([text] * 3, [good], [good] * 3, True, modality=JavaScript()))
        score = scores_of(evaluation._parsing())["parse_share"]
        assert (score.value == 1.0) is whole and score.real_baseline == 1.0


def test_without_held_out_code_no_grammar_is_said_not_to_fit() -> None:
    evaluation = CodeEvaluation(inputs(["x = 1\n"] * 3, ["x = 1\n"], [], True, modality=Kind()))
    assert not list(evaluation._parsing())
    assert [text for text in evaluation.skipped if "held-out code" in text] and "does not fit" not in str(
        evaluation.skipped
    )


def test_without_a_grammar_that_fits_it_counts_whether_brackets_close() -> None:
    """Prolog was read as Perl: 6% of real files parsed, and 13% of samples, of which a third close their brackets."""
    real = ["\n\n".join(f"rule{i}(X, [Y|_]) :-\n    is(X, Y + {i}).\n\n    % more" for i in range(5))] * 30
    broken = [text.replace("]", "", 3) for text in real]
    for suffix, reason in (
        (".pl", "the grammar of perl does not fit: 0% of held-out .pl code parses"),
        (".zzz", "no grammar"),
    ):
        if suffix == ".pl" and importlib.util.find_spec("tree_sitter_language_pack") is None:
            continue
        language = type("Language", (), {"suffix": suffix})()
        evaluation = CodeEvaluation(inputs(broken, real, real, True, modality=language))
        (score,) = scores_of(evaluation._parsing()).values()
        assert score.name == "bracket_share" and reason in evaluation.skipped[0]
        assert score.real_baseline == 1.0 and score.value == pytest.approx(0.25, abs=0.02)


ERLANG = """%% %CopyrightBegin%
%%
%% Licensed under the Apache License, Version 2.0
-module(lists).
-export([member/2, last/1]).

member(X, [X | _]) -> true;
member(X, [_ | Rest]) -> member(X, Rest);
member(_, []) -> false.

last([X]) -> X;
last([_ | Rest]) -> last(Rest).

cut(X) ->
    case X of
"""
LUA = """-- A library
-- of lines.
local counts = {}

function add(name, n)
  counts[name] = (counts[name] or 0) + n
  return counts[name]
end

local function sum(t)
  local total = 0
  for _, v in pairs(t) do total = total + v end
  return total
end

function cut(
"""
HEADER = """/* A header
 * of lines. */
#ifndef POINT_H
#define POINT_H

#include <stddef.h>

struct point { int x; int y; };

int distance(struct point a, struct point b);
size_t count(const struct point *points);

int cut(struct
"""


@pytest.mark.parametrize(
    ("suffix", "text", "comment"), [(".erl", ERLANG, "%"), (".lua", LUA, "-"), (".h", HEADER, "/* ")]
)
def test_comments_above_shuffled_tokens_do_not_parse(suffix: str, text: str, comment: str) -> None:
    """Heads of real files parse though they are cut; of their tokens in another order it said 87%, the comments and loose tokens."""
    pytest.importorskip("tree_sitter_language_pack")
    source = random.Random(0)

    def shuffled(line: str) -> str:
        tokens = re.findall(r"\w+|[^\w\s]", line)
        source.shuffle(tokens)
        return line if line.lstrip().startswith(tuple(comment)) else " ".join(tokens)

    broken = ["\n".join(map(shuffled, text.split("\n"))) for _ in range(20)]
    language = type("Language", (), {"suffix": suffix})()
    evaluation = CodeEvaluation(inputs(broken, [text], [text] * 20, True, modality=language))
    score = scores_of(evaluation._parsing())["parse_share"]
    assert score.real_baseline == 1.0 and score.value < 0.4 and score.n >= 15


def test_guards_that_do_not_end_are_taken_away() -> None:
    text = "#ifndef A\n#define A\n#if B\nint b;\n#else\nint c;\n#endif\n# ifdef C\nint d;\n#elif D\nint e;"
    kept = "\n#define A\n#if B\nint b;\n#else\nint c;\n#endif\n\nint d;\n\nint e;"
    assert without_open_guards(text) == kept


def test_molecules_are_valid_unique_and_new() -> None:
    pytest.importorskip("rdkit")
    real = [molecule(i) for i in range(300)]
    samples = [*real[:20], *real[:20], "C1CC", "c1cc", *(molecule(i) for i in range(900, 930))]
    evaluation = MoleculeEvaluation(inputs(samples, real[:200], real[200:], False))
    scores = scores_of([*evaluation._validity(), *evaluation._novelty()])
    assert scores["valid_share"].value == pytest.approx(70 / 72) and scores["valid_share"].real_baseline == 1.0
    assert scores["unique_share"].value < 0.8 and 0.3 < scores["novel_share"].value < 0.8


def test_ten_times_as_many_molecules_are_no_less_unique() -> None:
    pytest.importorskip("rdkit")
    rng = np.random.default_rng(0)
    samples, test = ([molecule(int(i)) for i in rng.integers(0, 300, n)] for n in (2_000, 100))
    unique = scores_of(MoleculeEvaluation(inputs(samples, test, test, False))._validity())["unique_share"]
    assert unique.n == 100 and unique.value > 0.75 and unique.real_baseline > 0.75


@pytest.mark.parametrize("make", [CodeEvaluation, MoleculeEvaluation])
def test_what_is_measured_before_the_features_is_not_measured_again(make: type[CodeEvaluation]) -> None:
    """Short reports held the same figures twice."""
    real = ["def f(x):\n    return x\n\n" * 20 if make is CodeEvaluation else molecule(i) for i in range(60)]
    evaluation = make(inputs(real[:20], real[20:40], real[40:], make is CodeEvaluation, seconds=60.0))
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
        pool = AuditPool(train, held_out, None, len(train), randomly_held_out=True)
        evaluation = MoleculeEvaluation(inputs(samples, train, held_out, False, pool=lambda n, pool=pool: pool))
        (result,) = evaluation.copy_tests()
        assert result.detected is has_copies and (result.identical == 50) is has_copies
    assert canonical_or_text("OCC") == canonical_or_text("C(O)C") and canonical_or_text("no molecule") == "no molecule"


def test_the_nearest_molecule_may_be_written_differently() -> None:
    train = [*dict.fromkeys(molecule(i) + molecule(5_000 + i) for i in range(200)), f"OC(=O){30 * 'C'}", "not SMILES"]
    copy = written_backwards(train[40])
    samples = [copy, train[50], f"{30 * 'C'}C(O)=O", "not SMILES", f"{31 * 'C'}C(O)=O"]
    evaluation = MoleculeEvaluation(inputs(samples, train, train[:20], False))
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
    evaluation = MoleculeEvaluation(inputs(["CCO"], ["CCN"], ["CCC"], False))
    assert evaluation.item_type is not None
    assert "another SMILES" in evaluation.item_type.scope and evaluation.item_type.keys is RECORDS.keys


def sequences(n: int, seed: int, change: float = 0.2) -> list[str]:
    source, letters = random.Random(seed), "ACDEFGHIKL"
    ancestor = random.Random(7).choices(letters, k=60)
    return ["".join(source.choice(letters) if source.random() < change else x for x in ancestor) for _ in range(n)]


def test_frequencies_at_places_beat_frequencies() -> None:
    train, test = sequences(200, 0), sequences(50, 1)
    plain, units = frequency_bits(train, test, 1)
    placed, _ = frequency_bits(train, test, 60)
    assert units == 50 * 61 and placed < 0.7 * plain < 0.8 * units * math.log2(12)


def test_figures_of_sequences_have_floors() -> None:
    train, test = sequences(300, 0), sequences(80, 1)
    pairs = [(150.0, 61.0)] * 80
    evaluation = ProteinEvaluation(
        inputs(
            sequences(60, 2), train, test, False, bits=lambda allowed: pairs, cluster_bits=lambda allowed: pairs,
            cluster_text=lambda limit: test,
        )
    )  # fmt: skip
    scores = scores_of([*evaluation.likelihood(), *evaluation.naive_likelihood()])
    assert scores["bits_per_residue"].value == pytest.approx(150 / 61) == scores["bits_per_residue_clusters"].value
    names = ("uniform", "unigram", "profile", "kneser_ney")
    for name in (*names, "clusters_kneser_ney"):
        assert scores[f"bits_per_residue_{name}"].spec.role == "reference"
    assert scores["bits_per_residue_clusters"].spec.role == "metric"
    assert scores["bits_per_residue_profile"].value < scores["bits_per_residue_unigram"].value
    evaluation.sets = ItemSets({"samples": sequences(60, 2), "test": test, "train": train}, {}, Supply())
    evaluation.sets.take(60, lambda train, n: [])
    own = scores_of(
        s
        for measure in (evaluation._lengths, evaluation._composition, evaluation._repeats, evaluation._nearest)
        for s in measure((evaluation.sets["samples"], evaluation.sets["test"], evaluation.sets["train"]))
    )
    assert own["usual_lengths"].value > 0.9 and own["composition_distance"].value < 0.02
    nearest = own["nearest_identity"]
    assert nearest.real_baseline is not None and abs(nearest.value - nearest.real_baseline) < 0.05
    copied = ProteinEvaluation(inputs(train[:60], train, test, False))
    assert scores_of(copied._nearest((train[:60], test[:60], train[:60])))["nearest_identity"].value == 1.0


def variants(n: int, seed: int) -> list[str]:
    """Relatives of one sequence of 60 residues, 1 to 6 of which differ."""
    rng, ancestor = np.random.default_rng(seed), "".join(np.random.default_rng(9).choice(list("ACDEFGHIKL"), 60))
    texts = []
    for _ in range(n):
        letters = list(ancestor)
        for place in rng.integers(0, 60, rng.integers(1, 7)):
            letters[place] = rng.choice(list("ACDEFGHIKL"))
        texts.append("".join(letters))
    return texts


@pytest.mark.parametrize(
    ("change", "usual_lengths", "usual_identity"),
    [
        (lambda text: text, "good", "good"),
        (lambda text: text[30:] + text[:30], "good", "poor"),  # which runs of a few residues do not see
        (lambda text: text[:50], "poor", "poor"),
    ],
)
def test_sequences_without_relatives_or_of_another_length_are_no_real_ones(
    change: Callable[[str], str], usual_lengths: str, usual_identity: str
) -> None:
    train, test, samples = variants(300, 0), variants(300, 1), [change(text) for text in variants(300, 2)]
    evaluation = ProteinEvaluation(inputs(samples, train, test, False))
    scores = scores_of([*evaluation._lengths((samples, test, train)), *evaluation._nearest((samples, test, train))])
    grades = [part_of(scores[name]) for name in ("usual_lengths", "usual_identity")]
    assert [part and part.grade for part in grades] == [usual_lengths, usual_identity]


def test_identity_is_of_the_nearest() -> None:
    sequences = ["MKVLAAGIV", "WWWWWWWWW"]
    assert best_identity("MKVLAAGIV", sequences, NearestSequences(sequences)) == 1.0
    assert best_identity("MKVLAAGI", sequences, NearestSequences(sequences)) == pytest.approx(8 / 9)
    assert best_identity("PPPP", sequences, NearestSequences(sequences)) == 0.0
    assert np.isfinite(frequency_bits(["MKV"], ["WWW"], 1)[0])


def test_samples_that_reached_the_longest_length_are_counted() -> None:
    rng = np.random.default_rng(0)
    real = ["".join(rng.choice(list("ACDE"), 60)) for _ in range(60)]
    cut = ["".join(rng.choice(list("ACDE"), 64)) for _ in range(10)]
    evaluation = ProteinEvaluation(inputs([*real[:20], *cut], real, real, False, bits=lambda seconds: []))
    list(evaluation.modality_metrics())
    assert any("10 of 30 samples are cut at 64 residues" in note for note in evaluation.skipped)
    whole = ProteinEvaluation(inputs(real[:20], real, real, False, bits=lambda seconds: []))
    list(whole.modality_metrics())
    assert not any("cut at" in note for note in whole.skipped)
