"""A tick needs the worse end of the interval, enough items, and all parts; the rest is said as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from anew.core.wording import rounded_up
from anew.evaluation.measure import CLOSENESS, VARIETY, Unmeasured
from anew.evaluation.metrics.bits import BITS_GAP
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureSets, fidelity_scores
from anew.evaluation.metrics.frechet import FRECHET_DISTANCE
from anew.evaluation.metrics.item_statistics import effect_size
from anew.evaluation.metrics.media.spectrum import SPECTRUM_DISTANCE, sound_spectrum
from anew.evaluation.metrics.text.text_statistics import FOURGRAM_DIVERGENCE
from anew.evaluation.metrics.text.words import BROKEN_WORDS, KNOWN_PAIRS
from anew.evaluation.modalities.protein import USUAL_LENGTHS
from anew.evaluation.reporting import comparison
from anew.evaluation.reporting.grading import Part, _grade, grade_question, part_of, parts
from anew.evaluation.reporting.outlook import Outlook
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.reporting.verdict import Verdict
from anew.evaluation.score import Division, MetricSpec, Score, Tolerance
from anew.functional.intervals import clopper_pearson
from scores import catalogue, score

CLOSE = [
    score("two_sample_auc", 0.51, 0.46, 0.56, 0.5, n=400),
    score("precision", 0.95, 0.93, 0.97, 0.95, n=400),
    score("kernel_distance", 0.0002, -0.001, 0.001, 0.0001, n=400),
]


def auc(value: float, half: float, n: int, real: float = 0.5) -> Score:
    return score("two_sample_auc", value, value - half, min(value + half, 1.0), real, n=n)


def test_the_interval_of_a_share_never_looks_like_a_point() -> None:
    ends = {(0.0, 0.0, 0.004): "0.0% to 0.4%", (1.0, 0.996, 1.0): "99.6% to 100.0%", (0.5, 0.4, 0.6): "40% to 60%"}
    for (value, low, high), text in ends.items():
        part = part_of(score("precision", value, low, high, 0.9, n=1000))
        assert part is not None and part.interval == text


def test_a_tick_from_forty_images_is_refused_and_the_number_that_would_do_is_said() -> None:
    small = auc(0.49, 0.19, 40)  # the worse end, 68%, would be a difference that matters
    assert Verdict([small]).grades["closeness"] == "too_few"
    grading = grade_question([small], "closeness")
    assert grading is not None and grading.n == 40 and 250 <= grading.needed <= 400
    assert Verdict([small]).figures["closeness"] == f"40 compared; about {grading.needed} would do"
    sentence = Verdict([small]).sentences()["closeness"]
    assert sentence.startswith("Too few to tell: 40 samples were compared with as many held-out ones, and about ")
    assert "95% interval 50% to 68%" in sentence
    assert Verdict([auc(0.49, 0.057, 400)]).grades["closeness"] == "good"
    pieces = replace(small, counted="text piece")
    assert Verdict([pieces]).figures["closeness"] == f"40 text pieces compared; about {grading.needed} would do"
    assert (
        Verdict([pieces])
        .sentences()["closeness"]
        .startswith("Too few to tell: 40 text pieces were compared with as many ")
    )


def test_what_would_help_is_said_where_held_out_items_are_too_few() -> None:
    small = auc(0.49, 0.19, 40)
    grading = grade_question([small], "closeness")
    assert grading is not None
    needed, few, enough = grading.needed, Supply(held_out=40), Supply(held_out=2_000, samples_per_item=0.5)
    assert (
        Verdict([small], supply=few).figures["closeness"]
        == f"40 compared, all that are held out; about {needed} would do"
    )
    sentence = Verdict([small], supply=few).sentences()["closeness"]
    assert " But only 40 are held out, so a yes probably needs more data. So far:" in sentence
    assert "more data" not in Verdict([small], supply=enough).sentences()["closeness"]
    assert (
        "compared with as many of the 2,000 held-out ones" in Verdict([small], supply=enough).sentences()["closeness"]
    )
    scarce = Supply(held_out=60)  # fewer than would do, though more than were compared
    assert (
        Verdict([small], supply=scarce).figures["closeness"]
        == f"40 compared; about {needed} would do, but only 60 are held out"
    )
    assert (
        "so a yes probably needs more data. More samples can show"
        in Verdict([small], supply=scarce).sentences()["closeness"]
    )
    assert (
        Verdict([small], supply=scarce).needs_data == ("closeness",) and not Verdict([small], supply=enough).needs_data
    )
    assert Verdict([small], supply=few).samples_needed == {"closeness": 0}
    assert Verdict([small], supply=scarce).samples_needed == {
        "closeness": 60
    }  # all that are held out may show a difference
    assert (
        Verdict([small], supply=enough).samples_needed == {"closeness": needed // 2}
        and Verdict(CLOSE, supply=few).samples_needed == {}
    )


def test_how_many_texts_give_enough_pieces_is_said() -> None:
    small, supply = replace(auc(0.49, 0.19, 40), counted="text piece"), Supply(held_out=40, num_texts=120)
    needed = Verdict([small], supply=Supply()).samples_needed["closeness"]
    sentence = Verdict([small], supply=supply).sentences()["closeness"]
    texts = rounded_up(3 * needed)
    assert f"so a yes probably needs more data: about {texts:,} held-out texts instead of 120. So far:" in sentence
    assert "held-out texts" not in Verdict([small], supply=replace(supply, num_texts=1)).sentences()["closeness"]
    assert "held-out texts" not in Verdict([small], supply=replace(supply, held_out=2_000)).sentences()["closeness"]


def test_pieces_of_one_text_are_called_so() -> None:
    few, enough = (replace(auc(0.49, width, 400), counted="text piece") for width in (0.25, 0.02))
    of_one, several = Supply(num_samples=1), Supply(num_samples=2)
    assert (
        Verdict([few], supply=of_one)
        .sentences()["closeness"]
        .startswith("Too few to tell: 400 text pieces of one text were compared")
    )
    cut = "400 text pieces cut from 2 samples were compared"
    assert cut in Verdict([few], supply=several).sentences()["closeness"]
    assert "by 1 figure of 400 text pieces of one text." in Verdict([enough], supply=of_one).sentences()["closeness"]
    assert (
        "of one text"
        not in Verdict([few], supply=several).sentences()["closeness"]
        + Verdict([CLOSE[0]], supply=of_one).sentences()["closeness"]
    )


def test_about_as_many_held_out_items_as_would_do_are_compared() -> None:
    """184 of 296 were compared in the time, and about 300 would do: the report said that "only 296 are held out"."""
    small = auc(0.49, 0.15, 160)
    grading = grade_question([small], "closeness")
    assert grading is not None and grading.grade == "too_few" and grading.needed > 290
    nearly = Supply(held_out=round(0.95 * grading.needed), compared=160)
    assert Verdict([small], supply=nearly).figures["closeness"] == f"160 compared; about {grading.needed} would do"
    assert Verdict([small], supply=nearly).samples_needed == {"closeness": nearly.held_out}
    assert "more data" not in Verdict([small], supply=nearly).sentences()["closeness"]
    all_compared = Verdict([small], supply=Supply(held_out=160)).figures["closeness"]
    assert all_compared == f"160 compared, all that are held out; about {grading.needed} would do"


def test_a_figure_of_fewer_items_for_lack_of_time_leaves_its_answer_unsettled() -> None:
    """Repetition was measured on 107 of 300 samples: "107 compared; about 730 would do, but only 300 are held out"."""
    parts = [auc(0.53, 0.15, 107)]
    late = Supply(held_out=300, compared=300, partly=("closeness",))
    assert Verdict(parts, supply=replace(late, partly=())).grades["closeness"] == "too_few"
    assert Verdict(parts, supply=late).grades["closeness"] == "not_settled"
    assert Verdict(parts, supply=late).figures["closeness"] == "there was time to compare only 107 of 300 samples"


def test_items_of_which_only_some_count_are_counted_as_items() -> None:
    """Of 240 molecules 65 were valid: "65 compared; about 300 would do, but only 240 are held out"."""
    alone = auc(0.53, 0.15, 65)
    verdicts = [Verdict([replace(alone, among=among)], supply=Supply(held_out=240, compared=240)) for among in (0, 240)]
    assert "65 compared; about 320 would do" in verdicts[0].figures["closeness"]
    assert verdicts[1].figures["closeness"].startswith("240 compared, all that are held out; about ")
    needed = [verdict.gradings["closeness"].needed for verdict in verdicts]
    assert needed[1] > 2 * needed[0]


def test_two_plain_differences_of_two_kinds_are_a_no_together() -> None:
    """A classifier at 92% and unknown words at 83% were "partly": each interval began below what is obvious."""
    whole, words = auc(0.92, 0.087, 52), score("unknown_words", 0.83, 0.72, 0.94, 0.5, n=28)
    for alone in (whole, words):
        assert Verdict([alone]).grades["closeness"] == "fair"
    both = Verdict([whole, words])
    assert both.grades["closeness"] == "poor"
    clause = "a classifier picks the sample out of a pair 92% of the time (guessing: 50%); "
    assert both.figures["closeness"].startswith(clause) and "unknown words" in both.figures["closeness"]
    assert both.sentences()["closeness"].startswith(f"Clearly different from the data: {clause}")
    # Neither is beyond the second limit at its estimate
    assert Verdict([auc(0.84, 0.03, 300), replace(words, value=0.84)]).grades["closeness"] == "fair"
    # Of two figures of whole items one may repeat the other, and so may two of single things
    precision = score("precision", 0.3, 0.2, 0.4, 0.95, n=52)
    assert Verdict([whole, precision]).grades["closeness"] == "fair"
    assert Verdict([words, score("broken_words", 0.16, 0.1, 0.2, 0.05, n=3_000)]).grades["closeness"] == "fair"
    # One that is no proven difference adds nothing
    assert Verdict([whole, replace(words, low=0.6)]).grades["closeness"] == "fair"


def test_a_partly_that_may_be_a_no_says_so() -> None:
    few = auc(0.9, 0.15, 20)
    verdict = Verdict([few])
    assert verdict.grades["closeness"] == "fair"
    assert verdict.figures["closeness"].startswith(
        "20 samples are too few to rule out a no; a classifier picks the sample out of a pair 90% of the time"
    )
    assert verdict.sentences()["closeness"].startswith(
        "Noticeably different from the data, or clearly different (20 samples are too few to tell which): a classifier"
    )
    for other in (auc(0.8, 0.04, 300), auc(0.97, 0.02, 300)):
        assert "too few" not in Verdict([other]).figures["closeness"]


def test_figures_that_count_later_and_lucky_ones_have_their_say_in_the_number_that_would_do() -> None:
    """A report asked for 300 items, and one of 600 for 920: the Fréchet distance had begun to count."""
    small = auc(0.6, 0.09, 260)
    lucky = score("precision", 0.99, 0.83, 1.0, 0.95, n=260)  # within the limit, by an interval that is too wide
    later = Score(FRECHET_DISTANCE, 5.4, low=2.0, high=8.8, real_baseline=5.4, n=260)
    part = part_of(lucky)
    assert part is not None and part.grade == "good" and part.times_needed > 1.9 and parts([later]) == []
    gradings = [
        grade_question(scores, "closeness")
        for scores in ([small], [small, later], [small, lucky], [small, lucky, later])
    ]
    alone, with_later, with_lucky, with_both = [grading.needed for grading in gradings if grading is not None]
    assert 300 < alone == with_later < 500 < with_lucky < with_both  # the distance counts from 500 items on


def test_the_number_that_would_do_is_enough_in_simulations() -> None:
    """Samples that differ by nothing or a little; with all figures of embedded items it was enough in 97% (docs/log.md)."""
    specs = [catalogue()[name] for name in ("two_sample_auc", "attack", "decay", "silence_share", "columns_auc")]

    def scores_of(rng: np.random.Generator, n: int, shift: float) -> Iterator[Score]:
        for spec in specs:
            held_out, train = rng.standard_normal((2, n)) ** 3  # heavy tails
            effect, real = effect_size(rng.standard_normal(n) ** 3 + shift, held_out), effect_size(train, held_out)
            yield Score(spec, effect.value, low=effect.low, high=effect.high, real_baseline=real.value, n=n)

    enough: list[bool] = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, shift = int(rng.choice([40, 80, 150])), float(rng.choice([0.0, 0.02, 0.05]))
        first = grade_question(list(scores_of(rng, n, shift)), "closeness")
        assert first is not None
        if first.grade == "too_few":
            then = grade_question(list(scores_of(rng, first.needed, shift)), "closeness")
            enough.append(then is not None and then.grade != "too_few")
    assert len(enough) >= 60 and sum(enough) >= 0.8 * len(enough)


def test_half_of_the_data_is_not_called_held_out() -> None:
    small = auc(0.49, 0.19, 40)
    halves, all_of_half = Supply(60, are_halves=True), Supply(40, are_halves=True)
    assert Verdict([small], supply=halves).figures["closeness"].endswith("would do, but half of the data holds only 60")
    assert (
        Verdict([small], supply=all_of_half)
        .figures["closeness"]
        .startswith("40 compared, as many as half of the data holds;")
    )
    sentence = Verdict([small], supply=halves).sentences()["closeness"]
    assert "40 samples were compared with as many real ones" in sentence and "held out" not in sentence


def test_samples_that_are_too_few_for_any_figure() -> None:
    assert Supply(100, compared=10).samples_of_few() == 100 and Supply(100, compared=100).samples_of_few() == 0
    assert Supply().samples_of_few() == Supply(150, compared=10).samples_of_few() == 300


def test_without_the_figure_that_decides_that_is_said_and_characters_are_no_samples() -> None:
    parts = [
        score("fourgram_divergence", 0.67, 0.64, 0.71, 0.62, n=5993),
        score("precision", 0.9, 0.88, 0.92, 0.91, n=1000),
    ]
    grading = grade_question(parts, "closeness")
    assert grading is not None and grading.grade == "too_few" and grading.n == 1000
    assert Verdict(parts).figures["closeness"] == "not measured: the classifier two-sample test"
    sentence = Verdict(parts).sentences()["closeness"]
    assert sentence.startswith("Not settled. Not measured: the classifier two-sample test; the notes say why. So far: ")
    assert "5,993" not in sentence


def test_names_of_figures_keep_their_capitals() -> None:
    """A sentence began "Not measured: fréchet distance": `str.capitalize` makes all other letters small."""
    parts = [score("two_sample_auc", 0.55, 0.5, 0.6, 0.5, n=1000)]
    missing = {"Fréchet distance": ("closeness",), "PNG sizes": ("closeness",)}
    sentence = Verdict(parts, unmeasured=missing).sentences()["closeness"]
    assert "Not measured: Fréchet distance and PNG sizes; the notes say why." in sentence


def test_items_behind_a_figure_that_counts_words_are_all_that_were_compared() -> None:
    words = replace(score("x", 0.70, 0.66, 0.73, 0.71, n=80_000), spec=KNOWN_PAIRS)
    scores = [replace(figure, counted="text piece") for figure in (auc(0.5, 0.04, 1_000), *CLOSE[1:])]
    supply = Supply(3_000, compared=3_000)
    grading = grade_question([*scores, words], "closeness", supply=supply)
    assert grading is not None and grading.n == 3_000 and grading.needed > 6_000
    sentence = Verdict([*scores, words], supply=supply).sentences()["closeness"]
    assert sentence.startswith(
        "Too few to tell: 3,000 text pieces were compared with as many held-out ones, and about "
    )
    assert "More samples" not in sentence and Verdict([*scores, words], supply=supply).samples_needed == {
        "closeness": 0
    }


def test_an_interval_is_in_percent_if_its_figure_is() -> None:
    tolerance = Tolerance("closeness", 0.1, 0.3, "the divergence is {value:.2f} (real data: {real:.2f})")
    divergence = Score(
        MetricSpec("d", "D", maximum=1.0, tolerance=tolerance), 0.24, low=0.21, high=0.29, real_baseline=0.2, n=200
    )
    part = part_of(divergence)
    assert part is not None and part.interval == "0.21 to 0.29"
    words = part_of(replace(divergence, spec=KNOWN_PAIRS))
    assert words is not None and words.interval == "21% to 29%"
    broken = part_of(replace(score("x", 0.018, 0.0144, 0.0213, 0.014, n=4_000), spec=BROKEN_WORDS))
    assert broken is not None and broken.interval == "1.4% to 2.1%"  # as exact as the figure
    varied = part_of(score("diversity", 0.98, 0.93, 1.04, 1.0, n=400))
    assert varied is not None and varied.interval == "0.93 to 1.04"


def test_the_weakest_figure_is_not_one_that_is_better_than_that_of_real_data() -> None:
    better = replace(score("x", 0.72, 0.67, 0.77, 0.70, n=4_000), spec=KNOWN_PAIRS)
    scores = [auc(0.51, 0.04, 1_000), better]
    grading = grade_question(scores, "closeness")
    assert grading is not None and grading.grade == "good" and grading.parts[0].score is better
    assert grading.weakest.score is scores[0]


def test_decibels_are_named() -> None:
    spectrum = replace(score("x", 1.3, 0.6, 2.0, 0.9, n=200), spec=SPECTRUM_DISTANCE)
    sentence = Verdict([auc(0.5, 0.04, 200), spectrum]).sentences()["closeness"]
    assert sentence.endswith("So far: spectrum 1.3 dB (real data: 0.9 dB), 95% interval 0.6 to 2.0 dB.")


def test_runs_of_characters_of_a_short_text_are_no_agreement() -> None:
    def of(n: int, value: float) -> Score:
        return replace(score("x", value, value - 0.03, value + 0.03, 0.74, n=n), spec=FOURGRAM_DIVERGENCE)

    assert parts([of(5_000, 0.67)]) == [] and [part.grade for part in parts([of(20_000, 0.67)])] == ["good"]
    assert [part.grade for part in parts([of(5_000, 0.92)])] == ["fair"]


def test_no_yes_without_what_fell_to_the_time() -> None:
    cut: Unmeasured = {"the spectrum": CLOSENESS, "image statistics": CLOSENESS}
    assert Verdict(CLOSE).grades["closeness"] == "good"
    assert Verdict(CLOSE, None, cut).grades["closeness"] == "not_settled"
    assert Verdict(CLOSE, None, cut).figures["closeness"] == "not measured: the spectrum and image statistics"
    sentence = Verdict(CLOSE, unmeasured=cut).sentences()["closeness"]
    assert sentence.startswith("Not settled. Not measured: the spectrum and image statistics; the notes say why.")
    few = [auc(0.5, 0.05, 140), *(replace(figure, n=140) for figure in CLOSE[1:])]
    assert (
        Verdict(few, None, cut).figures["closeness"] == "140 compared; about 300 would do"
    )  # time would not settle that
    hurried = [
        *CLOSE[1:],
        auc(0.75, 0.03, 400),
    ]  # what is missing may be plainly different, and noise may be called close
    assert (
        Verdict(hurried).grades["closeness"] == "fair"
        and Verdict(hurried, None, cut).grades["closeness"] == "not_settled"
    )
    clause = Verdict(hurried, None, cut).figures["closeness"]
    assert clause.startswith("at best partly: a classifier picks the sample out of a pair 75% of the time")
    assert clause.endswith("; not measured: the spectrum and image statistics")
    sentence = Verdict(hurried, unmeasured=cut).sentences()["closeness"]
    assert sentence.startswith("Not settled, but at best partly: a classifier ")
    assert sentence.endswith("Not measured: the spectrum and image statistics; the notes say why.")
    differs = [*CLOSE[1:], auc(0.9, 0.02, 400)]
    assert Verdict(differs, None, cut).grades == Verdict(differs).grades  # a difference that was found stands
    # What says nothing on a question leaves no answer to it open
    assert Verdict(CLOSE, None, {"repetition": VARIETY, "verbatim passages": ()}).grades["closeness"] == "good"


def test_what_the_time_was_too_short_for_is_not_settled_and_asks_for_no_data() -> None:
    supply = Supply(476, compared=223, left_out=183)
    small = [auc(0.49, 0.19, 40)]
    assert (
        Verdict(small, supply=supply).grades == {"closeness": "not_settled"}
        and Verdict(small, supply=supply).samples_needed == {}
    )
    assert Verdict(small, supply=supply).figures["closeness"] == "there was time to compare only 40 of 223 samples"
    valid = replace(small[0], n=1)  # one of the 40 molecules
    assert Verdict([valid], supply=supply).figures["closeness"] == "there was time to compare only 40 of 223 samples"
    sentence = Verdict(small, supply=supply).sentences()["closeness"]
    assert sentence.startswith("Not settled. There was time to compare only 40 of 223 samples; the notes say why.")
    assert Verdict(CLOSE, supply=supply).grades["closeness"] == "good"  # enough, although not all
    told_apart = [*CLOSE[1:], score("two_sample_auc", 0.92, 0.885, 0.955, 0.823, n=240)]
    assert Verdict(told_apart, supply=supply).grades["closeness"] == "too_few"  # more time would not settle that


def test_an_interval_that_the_time_was_too_short_for_is_named() -> None:
    """Of 305 surnames 300 were compared, and the answer was "there was time to compare only 300 of 305 samples"."""
    without = score("diversity", 1.01, None, None, 0.99, n=300)
    varied = [score("coverage", 0.95, 0.93, 0.97, 0.95, n=300), score("recall", 0.95, 0.93, 0.97, 0.95, n=300)]
    for supply in (Supply(984, compared=305, left_out=5), Supply(984, compared=300)):
        report = Verdict([*varied, without], supply=supply)
        assert report.grades["variety"] == "not_settled"
        assert report.figures["variety"] == "not measured: the interval of diversity"
    few = Verdict([replace(figure, n=40) for figure in (*varied, without)], supply=Supply(984, compared=40))
    assert few.figures["variety"] == "40 compared; about 300 would do"  # time would not settle that


def test_no_yes_where_real_items_are_told_apart_themselves() -> None:
    """Samples that differ as much from training as from held-out items would pass as real data."""
    log = [
        *CLOSE[1:],
        score("two_sample_auc", 0.92, 0.885, 0.955, 0.823, n=240),
    ]  # SQL files, each copied by the samples
    assert Verdict(log).grades["closeness"] == "too_few"
    clause = "training and held-out items are themselves told apart 82% of the time (guessing: 50%)"
    assert Verdict(log).figures["closeness"] == clause
    sentence = Verdict(log).sentences()["closeness"]
    assert sentence.startswith("Too few to tell. So far: classifier two-sample test 92% (real data: 82%), ")
    assert sentence.count("A classifier tells training from held-out items 82% of the time (guessing: 50%)") == 1
    assert "themselves told apart" not in sentence  # said once
    assert Verdict(log, supply=Supply()).samples_needed == {"closeness": 0}
    assert Verdict(log, supply=Supply(400)).samples_needed == {
        "closeness": 400
    }  # all that are held out may show a difference
    assert (
        Verdict(log, supply=Supply(300, are_halves=True)).figures["closeness"].startswith("two halves of the data are ")
    )
    alike = auc(0.82, 0.02, 4_000, real=0.82)
    assert Verdict([*CLOSE[1:], alike]).grades["closeness"] == "too_few"
    assert (
        Verdict([*CLOSE[1:], auc(0.6, 0.04, 400, real=0.6)]).grades["closeness"] == "good"
    )  # passages of the same book


def test_near_the_end_of_a_figure_a_small_step_matters() -> None:
    part = part_of(auc(0.74, 0.03, 2_000, real=0.64))  # .10 up to .14 of .36 that are left
    assert part is not None and part.grade == "too_few" and part.times_needed > 0.0
    assert part.clause == "a classifier picks the sample out of a pair 74% of the time (real data: 64%; guessing: 50%)"
    unlucky = part_of(auc(0.54, 0.05, 400, real=0.53))
    assert (
        unlucky is not None and unlucky.grade == "good" and unlucky.clause.endswith("54% of the time (guessing: 50%)")
    )


def test_a_share_of_a_large_baseline_is_not_taken_for_the_room_above_it() -> None:
    """Fréchet distances may be several times the limit of their excess."""
    part = part_of(Score(FRECHET_DISTANCE, 7.2, low=6.0, high=9.2, real_baseline=5.4, n=600))
    assert part is not None and part.high is not None and part.high < part.tolerance.small
    assert part.grade == "good"


def test_training_and_held_out_items_that_differ_are_said() -> None:
    words = "A classifier tells training from held-out items 64% of the time (guessing: 50%)"
    assert words in Verdict([auc(0.50, 0.05, 400, real=0.64)]).sentences()["closeness"]
    assert (
        "tells training from" not in Verdict([auc(0.50, 0.05, 400, real=0.58)]).sentences()["closeness"]
    )  # as far as luck goes


def test_a_split_at_random_is_not_blamed_for_what_chance_does_to_few_items() -> None:
    """Of 599 icons that were split at random, 40 and 40 were told apart 75% of the time; 180 and 180 were not."""
    icons = [auc(0.68, 0.17, 40, real=0.75)]
    at_random = Supply(180, division=Division.ITEMS)
    assert "tells training from" in Verdict(icons).sentences()["closeness"]
    assert "tells training from" not in Verdict(icons, supply=at_random).sentences()["closeness"]
    plain = Verdict([auc(0.68, 0.04, 400, real=0.75)], supply=at_random).sentences()["closeness"]
    assert "75% of the time (guessing: 50%): near-duplicates are in one part, or chance made it so." in plain
    assert "times or sources" not in plain


def test_what_training_and_held_out_items_differ_by_follows_from_their_division() -> None:
    sound = [auc(0.91, 0.034, 300, real=0.74)]
    assert (
        "pieces of one file are in one part, and are alike; so are files that are nearly the same"
        in Verdict(sound, supply=Supply(division=Division.FILES)).sentences()["closeness"]
    )
    assert (
        "of different times or sources, items of one file resemble each other, or many"
        in Verdict(sound).sentences()["closeness"]
    )
    halves = Verdict(sound, supply=Supply(are_halves=True, division=Division.FILES)).sentences()["closeness"]
    assert "A classifier tells two halves of the data apart 74% of the time (guessing: 50%)" in halves


def test_few_items_hide_no_plain_difference() -> None:
    assert Verdict([auc(0.97, 0.03, 40)]).grades["closeness"] == "poor"
    assert Verdict([auc(0.75, 0.08, 60)]).grades["closeness"] == "fair"
    assert "Noticeably different from the data: a classifier" in Verdict([auc(0.75, 0.08, 60)]).sentences()["closeness"]


def test_an_unlucky_baseline_is_still_guessing() -> None:
    """Near 1 the interval of a figure is narrow, and real data at 58% of 40 items is within chance of 50%."""
    clips = auc(0.935, 0.073, 40, real=0.579)
    part = part_of(clips)
    assert part is not None and part.excess == pytest.approx(0.435) and part.low == pytest.approx(0.362)
    assert Verdict([clips]).grades["closeness"] == "poor"


def test_a_classifier_that_is_always_right_is_never_close() -> None:
    """Even where training and held-out items differ so that the baseline is 76%."""
    code = [auc(0.997, 0.0055, 93, real=0.756), score("kernel_distance", 0.053, 0.044, 0.062, 0.011, n=93)]
    assert Verdict(code).grades["closeness"] == "poor"
    assert Verdict(code).figures["closeness"].startswith("a classifier picks the sample out of a pair 100% of the time")
    # As far as the luck of a few documents goes
    assert Verdict([auc(0.87, 0.025, 900, real=0.83)]).grades["closeness"] == "too_few"
    assert Verdict([auc(1.0, 0.002, 900, real=0.96)]).grades["closeness"] == "poor"
    # It may differ as much from training items
    assert Verdict([auc(0.75, 0.02, 4_000, real=0.76)]).grades["closeness"] == "too_few"


@pytest.mark.parametrize(
    ("excess", "low", "has_enough", "grade"),
    [(0.2, 0.034, False, "fair"), (0.2, 0.032, False, "too_few"), (0.09, 0.08, False, "too_few"), (0.09, 0.0, True, "fair"),
     (0.11, 0.101, False, "fair"), (0.5, 0.301, False, "poor")],
)  # fmt: skip
def test_a_difference_counts_from_a_third_of_a_small_one_on(
    excess: float, low: float, has_enough: bool, grade: str
) -> None:
    tolerance = Tolerance("closeness", 0.1, 0.3, "{value}")
    assert _grade(tolerance, excess, low, excess + 0.3, has_enough) == grade


def test_with_enough_items_what_does_not_pass_is_a_difference() -> None:
    assert Verdict([auc(0.62, 0.05, 500)]).grades["closeness"] == "fair"  # real data would have passed
    assert Verdict([auc(0.62, 0.12, 90)]).grades["closeness"] == "too_few"


@pytest.mark.parametrize(
    "part",
    [
        score("precision", 0.3, 0.25, 0.35, 0.95, n=400),
        score("spectrum_distance", 9.9, 9.0, 10.5, 0.1, n=400),
        score("spectrum_distance", 9.9, real_baseline=0.1),
        score("kernel_distance", 0.2, 0.15, 0.25, 0.0, n=400),
    ],
)
def test_the_weakest_part_decides_and_is_named(part: Score) -> None:
    assert Verdict(CLOSE).grades["closeness"] == "good"
    assert Verdict([*CLOSE, part]).grades["closeness"] == "poor"
    answer = Verdict([*CLOSE, part]).sentences()["closeness"]
    assert answer.startswith(f"Clearly different from the data: {Verdict([*CLOSE, part]).figures['closeness']}")


def test_variety_and_its_parts_cannot_contradict_each_other() -> None:
    varied = [
        score("diversity", 1.01, 0.97, 1.05, 1.0, n=400),
        score("coverage", 0.95, 0.93, 0.97, 0.96, n=400),
        score("recall", 0.93, 0.9, 0.96, 0.94, n=400),
    ]
    assert Verdict(varied).grades["variety"] == "good" and Verdict(varied).sentences()["variety"].startswith(
        "As varied as the data, by 3"
    )
    for coverage in (0.6, 0.66):  # coverage of drums and of shuffled words
        half = score("coverage", coverage, coverage - 0.05, coverage + 0.05, 0.95, n=400)
        result = [varied[0], half, varied[2]]
        assert Verdict(result).grades["variety"] == "fair"
        assert Verdict(result).sentences()["variety"] == (
            f"Less varied than the data: {coverage:.0%} of real items have a sample close by (real data: 95%)."
        )


def test_no_tick_without_a_baseline_an_interval_or_the_decisive_part() -> None:
    no_baseline = score("two_sample_auc", 0.5, 0.46, 0.54, n=400)
    assert part_of(no_baseline) is None and Verdict([no_baseline]).grades == {}
    assert Verdict([no_baseline, *CLOSE[1:]]).grades["closeness"] == "not_settled"
    no_interval = score("two_sample_auc", 0.5, real_baseline=0.5, n=400)
    assert Verdict([no_interval, *CLOSE[1:]]).grades["closeness"] == "not_settled"
    assert Verdict(CLOSE[1:]).grades["closeness"] == "not_settled"
    assert (
        Verdict([auc(0.35, 0.1, 400)]).grades["closeness"]
        == "good"
        != Verdict([auc(0.35, 0.16, 400)]).grades["closeness"]
    )  # luck
    assert (
        Verdict([auc(0.45, 0.1, 60)]).grades["closeness"] == "too_few"
    )  # a classifier that learned from 30 sees too little


def test_held_out_data_from_elsewhere_is_no_fault_of_the_samples() -> None:
    assert Verdict([auc(0.66, 0.04, 800, real=0.67)]).grades["closeness"] == "good"
    assert Verdict([auc(0.66, 0.04, 800, real=0.5)]).grades["closeness"] == "fair"
    # Within chance of guessing: nothing is granted
    assert Verdict([auc(0.7, 0.04, 800, real=0.54)]).grades["closeness"] == "fair"
    end_of_a_log = [
        score("two_sample_auc", 0.949, 0.868, 1.0, 0.979, n=25),
        score("kernel_distance", 0.0666, 0.0419, 0.1024, 0.0671, n=25),
    ]
    assert [part_of(figure).grade for figure in end_of_a_log] == ["too_few", "too_few"]  # type: ignore[union-attr]
    assert part_of(score("kernel_distance", 0.067, 0.063, 0.071, 0.066, n=900)).grade == "good"  # type: ignore[union-attr]


def test_both_sides_of_what_should_be_near_real_are_worse() -> None:
    tolerance = Tolerance("closeness", 0.2, 0.6, "{value:.2f} times as sharp as real images")
    spec = MetricSpec("sharpness", "Sharpness", better="closer to real", tolerance=tolerance)
    for value, expected in ((0.3, "poor"), (0.7, "fair"), (0.95, "good"), (1.05, "good"), (1.4, "fair"), (1.9, "poor")):
        part = part_of(Score(spec, value, low=value - 0.05, high=value + 0.05, real_baseline=1.0, n=400))
        assert part is not None and part.grade == expected, value


@pytest.mark.parametrize("n", [40, 400])
def test_real_items_in_the_samples_place(n: int) -> None:
    grades = []
    for seed in range(8):
        rows = np.random.default_rng(seed).normal(size=(3, n, 8))
        sets = FeatureSets(rows[0], rows[1], rows[2])
        comparison = FeatureComparison.of(sets, seed, lambda share: False)
        grades.append(Verdict(list(fidelity_scores(comparison, lambda measure, reason: None))).grades)
    expected = "good" if n == 400 else "too_few"
    assert sum(result == {"closeness": expected, "variety": expected} for result in grades) >= 7


def test_a_run_that_still_learns_says_so_unless_it_is_as_good_as_the_data() -> None:
    learning = Outlook(1.4, 2.0, 2.4, "validation")
    assert (
        Verdict(CLOSE).sentences(outlook=learning)["outlook"].startswith("The model is still learning")
    )  # figures miss things
    learned = Outlook(1.99, 2.0, None, "validation")
    assert "outlook" not in Verdict(CLOSE).sentences(outlook=learned) and "outlook" not in Verdict([]).sentences(
        outlook=learning
    )
    assert (
        Verdict([auc(0.97, 0.02, 400)])
        .sentences(outlook=learning)["outlook"]
        .startswith(
            "The samples are still far from the data. The model is still learning: its validation loss fell by 30%"
        )
    )
    assert (
        Verdict([auc(0.49, 0.19, 40)]).sentences(outlook=learning)["outlook"].startswith("The model is still learning")
    )


def test_of_a_hardly_trained_model_nothing_is_extrapolated() -> None:
    far = [auc(0.97, 0.02, 400)]
    flat = Outlook(0.8, 0.8, None, "validation")
    answers = Verdict(far).sentences(steps=29, outlook=flat)
    assert "The model was hardly trained (29 steps)" in answers["closeness"] and "outlook" not in answers
    assert "outlook" in Verdict(far).sentences(steps=290, outlook=flat)


def test_an_interval_is_shown_without_distances_below_zero() -> None:
    below = replace(score("spectrum_distance", 0.3, -0.02, 0.6, 0.3, n=200), spec=sound_spectrum())
    part = part_of(below)
    assert part is not None and part.interval == "0.0 to 0.6 dB" and part.low is not None and part.low < -0.4
    unbiased = score("kernel_distance", -0.001, -0.003, 0.001, 0.0)
    assert unbiased.shown_interval == (-0.001, 0.001)
    difference = replace(score("bits_gap", -0.02, -0.1, 0.06), spec=BITS_GAP)
    assert difference.shown_interval == (-0.1, 0.06), "a difference may be negative"


def test_no_figure_shows_less_than_guessing() -> None:
    below = score("two_sample_auc", 0.46, 0.40, 0.52, 0.48, n=200)
    assert (below.shown_value, below.shown_interval, below.shown_baseline) == (0.5, (0.5, 0.52), 0.5)
    assert below.spec.format_value(below.value) == "0.5" and comparison.format_value(below) == "0.500"


def test_a_ratio_says_what_it_is_compared_with() -> None:
    """Samples may be as varied as held-out items where training items happen to be more so."""
    varied = [score("coverage", 0.95, 0.93, 0.97, 0.96, n=400), score("diversity", 1.08, 0.93, 1.2, 1.16, n=310)]
    assert (
        "the variety of the samples is 1.08 of that of real items (other real items: 1.16), 95% interval 0.93 to 1.20"
        in (Verdict(varied).sentences()["variety"])
    )


def test_the_figure_that_is_named_says_something() -> None:
    """Though its interval is the widest, a share of 0 next to one of 0 is no reason for a yes."""
    nothing = score("repetition_rate", 0.0, 0.0, 0.033, 0.0, n=172)
    diversity = score("diversity", 1.01, 0.97, 1.05, 1.0, n=400)
    varied = [score("coverage", 0.95, 0.93, 0.97, 0.96, n=400), diversity, nothing]
    grading = grade_question(varied, "variety")
    assert grading is not None and grading.parts[0].score.name == "repetition_rate"
    assert Verdict(varied).grades["variety"] == "good" and "of real items have" in Verdict(varied).figures["variety"]
    repeats = [*varied[:2], score("repetition_rate", 0.4, 0.36, 0.44, 0.0, n=172)]
    assert Verdict(repeats).figures["variety"] == "the samples repeat themselves in 40% of passages (real text: 0%)"
    part = part_of(score("broken_words", -1e-9, -1e-9, 0.001, 0.0, n=4000))
    assert part is not None and part.clause == "0.0% of words are broken (real text: 0.0%)"


def test_the_reason_of_a_yes_says_what_agrees() -> None:
    fourgrams = score("fourgram_divergence", 0.5, 0.495, 0.505, 0.5, n=1000)
    close = [auc(0.5, 0.04, 1000), fourgrams]
    part = part_of(fourgrams)
    assert part is not None and part.clause.startswith("character 4-grams agree (divergence 0.50; real data: 0.50")
    assert Verdict(close).grades["closeness"] == "good" and "differ" not in Verdict(close).figures["closeness"]
    far = part_of(score("fourgram_divergence", 0.9, 0.89, 0.91, 0.5, n=1000))
    assert far is not None and far.clause.startswith("character 4-grams differ (divergence 0.90")


def test_a_plain_fault_counts_with_fewer_items_than_its_figure_needs() -> None:
    """20 held-out sequences are few, but not for lengths of which a tenth are usual."""

    def lengths(value: float, half: float) -> Score:
        return replace(score("x", value, value - half, value + half, 0.95, n=20), spec=USUAL_LENGTHS)

    assert [part.grade for part in parts([lengths(0.1, 0.12)])] == ["poor"]
    assert Verdict([*CLOSE, lengths(0.1, 0.12)]).grades["closeness"] == "poor"
    assert parts([lengths(0.7, 0.2)]) == [] and parts([lengths(0.95, 0.1)]) == []


def test_a_share_that_shows_a_difference_counts_from_20_items_on() -> None:
    """11 of 27 genes had a usual length, all real ones had, and the report said that 27 are too few for it."""
    low, high = clopper_pearson(11, 27)
    lengths = Score(USUAL_LENGTHS, 11 / 27, low=low, high=high, real_baseline=1.0, n=27)
    (part,) = parts([lengths])
    assert part.grade == "fair" and part.low is not None and part.low > USUAL_LENGTHS.tolerance.small  # type: ignore[union-attr]
    assert parts([replace(lengths, n=19)]) == []
    # An interval that holds no difference is no agreement
    assert parts([Score(USUAL_LENGTHS, 1.0, low=0.87, high=1.0, real_baseline=1.0, n=27)]) == []


def test_malformed_rows_are_named_before_the_formats_that_follow_from_them() -> None:
    formats, malformed = (
        score(n, v, v - 0.08, v + 0.08, 0.0, n=150) for n, v in (("new_formats", 0.7), ("malformed_rows", 0.3))
    )
    grading = grade_question([formats, malformed], "closeness")
    assert grading is not None and grading.grade == "poor" and grading.weakest.score.name == "malformed_rows"
    grading = grade_question([formats, score("malformed_rows", 0.0, 0.0, 0.02, 0.0, n=150)], "closeness")
    assert grading is not None and grading.weakest.score.name == "new_formats"


@pytest.mark.parametrize(("faults", "n", "real"), [(3, 20, 0.0), (2, 20, 0.01), (1, 40, 0.0)])
def test_what_would_do_is_what_real_data_needs_where_hardly_any_real_item_has_a_fault(
    faults: int, n: int, real: float
) -> None:
    """Of 3 malformed rows of 20, "about 6,500 would do", by the interval of the samples; of 300 real rows none is malformed."""

    def part(count: int, total: int) -> Part:
        low, high = clopper_pearson(count, total)
        graded = part_of(score("malformed_rows", count / total, low, high, real_baseline=real, n=total))
        assert graded is not None
        return graded

    few = part(faults, n)
    needed = int(few.times_needed * n)
    assert few.grade == "too_few" and n < needed < 2_000
    assert part(round(real * needed), needed).grade == "good"


def test_samples_with_few_faults_need_more_items_than_real_data_has() -> None:
    part = part_of(score("malformed_rows", 0.02, *clopper_pearson(20, 1000), real_baseline=0.0, n=1000))
    assert part is not None and (part.grade != "too_few" or part.times_needed > 1.0)
