"""Kinds of items: images, records, passages of texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.item_types import (
    IMAGES,
    INDEXED_RECORDS,
    LONG_RECORDS,
    RECORDS,
    SHORT_RECORDS,
    FieldDistance,
    count_passages,
    cut_passages,
    records_type,
)
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.text_test import _block, run_text_test
from anew.evaluation.metrics.records.row_formats import row_format

WORDS = [
    f"{a}{b}" for a in ("al", "be", "cor", "du", "es", "fi", "gra") for b in ("na", "ro", "tis", "vex", "mo", "li")
]


def prose(characters: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, characters // 4))[:characters]


def test_passages_cover_a_text_and_know_where_they_stand() -> None:
    texts = [prose(1000, 0), "short", prose(300, 1), ""]
    cut = cut_passages(texts, 256)
    assert [len(t) for t in cut.texts] == [256, 256, 256, 232, 5, 256]  # an end of 44 characters is none
    for text, owner, start in zip(cut.texts, cut.owner, cut.start, strict=True):
        assert texts[owner][start : start + len(text)] == text
    assert cut.group.tolist() == [0, 0, 0, 0, 1, 2]
    assert cut_passages(texts, 256, block=512).group.tolist() == [0, 0, 1, 1, 2, 3]


def test_copied_passages_are_found_in_place() -> None:
    train = [prose(512, i) for i in range(100)]
    held_out = [prose(512, 1000 + i) for i in range(100)]
    samples = [prose(256, 2000 + i) for i in range(200)]
    clean = run_text_test(samples, train, held_out)
    assert not clean.detected
    rng = np.random.default_rng(0)
    for i in range(30):
        samples[i] = item_types.edit_text(train[i][256:], rng)
    result = run_text_test(samples, train, held_out)
    assert result.detected and result.distance == "longest verbatim passage"
    for pair in result.pairs:
        assert pair.sample == pair.train and pair.train_start == 256 and pair.sample_start == 0
    assert (
        run_text_test(samples, train, held_out, max_samples=50, options=MemorizationOptions(controls=False)).samples
        == 50
    )
    brief = run_text_test(
        samples, train, held_out, max_samples=10, options=MemorizationOptions(controls=False, brief=True)
    )
    assert brief.samples == 10 and brief.real_compared == 200  # whole texts are compared, which takes no time


def test_spans_of_few_documents_are_permuted_as_one() -> None:
    train, held_out = [prose(20_000, i) for i in range(3)], [prose(2_000, 10 + i) for i in range(3)]
    assert _block(train, held_out) == 2_000
    assert _block(held_out, held_out) is None and _block(train, []) is None
    result = run_text_test([prose(256, 100 + i) for i in range(60)], train, held_out)
    assert not result.detected


def test_copied_records_are_found() -> None:
    rng = np.random.default_rng(0)
    letters = list("abcdefgh")
    strings = ["".join(rng.choice(letters, 12)) for _ in range(700)]
    train, held_out, samples = strings[:250], strings[250:500], strings[500:]
    assert not MemorizationTest(RECORDS, samples, train, held_out).run().detected
    result = MemorizationTest(RECORDS, [*train[:30], *samples[30:]], train, held_out).run()
    assert result.detected and result.pairs[0].distance == 0.0


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 1), (12, 12, 3), (12, 12, 4)])
def test_altered_images_keep_their_form(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape).astype(np.uint8)
    for alter in IMAGES.alterations:
        other = alter(image, rng)
        assert other.shape == shape and other.dtype == np.uint8
    moved = item_types.shift_image(image, 0, 1)
    assert (moved[:, 1:] == image[:, :-1]).all() and (moved[:, 0] == image[:, 0]).all()


def test_copied_images_are_found() -> None:
    rng = np.random.default_rng(0)
    small = rng.normal(size=(600, 4, 4))
    images = list(np.clip(128 + 50 * np.kron(small, np.ones((1, 4, 4))), 0, 255).astype(np.uint8))
    train, held_out, samples = images[:200], images[200:400], images[400:]
    assert not MemorizationTest(IMAGES, samples, train, held_out).run().detected
    copies = [IMAGES.alterations[i % len(IMAGES.alterations)](image, rng) for i, image in enumerate(train[:25])]
    result = MemorizationTest(IMAGES, [*copies, *samples[25:]], train, held_out).run()
    assert result.detected and {p.sample for p in result.pairs} <= set(range(25))


def test_edits() -> None:
    rng = np.random.default_rng(0)
    assert item_types.edit_text("", rng) == "?"
    for short in ("Anna", "ACGTACGTAC", "0101010101", "aaa"):  # one of six of these was as it had been
        assert short not in {item_types.edit_text(short, rng) for _ in range(300)}
    text = prose(400, 0)
    other = item_types.edit_text(text, rng)
    assert other != text and abs(len(other) - len(text)) <= 20


@pytest.mark.parametrize("lengths", [[0, 1, 20, 255, 256, 257, 300, 511, 512, 900], [3] * 50, [10_000]])
def test_passages_are_counted_as_they_are_cut(lengths: list[int]) -> None:
    texts = ["x" * length for length in lengths]
    assert count_passages(texts) == len(cut_passages(texts))


@pytest.mark.parametrize(
    ("alter", "is_seen"),
    [
        (lambda image: image[:, ::-1], True),
        (lambda image: (image * 0.6 + 40).astype(np.uint8), True),
        (lambda image: np.rot90(image), False),
        (lambda image: image[::-1], False),
        (lambda image: 255 - image, False),
    ],
    ids=["mirrored", "contrast", "turned", "upside down", "negative"],
)
def test_the_scope_of_images_says_what_is_seen(alter: Callable[[Any], Any], is_seen: bool) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (400, 4, 4, 3))
    images = list(np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8))
    train, held_out, new = images[:200], images[200:300], images[300:]
    samples = [*map(alter, train[:20]), *new[20:]]
    assert (
        MemorizationTest(IMAGES, samples, train, held_out, options=MemorizationOptions(controls=False)).run().detected
        == is_seen
    )


@pytest.mark.parametrize(
    "alter",
    [
        lambda image, rng: image,
        lambda image, rng: image[:, ::-1],
        lambda image, rng: (image * 0.6 + 40).astype(np.uint8),
        item_types.add_noise,
        lambda image, rng: item_types.jpeg_round_trip(image),
    ],
    ids=["same", "mirrored", "contrast", "noisy", "compressed"],
)
def test_thumbnails_show_what_their_scope_says(alter: Callable[[Any, np.random.Generator], Any]) -> None:
    rng = np.random.default_rng(0)
    images = list(np.kron(rng.integers(40, 216, (400, 8, 8, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8))
    train, held_out, new = images[:200], images[200:300], images[300:]
    samples = [*(alter(image, rng) for image in train[:20]), *new[20:]]
    thumbnails = IMAGES.coarsely()
    assert thumbnails is not None and thumbnails.coarsely() is None
    (distance,) = thumbnails.distances(images, np.arange(400))
    assert distance.name == "pixels"
    assert (
        MemorizationTest(thumbnails, samples, train, held_out, options=MemorizationOptions(controls=False))
        .run()
        .detected
    )
    assert (
        not MemorizationTest(thumbnails, new, train, held_out, options=MemorizationOptions(controls=False))
        .run()
        .detected
    )


@pytest.mark.parametrize(("step", "is_seen"), [(1_000, True), (10, True), (2, False)])
def test_the_scope_of_passages_says_how_many_words_may_be_changed(step: int, is_seen: bool) -> None:
    texts = [prose(512, i) for i in range(400)]
    train, held_out, new = texts[:200], texts[200:300], texts[300:]

    def changed(text: str) -> str:
        return " ".join(word[::-1] if i % step == 1 else word for i, word in enumerate(text.split(" ")))

    samples = [*map(changed, train[:20]), *new[20:]]
    assert run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False)).detected == is_seen


KINDS = ("tool", "doc", "lib", "game", "font")


def rows(n: int, seed: int) -> list[list[str]]:
    """A kind, two sizes, a short name and a long summary."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghiklmnoprst"), rng.integers(3, 9))) for _ in range(400)]
    return [
        [
            str(rng.choice(KINDS)),
            str(rng.integers(10, 5_000)),
            str(rng.integers(5, 3_000)),
            str(rng.choice(words)) + str(rng.integers(90)),
            " ".join(rng.choice(words, 20)),
        ]
        for _ in range(n)
    ]


def joined(table: list[list[str]]) -> list[str]:
    return [",".join(row) for row in table]


TRAIN, HELD_OUT, NEW = (rows(n, seed) for n, seed in ((400, 1), (200, 2), (200, 3)))


def test_rows_copied_but_for_their_longest_field_are_found() -> None:
    table = [[*TRAIN[i][:4], new[4]] if i < 40 else new for i, new in enumerate(NEW)]
    samples, train, held_out = map(joined, (table, TRAIN, HELD_OUT))
    assert (
        MemorizationTest(records_type(train), samples, train, held_out, options=MemorizationOptions(controls=False))
        .run()
        .detected
    )
    assert (
        not MemorizationTest(RECORDS, samples, train, held_out, options=MemorizationOptions(controls=False))
        .run()
        .detected
    )  # by edits alone they are far away


@pytest.mark.parametrize("seed", range(6))
def test_real_rows_are_not_accused(seed: int) -> None:
    train, held_out, samples = (joined(rows(n, 100 + 3 * seed + i)) for i, n in enumerate((300, 150, 150)))
    assert (
        not MemorizationTest(
            records_type(train), samples, train, held_out, options=MemorizationOptions(seed=seed, controls=False)
        )
        .run()
        .detected
    )


def test_rows_of_frequent_values_are_not_accused() -> None:
    rng = np.random.default_rng(0)
    records = [
        ",".join(f"{name}{rng.integers(k)}" for name, k in zip("abcd", (4, 9, 5, 7), strict=True)) for _ in range(700)
    ]
    train, held_out, samples = records[:400], records[400:550], records[550:]
    result = MemorizationTest(
        records_type(train), samples, train, held_out, options=MemorizationOptions(controls=False)
    ).run()
    assert not result.detected and not result.repeats_too_often


def test_json_objects_are_compared_by_their_values() -> None:
    names = ("kind", "big", "small", "name", "about")

    def objects(table: list[list[str]], **form: object) -> list[str]:
        return [json.dumps(dict(zip(names, row, strict=True)), **form) for row in table]  # type: ignore[arg-type]

    train, held_out, new = (objects(table) for table in (TRAIN, HELD_OUT, NEW))
    respaced = objects(TRAIN, separators=(" ,  ", " : "), sort_keys=True)[:30]
    result = MemorizationTest(
        records_type(train), [*respaced, *new[30:]], train, held_out, options=MemorizationOptions(controls=False)
    ).run()
    assert result.detected and result.identical == 30


def test_a_malformed_row_is_far_from_all_others() -> None:
    records = [*joined(TRAIN), "broken", "broken"]
    form = row_format(records)
    assert form is not None
    distance = FieldDistance(records, np.arange(len(records)), form)
    item, away = distance.nearest(np.array([len(TRAIN)]), np.arange(len(TRAIN) + 2))
    assert item[0] >= 0 and away[0] == 1.0
    assert distance.nearest(np.array([0]), np.array([0]))[0][0] == -1  # items of its own group do not count


def test_other_records_are_compared_by_edits_alone() -> None:
    names = [row[3] for row in TRAIN]
    assert records_type(names) is SHORT_RECORDS
    assert records_type([f"{name},{i}" for i, name in enumerate(names)]) is SHORT_RECORDS  # only two fields
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 200)) for _ in range(60)]
    assert records_type(proteins) is INDEXED_RECORDS  # a search among these takes hardly longer for more pairs
    assert records_type([protein[:60] for protein in proteins]) is LONG_RECORDS


def test_an_index_of_pieces_finds_what_a_search_of_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    ancestor = rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 60)
    changed = rng.random((300, 60)) < 0.3
    relatives = np.where(changed, rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), (300, 60)), ancestor)
    records = list(map("".join, relatives))
    copies = [item_types.edit_text(record, rng) for record in records[:40]]
    indexed = LONG_RECORDS.coarsely()
    assert indexed is not None
    items = [*records, *copies]
    for kind in (LONG_RECORDS, indexed):
        item, distance = kind.distances(items, np.arange(340))[0].nearest(np.arange(300, 340), np.arange(300))
        assert (item == np.arange(40)).all() and distance.max() <= 0.1
