"""Scores of text: bits add up, statistics meet their floor on real text, records are treated as records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from anew.evaluation.inputs import EvaluationInputs, RealPool
from anew.evaluation.metrics import diversity, two_sample
from anew.evaluation.metrics.feature_sets import FeatureComparison
from anew.evaluation.modalities import text as text_module
from anew.evaluation.modalities.text import EXPORT, WHOLE_TEXTS, TextEvaluation
from anew.evaluation.score import Score


def prose(n: int, seed: int) -> str:
    """Words by a law of Zipf with some grammar."""
    rng = np.random.default_rng(seed)
    words = [f"{a}{b}{c}" for a in "bdfklmst" for b in ("a", "ee", "o", "ua") for c in ("n", "rd", "sh", "")]
    share = 1 / np.arange(1, len(words) + 1)
    picked = rng.choice(len(words), n, p=share / share.sum())
    return " ".join(words[i] + (". So" if i % 7 == 3 else "") for i in picked)


TRAIN, TEST = [prose(12_000, 0)], [prose(4_000, 1)]


def by_name(inputs: EvaluationInputs) -> dict[str, Score]:
    return {s.name: s for s in EXPORT(inputs).scores()}


def test_bits_per_character_is_the_ratio_of_sums(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rows = [(100.0 + i % 7, 50.0) for i in range(300)] + [(10.0, 20.0)]
    result = by_name(make_inputs(TRAIN, TEST, ["x"], bits=lambda seconds: rows))["bits_per_character"]
    assert result.value == pytest.approx(sum(b for b, _ in rows) / sum(u for _, u in rows))
    assert result.n == 15_020 and result.low is not None and result.low < result.value < result.high
    assert result.real_baseline is None and result.better == "lower"


def test_a_report_says_how_much_of_the_test_part_was_scored(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rows = [(100.0, 50.0)] * 40
    sources = [
        by_name(make_inputs(TRAIN, TEST, ["x"], bits=lambda seconds: rows, test_units=units))[
            "bits_per_character"
        ].source
        for units in (lambda: 2_010.0, lambda: 5_000_000.0)
    ]
    assert sources[0].startswith("whole test part, ")
    assert sources[1].startswith("2,000 of 5,000,000 characters of the test part, ")


def test_naive_rows_read_the_whole_test_part(make_inputs: Callable[..., EvaluationInputs]) -> None:
    result = by_name(make_inputs(TRAIN, TEST, ["x"]))
    rows = [result[f"bits_per_character_{n}"] for n in ("kneser_ney", "xz", "bz2", "ppmd")]
    assert all(r.n == len(TEST[0]) and 0.5 < r.value < 4 for r in rows)
    assert rows[0].value == min(r.value for r in rows)


def test_real_text_meets_the_real_baseline_and_noise_does_not(make_inputs: Callable[..., EvaluationInputs]) -> None:
    whole = prose(3_000, 2)
    good = by_name(make_inputs(TRAIN, TEST, [whole[i : i + 500] for i in range(0, 10_000, 500)]))
    rng = np.random.default_rng(0)
    bad = by_name(make_inputs(TRAIN, TEST, ["".join(rng.permutation(list(whole[:500]))) for _ in range(20)]))
    same, other = good["fourgram_divergence"], bad["fourgram_divergence"]
    assert same.value < 1.5 * same.real_baseline and other.value > 2.5 * other.real_baseline and same.n == 10_000
    for name in ("kernel_distance", "two_sample_auc"):
        assert good[name].value < 0.4 * (good[name].naive_baseline or 0) + 0.4 < bad[name].value + 0.4


def test_copies_and_repetition_are_seen(make_inputs: Callable[..., EvaluationInputs]) -> None:
    copies = by_name(make_inputs(TRAIN, TEST, [TRAIN[0][i : i + 400] for i in range(0, 8_000, 400)]))
    assert copies["verbatim_share"].value == 1.0
    assert copies["verbatim_share"].real_baseline <= copies["verbatim_share"].real_high < 0.8
    few = by_name(make_inputs(TRAIN, TEST, [TRAIN[0][:4_000]]))
    assert few["verbatim_share"].real_high is None  # one text gives no interval
    loops = by_name(make_inputs(TRAIN, TEST, ["round and round it goes " * 30] * 10))
    assert loops["repetition_rate"].value > 0.9 > loops["repetition_rate"].real_baseline


def test_no_figure_depends_on_the_order_of_samples(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Copies that are the last samples, behind more than there is held-out text, are seen like the first ones."""
    new = [prose(250, seed) for seed in range(50, 80)]
    copies = [TRAIN[0][i : i + 1_500] for i in range(0, 45_000, 1_500)]
    first, last = (EXPORT(make_inputs(TRAIN, TEST, samples)) for samples in ([*copies, *new], [*new, *copies]))
    (share, other_share) = ({s.name: s for s in part.scores()} for part in (first, last))
    total = sum(map(len, [*copies, *new]))
    assert total > 2 * len(TEST[0])
    assert share["verbatim_share"].value == pytest.approx(other_share["verbatim_share"].value)
    assert share["verbatim_share"].value > 0.2 and share["verbatim_share"].n == total
    n = other_share["fourgram_divergence"].n
    assert any(
        f"{n:,} of the {total:,} characters" in note.sentence and "evenly" in note.sentence for note in last.notes
    )
    drawn = last._statistics.samples
    assert sum(any(part in copy for copy in copies) for part in drawn) >= 4


def test_the_copying_test_draws_passages_from_all_samples(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies may lie behind more samples than are compared."""
    monkeypatch.setattr(text_module, "MAX_SAMPLES", 40)
    train, held_out, new = ([prose(60, seed + i) for i in range(80)] for seed in (100, 300, 500))
    pool = RealPool(train, held_out, None, len(train))
    inputs = make_inputs(train, held_out, [*new, *train[:40]], pool=lambda n: pool)
    result = EXPORT(inputs).run_memorization_test(pool, None, 40)
    assert result.samples == 40 and result.detected


def test_held_out_text_is_drawn_from_all_of_it(make_inputs: Callable[..., EvaluationInputs]) -> None:
    long = [letter * 400_000 for letter in "abcde"]
    evaluation = EXPORT(make_inputs(TRAIN, long, ["x" * 600]))
    assert [(text[0], len(text)) for text in evaluation._held_out] == [(letter, 200_000) for letter in "abcde"]
    assert {text[0] for text in evaluation.items("test", 200)} == set("abcde")


def test_records_are_compared_with_any_of_the_data_which_may_be_sorted(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    train = [f"{i:04} item" for i in range(1_000)]
    inputs = make_inputs(train, train[::5], train[:100], packed=False)
    evaluation = EXPORT(replace(inputs, train=lambda n: train, test=lambda n: train[::5]))
    assert evaluation._statistics is not None
    for part in (evaluation._statistics.train, evaluation._statistics.test):
        assert len(part) == 100 and max(part) > "0900"


def test_records_whose_parts_are_not_compared_say_so(make_inputs: Callable[..., EvaluationInputs]) -> None:
    parts = [[f"x/{i}/{i + k}" + "/y" * (i % 3) for i in range(200)] for k in range(3)]
    for records, is_said in ((parts, True), ([[text.replace("/", "") for text in part] for part in parts], False)):
        evaluation = EXPORT(make_inputs(*records, packed=False))
        evaluation.text_metrics()
        assert (
            any("the parts of a record, divided by '/', go together" in note.sentence for note in evaluation.notes)
            == is_said
        )


def test_names_of_several_words_whose_order_is_not_compared_say_so(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    names = [[f"{a}{k} {b}" for a in ("Pale", "Dark", "Warm", "Deep") for b in 20 * ["Rose", "Lime"]] for k in range(3)]
    few = [part[:40] + [name.replace(" ", "") for name in part[40:]] for part in names]
    for records, is_said in ((few, True), (names, False)):
        evaluation = EXPORT(make_inputs(*records, packed=False))
        list(evaluation.answer_scores())
        assert any("the order of words" in note.sentence for note in evaluation.notes) == is_said


def test_documents_shorter_than_a_passage_are_compared_together(make_inputs: Callable[..., EvaluationInputs]) -> None:
    quotes = [[prose(25, seed) for seed in range(first, first + 400)] for first in (0, 1000, 2000)]
    assert max(map(len, quotes[0])) < 256
    result = by_name(make_inputs(quotes[0], quotes[1], quotes[2]))
    assert result["two_sample_auc"].n > 100 and result["two_sample_auc"].value < 0.65
    assert EXPORT(make_inputs(quotes[0], quotes[1], quotes[2])).items("samples", 5) != []
    babble = ["".join(np.random.default_rng(seed).permutation(list(prose(25, seed)))) for seed in range(400)]
    assert by_name(make_inputs(quotes[0], quotes[1], babble))["two_sample_auc"].value > 0.95


def test_documents_of_some_passages_are_compared_to_their_ends(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Half of each document is less than a passage: it is joined with those of others where samples are whole documents."""
    documents = [[prose(60, seed) for seed in range(first, first + 60)] for first in (0, 1000, 2000)]
    inputs = make_inputs(*documents)
    whole = replace(inputs, are_whole=True)
    for part in ("samples", "test"):
        assert len(EXPORT(inputs).items(part, 1_000)) == 60  # excerpts have no ends to compare
        assert len(EXPORT(whole).items(part, 1_000)) >= 68
    assert len(EXPORT(replace(whole, samples=[text * 3 for text in documents[2]])).items("test", 1_000)) == 60


def test_training_text_is_read_once(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Lists of hundreds of thousands of records take seconds to read."""
    inputs, limits = make_inputs(TRAIN, TEST, TRAIN[:30], packed=False), []
    whole = inputs.train_text
    assert whole is not None

    def read(limit: int | None) -> list[str]:
        limits.append(limit)
        return whole(limit)

    evaluation = EXPORT(replace(inputs, train_text=read))
    assert list(evaluation.scores()) and len(limits) == 1


def test_baselines_are_of_all_training_text(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder in two languages, one after the other, they were of the first one."""
    monkeypatch.setattr("anew.evaluation.modalities.text.MAX_TRAIN_CHARACTERS", 60_000)
    first, second = ([prose(600, seed) for seed in range(start, start + 30)] for start in (0, 100))
    second = [text.upper() for text in second]
    inputs = make_inputs([*first, *second], [*first[:3], *second[:3]], [first[4], second[4]])
    pieces = EXPORT(inputs).items("train", 1_000)
    assert 0.3 < np.mean([piece.isupper() for piece in pieces]) < 0.7
    scores = {score.name: score for score in EXPORT(inputs).scores()}
    assert (scores["known_words"].real_baseline or 0.0) > 0.9


def test_fewer_training_texts_than_were_read_are_from_all_over_them(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    """Late reports looked for the nearest text among the first files."""
    texts = [letter * 2_500 for letter in "AB" for _ in range(60)]
    evaluation = EXPORT(make_inputs(texts, texts[:3], texts[:2]))
    assert len(evaluation._part("train", 1_000_000)) == 120
    pieces = evaluation._part("train", 30_000)
    assert sum(map(len, pieces)) <= 30_000 and {text[0] for text in pieces} == {"A", "B"}


def test_records(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rng = np.random.default_rng(0)
    names = sorted({"".join(rng.choice(list("aeinorst"), 5)) for _ in range(900)})
    rng.shuffle(names)
    train, test = names[:600], names[600:800]
    samples = [*train[:10], "zzz", "zzz", *names[800:850]]
    evaluation = EXPORT(make_inputs(train, test, samples, packed=False))
    result = {s.name: s for s in evaluation.scores()}
    assert (
        result["verbatim_share"].value == pytest.approx(10 / len(samples))
        and result["verbatim_share"].real_baseline == 0.0
    )
    assert result["repetition_rate"].value == pytest.approx(1 / len(samples))
    assert result["bits_per_character_kneser_ney"].n == sum(len(t) + 1 for t in test)
    content = evaluation.report_content()
    assert content.layout == "rows" and content.pairs[0].caption == "identical"
    assert content.pairs[0].nearest.text == train[0]


def test_all_held_out_pieces_count_not_only_those_compared(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """However few pieces the samples have, no more can be compared than held-out text has."""
    evaluation = EXPORT(make_inputs(TRAIN, TEST, [prose(1_500, 2)], num_held_out=1))
    next(evaluation.answer_scores())
    list(evaluation.answer_scores())
    assert len(evaluation.sets["samples"]) < evaluation.sets.supply.held_out == len(TEST[0]) // 256


def test_of_few_records_it_is_said_that_letter_combinations_were_not_looked_at(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    records = [
        f"{a}{b}" for a in ("ka", "ro", "min", "tel", "sa", "vor", "li") for b in ("den", "bru", "est", "an", "or")
    ]
    for times, is_missing in ((3, True), (20, False)):
        training = [f"{record}{i}" for record in records for i in range(times)]
        samples = [f"{record}s" for record in records]
        evaluation = EXPORT(make_inputs(training, records, samples, packed=False))
        scores = list(evaluation.scores())
        assert any(score.name == "odd_records" for score in scores) != is_missing
        assert evaluation.unmeasured == {}  # no time would measure them
        assert any("fewer than 100 training records" in note.sentence for note in evaluation.notes) == is_missing


def test_captions_of_long_records_are_what_a_recount_gives(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Records of 300 residues that differ near their ends: edits are counted over the whole record."""
    rng = np.random.default_rng(0)
    ancestor = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 300))

    def variant() -> str:
        letters = list(ancestor)
        for place in rng.integers(130, 300, rng.integers(1, 9)):
            letters[place] = rng.choice(list("ACDEFGHIKLMNPQRSTVWY"))
        return "".join(letters)

    train = [variant() for _ in range(400)]
    samples = [train[7], *(variant() for _ in range(11))]
    content = EXPORT(make_inputs(train, train[:1], samples, packed=False)).report_content()
    assert "The nearest of 400 training records:" in content.explanation
    for sample, pair in zip(samples, content.pairs, strict=True):
        edits = min(Levenshtein.distance(sample, record) for record in train)
        assert pair.nearest is not None and Levenshtein.distance(sample, pair.nearest.text) == edits
        assert pair.caption == ("identical" if edits == 0 else "1 edit" if edits == 1 else f"{edits} edits")
        assert (pair.caption == "identical") == (sample in train)


def test_of_very_long_records_some_are_searched_and_said(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.evaluation.nearest_texts.EDIT_WORK", 1)
    train = [f"record number {n}" * 20 for n in range(50)]
    content = EXPORT(make_inputs(train, train[:1], ["record"], packed=False)).report_content()
    assert "The nearest of 20 training records, drawn at random:" in content.explanation


def test_empty_samples_are_left_out_of_likeness(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rng = np.random.default_rng(1)
    names = ["".join(rng.choice(list("aeinorst"), 6)) for _ in range(900)]
    samples = [*names[:150], *[""] * 20, *names[150:200]]
    result = {s.name: s for s in EXPORT(make_inputs(names[200:600], names[600:900], samples, packed=False)).scores()}
    assert result["kernel_distance"].n == 200


def test_shown_match_is_what_stands_in_training(make_inputs: Callable[..., EvaluationInputs]) -> None:
    sample = "QQQ " + TRAIN[0][1000:1060] + " QQQ"
    pairs = EXPORT(make_inputs(TRAIN, TEST, [sample, "☃" * 20])).report_content().pairs
    ((start, stop),) = pairs[0].sample.marks
    assert sample[start:stop] == pairs[0].nearest.marked[1] and stop - start >= 60
    assert pairs[1].sample.marks == () and pairs[1].nearest is None


def test_of_a_long_training_text_part_is_searched_and_said(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = EXPORT(make_inputs(TRAIN, TEST, [TRAIN[0][:100]])).report_content()
    assert "in the " in content.explanation and "not searched" not in content.explanation
    monkeypatch.setattr("anew.evaluation.modalities.text.MAX_SEARCHED_CHARACTERS", 5_000)
    content = EXPORT(make_inputs(TRAIN, TEST, [TRAIN[0][:100]])).report_content()
    assert "in 5,000 characters of the training text (the rest was not searched)" in content.explanation


def test_time_is_kept_and_what_was_left_out_is_said(make_inputs: Callable[..., EvaluationInputs]) -> None:
    requested: list[float | None] = []

    def bits(seconds: float | None) -> list[tuple[float, float]]:
        requested.append(seconds)
        return [(10.0, 5.0)] * 40

    begin = time.process_time()
    big = [prose(200_000, 3)]
    evaluation = EXPORT(make_inputs(big, TEST, ["some text " * 80], bits=bits, seconds=0.2))
    names = [s.name for s in evaluation.scores()]
    assert "bits_per_character" in names and requested[0] is not None and 0 <= requested[0] <= 0.2
    assert "bits_per_character_kneser_ney" not in names and len(evaluation.notes) >= 3
    assert time.process_time() - begin < 4.0


def test_words_are_looked_at_however_little_time_there_is(make_inputs: Callable[..., EvaluationInputs]) -> None:
    inputs = make_inputs(TRAIN, TEST, [TEST[0][::-1][:400], TEST[0][::-1][400:800]], seconds=1e-6)
    scores = by_name(inputs)
    assert scores["known_words"].value < 0.5 < (scores["known_words"].real_baseline or 0.0)
    assert "fourgram_divergence" not in scores


def test_without_samples_or_bits_the_naive_rows_remain(make_inputs: Callable[..., EvaluationInputs]) -> None:
    evaluation = EXPORT(make_inputs(TRAIN, TEST, [""]))
    names = [s.name for s in evaluation.scores()]
    assert names == [
        "bits_per_character_kneser_ney",
        "bits_per_character_xz",
        "bits_per_character_bz2",
        "bits_per_character_ppmd",
    ]
    assert "closeness" in evaluation.notes[0].sentence and "too little" in evaluation.notes[1].sentence


def test_pieces_of_texts_are_not_called_texts(make_inputs: Callable[..., EvaluationInputs]) -> None:
    samples = [prose(120, seed) for seed in range(40)]
    evaluation = EXPORT(make_inputs(TRAIN, [prose(1_500, 9)], samples))
    list(evaluation.scores())
    (extent,) = [
        note
        for note in [note.sentence for note in evaluation.notes]
        if note.startswith("Distances, variety and many other figures were measured")
    ]
    assert "text pieces, as many as there are pieces of held-out texts" in extent


def notes_of(n: int, seed: int) -> list[str]:
    """Short texts that begin with a capital and end with a full stop."""
    words = prose(40 * n, seed).split()
    return [" ".join(words[40 * i : 40 * i + 30 + i % 11]).capitalize() + "." for i in range(n)]


def test_whole_texts_are_compared_where_samples_are_whole(make_inputs: Callable[..., EvaluationInputs]) -> None:
    train, test = notes_of(120, 5), notes_of(120, 6)
    samples = [text[::-1] for text in notes_of(120, 7)]
    documents = {"train": train, "test": test}
    run = {"beginnings": lambda part, n: documents[part][:n]}
    assert by_name(make_inputs(train, test, samples, **run))["whole_texts_auc"].value > 0.9
    assert "whole_texts_auc" not in by_name(make_inputs(train, test, samples))  # they begin no documents
    assert "whole_texts_auc" not in by_name(make_inputs(train, test, [text[:40] for text in samples], **run))
    assert by_name(make_inputs(train, test, samples, are_whole=True))["whole_texts_auc"].value > 0.9
    evaluation = EXPORT(make_inputs(train, test, [text[:40] for text in samples], are_whole=True))
    assert "whole_texts_auc" not in {score.name for score in evaluation.scores()}
    assert any("far longer or shorter" in note.sentence for note in evaluation.notes)


def test_documents_of_a_run_are_compared_with_documents(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """What a run's data returns as items of running text are excerpts, which begin and end anywhere."""
    documents = {"train": notes_of(120, 5), "test": notes_of(120, 6)}
    excerpts = [[text[len(text) // 3 :] for text in part] for part in documents.values()]
    inputs = make_inputs(
        *excerpts,
        notes_of(120, 7),
        train_text=lambda limit: documents["train"],
        test_text=lambda limit: documents["test"],
        beginnings=lambda part, n: documents[part][:n],
    )
    assert by_name(inputs)["whole_texts_auc"].low < 0.55


def test_documents_that_are_cut_as_samples_are_are_compared_too(make_inputs: Callable[..., EvaluationInputs]) -> None:
    documents = {part: [text[:150] for text in notes_of(120, seed)] for part, seed in (("train", 5), ("test", 6))}
    run = {"beginnings": lambda part, n: documents[part][:n]}
    real, reversed_texts = [text[:150] for text in notes_of(120, 7)], [text[149::-1] for text in notes_of(120, 7)]
    parts = [["\n".join(texts)] for texts in documents.values()]
    assert by_name(make_inputs(*parts, real, **run))["whole_texts_auc"].low < 0.55
    assert by_name(make_inputs(*parts, reversed_texts, **run))["whole_texts_auc"].value > 0.9


def test_it_is_said_why_whole_texts_are_not_compared(make_inputs: Callable[..., EvaluationInputs]) -> None:
    few = notes_of(30, 7)
    documents = {"train": notes_of(120, 5), "test": notes_of(120, 6)}
    for run, reason in (
        ({}, "samples are passages of long texts"),
        ({"beginnings": lambda part, n: documents[part][:n]}, "it takes 60 of each, and there are 30 samples"),
    ):
        evaluation = EXPORT(make_inputs(*documents.values(), few, **run))
        list(evaluation.scores())
        assert any("order of whole texts" in note.sentence and reason in note.sentence for note in evaluation.notes)
        assert (WHOLE_TEXTS in evaluation.unmeasured) == ("30 samples" in reason)  # more samples may settle it


def test_rests_of_documents_are_compared(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Of documents of one and a half pieces, the halves were left out, and too few pieces were left to tell."""
    documents = {
        part: [prose(390, seed + i)[:384] for i in range(40)] for part, seed in (("train", 100), ("test", 200))
    }
    samples = [prose(390, 300 + i)[:384] for i in range(40)]
    inputs = make_inputs(
        *documents.values(),
        samples,
        train_text=lambda limit: documents["train"],
        test_text=lambda limit: documents["test"],
        beginnings=lambda part, n: documents[part][:n],
    )
    assert 55 <= len(EXPORT(inputs).items("test", 1_000)) <= 60


def test_one_long_text_that_repeats_itself_does_not_decide_about_repetition(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    words = prose(9_000, 8).split()
    texts = [" ".join(words[i : i + 60]) for i in range(0, 6_000, 60)]
    table = ["the same line again\n" * 400]
    plain, mixed = (by_name(make_inputs(TRAIN, TEST, part))["repetition_rate"] for part in (texts, [*texts, *table]))
    assert mixed.value == pytest.approx((plain.value * len(texts) + 1.0) / (len(texts) + 1), abs=0.01)


@pytest.mark.parametrize(
    ("num_test", "num_train", "clause"), [(40, 5, "only 5 are in the train part"), (1, 40, "only 1 is held out")]
)
def test_the_part_with_too_few_documents_is_named(
    make_inputs: Callable[..., EvaluationInputs], num_test: int, num_train: int, clause: str
) -> None:
    counts = {"test": num_test, "train": num_train}
    inputs = make_inputs(TRAIN, TEST, [TEST[0][:600]] * 30, beginnings=lambda part, n: ["A beginning."] * counts[part])
    evaluation = EXPORT(inputs)
    assert evaluation._compared.texts("test")
    assert any(clause in note.sentence for note in evaluation.notes)


def test_samples_that_begin_documents_are_compared_with_beginnings(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    """Real beginnings with a licence in each were called collapsed, next to passages from anywhere; broken ones still are told apart."""
    licence = prose(90, 1_000)

    def heads(seed: int, n: int) -> list[str]:
        return [licence + prose(90, seed + i) for i in range(n)]

    parts = {"train": heads(2_000, 40), "test": heads(3_000, 35)}
    train, test = ([text + prose(800, 9_000 + i) for i, text in enumerate(parts[part])] for part in ("train", "test"))
    real, rng = heads(4_000, 30), np.random.default_rng(0)
    broken = [licence + "".join(rng.permutation(list(text[len(licence) :]))) for text in real]

    def evaluation_of(samples: list[str], num_read: int) -> TextEvaluation:
        inputs = make_inputs(train, test, samples, beginnings=lambda part, n: parts[part][: min(n, num_read)])
        return EXPORT(inputs)

    def features(evaluation: TextEvaluation) -> dict[str, Score]:
        sets = evaluation._features()
        assert sets is not None
        comparison = FeatureComparison.of(sets, 0, evaluation.clock.over)
        return {score.name: score for metric in (diversity, two_sample) for score in metric.compute(comparison)}

    good, bad = evaluation_of(real, 100), evaluation_of(broken, 100)
    few = evaluation_of(real, 5)  # so few are no reference
    of_real, of_broken, of_anywhere = map(features, (good, bad, few))
    assert of_anywhere["diversity"].value < 0.6 and of_real["diversity"].value > 0.85
    assert of_real["two_sample_auc"].value < 0.6 < 0.75 < of_broken["two_sample_auc"].value
    assert any("the beginnings of 35 held-out documents" in note.sentence for note in good.notes)
    assert any("only 5 are held out" in note.sentence for note in few.notes)
    samples, held_out, _ = good._equal_sets() or ([], [], [])
    assert list(map(len, samples)) == list(map(len, held_out)) and all(text.startswith(licence) for text in held_out)
