"""What people read at the end: three answers with a figure each, then the files and the next commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from anew import api
from anew.cli.summary import (
    Line,
    _from_difference,
    after_evaluation,
    closing,
    describe,
    places,
    score_lines,
    score_table,
    setting_lines,
)
from anew.planning.pilots import describe_trying
from anew.sampling.scores import FileScore, Scores
from anew.workflows.inspect import Alternative, BudgetEstimate, Inspection, SkippedFile


def text(lines: list[Line]) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


def score(name: str, value: float | None, real: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "real_baseline": real}


def copying_test(**fields: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("verdict", "method", "distance"), "")
    return {"detected": False, "p": 0.5, "share": 0.0, "samples": 100, "train": 100, "held_out": 50, **texts, **fields}


REPORT: dict[str, Any] = {
    "grades": {"closeness": "fair", "variety": "good", "novelty": "good"},
    "figures": {
        "closeness": "a classifier picks the sample out of a pair 64% of the time (guessing: 50%)",
        "variety": "94% of real items have a sample close by (real data: 97%)",
        "novelty": "no copies found; 2% or more would have been noticed",
    },
    "scores": [score("frechet_distance", 12.0, 5.0), score("coverage", 0.94, 0.97), score("not_finite", None, 1.0)],
    "copies": copying_test(detection_limit=0.02),
}


def record(**changes: Any) -> api.ReportRecord:
    return api.as_record(REPORT | changes)


def test_three_answers_with_one_figure_each() -> None:
    assert text(closing(record())) == [
        "Close to your data?  partly  a classifier picks the sample out of a pair 64% of the time (guessing: 50%)",
        "As varied?           yes     94% of real items have a sample close by (real data: 97%)",
        "New?                 yes     no copies found; 2% or more would have been noticed",
    ]


def test_what_more_training_would_bring_is_said_at_the_end() -> None:
    learning = (
        "The model is still learning: its validation loss fell by 13% in the second half of the training, to 1.20."
    )
    assert text(closing(record(verdict={"outlook": learning})))[3] == f"More training?       {learning}"
    copied = {**REPORT["grades"], "novelty": "poor"}
    assert len(closing(record(verdict={"outlook": learning}, grades=copied))) == 3


def test_too_few_items_are_said_with_the_number_that_would_do() -> None:
    grades = {"closeness": "too_few", "variety": "poor", "novelty": "good"}
    figures = {"closeness": "40 compared; about 280 would do", "variety": "x"}
    assert text(closing(record(grades=grades, figures=figures)))[:2] == [
        "Close to your data?  too few to tell  40 compared; about 280 would do",
        "As varied?           no               x",
    ]


def test_missing_figures_are_no_lack_of_items_and_evaluate_measures_them(tmp_path: Path) -> None:
    grades = {"closeness": "not_settled", "variety": "good", "novelty": "good"}
    unsettled = record(grades=grades, figures={"closeness": "not measured: repetition", "variety": "x"})
    assert text(closing(unsettled))[0] == "Close to your data?  not settled  not measured: repetition"
    assert text(places(tmp_path, unsettled))[3] == f"answers  anew evaluate {tmp_path}"


def test_a_hardly_trained_model_is_first_trained_further(tmp_path: Path) -> None:
    """A report of one step was to be measured again."""
    grades = {"closeness": "not_measured", "variety": "not_measured", "novelty": "not_measured"}
    basis = {"answers": 0, "measured": 0, "samples": 1, "weights": "", "time": ""}
    for num_steps, purpose in ((9, "better   anew resume"), (90, "answers  anew evaluate")):
        unmeasured = record(grades=grades, figures={}, scores=[], basis=basis | {"steps": num_steps})
        assert text(places(tmp_path, unmeasured))[3].startswith(purpose)


def test_what_was_not_measured_is_said() -> None:
    only_novelty = {"grades": {"novelty": "poor"}, "figures": {"variety": "time was up before it was measured"}}
    assert [line.rstrip() for line in text(closing(record(**only_novelty, copies=None)))] == [
        "Close to your data?  not measured",
        "As varied?           not measured  time was up before it was measured",
        "New?                 no",
    ]
    copied = record(**only_novelty | {"figures": {"novelty": "about 20% of the samples are copies"}})
    assert text(closing(copied))[2].endswith("about 20% of the samples are copies")


def test_what_is_open_beside_samples_that_could_be_better_has_its_command_too(tmp_path: Path) -> None:
    """Answers that were "too few to tell" had `anew sample` and `anew resume` below them."""
    grades = {"closeness": "fair", "variety": "too_few", "novelty": "too_few"}
    open_record = record(grades=grades, samples_needed={"variety": 340, "novelty": 760}, needs_data=("variety",))
    assert text(places(tmp_path, open_record))[3:] == [
        f"better   anew resume {tmp_path} --budget 10m",
        f"answers  anew evaluate {tmp_path} -n 760",
    ]
    only_data = record(grades=grades, samples_needed={"variety": 340}, needs_data=("variety",))
    assert len(text(places(tmp_path, only_data))) == 4


def test_places_name_files_and_the_next_commands(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "final.png").touch()
    lines = text(places(tmp_path, record()))
    assert lines[0].endswith("final.png") and lines[1].endswith("report.html")
    assert lines[2] == f"more     anew sample {tmp_path} --out DIR -n 100 --seed 1"
    assert lines[3] == f"better   anew resume {tmp_path} --budget 10m"
    flat = record(has_flattened=True)
    assert text(places(tmp_path, flat))[3] == "better   more data or another family; more time alone may bring little"
    text_alone = record(has_flattened=True, modality="text")
    assert text(places(tmp_path, text_alone))[3] == "better   more data; more time alone may bring little"
    not_measured = record(grades={"closeness": "good"})
    assert text(places(tmp_path, not_measured))[3] == f"answers  anew evaluate {tmp_path}"
    few = {"closeness": "good", "variety": "good", "novelty": "too_few"}
    open_novelty = record(grades=few, samples_needed={"novelty": 760})
    assert text(places(tmp_path, open_novelty))[3] == f"answers  anew evaluate {tmp_path} -n 760"
    assert text(after_evaluation(str(tmp_path), open_novelty)) == text(places(tmp_path, open_novelty))[3:]
    good = record(grades=few | {"novelty": "good"})
    assert after_evaluation(str(tmp_path), good) == []  # the same command once more
    assert text(places(tmp_path, good))[3] == f"confirm  anew evaluate {tmp_path}"


def test_more_training_is_not_advised_where_samples_are_copies(tmp_path: Path) -> None:
    grades = REPORT["grades"] | {"novelty": "poor"}
    basis = {"answers": 3, "measured": 100, "samples": 100, "weights": "", "time": ""}
    for test in (copying_test(detected=True, share=0.2), copying_test()):  # or its text is recited
        many = record(copies=test, grades=grades, basis=basis | {"passes": 57.0})
        assert text(places(tmp_path, many))[3] == (
            "fewer    copies come with many passes over few items (about 57 here): give more data, or a shorter budget"
        )
        few = record(copies=test, grades=grades, basis=basis | {"passes": 0.9})
        assert text(places(tmp_path, few))[3] == (
            "fewer    more data makes copies rarer; a shorter budget does not (0.9 passes over the data were made)"
            if test["detected"]
            else "fewer    after so few passes over the data (0.9) copies come from the counts that are mixed with the network; train "
            "again with ngrams=false and contexts=false, which leave them out"
        )
        older = record(copies=test, grades=grades, basis=basis)
        assert text(places(tmp_path, older))[3] == "fewer    more data makes copies rarer"


def test_an_alarm_that_does_not_say_how_many_are_copies_is_looked_into(tmp_path: Path) -> None:
    """After .03 passes over the data, of which a hundredth was compared, more data was said to make copies rarer."""
    grades = REPORT["grades"] | {"novelty": "poor"}
    vague = copying_test(detected=True, share=1.0, low=0.004)
    partial = record(copies=vague | {"limited_by": "time"}, grades=grades)
    assert text(places(tmp_path, partial))[3] == f"answers  anew evaluate {tmp_path}"
    whole = record(copies=vague, grades=grades)
    assert text(places(tmp_path, whole))[3] == "check    the report shows the closest pairs"


def test_an_alarm_that_chance_may_explain_is_confirmed_with_more_samples(tmp_path: Path) -> None:
    basis = {"answers": 3, "measured": 100, "samples": 300, "weights": "", "time": ""}
    weak = record(
        copies=copying_test(detected=True, share=0.2), grades=REPORT["grades"] | {"novelty": "fair"}, basis=basis
    )
    assert text(places(tmp_path, weak))[3] == f"confirm  anew evaluate {tmp_path} -n 900"
    coarse = record(
        copies=copying_test(detected=True, share=0.2, is_coarse=True),
        grades=REPORT["grades"] | {"novelty": "fair"},
        basis=basis,
    )
    assert text(places(tmp_path, coarse))[3] == f"confirm  anew evaluate {tmp_path}"


def test_more_training_is_not_advised_where_items_are_too_few(tmp_path: Path) -> None:
    few = {"grades": {"closeness": "too_few", "variety": "good", "novelty": "good"}}
    more_samples = record(**few, samples_needed={"closeness": 4500})
    assert text(places(tmp_path, more_samples))[3] == f"answers  anew evaluate {tmp_path} -n 4500"
    more_copies = record(**few, samples_needed={"closeness": 300, "novelty": 460})
    assert text(places(tmp_path, more_copies))[3] == f"answers  anew evaluate {tmp_path} -n 460"  # one report for all
    more_data = record(**few, samples_needed={"closeness": 0})
    assert text(places(tmp_path, more_data))[3] == "open     more data is needed for a yes to Close?"
    needed = {"closeness": 642, "variety": 300}
    hopeless = record(**few, samples_needed=needed, needs_data=["closeness", "variety"])
    assert text(places(tmp_path, hopeless))[3] == "open     more data is needed for a yes to Close?"
    of_variety = record(**few, samples_needed=needed, needs_data=["closeness"])
    assert text(places(tmp_path, of_variety))[3] == f"answers  anew evaluate {tmp_path} -n 300"
    few["grades"] |= {"novelty": "fair"}
    for changes in ({"limited_by": "time"}, {"shortened": True}):
        short_of_time = record(**few, samples_needed={"closeness": 0}, copies=copying_test(**changes))
        assert text(places(tmp_path, short_of_time))[3] == f"answers  anew evaluate {tmp_path}"  # it can settle New?


def test_the_table_is_aligned() -> None:
    lines = text(score_table(record()))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 4
    assert lines[1].split() == ["frechet_distance", "12", "5"]


INSPECTION = Inspection(
    path="faces",
    modality="image",
    item_name="image",
    items=1,
    bytes=5,
    family="gan",
    reason="one step a sample",
    tried=("gan", "vae"),
    alternatives={"quality": Alternative("diffusion", "best")},
    labels=tuple("abcdefghij"),
    parts={"train": 1},
    examples=1,
    shape=(1, 8, 8),
    notes=("a note",),
    skipped=1,
    skipped_files=(SkippedFile("x.png", "truncated"),),
    not_taken={"text": 1},
    budgets=(BudgetEstimate(60.0, 0, 1000, 10, 0.5, 8),),
    fingerprint="",
)


def test_look_leads_with_amount_model_and_reason() -> None:
    assert text(describe(INSPECTION)) == [
        "data:   1 image, 5 bytes (faces)",
        "model:  gan",
        "because one step a sample",
        "",
        "classes: 10 (a, b, c, d, e, f, g, h, ...)",
        "split: train 1",
        "a note",
        "not used: 1 text",
        "skipped: 1 item",
        "  x.png: truncated",
        describe_trying(("gan", "vae")),
        "with --prefer quality: diffusion (best)",
        "estimates of what a budget can train, at the present load:",
        "   1 min: 1,000 parameters, about 10 steps of 8 examples, 0.5 passes over the data",
    ]


def test_look_names_what_is_ignored_once() -> None:
    """A note named the kinds that are ignored, and a line "not used: 20 code, 3 text" named them again."""
    ignored = (
        "Training on images, since most items are; 1 text (a.txt) is ignored (modality=text would train on the texts)."
    )
    inspection = replace(INSPECTION, notes=(ignored,), not_taken={"text": 1, ".zip": 2}, noted_kinds=("text",))
    lines = text(describe(inspection))
    assert ignored in lines and [line for line in lines if line.startswith("not used")] == ["not used: 2 .zip"]


def test_a_random_split_is_described_once() -> None:
    note = "Split at random by content: of 20 items 16 to train, 2 to validation, 2 to test."
    parts = {"train": 16, "validation": 2, "test": 2}
    inspection = replace(INSPECTION, parts=parts, notes=(note,), is_split_noted=True)
    assert [line for line in text(describe(inspection)) if "split" in line.lower()] == [note]


def test_settings_stand_under_their_groups() -> None:

    settings = api.settings()
    lines = text(setting_lines(api.setting_groups(), settings))
    assert [line for line in lines if line and not line.startswith(" ")] == list(api.setting_groups().values())
    assert sum(line.startswith("    ") and not line.startswith("     ") for line in lines) == len(settings)
    assert max(map(len, lines)) <= 80


def test_how_many_items_could_be_scored_comes_first() -> None:
    files = (FileScore(4.0, 2.0, file="a.txt", records=1),)
    scores = Scores("character", 4.0, 2.0, {}, "exact", skipped=599, notes=("skipped in all: 599",), files=files)
    assert text(score_lines(scores))[0] == "1 of 600 items could be scored"
    assert "could be scored" not in "".join(text(score_lines(replace(scores, skipped=0))))


def test_figures_of_scores_are_written_for_people() -> None:
    """They were `bits: 1.58269e+06`."""
    scores = Scores("character", 1_582_690.4, 883_028.0, {"network": 2.15362}, "exact")
    assert text(score_lines(scores)) == [
        "bits per character    1.7923",
        "by the network alone  2.1536, without what was counted in the training data",
        "characters            883,028",
        "bits                  1,582,690.4",
        "log-likelihood        -1,097,037.4 nats",
    ]
    bound = Scores("dimension", 8.0, 4.0, {}, "an upper bound")
    assert text(score_lines(bound))[0] == "bits per dimension  2.0000 (an upper bound)"
    assert text(score_lines(bound))[-1] == "log-likelihood      -5.5 nats (a lower bound)"


def test_rows_are_shown_where_they_differ() -> None:
    """Both began `Biogasanlage;Biogas;Verbrennungsmoto ...`, and 12 edits could not be seen."""
    same = "Biogasanlage;Biogas;Verbrennungsmotor;52,1;"
    assert _from_difference(f"{same}2003", f"{same}19") == ("... otor;52,1;2003", "... otor;52,1;19")
    assert _from_difference(same, f"{same}19") == ("... otor;52,1;", "... otor;52,1;19")
    for pair in [(same, same), ("Anna", "Anne"), (f"x{same}", same), (same, None), (None, None)]:
        assert _from_difference(*pair) == pair
