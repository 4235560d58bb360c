"""The page is whole, opens offline, and shows hostile text as text; report.json has the fixed shape."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anew.core.provenance import Provenance
from anew.evaluation.measure import CLOSENESS
from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.near_share import NearShares
from anew.evaluation.memorization.result import VARIANTS, ClosestPair, CopyTestResult, PlantedControl
from anew.evaluation.memorization.scan_picture import ScanPicture
from anew.evaluation.memorization.thresholds import PLANTED_RATES
from anew.evaluation.metrics.bits import bits_spec, network_gap
from anew.evaluation.metrics.text.text_statistics import known_records
from anew.evaluation.metrics.text.words import PAIRS_BEYOND_REAL
from anew.evaluation.reporting import charts, sheet, verdict
from anew.evaluation.reporting.content import ReportContent, ReportItem, SamplePair
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.model_card import card
from anew.evaluation.reporting.outlook import Outlook
from anew.evaluation.reporting.page import TEMPLATES, format_number
from anew.evaluation.reporting.report import EvaluationReport, flatten, write_report
from anew.evaluation.score import Score
from anew.runs.report_record import ReportRecord
from scores import score

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>alert(1)</script><img src='http://evil.example/x' onerror=alert(2)>{{ 7 * 7 }}</pre>&\ud800\x00"
TEXT_SCORES = [
    score("bits_per_character", 2.1, 2.0, 2.2, n=1000, source="test part"),
    score("bits_per_character_kneser_ney", 2.3, 2.2, 2.4, n=1000, source="naive"),
    score("fourgram_divergence", 0.31, 0.3, 0.33, 0.3, n=500, source="x"),
    score("verbatim_share", 0.01, None, None, 0.02, n=500, source="x"),
]
IMAGE_SCORES = [
    score("frechet_distance", 30.0, 25.0, 33.0, 10.0, n=1000, source="x"),
    score("coverage", 0.8, 0.77, 0.83, 0.95, n=1000, source="x"),
    score("diversity", 0.95, 0.9, 1.0, 1.0, n=1000, source="x"),
    score("kernel_distance", -0.001, -0.003, 0.001, 0.0001, n=1000, source="x"),
    score("a_score_of_tomorrow", float("nan"), n=1, source="x"),
]
PROVENANCE = Provenance(
    version="0.0.1",
    date="2026-01-02T03:04:05+00:00",
    machine="Linux x86_64, 2 cores of a processor",
    command="anew train words/ --run first",
    seed=3,
    training_seed=4,
    data="da" * 32,
    weights="f0" * 32,
)
HISTORY = [
    {"step": s, "progress": s / 50, "seconds": s * 0.1, "loss": 3 / (s + 1), "rate": 0.001, "grad_norm": 1.0}
    for s in range(50)
]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def written(folder: Path, **more: Any) -> tuple[str, Page, dict[str, Any]]:
    facts = {"run": "first", "family": "transformer", "modality": "text", "notes": ["one file was skipped"]}
    facts |= {key: more.pop(key) for key in list(more) if key in facts}
    history = more.get("history", HISTORY)
    steps = max((row["step"] for row in history), default=None)
    scores = more.pop("scores", TEXT_SCORES)
    measurements = Measurements(scores=scores, copies=more.pop("copies", None))
    report = EvaluationReport.of(measurements, steps=steps, provenance=PROVENANCE, **facts)
    fields: dict[str, Any] = {
        "content": ReportContent(
            pairs=[SamplePair(ReportItem(text="new words here" * 10), None)], explanation="longest passage"
        ),
        "history": HISTORY,
        "settings": {"family": {"width": 64, "shape": [1, 2]}, "train": {"seed": None}},
        "plan": {"steps": 50, "batch": 8},
        "repeat": "anew train words --run AGAIN --plan first",
    }
    write_report(folder, report, **(fields | more))
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    return html, page, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def image_content() -> ReportContent:
    images = list(np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8))
    item, other = ReportItem(sheet.png(images[0])), ReportItem(sheet.png(images[1]))
    png = sheet.sheet(images)
    pairs = [SamplePair(item, other, "exact copy", True), SamplePair(item, other, "difference 42")]
    return ReportContent(png, png, pairs=pairs, explanation="nearest of 9")


def copies(**more: Any) -> CopyTestResult:
    fields: dict[str, Any] = {
        "detected": False, "p": 0.4, "share": 0.0, "low": 0.0, "detection_limit": 0.02, "method": "scan",
        "pairs": [], "distance": "pixels", "samples": 900, "train": 8000, "held_out": 1000, "n_train_total": 8000,
        "controls": [PlantedControl("exact", 0.1, 1.0), PlantedControl("exact", 0.02, 0.4)],
    }  # fmt: skip
    return CopyTestResult(**(fields | more))


LAWFUL = ("data:image/png;base64,", "data:audio/wav;base64,", "data:video/mp4;base64,", "#")


def outside(page: Page) -> list[str]:
    """Everything that a browser would load and that is not inside the page."""
    loads = []
    for tag, attributes in page.tags:
        if tag in ("script", "link", "iframe", "object", "embed", "base", "form"):
            loads.append(tag)
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action") or name.startswith("on"):
                loads += [] if value and value.startswith(LAWFUL) else [f"{tag} {name}={value}"]
    return loads


def test_report_json_has_the_fixed_shape(tmp_path: Path) -> None:
    _, _, result = written(tmp_path)
    assert (result["run"], result["family"], result["modality"]) == ("first", "transformer", "text")
    keys = ["name", "title", "value", "low", "high", "real_baseline", "naive_baseline", "better", "n", "source"]
    assert all(list(s) == keys for s in result["scores"])
    assert result["copies"] is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_answers_that_want_items_say_so() -> None:
    reason = "9 held-out clips are too few; at least 20 are needed"
    report = EvaluationReport.of(Measurements(too_few=reason), run="r", family="diffusion", modality="audio")
    assert report.grades == {"closeness": "too_few", "variety": "too_few", "novelty": "not_measured"}
    assert report.figures["closeness"] == reason and report.verdict["variety"] == f"Too few to tell: {reason}."
    assert report.to_json()["samples_needed"] == {"closeness": 300, "variety": 300, "novelty": None}
    assert report.figures["novelty"] == "" and report.verdict["novelty"] == "Not measured."


def test_a_question_that_the_time_cut_off_has_its_reason_and_no_grade() -> None:
    facts = {"run": "r", "family": "gan", "modality": "image"}
    report = EvaluationReport.of(Measurements(scores=IMAGE_SCORES, is_out_of_time=True), **facts)
    assert (
        report.grades["novelty"] == "not_measured" and report.figures["novelty"] == "time was up before it was measured"
    )


def test_a_report_is_an_object_that_shows_itself(tmp_path: Path) -> None:
    facts = {"run": "first", "family": "diffusion", "modality": "image", "folder": tmp_path}
    report = EvaluationReport.of(Measurements(scores=IMAGE_SCORES, copies=copies()), **facts)
    assert report["coverage"].value == 0.8 and "coverage" in report and "recall" not in report
    with pytest.raises(KeyError, match=r"'recall' was not measured; measured: frechet_distance, coverage"):
        report["recall"]
    text = repr(report)
    assert "'first' (diffusion, image)" in text and "(real data: 10.0)" in text and "report.html" in text
    assert "Close to your data? partly: Noticeably different from the data: the Fréchet" in text
    page = Page()
    page.feed(report._repr_html_())
    assert outside(page) == [] and "Fréchet distance" in page.text and "25.0 to 33.0" in page.text
    hostile = EvaluationReport.of(Measurements(), run=HOSTILE, family=HOSTILE, modality=HOSTILE)
    assert "<script" not in hostile._repr_html_()


@pytest.mark.parametrize("content_type", ["text", "image", "records", "sound", "clips", "nothing"])
def test_the_page_loads_nothing_from_outside(tmp_path: Path, content_type: str) -> None:
    long, short = ReportItem(text=HOSTILE + "\n" * 3, marks=((0, 5),)), ReportItem(text=HOSTILE[:90])
    picture = image_content().pairs[0].sample.picture
    sound, clip = ReportItem(picture, b"RIFF", "audio/wav"), ReportItem(None, b"ftyp", "video/mp4")
    content = {
        "text": ReportContent(
            pairs=[SamplePair(long, long, "close", True)] * 6, closest_pairs=[SamplePair(long, None)]
        ),
        "records": ReportContent(pairs=[SamplePair(short, short, HOSTILE)]),
        "image": image_content(),
        "sound": ReportContent(pairs=[SamplePair(sound, sound)], samples=[sound] * 3, real=[sound]),
        "clips": ReportContent(pairs=[SamplePair(clip, clip)], samples=[clip] * 3, real=[clip]),
        "nothing": ReportContent(),
    }[content_type]
    layouts = {"text": "texts", "records": "rows", "nothing": "rows", "image": "tiles"}
    assert content.layout == layouts.get(content_type, "players")
    scores = IMAGE_SCORES if content_type == "image" else TEXT_SCORES
    html, page, _ = written(tmp_path, content=content, scores=scores, copies=copies())
    assert {t for t, _ in page.tags} & {"audio", "video"} == {"sound": {"audio"}, "clips": {"video"}}.get(
        content_type, set()
    )
    assert outside(page) == []
    assert "default-src 'none'" in html
    # Names of SVG's own language are the only addresses, and they are never fetched.
    addresses = set(re.findall(r"https?://[^\s\"'<>&]+", re.sub(r"&#?\w+;", " ", html)))
    assert addresses <= {"http://evil.example/x"}
    assert not re.search(r"url\((?!#)|@import", html)


@pytest.mark.parametrize("tag", ["audio", "video"])
def test_sound_and_clips_can_be_played_in_the_main_grid(tmp_path: Path, tag: str) -> None:
    item = ReportItem(None, b"data", {"audio": "audio/wav", "video": "video/mp4"}[tag])
    content = ReportContent(samples=[item] * 12, real=[item] * 6, pairs=[SamplePair(item, item)])
    html, page, _ = written(tmp_path, content=content)
    players = [attributes for name, attributes in page.tags if name == tag]
    assert len(players) == 12 + 6 + 2 and all("controls" in attributes for attributes in players)
    # Browsers hide the buttons of narrow players; 16.5rem are 264 pixels.
    assert re.search(rf"\.player {tag} {{[^}}]*min-width: 16\.5rem", html)


def test_signals_that_browsers_do_not_play_are_curves_alone(tmp_path: Path) -> None:
    item = ReportItem(b"picture", b"data", "audio/wav", is_playable=False)
    content = ReportContent(samples=[item] * 2, pairs=[SamplePair(item, item)])
    _, page, _ = written(tmp_path, content=content)
    assert not [name for name, _ in page.tags if name == "audio"]
    assert len([name for name, attributes in page.tags if "spectrogram" in dict(attributes).get("class", "")]) == 4


def test_samples_whose_nearest_items_were_not_searched_for_are_only_samples(tmp_path: Path) -> None:
    sound = ReportItem(None, b"data", "audio/wav")
    searched = written(tmp_path, content=ReportContent(pairs=[SamplePair(sound, sound)] * 5))[1]
    assert "next to its nearest training item" in searched.text and "Nearest training items" in searched.text
    unsearched = written(tmp_path, content=ReportContent(pairs=[SamplePair(sound, None)] * 5))[1]
    assert "next to its nearest training item" not in unsearched.text and "Nearest" not in unsearched.text
    assert sum(name == "audio" for name, _ in unsearched.tags) == 5
    assert "pair" not in [attributes.get("class") for _, attributes in unsearched.tags]


def test_marked_characters_of_records_are_highlighted_in_the_table(tmp_path: Path) -> None:
    row = SamplePair(ReportItem(text="MKVLA", marks=((1, 2), (4, 5))), ReportItem(text="MKV"), "2 edits")
    html, _, _ = written(tmp_path, content=ReportContent(pairs=[row]))
    assert "<td>M<mark>K</mark>VL<mark>A</mark></td><td>MKV</td>" in html


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    row = SamplePair(ReportItem(text=HOSTILE, marks=((0, 5),)), ReportItem(text=HOSTILE), HOSTILE)
    hostile = [score(HOSTILE, 1.0, 0.9, 1.1, 1.0, source=HOSTILE)]
    _, page, _ = written(
        tmp_path,
        run=HOSTILE,
        scores=hostile,
        content=ReportContent(pairs=[row], explanation=HOSTILE),
        notes=[HOSTILE],
        repeat=HOSTILE,
        settings={HOSTILE: HOSTILE},
    )
    assert outside(page) == []
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7 * 7 }}" in page.text


def test_the_size_in_which_pictures_are_learned_is_said_at_the_top(tmp_path: Path) -> None:
    _, page, _ = written(tmp_path, content=ReportContent(form="32x32 pixels, in colour"))
    assert "(transformer, text), learned at 32x32 pixels, in colour, compared with real data" in page.text
    _, page, _ = written(tmp_path)
    assert "(transformer, text), compared with real data" in page.text


def test_a_reader_finds_what_counts(tmp_path: Path) -> None:
    _, page, _ = written(tmp_path)
    assert "9% fewer than n-gram counts (2.30)" in page.text
    for part in (
        "new words here",
        "one file was skipped",
        "anew train words/ --run first",
        "anew train words --run AGAIN --plan first",
        "width64",
        "shape1,2",
        "Anew 0.0.1, 2026-01-02T03:04:05+00:00",
        "of the training 4, of the samples 3",
        "2 cores of a processor",
        "f0f0f0f0f0f0",
        "training loss",
    ):
        assert part in page.text
    assert any(a.get("name") == "viewport" for t, a in page.tags if t == "meta")
    assert "seedNone" not in page.text


def test_images_with_pairs_and_baselines(tmp_path: Path) -> None:
    _, page, result = written(
        tmp_path, modality="image", family="diffusion", scores=IMAGE_SCORES, content=image_content()
    )
    assert "exact copy" in page.text and "difference 42" in page.text
    assert result["scores"][-1]["value"] is None
    assert sum(t == "img" for t, _ in page.tags) == 6
    assert "A score of tomorrow" in page.text


def test_a_report_without_scores_says_so(tmp_path: Path) -> None:
    _, page, result = written(tmp_path, scores=[], history=[], content=ReportContent())
    assert page.text.count("Not measured. The notes say why.") == 3
    assert set(result["grades"].values()) == {"not_measured"} and len(result["verdict"]) == 3
    assert "Training curves" not in page.text


def test_verdict_words() -> None:
    image = verdict.Verdict(IMAGE_SCORES).sentences()
    assert image["closeness"].startswith("Noticeably different from the data: the Fréchet distance is 30")
    assert image["variety"] == (
        "Less varied than the data: 80% of real items have a sample close by (real data: 95%)."  # not "as varied"
    )
    collapsed = verdict.Verdict([score("diversity", 0.03, 0.02, 0.04, 1.0, n=400)]).sentences()
    assert collapsed == {
        "variety": "The generator has collapsed: the variety of the samples is 0.03 of that of real items (other real items: 1.00)."
    }
    worse = verdict.Verdict([score("bits_per_character", 2.5), score("bits_per_character_kneser_ney", 2.0)]).sentences()
    assert "25% more" in worse["prediction"]
    assert verdict.Verdict([score("frechet_distance", 1.0)]).sentences() == {}


def test_no_sign_of_overfitting_is_not_said_of_copies() -> None:
    gap = score("bits_gap", -0.03, -0.11, 0.05, n=400)
    clean, copied = (
        verdict.Verdict([gap], copies(detected=detected)).sentences()["prediction"] for detected in (False, True)
    )
    assert clean == "Training items are predicted no better than held-out ones: no sign of overfitting."
    assert copied == ("Training items are predicted no better than held-out ones, but samples are copied all the same.")


def test_a_wide_interval_of_the_gap_settles_nothing() -> None:
    figures = [score("bits_per_character", 2.0, n=400), score("bits_gap", 0.6, -0.02, 1.22, n=40)]
    assert (
        verdict.Verdict(figures)
        .sentences()["prediction"]
        .endswith(
            "Training items are predicted neither clearly better than held-out ones nor clearly as well: the difference is 0.6 bits per "
            "character, 95% interval -0.02 to 1.2."
        )
    )
    narrow = [figures[0], score("bits_gap", 0.05, -0.02, 0.12, n=400)]
    assert verdict.Verdict(narrow).sentences()["prediction"].endswith("no sign of overfitting.")


def test_known_records_are_no_share_of_text_and_two_zeros_say_nothing() -> None:
    bits = score("bits_per_residue", 0.35, n=400)
    none = Score(known_records(), 0.0, real_baseline=0.0, n=250)
    assert "verbatim" not in verdict.Verdict([bits, none]).sentences()
    a_few = replace(none, value=0.02, real_baseline=0.004)
    assert verdict.Verdict([bits, a_few]).sentences()["verbatim"] == (
        "2.0% of the samples are one of the training records (held-out records: 0.4%)."
    )


def test_overfitting_is_not_said_beside_advice_to_train_more() -> None:
    figures = [score("bits_per_character", 0.47, n=400), score("bits_gap", 0.53, 0.4, 0.6, n=400)]
    figures += [score("two_sample_auc", 0.9, 0.87, 0.93, 0.5, n=400)]
    still = verdict.Verdict(figures).sentences(outlook=Outlook(1.69, 2.4, None, "validation"))
    assert "More training is likely to help" in still["outlook"]
    assert still["prediction"].endswith(
        "predicted 0.53 bits per character better than held-out ones, not yet a sign of overfitting: the validation loss still fell."
    )
    once = verdict.Verdict(figures).sentences(outlook=Outlook(1.69, 2.4, None, "training", 1.0))
    assert once["prediction"].endswith("held-out ones, not yet a sign of overfitting: each was seen only about once.")
    half = verdict.Verdict(figures).sentences(outlook=Outlook(1.69, 2.4, None, "training", 0.53))
    assert half["prediction"].endswith(
        "not yet a sign of overfitting: the training made only 0.53 of a pass over the data."
    )
    for end in (Outlook(2.6, 2.4, None, "validation"), None):
        over = verdict.Verdict(figures).sentences(outlook=end)
        assert over["prediction"].endswith("a sign of overfitting.") and "is likely to help" not in over.get(
            "outlook", ""
        )


def test_a_clause_with_a_but_says_so() -> None:
    unlimited = copies(detection_limit=None, controls=[])
    results = [
        *(replace(unlimited, method=method) for method in ("reference", "shifted")),
        replace(unlimited, method="shifted", held_out_together=True),
        *(replace(unlimited, train=train, n_train_total=1_200, limited_by="time") for train in (281, 1_200)),
        replace(unlimited, train=281, n_train_total=1_200, identical=9, identical_p=1e-6),
        copies(),
        copies(detected=True, share=0.4, low=0.2),
    ]
    verdicts = [copy_verdict(result) for result in results]
    assert [copying.has_but for copying in verdicts] == [", but " in copying.clause for copying in verdicts]


def test_a_share_of_copies_that_is_not_known_is_no_figure() -> None:
    vague = copies(detected=True, p=0.002, share=0.448, low=0.001)
    assert copy_verdict(vague).sentence.startswith(
        "Copying found: some samples are copies of training items, or nearly so; how many is not known (p = 0.002)."
    )
    assert copy_verdict(vague).clause == "some samples are copies of training items; how many is not known"
    extent = "how many is not known (only 281 of 46,943 training items were compared)"
    few = copy_verdict(replace(vague, train=281, n_train_total=46_943))
    assert extent in few.sentence and extent in few.clause
    known = copies(detected=True, p=0.002, share=0.4, low=0.2)
    assert copy_verdict(known).clause.startswith("at least about 20% of the samples are copies")
    score = known.scores()[0]
    assert (score.value, score.interval, score.note) == (0.2, None, "at least so many")


def test_as_many_are_copies_as_are_identical_where_real_items_never_are() -> None:
    """ "At least about 0.79%" stood beside 10 of 500."""
    result = copies(detected=True, p=0.002, share=0.02, low=0.0079, samples=500, identical=10, real_compared=900)
    assert copy_verdict(result).clause == (
        "at least 2% of the samples are copies of training items: 10 of 500 are identical to one"
    )
    assert "at least 2% of the samples are copies" in copy_verdict(result).sentence and result.scores()[0].value == 0.02
    common = replace(result, real_identical=9)
    assert copy_verdict(common).clause == (
        "10 of 500 samples are identical to a training item; at least about 0.79% of the samples are copies beyond what chance gives"
    )


@pytest.mark.skipif(not CHROMIUM.exists(), reason="pages are opened in Chromium, which is not there")
def test_the_table_of_the_copying_test_breaks_no_word_on_a_phone(tmp_path: Path) -> None:
    """It had "misse/d" and "0.5/%"."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pages are opened by playwright")
    controls = [PlantedControl(variant, rate, 1.0) for variant in VARIANTS for rate in PLANTED_RATES]
    written(tmp_path, scores=[], content=image_content(), copies=copies(controls=controls))
    script = """() => [document.documentElement.scrollWidth, ...[...document.querySelectorAll(".controls tr:last-child *")]
      .map((cell) => cell.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight))]"""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 844})
        page.goto((tmp_path / "report.html").as_uri())
        width, *lines = page.evaluate(script)
        chromium.close()
    assert width == 390 and len(lines) == 1 + len(PLANTED_RATES) and max(lines) < 2.0


def test_pairs_that_are_close_are_red_only_if_copies_were_found(tmp_path: Path) -> None:
    """A page said "No copies found" and had a sample in red below."""
    content = replace(image_content(), closest_pairs=image_content().pairs)
    clean, _, _ = written(tmp_path, scores=[], content=content, copies=copies())
    accused, _, _ = written(
        tmp_path, scores=[], content=content, copies=copies(detected=True, p=0.002, share=0.1, low=0.05)
    )
    assert clean.count("<b>exact copy</b>") == accused.count("<b>exact copy</b>") == 2
    assert 'class="pair close"' not in clean and accused.count('class="pair close"') == 2


@pytest.mark.parametrize("detected", [False, True])
def test_what_is_usual_is_said_once_where_captions_name_it(detected: bool, tmp_path: Path) -> None:
    result = copies(detected=True, share=0.1, low=0.05) if detected else copies()
    pairs = [replace(pair, caption="distance 0.1 (usual: 0.4)") for pair in image_content().pairs]
    page, _, _ = written(tmp_path, scores=[], content=replace(image_content(), closest_pairs=pairs), copies=result)
    without, _, _ = written(
        tmp_path, scores=[], content=replace(image_content(), closest_pairs=image_content().pairs), copies=result
    )
    assert page.count("Usual: how far that training item is") == 1 and "Usual:" not in without


def test_of_fewer_samples_than_any_copying_test_takes_it_is_known_how_many_it_takes() -> None:
    assert verdict.Verdict([], copies(samples=3)).samples_needed == {"novelty": 20}


def test_where_copies_cannot_be_told_the_answer_is_too_few_to_tell() -> None:
    """A model that draws noise was called partly new."""
    few: dict[str, Any] = {"detection_limit": None, "controls": [PlantedControl("exact", 0.1, 0.4)]}
    result = copies(samples=25, train=250, n_train_total=250, held_out=112, **few)
    answers = verdict.Verdict([], result)
    assert answers.grades["novelty"] == "too_few"
    assert answers.figures["novelty"] == (
        f"no copies found, but the test could miss even 10% altered copies: about {answers.samples_needed['novelty']} samples are needed"
    )
    assert (
        f"112 held-out items and 25 samples are too few; about {answers.samples_needed['novelty']} samples"
        in answers.sentences()["novelty"]
    )
    # With more items nothing would be known, samples repeat items, or time was short
    alike = copies(samples=10**6, train=10**6, n_train_total=10**6, held_out=10**5, **few)
    repeats = replace(result, identical=2, identical_p=0.001, real_compared=600)
    part = replace(result, n_train_total=1000, limited_by="time")
    for other in (alike, repeats, part):
        assert verdict.Verdict([], other).grades["novelty"] == "fair"
    assert verdict.Verdict([recited(low=0.7)], result).grades["novelty"] == "fair"


def test_how_many_samples_are_as_near_as_copies_is_said_where_these_cannot_be_told() -> None:
    """In a family of variants "the test could miss even 10% copies" said nothing of the reason."""
    few: dict[str, Any] = {"detection_limit": None, "controls": [PlantedControl("exact", 0.1, 0.0)]}
    result = copies(samples=300, train=9_000, n_train_total=9_000, held_out=1_000, **few)
    near = replace(result, near=NearShares(0.26, 0.24, None))
    fact = "26% of the samples are as near to a real item as copies are (real items: 24%)"
    # More samples would not tell: of 660 sequences of a family, as were advised, it said that 2,600 held-out items were needed
    none = "none of 300 samples is identical to a training item"
    assert copy_verdict(near).clause == f"{none}, but altered ones could be missed, as {fact}"
    assert copy_verdict(near).sentence == (
        f"No copies found: {none}, so at most 1.2% are exact copies. But altered ones could be missed, as {fact}."
    )
    assert verdict.Verdict([], near).grades["novelty"] == "fair"
    repeating = replace(near, identical=5, real_compared=600, real_identical=100, identical_p=1.0)
    assert copy_verdict(repeating).clause == (
        "5 of 300 samples are identical to a training item, no more than real items are to each other, but altered ones could be "
        f"missed, as {fact}"
    )
    assert "No copies found: at most 3.8% of the samples are exact copies. But" in copy_verdict(repeating).sentence
    # Few samples, or draws and parts of texts, of which identity says nothing
    for other in (replace(near, samples=25), replace(near, identical=None), replace(near, unit="passage")):
        assert f"no copies found, but {fact}: about " in copy_verdict(other).clause
        assert verdict.Verdict([], other).grades["novelty"] == "too_few"
    alike = replace(near, samples=10**6, train=10**6, n_train_total=10**6, held_out=10**5, unit="passage")
    assert copy_verdict(alike).clause == f"no copies found, but {fact}"
    assert (
        "could miss even 10% altered copies: about"
        in copy_verdict(replace(near, near=NearShares(0.01, 0.2, None))).clause
    )


def test_identical_samples_are_named_as_such_without_held_out_items() -> None:
    data = copies(
        detected=True, method="reference", share=1.0, low=1.0, identical=900, real_compared=600, identical_p=1e-9
    )
    # Such as codes of four digits
    assert copy_verdict(data).clause.startswith("suspicion: 900 of 900 samples are identical")
    assert verdict.Verdict([], data).grades["novelty"] == "fair"
    data = replace(data, has_proven_copies=True)
    assert (
        copy_verdict(data).clause
        == "copies found: 900 of 900 samples are identical to a training item; of 600 real items none is"
    )
    assert "not proof" not in copy_verdict(data).sentence and verdict.Verdict([], data).grades["novelty"] == "poor"
    near = replace(data, identical=0, identical_p=1.0, has_proven_copies=False)
    assert "not proof" in copy_verdict(near).sentence and verdict.Verdict([], near).grades["novelty"] == "fair"
    assert copy_verdict(near).clause.startswith(
        "suspicion: at least about 100% of the samples are nearer to one of your items"
    )


def test_samples_that_differ_visibly_from_training_items_are_called_altered_copies() -> None:
    share: dict[str, Any] = {"detected": True, "p": 0.002, "share": 0.19, "low": 0.12}
    far = copies(**share, pairs=[ClosestPair(0, 5, 0.36, 0.70), ClosestPair(1, 2, 0.30, 0.60)])
    assert (
        "at least about 12% of the samples are altered copies of training items, or follow"
        in copy_verdict(far).sentence
    )
    assert "the closest pair still differs by 50% of the usual distance" in copy_verdict(far).sentence
    assert copy_verdict(far).clause == "at least about 12% of the samples are altered copies of training items"
    near = copies(**share, pairs=[ClosestPair(0, 5, 0.36, 0.70), ClosestPair(1, 2, 0.05, 0.60)])
    same = copies(**share, pairs=[ClosestPair(0, 5, 0.36, 0.70)], identical=3)
    assert all("are copies of training items, or nearly so" in copy_verdict(test).sentence for test in (near, same))


def test_altered_copies_that_chance_may_explain_are_no_no(tmp_path: Path) -> None:
    """Digits of which none was a copy were refused at p = .012, and other samples of the same model were not."""
    weak = copies(detected=True, p=0.012, share=0.3, low=0.16, pairs=[ClosestPair(0, 5, 0.64, 1.0)])
    sentence = copy_verdict(weak).sentence
    assert sentence.startswith(
        "Perhaps copying: at least about 16% of the samples seem to be altered copies of training items, or follow single"
    )
    assert "the closest pair differs by 64% of the usual distance, and one report in 50 without copies" in sentence
    _, page, report = written(tmp_path, scores=IMAGE_SCORES, content=image_content(), copies=weak)
    assert report["grades"]["novelty"] == "fair" and "✗ no" not in page.text
    coarse = replace(weak, p=0.002, is_coarse=True)
    assert copy_verdict(coarse).sentence.startswith(
        "No plain copies, but samples are somewhat nearer to training items"
    )
    assert "There was time for a coarse comparison only" in copy_verdict(coarse).sentence
    assert copy_verdict(coarse).clause.endswith("a full comparison would tell more")
    # How many samples are altered copies a coarse comparison cannot say
    assert coarse.scores()[0].value == 0.0 and coarse.scores()[0].note == "how many is not known"
    assert coarse.needs_confirmation and not replace(coarse, identical=3).needs_confirmation
    # In families of near-twins, pairs are as close by chance
    close = replace(weak, pairs=[ClosestPair(0, 5, 0.3, 1.0)])
    assert "None is identical to one: the closest pair differs by 30%" in copy_verdict(close).sentence
    assert verdict.Verdict([], close).grades["novelty"] == "fair"
    for result in (replace(weak, p=0.004), replace(close, p=0.004), replace(weak, identical=3)):
        assert not result.needs_confirmation and verdict.Verdict([], result).grades["novelty"] == "poor"


def test_samples_that_lean_to_training_items_are_no_copies(tmp_path: Path) -> None:
    """Of 2,979 digits after 30 passes, 31% were called altered copies, and the 31% that were closest reached .96 of the usual distance."""
    picture = ScanPicture([4, 100, 500], [1.0, 0.96, 0.93], [1.0, 1.0, 0.95], 0.88, 400)
    leaning = copies(
        detected=True,
        p=0.004,
        share=0.4,
        low=0.31,
        pairs=[ClosestPair(0, 5, 0.54, 1.0)],
        picture=picture,
        copied_distance=0.96,
    )
    sentence = copy_verdict(leaning).sentence
    assert sentence.startswith(
        "No copies, but the nearest real item of 93% of the samples is a training item (by chance: 88%; p = 0.004)"
    )
    assert "copies of training" not in sentence and "differs by 54% of the usual distance" in sentence
    assert "somewhat nearer to training items" in copy_verdict(replace(leaning, picture=None)).clause
    _, page, report = written(tmp_path, scores=IMAGE_SCORES, content=image_content(), copies=leaning)
    assert report["grades"]["novelty"] == "fair" and report["copies"]["only_leans"] and "✗ no" not in page.text
    altered = replace(leaning, copied_distance=0.58)
    for result in (altered, replace(leaning, pairs=[ClosestPair(0, 5, 0.3, 1.0)]), replace(leaning, identical=3)):
        assert (
            verdict.Verdict([], result).grades["novelty"] == "poor" and "Copying found" in copy_verdict(result).sentence
        )


def test_of_many_samples_that_lean_some_are_close() -> None:
    """Crops of photographs without copies: "no, some samples are copies", as one pair of 636 samples was at .34 of the usual distance."""
    picture = ScanPicture([4, 636], [1.0, 0.74], [1.0, 0.74], 0.7, 636)
    many: dict[str, Any] = {"samples": 636, "share": 0.1, "low": 0.07, "picture": picture}
    leaning = copies(
        detected=True, p=0.004, pairs=[ClosestPair(0, 5, 0.34, 1.0)], copied_distance=0.83, match_p=1.0, **many
    )
    assert leaning.only_leans and verdict.Verdict([], leaning).grades["novelty"] == "fair"
    assert copy_verdict(leaning).clause.startswith("no copies, but the nearest real item of 74% of the samples")
    matching = replace(leaning, plain_low=0.02, match_p=0.002)
    assert not matching.only_leans and verdict.Verdict([], matching).grades["novelty"] == "poor"


def test_samples_that_lean_are_not_counted_as_copies_beside_some_that_are() -> None:
    """Of 880 samples of a model of 350 digits, 44% were called copies: one pair was at .36 of the usual distance, and the 44% that were
    closest reached 1.00."""
    picture = ScanPicture([4, 100, 500], [1.0, 0.96, 0.93], [1.0, 1.0, 0.95], 0.7, 400)
    few = copies(
        detected=True,
        p=0.004,
        share=0.44,
        low=0.44,
        pairs=[ClosestPair(0, 5, 0.36, 1.0)],
        picture=picture,
        copied_distance=1.0,
    )
    assert copy_verdict(few).clause == "some samples are copies of training items; how many is not known"
    assert copy_verdict(few).sentence.endswith(
        "Many others only lean to the data: the nearest real item of 93% of the samples is a training item (by chance: 70%)."
    )
    assert few.scores()[0].value == 0.0 and few.scores()[0].note == "how many is not known"
    assert not few.only_leans and not few.needs_confirmation
    # Crops of photographs with 2% exact copies: 8% were said to be copies
    distant = replace(few, copied_distance=0.7, plain_low=0.01, identical=18, real_compared=500, real_identical=9)
    assert "at least about 1% of the samples are copies beyond what chance gives" in copy_verdict(distant).sentence
    assert (
        "Others may be altered copies, or only lean to the data: the nearest real item"
        in copy_verdict(distant).sentence
    )
    # But altered copies are counted where all that are said to be copies are near
    assert replace(distant, copied_distance=0.4).counted_low == 0.44
    identical = replace(few, identical=30, real_compared=500)
    assert copy_verdict(identical).clause.startswith(
        "at least 3.3% of the samples are copies of training items: 30 of 900"
    )
    # Real items are identical to each other, too, so not all of the 30 count: the tests say how many do
    repeated = replace(identical, real_identical=2, plain_low=0.021)
    assert copy_verdict(repeated).clause == (
        "30 of 900 samples are identical to a training item; at least about 2.1% of the samples are copies beyond what chance gives"
    )
    assert "Many others only lean" in copy_verdict(repeated).sentence and repeated.scores()[0].value == 0.021
    counted = replace(few, copied_distance=0.3)
    assert copy_verdict(counted).clause == "at least about 44% of the samples are copies of training items"


def test_one_identical_sample_that_chance_explains_makes_no_copies_of_samples_that_lean() -> None:
    """Charts of bars: "no, at least 0.58% are copies: 1 of 171 is identical to one", as 8 of 3,000 real items are to another."""
    chance: dict[str, Any] = {"identical": 1, "identical_p": 0.3, "real_compared": 3_000, "real_identical": 8}
    bars = copies(
        detected=True, p=0.004, samples=171, share=0.3, low=0.25, copied_distance=0.715, match_p=1.0, **chance
    )
    assert verdict.Verdict([], bars).grades["novelty"] == "fair"
    assert copy_verdict(bars).clause == (
        "some samples seem to be altered copies; how many is not known; more samples would tell"
    )
    assert (
        "1 of 171 samples is identical to a training item, which chance may explain (p = 0.3)."
        in copy_verdict(bars).sentence
    )
    for result in (
        replace(bars, identical_p=0.01),
        replace(bars, has_proven_copies=True),
        replace(bars, plain_low=0.01, match_p=0.001),
        replace(bars, copied_distance=0.3),
    ):
        assert verdict.Verdict([], result).grades["novelty"] == "poor"


def test_what_was_compared_is_said_with_what_would_be_noticed() -> None:
    part = copies(train=314, n_train_total=2_311)
    assert (
        "2% copies or more, exact or lightly changed, would have been noticed, although only 314 of 2,311 training items were compared."
        in copy_verdict(part).sentence
    )
    assert copy_verdict(part).clause.endswith(
        "2% or more would have been noticed (314 of 2,311 training items were compared)"
    )
    assert copy_verdict(copies(train=1_500, n_train_total=2_311)).clause.endswith("2% or more would have been noticed")


def test_curves_of_several_losses_and_of_none() -> None:
    rows = [{"step": s, "loss_d": 1.0 / (s + 1), "loss_g": 2.0, "rate": 0.1} for s in range(30)]
    loss, rate = charts.training_curves(rows)
    assert [line.name for line in loss.legend] == ["d", "g"] and loss.x_label == "step" and len(loss.lines) == 4
    assert [tick.text for tick in loss.x_ticks] == ["0", "5", "10", "15", "20", "25"]
    assert [line.name for line in rate.lines] == ["learning rate"] and not rate.legend
    points = [tuple(map(float, pair.split(","))) for pair in loss.lines[1].points.split()]
    assert all(0 <= x <= loss.width and 0 <= y <= loss.height for x, y in points[2:])
    assert charts.training_curves([]) == charts.training_curves(HISTORY[:1]) == []
    assert charts.training_curves([{"step": 0, "loss": float("nan")}] * 5) == []


def test_the_validation_loss_that_the_report_speaks_of_is_drawn() -> None:
    """The outlook spoke of a validation loss of .88; the only curve, of the training, ended at .68."""
    rows = [{"step": s, "seconds": 2.0 * s, "loss": 1.0 / (s + 1), "rate": 0.1} for s in range(30)]
    checks = [
        {"event": "validation", "step": step, "loss": 1.2 - 0.01 * step} for step in (5, 15, 5, 29)
    ]  # 5 is repeated
    training, validation, _ = charts.training_curves(rows, checks)
    assert validation.title == "Validation loss" and validation.x_label == training.x_label == "seconds of training"
    assert len(validation.lines[0].points.split()) == 3 and validation.y_ticks
    assert len(charts.training_curves(rows, checks[:1])) == 2


def test_scale_ends_where_shares_end() -> None:
    scale = charts.scale_chart(IMAGE_SCORES[1])
    assert scale is not None and scale.end == "1" and scale.better == "better →" and scale.value == pytest.approx(0.8)
    assert charts.scale_chart(IMAGE_SCORES[4]) is None
    below = charts.scale_chart(IMAGE_SCORES[3])
    assert below is not None and below.value == 0.0  # a distance under zero stands at the beginning


def test_missing_figures_have_one_word_in_the_badge_and_in_the_sentence(tmp_path: Path) -> None:
    close = [
        score("two_sample_auc", 0.49, 0.46, 0.52, 0.5, n=400),
        score("precision", 0.95, 0.93, 0.97, 0.95, n=400),
        score("kernel_distance", 0.0002, -0.001, 0.001, 0.0001, n=400),
    ]
    report = EvaluationReport.of(
        Measurements(scores=close, unmeasured={"tone": CLOSENESS}), run="r", family="gan", modality="image"
    )
    card = verdict.cards(report.verdict, report.grades)[0]
    assert report.grades["closeness"] == "not_settled" and card.answer.startswith("Not settled. ")
    assert card.grade == "not_settled" and report.to_json()["grades"] == report.grades
    assert "<i>not settled</i>" in report._repr_html_() and "not settled: Not settled." in repr(report)
    write_report(tmp_path, report, content=ReportContent(), history=[], settings={}, plan={})
    assert "? not settled" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_numbers_and_flat_settings() -> None:
    assert [format_number(v) for v in (0, 3.0, 0.00001234, 1234.5, 0.04)] == ["0", "3.00", "1.2e-05", "1,234", "0.0400"]
    assert flatten({"a": {"b": True, "c": None}, "d": [{"e": 1.5}], "f": (1, 2.5)}) == {"b": "true", "f": "1,2.5"}


def test_the_first_screen_answers_three_questions_with_a_grade(tmp_path: Path) -> None:
    _, page, result = written(tmp_path, scores=IMAGE_SCORES, content=image_content(), copies=copies())
    assert result["grades"] == {"closeness": "fair", "variety": "fair", "novelty": "good"}
    assert result["figures"]["variety"] == "80% of real items have a sample close by (real data: 95%)"
    assert {part["name"] for part in result["parts"]} >= {"coverage", "frechet_distance", "kernel_distance"}
    assert result["copies"]["detection_limit"] == 0.02 and "private" not in page.text.lower()
    assert (
        "No copies found; 2% copies or more, exact or lightly changed, would have been noticed." in page.text
        and "✓ yes" in page.text
    )
    assert "40%" in page.text and "noticed" in page.text
    stolen = copies(detected=True, p=0.001, share=0.1, low=0.05)
    _, page, result = written(tmp_path, scores=IMAGE_SCORES, content=image_content(), copies=stolen)
    assert result["grades"]["novelty"] == "poor" and "✗ no" in page.text
    unsure = written(tmp_path, scores=[], content=ReportContent(), copies=copies(method="reference", held_out=0))[1]
    assert "~ partly" in unsure.text and "cannot prove it" in unsure.text


def test_scales_show_baselines() -> None:
    near = charts.scale_chart(score("frechet_distance", 30.0, 25.0, 33.0, 10.0, naive_baseline=60.0))
    far = charts.scale_chart(score("frechet_distance", 30.0, 25.0, 33.0, 10.0, naive_baseline=6000.0))
    assert near is not None and far is not None
    assert "naive generator 60" in near.label and not near.naive_is_far and "naive" not in near.end
    assert (
        far.naive_is_far
        and far.end == "naive: 6,000"
        and charts.scale_chart(score("frechet_distance", 101.4)).end == "117"
    )  # type: ignore[union-attr]
    half = charts.scale_chart(score("two_sample_auc", 0.7, 0.65, 0.75, 0.5, naive_baseline=1.0))
    assert half is not None and half.start == "0.5" and half.end == "1"
    in_percent = charts.scale_chart(score("two_sample_auc", 0.7, 0.65, 0.75, 0.5, naive_baseline=1.0), is_percent=True)
    assert in_percent is not None and (in_percent.start, in_percent.end) == ("50%", "100%")
    assert in_percent.label.endswith("70%, real data 50%, naive generator 100%")


def test_a_model_of_a_few_steps_is_hardly_trained_not_collapsed() -> None:
    scores = [
        score("diversity", 0.03, 0.02, 0.04, 1.0, n=500),
        score("two_sample_auc", 0.99, 0.98, 1.0, 0.5, n=500),
    ]
    sentence = verdict.Verdict(scores).sentences(steps=1)
    assert "hardly trained (1 step)" in sentence["closeness"] and "collapsed" not in sentence["variety"]
    assert "hardly" not in verdict.Verdict(scores).sentences(steps=5000)["closeness"]


def test_what_looks_like_nothing_real_is_not_praised_as_new() -> None:
    far = score("two_sample_auc", 0.999, 0.99, 1.0, 0.5, n=500), score("spectrum_distance", 9.9, real_baseline=0.1)
    close = [score("two_sample_auc", 0.75, 0.7, 0.8, 0.5, n=500)]
    for scores, expected in ((far, "fair"), (far[:1], "fair"), (close, "good")):
        assert verdict.Verdict(scores, copies()).grades["novelty"] == expected
    assert (
        "This says little: the samples do not look like your data."
        in verdict.Verdict(far, copies()).sentences()["novelty"]
    )
    assert verdict.Verdict(far, copies()).figures["novelty"].endswith("; but the samples do not look like your data")
    limited = copies(train=281, n_train_total=1_200, limited_by="time", detection_limit=None, controls=[])
    few = verdict.Verdict(far, limited).figures["novelty"]
    assert few.count(", but ") == 1 and few.endswith("; and the samples do not look like your data")
    assert "says little" not in verdict.Verdict(close, copies()).sentences()["novelty"]
    unclear = [score("two_sample_auc", 0.5, 0.35, 0.65, real_baseline=0.5, n=40)]
    for unknown in ([], unclear):
        assert (
            "not known whether the samples look like your data"
            in verdict.Verdict(unknown, copies()).sentences()["novelty"]
        )
    for copy_test, conjunction in ((copies(), "but"), (limited, "and")):
        clause = verdict.Verdict(unclear, copy_test).figures["novelty"]
        assert clause.endswith(f"; {conjunction} whether the samples look like your data is not known")


def test_colours_follow_the_theme() -> None:
    """Each colour has a value for light pages and one for dark ones, so none may be given in its place."""
    templates = {path.name: path.read_text() for path in TEMPLATES.iterdir()}
    styles = re.findall(r":root \{.*?\}", templates["base.html"], re.DOTALL)
    assert len(styles) == 2 and "prefers-color-scheme: dark" in templates["base.html"]
    light, dark = (set(re.findall(r"--([a-z-]+):", style)) for style in styles)
    assert light == dark
    for name, template in templates.items():
        for style in styles:
            template = template.replace(style, "")
        assert not re.search(r"#[0-9a-f]{3,6}\b", template), name
        assert set(re.findall(r"var\(--([a-z-]+)", template)) <= light | {"tone", "word"}, name
    drawn = charts.spectrum_chart({"a": np.ones(8)}, np.ones(8)).lines
    assert {line.colour for line in drawn} <= {f"var(--{name})" for name in light}


def recited(low: float = 0.93, real_high: float = 0.45) -> Score:
    return score("verbatim_share", 0.97, low, 0.99, 0.31, real_high=real_high, n=13_680)


def test_text_that_is_verbatim_far_above_held_out_text_is_copied() -> None:
    clause = "97% of the text is word for word in the training data (held-out text: 31%)"
    unsure = copies(detection_limit=None)
    assert (
        verdict.Verdict([recited()], unsure).grades["novelty"] == "poor"
        and verdict.Verdict([recited()], unsure).figures["novelty"] == clause
    )
    sentence = verdict.Verdict([recited()], unsure).sentences()["novelty"]
    assert sentence.startswith(
        "The text is copied: 97.0% of the generated text appears word for word, in passages of 32 characters or more"
    )
    assert "No copies found" not in sentence
    proven = copies(detected=True, share=0.15, low=0.06)
    assert verdict.Verdict([recited()], proven).figures["novelty"] == f"{clause}; {copy_verdict(proven).clause}"
    assert verdict.Verdict([recited()], proven).sentences()["novelty"].endswith(copy_verdict(proven).sentence)


@pytest.mark.parametrize("share", [recited(), recited(low=0.7)])
def test_the_page_says_once_how_much_is_verbatim(share: Score, tmp_path: Path) -> None:
    _, page, _ = written(tmp_path, scores=[share], copies=copies(detection_limit=None))
    assert page.text.count("97.0% of the generated text appears word for word") == 1


# Nothing says whether these samples are close to the data
NOT_KNOWN = "; but whether the samples look like your data is not known"


def test_text_of_which_much_is_verbatim_is_at_best_partly_new() -> None:
    """70% of programs were training text, of held-out programs 33%, and only a line at the end of the page said so."""
    share, test = recited(low=0.7), copies()
    assert (
        verdict.Verdict([share], test).grades["novelty"] == "fair"
        and verdict.Verdict([], test).grades["novelty"] == "good"
    )
    clause = f"97% of the text is word for word in the training data (held-out text: 31%); {copy_verdict(test).clause}"
    assert verdict.Verdict([share], test).figures["novelty"] == f"{clause}{NOT_KNOWN}"
    assert (
        verdict.Verdict([share], test)
        .sentences()["novelty"]
        .startswith("Much of the text repeats training data: 97.0% of")
    )


@pytest.mark.parametrize(
    ("text", "test"),
    [
        (recited(low=0.63), copies()),  # less than a fifth above held-out text
        (recited(low=0.97, real_high=0.9), copies()),  # text of set phrases
        (replace(recited(), real_high=None), copies()),  # a few samples
    ],
)
def test_verbatim_text_as_such_is_no_copying(text: Score, test: CopyTestResult) -> None:
    assert verdict.Verdict([text], test).grades["novelty"] != "poor"
    assert verdict.Verdict([text], test).figures["novelty"] == f"{copy_verdict(test).clause}{NOT_KNOWN}"


def test_verbatim_text_is_told_where_it_does_not_count_against_samples() -> None:
    """The end of a log is unlike its beginning."""
    text, test = verdict.Verdict([recited()], copies(method="shifted")), copy_verdict(copies(method="shifted"))
    clause = f"97% of the text is word for word in the training data (held-out text: 31%); {test.clause}"
    assert text.grades["novelty"] == "fair" and text.figures["novelty"] == clause


def test_records_that_exist_are_not_called_text() -> None:
    known = verdict.Verdict([replace(recited(), spec=known_records())], copies())
    assert known.figures["novelty"].startswith("97% of the samples are training records (held-out records: 31%)")


def test_samples_that_lean_without_being_near_are_said_to() -> None:
    """After 160 passes over icons, the nearest real item of 90% of the samples was a training item, and the answer was a plain yes."""
    result = copies(reference_p=0.4, picture=ScanPicture([4, 100], [1.0, 0.9], [1.0, 0.9], 0.7, 400))
    fact = "but the nearest real item of 90% of the samples is a training item (by chance: 70%)"
    assert verdict.Verdict([], result).grades["novelty"] == "good"
    assert copy_verdict(result).clause == f"{copy_verdict(copies()).clause}; {fact}"
    assert "the model leans to what it was trained on" in copy_verdict(result).sentence
    assert "leans" not in copy_verdict(replace(result, reference_p=None)).sentence
    # Crops: "81% of the samples (by chance: 80%): the model leans to what it was trained on"
    chance = ScanPicture([4, 100], [1.0, 0.71], [1.0, 0.9], 0.7, 400)
    assert "leans" not in copy_verdict(replace(result, picture=chance)).sentence


def test_how_many_held_out_items_would_settle_identical_samples_is_said() -> None:
    names = {"identical": 20, "samples": 400, "real_compared": 1200, "train": 8175, "detection_limit": None}
    few = copies(**names, held_out=400, identical_p=1e-12)
    too_few = "400 held-out items are too few to tell, about 900 would settle it. No further"
    assert (
        f"but items may be so simple that a generator reaches some by itself; {too_few}" in copy_verdict(few).sentence
    )
    some_held_out = replace(few, held_out_identical=2, identical_p=1e-4)
    assert f"although it is too little to prove copying; {too_few}" in copy_verdict(some_held_out).sentence
    for other in ({"identical_p": 0.03}, {"held_out": 1500}, {"method": "shifted"}):
        result = copies(**names | {"held_out": 400, "identical_p": 1e-12} | other)
        assert "would settle it" not in copy_verdict(result).sentence


def test_overfitting_of_a_network_is_not_said_of_a_model_with_counts() -> None:
    """The counts predict training items far better, and nothing else was said of them."""
    gap = replace(score("bits_gap", -0.03, -0.11, 0.05, n=400), spec=network_gap())
    sentence = verdict.Verdict([gap]).sentences()["prediction"]
    assert sentence.startswith(
        "The network alone, without the counts that have read the training items, predicts training items no better"
    )
    assert sentence.endswith("held-out ones: no sign of overfitting.")


def test_compressors_that_need_fewer_bits_are_named() -> None:
    scores = [
        Score(bits_spec("residue", name), value) for name, value in (("xz", 1.83), ("ppmd", 2.24), ("unigram", 4.1))
    ]
    scores += [Score(bits_spec("residue"), 2.24), Score(bits_spec("residue", "kneser_ney"), 2.29)]
    sentence = verdict.Verdict(scores).sentences()["prediction"]
    assert sentence == (
        "The model needs 2.24 bits per residue of held-out sequences, 2% fewer than n-gram counts (2.29). But xz compression (1.83) "
        "needs fewer."
    )


def test_copying_explains_that_pairs_of_words_are_known() -> None:
    tolerance = replace(PAIRS_BEYOND_REAL.tolerance, least_to_pass=0)
    known = replace(
        score("pairs_beyond_real", 0.29, 0.25, 0.33, 0.0, n=1000, source="x"),
        spec=replace(PAIRS_BEYOND_REAL, tolerance=tolerance),
    )
    copying = copies(detected=True, p=0.002, share=1.0, low=0.98, samples=1000, identical=1000, real_compared=900)
    assert copy_verdict(copying).clause == "all 1,000 samples are identical to a training item"
    assert (
        copy_verdict(copying).sentence
        == "Copying found: all 1,000 samples are identical to a training item (p = 0.002)."
    )
    assert (
        verdict.Verdict([known], copying)
        .sentences()["closeness"]
        .endswith("larger than that of real text by 29% of all pairs. Copying explains that.")
    )
    assert verdict.Verdict([known], copying).figures["closeness"].endswith("; copying explains that")
    far = score("kernel_distance", 0.3, 0.29, 0.31, 0.0001, n=1000, source="x")
    for scores_, result in (([known, far], copying), ([known], copies())):
        assert "explains" not in verdict.Verdict(scores_, result).sentences()["closeness"]


def test_too_few_items_are_no_result_anywhere(tmp_path: Path) -> None:
    few = [score("frechet_distance", 82.3, 80.0, 90.0, 86.0, n=40, source="x"), *IMAGE_SCORES[1:4]]
    _, page, result = written(tmp_path, modality="image", scores=few)
    assert "too few40; counts from 500" in page.text and "82.3 to" not in page.text
    assert result["scores"][0]["counts_from"] == 500 and "counts_from" not in result["scores"][1]
    record = ReportRecord.model_validate(result)
    assert [figure.name for figure in record.informative_scores] == [figure.name for figure in few[1:]]
    report = EvaluationReport.of(Measurements(scores=few), run="r", family="gan", modality="image")
    assert "frechet" not in card(report, data="d", parameters=None).lower()


def test_the_figures_that_decide_are_shown_and_others_are_folded(tmp_path: Path) -> None:
    others = [score(f"figure_{i}", 0.5, 0.4, 0.6, 0.5, n=1000, source="x") for i in range(6)]
    html, _, result = written(tmp_path, modality="image", scores=[*IMAGE_SCORES[:4], *others])
    assert result["deciding"]["closeness"][0] == "frechet_distance"
    assert 'href="#frechet_distance"' in html and 'id="frechet_distance"' in html
    folded = "".join(
        re.findall(r"<details><summary>\d+ (?:more )?figures?</summary>(.*?)\n</details>", html, re.DOTALL)
    )
    assert 'id="figure_0"' in folded and 'id="frechet_distance"' not in folded and 'id="coverage"' not in folded


def test_texts_whose_nearest_were_not_searched_for_have_no_empty_field(tmp_path: Path) -> None:
    text = ReportItem(text="new words here" * 10)
    field = '<span class="tag">In the training data'
    assert field not in written(tmp_path / "none", content=ReportContent(pairs=[SamplePair(text, None)]))[0]
    assert field in written(tmp_path / "some", content=ReportContent(pairs=[SamplePair(text, text)]))[0]
