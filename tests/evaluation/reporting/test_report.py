"""The page is whole, opens offline, and shows hostile text as text; report.json has the fixed shape."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anew.evaluation.memorization.result import Copies, Planted
from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting import charts, sheet, verdict
from anew.evaluation.reporting.content import Beside, Item, Shown
from anew.evaluation.reporting.report import flat, number, write_report

HOSTILE = "<script>alert(1)</script><img src='http://evil.example/x' onerror=alert(2)>{{ 7 * 7 }}</pre>&\ud800\x00"
TEXT_SCORES = [
    Score("bits_per_character", 2.1, 2.0, 2.2, n=1000, source="test part"),
    Score("bits_per_character_kneser_ney", 2.3, 2.2, 2.4, n=1000, source="naive"),
    Score("fourgram_divergence", 0.31, 0.3, 0.33, 0.3, n=500, source="x"),
    Score("verbatim_share", 0.01, None, None, 0.02, n=500, source="x"),
]
IMAGE_SCORES = [
    Score("frechet_distance", 30.0, 25.0, 33.0, 10.0, n=1000, source="x"),
    Score("coverage", 0.8, 0.7, 0.9, 0.95, "higher", 1000, "x"),
    Score("diversity", 0.95, 0.9, 1.0, 1.0, "higher", 1000, "x"),
    Score("kernel_distance", -0.001, -0.003, 0.001, 0.0001, n=1000, source="x"),
    Score("a_score_of_tomorrow", float("nan"), n=1, source="x"),
]
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
    fields: dict[str, Any] = {
        "run": "first",
        "family": "transformer",
        "modality": "text",
        "scores": TEXT_SCORES,
        "shown": Shown(pairs=[Beside(Item(text="new words here" * 10), None)], nearest="longest passage"),
        "history": HISTORY,
        "settings": {"family": {"width": 64, "shape": [1, 2]}, "train": {"seed": None}},
        "plan": {"steps": 50, "batch": 8},
        "notes": ["one file was skipped"],
        "command": "anew train words/ --run first",
    }
    found = write_report(folder, **(fields | more))
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    return html, page, found


def image_shown() -> Shown:
    images = list(np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8))
    one, other = Item(sheet.png(images[0])), Item(sheet.png(images[1]))
    whole = sheet.sheet(images)
    return Shown(
        whole, whole, [Beside(one, other, "exact copy", True), Beside(one, other, "differ by 42")], "nearest of 9"
    )


def copies(**more: Any) -> Copies:
    fields: dict[str, Any] = {
        "found": False, "p": 0.4, "share": 0.0, "low": 0.0, "high": 0.0, "detection_limit": 0.02, "method": "scan",
        "pairs": [], "distance": "pixels", "samples": 900, "train": 8000, "held_out": 1000, "of": 8000,
        "controls": [Planted("exact", 0.1, 1.0), Planted("exact", 0.02, 0.4)],
    }  # fmt: skip
    return Copies(**(fields | more))


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
    _, _, found = written(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == found
    assert (found["run"], found["family"], found["modality"]) == ("first", "transformer", "text")
    assert all(
        list(s) == ["name", "value", "low", "high", "floor", "ceiling", "better", "n", "source"]
        for s in found["scores"]
    )
    assert found["copies"] is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("kind", ["text", "image", "records", "sound", "film", "nothing"])
def test_the_page_loads_nothing_from_outside(tmp_path: Path, kind: str) -> None:
    long, short = Item(text=HOSTILE + "\n" * 3, mark=(0, 5)), Item(text=HOSTILE[:90])
    picture = image_shown().pairs[0].sample.picture
    sound, film = Item(picture, b"RIFF", "audio/wav"), Item(None, b"ftyp", "video/mp4")
    shown = {
        "text": Shown(pairs=[Beside(long, long, "close", True)] * 6, suspects=[Beside(long, None)]),
        "records": Shown(pairs=[Beside(short, short, HOSTILE)]),
        "image": image_shown(),
        "sound": Shown(pairs=[Beside(sound, sound)]),
        "film": Shown(pairs=[Beside(film, film)]),
        "nothing": Shown(),
    }[kind]
    assert shown.layout == {"text": "texts", "records": "rows", "nothing": "rows"}.get(kind, "tiles")
    scores = IMAGE_SCORES if kind == "image" else TEXT_SCORES
    html, page, _ = written(tmp_path, shown=shown, scores=scores, copies=copies())
    assert {t for t, _ in page.tags} & {"audio", "video"} == {"sound": {"audio"}, "film": {"video"}}.get(kind, set())
    assert outside(page) == []
    assert "default-src 'none'" in html
    # Names of SVG's own language are the only addresses, and they are never fetched.
    addresses = set(re.findall(r"https?://[^\s\"'<>&]+", re.sub(r"&#?\w+;", " ", html)))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "http://evil.example/x"}
    assert not re.search(r"url\((?!#)|@import", html)


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    row = Beside(Item(text=HOSTILE, mark=(0, 5)), Item(text=HOSTILE), HOSTILE)
    hostile = [Score(HOSTILE, 1.0, 0.9, 1.1, 1.0, source=HOSTILE)]
    _, page, _ = written(
        tmp_path,
        run=HOSTILE,
        scores=hostile,
        shown=Shown(pairs=[row], nearest=HOSTILE),
        notes=[HOSTILE],
        command=HOSTILE,
        settings={HOSTILE: HOSTILE},
    )
    assert outside(page) == []
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7 * 7 }}" in page.text


def test_a_reader_finds_what_counts(tmp_path: Path) -> None:
    _, page, _ = written(tmp_path)
    assert "9% better than merely counting" in page.text
    for part in (
        "new words here",
        "one file was skipped",
        "anew train words/ --run first",
        "family.width",
        "training loss",
    ):
        assert part in page.text
    assert any(a.get("name") == "viewport" for t, a in page.tags if t == "meta")
    assert "family.train.seed" not in page.text


def test_images_with_pairs_and_floor(tmp_path: Path) -> None:
    _, page, found = written(tmp_path, modality="image", family="diffusion", scores=IMAGE_SCORES, shown=image_shown())
    assert "exact copy" in page.text and "differ by 42" in page.text
    assert found["scores"][-1]["value"] is None
    assert sum(t == "img" for t, _ in page.tags) == 6
    assert "A score of tomorrow" in page.text


def test_a_report_without_scores_says_so(tmp_path: Path) -> None:
    _, page, found = written(tmp_path, scores=[], history=[], shown=Shown())
    assert page.text.count("This could not be measured") == 3 and found["verdict"] == {} == found["grades"]
    assert "How it learned" not in page.text


def test_verdict_words() -> None:
    image = verdict.verdict(IMAGE_SCORES)
    assert "with differences that show" in image["closeness"] and "as varied as real" in image["variety"]
    collapsed = verdict.verdict([Score("diversity", 0.03, floor=1.0, better="higher")])
    assert collapsed == {"variety": "The generator has collapsed: the samples have 3% of the variety of the data."}
    worse = verdict.verdict([Score("bits_per_character", 2.5), Score("bits_per_character_kneser_ney", 2.0)])
    assert "25% worse" in worse["prediction"]
    assert verdict.verdict([Score("frechet_distance", 1.0, floor=None)]) == {}


def test_the_worst_figure_decides_and_few_items_hide_nothing() -> None:
    # Noise that a Fréchet distance of 100 items cannot see: its floor is nearly all bias.
    few = [
        Score("frechet_distance", 52.5, 42.7, 65.2, 48.4, n=100),
        Score("kernel_distance", 0.014, 0.006, 0.03, -0.002),
    ]
    assert "differences that show" not in verdict.verdict(few[:1]).get("closeness", "")
    assert "recognisably different" in verdict.verdict(few)["closeness"]
    real = [
        Score("kernel_distance", 0.0002, -0.001, 0.001, 0.0001, n=900),
        Score("recall", 0.9, floor=0.92, better="higher"),
    ]
    assert "not to be told from unseen real items" in verdict.verdict(real)["closeness"]
    half = Score("recall", 0.5, floor=0.9, better="higher")
    assert "50% of real items look like a sample" in verdict.verdict([real[0], half])["closeness"]
    assert "far from" in verdict.verdict([*real, Score("spectrum_distance", 9.9, floor=0.1)])["closeness"]


def test_curve_of_several_losses_and_of_none() -> None:
    rows = [{"step": s, "loss_d": 1.0 / (s + 1), "loss_g": 2.0, "rate": 0.1} for s in range(30)]
    svg = charts.curve(rows)
    assert svg.startswith("<svg") and "metadata" not in svg and ">d</text>" in svg and "step" in svg
    assert charts.curve([]) == charts.curve(HISTORY[:1]) == ""
    assert charts.curve([{"step": 0, "loss": float("nan")}] * 5) == ""


def test_scale_ends_where_shares_end() -> None:
    svg = charts.scale(IMAGE_SCORES[1])
    assert ">1</text>" in svg and "better →" in svg
    assert charts.scale(IMAGE_SCORES[4]) == ""
    assert "cx=" in charts.scale(IMAGE_SCORES[3])


def test_numbers_and_flat_settings() -> None:
    assert [number(v) for v in (0, 3.0, 0.00001234, 1234.5, 0.04)] == ["0", "3.00", "1.2e-05", "1,234", "0.0400"]
    assert flat({"a": {"b": 1, "c": None}, "d": [{"e": 1.5}]}) == {"a.b": "1", "d": '[{"e": 1.5}]'}


def test_the_first_screen_answers_three_questions_with_a_grade(tmp_path: Path) -> None:
    _, page, found = written(tmp_path, scores=IMAGE_SCORES, shown=image_shown(), copies=copies())
    assert found["grades"] == {"closeness": "fair", "variety": "good", "novelty": "good"}
    assert found["copies"]["detection_limit"] == 0.02 and "private" not in page.text.lower()
    assert "No copying found; this audit would catch 2% or more." in page.text and "✓ new" in page.text
    assert "caught 40%" in page.text and "not tried" in page.text
    stolen = copies(found=True, p=0.001, share=0.1, low=0.05, high=0.2)
    _, page, found = written(tmp_path, scores=IMAGE_SCORES, shown=image_shown(), copies=stolen)
    assert found["grades"]["novelty"] == "poor" and "✗ copied" in page.text
    unsure = written(tmp_path, scores=[], shown=Shown(), copies=copies(method="reference", held_out=0))[1]
    assert "~ not proved" in unsure.text and "cannot prove it" in unsure.text


def test_scales_show_floor_and_ceiling() -> None:
    near = charts.scale(Score("frechet_distance", 30.0, 25.0, 33.0, 10.0, ceiling=60.0))
    far = charts.scale(Score("frechet_distance", 30.0, 25.0, 33.0, 10.0, ceiling=6000.0))
    assert "stroke-dasharray" in near and "naive generator 60" in near and "naive: " not in near
    assert "naive: 6e+03" in far and "stroke-dasharray" not in far
    assert ">0.5</text>" in charts.scale(Score("two_sample_auc", 0.7, 0.65, 0.75, 0.5, ceiling=1.0))


def test_a_model_of_a_few_steps_is_hardly_trained_not_collapsed() -> None:
    scores = [Score("diversity", 0.03, floor=1.0, better="higher"), Score("two_sample_auc", 0.99, floor=0.5, n=500)]
    said = verdict.verdict(scores, steps=1)
    assert "hardly trained (1 step)" in said["closeness"] and "collapsed" not in said["variety"]
    assert "hardly" not in verdict.verdict(scores, steps=5000)["closeness"]


def test_what_looks_like_nothing_real_is_not_praised_as_new() -> None:
    far = Score("two_sample_auc", 0.999, 0.99, 1.0, floor=0.5, n=500), Score("spectrum_distance", 9.9, floor=0.1)
    assert verdict.grades(far, copies())["novelty"] == "fair" and verdict.grades(far[:1], copies())["novelty"] == "good"
    assert "easy for samples that do not look like the data" in verdict.verdict(far, copies())["novelty"]
    assert "easy" not in verdict.verdict(far[:1], copies())["novelty"]
