"""Samples that are identical to training items: few are no proof, but no accident either where real items are all different."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pytest

from anew.core.sequences import Rearranged, by_place
from anew.data.loading.cache import EncodedShard
from anew.data.loading.stored_shards import StoredGrids, StoredShards
from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.identical import ItemKeys, RepeatedItem, RepeatedItems, count_repeats
from anew.evaluation.memorization.item_types import CLIPS, IMAGES, PASSAGES, RECORDS
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.reporting.verdict import Verdict
from scores import score

NONE = RepeatedItems(
    samples=3, items=3, held_out=0, num_samples=183, real=0, num_real=600, num_train=400, num_held_out=200
)


def test_three_copies_are_no_accident_where_no_real_item_repeats_another() -> None:
    assert NONE.p == pytest.approx(0.024, abs=0.001)
    assert replace(NONE, samples=2, items=2).p > 0.05
    assert replace(NONE, samples=0, items=0).p == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"real": 4},  # two pairs of equal real items
        {"items": 1},  # one item, which labels cannot tell
        {"held_out": 1},  # the generator reaches real items by itself
        {"num_samples": 2_000},
        {"num_real": 60},
    ],
)
def test_chance_explains_repeats(changes: dict[str, int]) -> None:
    assert replace(NONE, **changes).p > 0.05


def test_repeats_of_a_distribution_are_the_null() -> None:
    """Draws of Zipf's law, in which real items repeat each other: alarms are rare whatever its exponent, and however few words."""
    rng = np.random.default_rng(0)
    alarms, accused, is_train = [], [], np.arange(600) % 3 > 0
    for exponent, n_words in itertools.product((0.0, 0.5, 1.0), (60, 500, 20_000)):
        weights = np.arange(1, n_words + 1) ** -exponent
        for _ in range(30):
            keys = [[int(word)] for word in rng.choice(n_words, 800, p=weights / weights.sum())]
            repeats = count_repeats(keys[600:], keys[:600], np.arange(600), is_train, lambda i: np.full(len(i), True))
            alarms.append(repeats.p <= 0.05)
            accused.append(repeats.copied_p <= 0.001)
    assert np.mean(alarms) <= 0.05 and sum(accused) <= 1


def test_many_items_that_no_generator_guesses_are_copied() -> None:
    """Ten whole proteins, letter by letter: labels cannot prove it, since twins of all lie in the training part."""
    many = replace(NONE, samples=10, items=10, num_samples=200, num_real=800, num_train=600)
    assert many.copied_p == 1.0  # a generator may reach them by itself
    assert replace(many, unguessable_training=10).copied_p < 1e-5
    assert replace(many, unguessable_training=10, unguessable=1, held_out=1, held_out_samples=1).copied_p == 1.0
    with_held_out = replace(many, unguessable_training=10, unguessable=3, held_out=3, held_out_samples=3)
    assert with_held_out.saw_held_out and with_held_out.copied_p < 1e-5
    assert replace(many, unguessable_training=10, real=40).copied_p > 0.05
    assert replace(many, samples=4, items=4, unguessable_training=4).copied_p > 0.001
    once = replace(many, unguessable_training=10)
    assert once.copied_p == pytest.approx(2.0 * once.different_p(10))  # one of two p
    keys = [[number] for number in range(800)]
    repeats = count_repeats(
        [*keys[:10], *([-number] for number in range(1, 191))],
        keys,
        np.arange(800),
        np.arange(800) < 600,
        lambda i: np.asarray(i < 9),
    )
    assert repeats.unguessable_training == 9 and repeats.copied_p < 1e-4


def test_one_item_that_samples_repeat_again_and_again() -> None:
    item = RepeatedItem(samples=20, real=1)
    repeats = replace(NONE, samples=20, items=1, repeated_items=(item,))
    assert repeats.p < 1e-6 and repeats.copied_p == 1.0  # a generator may reach it by itself
    assert replace(repeats, repeated_items=(replace(item, is_unguessable=True),)).copied_p < 1e-6
    frequent = replace(repeats, real=60, repeated_items=(replace(item, real=60, is_unguessable=True),))
    assert frequent.p > 0.05 and frequent.copied_p > 0.05
    names = replace(repeats, samples=24, items=5, held_out=2, held_out_samples=2, max_other_repeats=2)
    assert names.p < 0.001 and replace(names, max_other_repeats=15).p > 0.05  # others are repeated as often
    assert replace(NONE, samples=6, items=2).p < 0.01  # each of few items a few times


def test_a_picture_that_many_samples_repeat_is_copied() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(800)]
    train, held_out, new = images[:400], images[400:600], images[600:]
    result = MemorizationTest(
        IMAGES, [*new[20:], *train[:1] * 20], train, held_out, options=MemorizationOptions(controls=False)
    ).run()
    assert result.detected and Verdict([], result).grades["novelty"] == "poor"
    assert (
        copy_verdict(result).clause
        == "at least 10% of the samples are copies of training items: 20 of 200 are identical to one"
    )


def test_a_sample_counts_once_and_for_a_training_item_if_possible() -> None:
    is_train = np.array([True, False, True, False, True])
    real = [["a", "b"], ["b", "c"], ["d"], ["e"], ["d"]]
    samples = [["a", "b"], ["c"], ["b"], ["x"], ["e", "d"], []]
    repeats = count_repeats(samples, real, np.array([0, 2, 3]), is_train)
    assert (repeats.samples, repeats.items, repeats.held_out) == (3, 2, 1)
    assert (repeats.num_samples, repeats.real, repeats.num_real, repeats.num_train, repeats.num_held_out) == (
        6,
        2,
        3,
        3,
        2,
    )


def test_keys_that_are_made_when_asked_for_count_as_those_that_are_held() -> None:
    """Also those that no sample has: of the item that two samples repeat, another key is there three times."""
    real = ["ab", "cd", "b", "b", "c"]
    keys = ItemKeys(list[Hashable], real)
    assert [*keys] == [*keys[:]] == [list(item) for item in real] and len(keys[3:]) == 2
    repeats = count_repeats([["a"], ["a"]], keys, np.array([4]), np.array([True] * 4 + [False]))
    assert repeats.repeated_items == (RepeatedItem(samples=2, real=3),) and repeats.real == 1


def test_only_equal_images_and_mirror_images_are_identical() -> None:
    """Images that were shifted by a pixel or brightened are copies, but not identical; all mirrored ones are."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 4)).astype(np.uint8)
    assert IMAGES.keys(image) == IMAGES.keys(image[:, ::-1]) == IMAGES.keys(image.copy())
    others = [np.roll(image, 1, axis=1), image // 2, image[::-1], image[..., :3], rng.integers(0, 256, (16, 16, 4))]
    assert all(IMAGES.keys(other) != IMAGES.keys(image) for other in others)
    clip = rng.integers(0, 256, (5, 8, 8)).astype(np.uint8)
    assert set(CLIPS.keys(clip)) & set(CLIPS.keys(clip[::-1, :, ::-1]))
    assert not set(CLIPS.keys(clip)) & set(CLIPS.keys(255 - clip))
    assert RECORDS.keys("ab") == ["ab"] and PASSAGES.keys("ab") == []


def test_shifted_images_are_copies_but_not_identical() -> None:
    rng = np.random.default_rng(0)
    images = [np.full((12, 12), 90, np.uint8) for _ in range(600)]
    for image in images:  # a plain edge: the distance to a shifted one is 0
        image[3:9, 3:9] = rng.integers(0, 256, (6, 6))
    train, held_out, new = images[:300], images[300:450], images[450:]
    copied = MemorizationTest(
        IMAGES, [*new[30:], *(np.roll(image, 1, axis=1) for image in train[:30])], train, held_out
    ).run()
    assert copied.detected and copied.identical == 0 and "identical" not in copy_verdict(copied).clause


def test_the_answer_is_no_yes_and_names_them() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(783)]
    train, held_out, new = images[:400], images[400:600], images[600:]
    clean = MemorizationTest(IMAGES, new, train, held_out).run()
    few = MemorizationTest(IMAGES, [*new[3:], *train[:3]], train, held_out).run()
    assert not clean.detected and not clean.repeats_too_often and Verdict([], clean).grades["novelty"] == "good"
    assert not few.detected and few.repeats_too_often and Verdict([], few).grades["novelty"] == "fair"
    fact = "3 of 183 samples are identical to a training item; of 600 real items none is"
    assert Verdict([], few).figures["novelty"] == fact and copy_verdict(few).sentence.startswith(
        f"{fact} identical to another. "
    )
    met = copy_verdict(replace(few, held_out_identical=1, seen_p=1.0))
    assert met.clause == fact.replace(";", " and 1 to a held-out one;")


def test_identical_samples_are_named_where_real_items_repeat_as_often() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(780)]
    images[400:420] = images[:20]  # held-out items that are training items, too
    train, held_out, new = images[:400], images[400:600], images[600:]
    result = MemorizationTest(IMAGES, [*new[5:], *train[20:25]], train, held_out).run()
    assert not result.detected and not result.repeats_too_often and result.identical_p is not None
    verdict = copy_verdict(result)
    fact = "5 of 180 samples are identical to a training item"
    assert verdict.clause.startswith(f"{fact}, no more than real items are to each other")
    p = f"{result.identical_p:.2g}"
    usual = "So samples repeat training items no more often than the data repeats itself"
    assert f"identical to another. {usual} (p = {p}). No copies found" in verdict.sentence
    # Somewhat more often than real items repeat each other
    verdict = copy_verdict(replace(result, real_identical=6))
    assert verdict.clause.startswith(f"{fact}, which chance may explain") and "no copies" not in verdict.clause
    assert f"identical to another. Chance may explain that (p = {p}). No copies found" in verdict.sentence
    # A generator that meets real items, also those that it never saw
    met = MemorizationTest(IMAGES, [*new[7:], *train[20:25], *held_out[30:32]], train, held_out).run()
    assert copy_verdict(met).clause.startswith(f"{fact} and 2 to a held-out one, which chance may explain")
    assert "As 2 are identical to a held-out one, chance may explain that" in copy_verdict(met).sentence


def test_copies_are_identical_samples_beyond_chance() -> None:
    repeats = replace(NONE, samples=20, items=20, num_samples=350, num_train=1100, num_held_out=350, num_real=1200)
    copied, low = repeats.copies
    assert copied == 20 and 15 < low < 20
    # Two of 350 held-out items: about six of 1,100 training items
    by_chance = replace(repeats, held_out=2, held_out_samples=2)
    assert by_chance.copies.copied == 12 and by_chance.copies.low < low
    assert replace(repeats, real=70).copies.low == 0  # 70 of 1,200 is as often


def test_a_few_samples_that_are_all_identical_are_not_all_copies_where_real_items_repeat() -> None:
    few = replace(NONE, samples=5, items=5, num_samples=5, num_real=600, real=120)
    assert few.copies.low < few.copies.copied <= 5 and few.copies.low > 0


def test_what_counts_as_identical_is_said() -> None:
    """Mirrored images count, too, and so do clips that share a frame."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(600)]
    train, held_out, new = images[:300], images[300:450], images[450:]
    copied = MemorizationTest(IMAGES, [*new[30:], *(image[:, ::-1] for image in train[:30])], train, held_out).run()
    copied = replace(copied, likeness=IMAGES.likeness)
    assert copied.detected and copied.identical == 30 and copied.share >= 0.2
    assert copy_verdict(copied).clause.endswith(
        f"{copied.identical} of 150 are identical to one or to its mirror image"
    )
    assert "identical to one in a frame" in copy_verdict(replace(copied, likeness=CLIPS.likeness)).sentence


def test_held_out_unguessable_items_excuse_no_copies() -> None:
    """As many of 400 training items are repeated as of 200 held-out ones, which a generator of names may reach by itself."""
    names = replace(NONE, samples=40, items=40, held_out=20, held_out_samples=20)
    assert names.p == 1.0 and not names.saw_held_out
    pictures = replace(names, unguessable=20)
    assert pictures.saw_held_out and pictures.p < 1e-6
    assert not replace(names, unguessable=2).saw_held_out
    assert not replace(pictures, real=120).saw_held_out  # real items repeat each other as often
    assert replace(pictures, samples=0, items=0).saw_held_out


def _made_by_a_generator_that_saw(train: list[str], held_out: list[str], new: list[str]) -> CopyTestResult:
    return MemorizationTest(RECORDS, [*new[:100], *train[:20], *held_out[:10]], train, held_out).run()


def test_a_generator_that_saw_the_held_out_items_is_no_yes() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrst"), 5)) for _ in range(400)]
    texts = list({" ".join(rng.choice(words, 12)) for _ in range(400)})
    result = _made_by_a_generator_that_saw(texts[:200], texts[200:300], texts[300:])
    assert result.detected and result.saw_held_out and Verdict([], result).grades["novelty"] == "poor"
    assert (result.identical, result.held_out_identical) == (20, 10)
    verdict = copy_verdict(result)
    assert verdict.clause == "at least 15% of the samples are copies of training items: 20 of 130 are identical to one"
    assert "Besides, 10 of 130 samples are identical to a held-out item: it has probably seen" in verdict.sentence
    few = MemorizationTest(RECORDS, [*texts[300:], *texts[:2], *texts[200:210]], texts[:200], texts[200:300]).run()
    assert not few.detected and few.saw_held_out and Verdict([], few).grades["novelty"] == "fair"
    fact = f"2 of {few.samples} samples are identical to a training item and 10 to a held-out one"
    assert copy_verdict(few).clause == f"{fact}: the generator has probably seen the held-out items"
    assert copy_verdict(few).sentence.startswith(f"{fact}; of 300 real items none is identical to another. So the")
    assert "misses copies" in copy_verdict(few).sentence and "No copies found" not in copy_verdict(few).sentence
    only_held_out = MemorizationTest(RECORDS, texts[200:300], texts[:200], texts[200:300]).run()
    assert copy_verdict(only_held_out).clause.startswith(
        "100 of 100 samples are identical to a held-out item: the generator"
    )


def test_two_clauses_on_sounds_have_a_comma_between_them() -> None:
    copying = replace(
        MemorizationTest(RECORDS, ["a"], ["b"], ["c"]).run(),
        samples=130,
        identical=2,
        identical_p=0.2,
        held_out_identical=10,
        seen_p=1e-9,
        likeness=", perhaps at another loudness or sample rate",
    )
    assert "sample rate, and 10 to a held-out one" in copy_verdict(copying).clause


def test_names_are_reached_by_chance() -> None:
    rng = np.random.default_rng(0)
    syllables = ["".join(pair) for pair in itertools.product("bdklmnrst", "aeiou")]
    names = list(dict.fromkeys("".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(500)))
    result = _made_by_a_generator_that_saw(names[:200], names[200:300], names[300:])
    assert result.held_out_identical == 10 and not result.saw_held_out and not result.repeats_too_often


def test_a_comparison_with_items_that_were_seen_is_doubted() -> None:
    copying = replace(
        MemorizationTest(RECORDS, ["a"], ["b"], ["c"]).run(), samples=130, held_out_identical=10, seen_p=1e-9
    )
    measured = [score("coverage", 0.8, 0.77, 0.83, 0.95, n=1000, source="x")]
    assert Verdict(measured, copying).figures["variety"].endswith("; but 10 of 130 samples are held-out items")
    alike = [score("coverage", 0.95, 0.92, 0.97, 0.95, n=1000, source="x")]
    assert (
        Verdict(alike, copying).grades["variety"] == "fair"
        and Verdict(alike, replace(copying, seen_p=1.0)).grades["variety"] == "good"
    )
    assert "But 10 of 130 samples are held-out items" in Verdict(measured, copying).sentences()["variety"]
    clean = replace(copying, seen_p=1.0)
    assert "held-out items" not in Verdict(measured, clean).figures["variety"]


def test_stored_pictures_are_read_once_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """In random order each block of pictures would read nearly every shard."""
    monkeypatch.setattr("anew.core.sequences.AT_ONCE", 20)
    values, loaded = np.arange(200).reshape(40, 5), list[int]()

    def encoded(number: int) -> EncodedShard:
        loaded.append(number)
        no_numbers = np.zeros(5, dtype=np.int64)
        return EncodedShard(values[number], no_numbers, no_numbers, np.zeros(5, dtype=np.uint8))

    order = np.random.default_rng(0).permutation(200)
    items = Rearranged(StoredGrids(StoredShards(encoded, range(40), 0), lambda rows: list(rows % 100)), order)
    loaded.clear()
    keys = ItemKeys(lambda item: [int(item)], items)
    assert {number: keys[0] for number, keys in by_place(keys)} == dict(enumerate((order % 100).tolist()))
    assert loaded == list(range(40))
    is_train = np.arange(200) < 100
    repeats = count_repeats([keys[0]], keys, np.arange(100, 200), is_train)
    plain = count_repeats([keys[0]], list(keys), np.arange(100, 200), is_train)
    assert repeats == plain and repeats.real
