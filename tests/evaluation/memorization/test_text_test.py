"""Copies of parts of texts, among real texts that quote each other, and how the results of both memorization tests are combined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.item_types import cut_passages
from anew.evaluation.memorization.memorization_test import MemorizationOptions
from anew.evaluation.memorization.text_test import EXCERPT, _choose_real, combined, run_text_test

N_TRAIN, N_HELD_OUT, N_SAMPLES = 140, 60, 100


def documents(seed: int) -> list[str]:
    """Texts of ten paragraphs: the first is in all of them; of the others a tenth are quoted from earlier texts."""
    rng = np.random.default_rng(seed)

    def paragraph() -> str:
        return "".join(rng.choice(list("abcdefghijklmnop "), 300))

    licence, texts, paragraphs = paragraph(), [], []
    for _ in range(N_TRAIN + N_HELD_OUT + N_SAMPLES):
        own = [paragraph() if rng.random() > 0.1 or not paragraphs else rng.choice(paragraphs) for _ in range(9)]
        paragraphs.extend(own)
        texts.append("".join([licence, *own]))
    return [texts[i] for i in rng.permutation(len(texts))]


def divided(seed: int, copied: int) -> tuple[list[str], list[str], list[str]]:
    """Samples, training and held-out texts; the first samples are joined from halves of two training texts."""
    texts = documents(seed)
    train, held_out, samples = np.split(np.array(texts, dtype=object), [N_TRAIN, N_TRAIN + N_HELD_OUT])
    for i in range(copied):
        samples[i] = train[2 * i][:1500] + train[2 * i + 1][1500:]
    return list(samples), list(train), list(held_out)


@pytest.mark.parametrize("copied", [0, 5])
def test_samples_joined_from_halves_of_training_texts_are_found(copied: int) -> None:
    """Among the passages that real texts quote they were not noticed."""
    result = run_text_test(*divided(1, copied), options=MemorizationOptions(controls=False))
    assert result.detected == bool(copied)
    if copied:
        samples, train, _ = divided(1, copied)
        assert result.distance == "text that it shares with a single text" and 0.0 < result.low <= 0.05
        assert {pair.sample for pair in result.pairs[:copied]} == set(range(copied))
        for pair in result.pairs[:copied]:
            passage = samples[pair.sample][pair.sample_start :][:256]
            assert train[pair.train][pair.train_start :].startswith(passage)


SAYING_WORDS = ["".join(np.random.default_rng(n).choice(list("aeioubcdlmnrst"), 5)) for n in range(400)]


def sayings(seed: int, count: int) -> list[str]:
    """Short documents of common words, of which none is like another."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(SAYING_WORDS, 16)) for _ in range(count)]


@pytest.mark.parametrize("copied", [0, 3, 12])
def test_samples_that_are_a_whole_training_text_are_counted(copied: int) -> None:
    """20 of 400 sayings were word for word in the data, and the report said "no copies found"."""
    train, held_out, samples = sayings(1, 1500), sayings(2, 150), sayings(3, 200)
    samples[:copied] = [f"{text}\n" for text in train[:copied]]
    result = run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False))
    assert result.identical == copied and result.real_identical == 0 and result.repeats_too_often == (copied > 0)
    assert result.detected == result.has_proven_copies == (copied == 12)  # three are a doubt
    assert copied < 12 or 0.0 < result.low <= copied / 200
    assert not copied or f"{copied} of 200 samples are identical to" in copy_verdict(result).sentence


def spans_of_words(seed: int, count: int) -> list[str]:
    """Spans of 1,016 characters of words, some of which are far more common than others, with set phrases of one to three words."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("aeioubcdlmnrst"), rng.integers(2, 9))) for _ in range(800)]
    common = 1.0 / np.arange(3, 803)
    phrases = [" ".join(rng.choice(words, rng.integers(1, 4), p=common / common.sum())) for _ in range(5000)]
    common = 1.0 / np.arange(20, 5020)
    text = " ".join(rng.choice(phrases, count * 120, p=common / common.sum()))
    return [text[i * 1016 :][:1016] for i in range(count)]


def chains(texts: list[str], order: int, count: int, seed: int) -> list[str]:
    """Texts of letters, each drawn by the `order` letters before it, as often as the texts have it after these."""
    rng, text = np.random.default_rng(seed), "".join(texts)
    following: dict[str, list[str]] = {}
    for i in range(len(text) - order):
        following.setdefault(text[i : i + order], []).append(text[i + order])
    drawn = []
    for start in rng.integers(len(text) - 2 * order, size=count).tolist():
        chain = text[start : start + order]
        while len(chain) < 1016:
            letters = following.get(chain[-order:], [" "])
            chain += letters[rng.integers(len(letters))]
        drawn.append(chain)
    return drawn


def test_a_chain_of_letters_copies_no_passages() -> None:
    """All of its phrases are of the training text, but they are no longer than those that real texts share."""
    spans = spans_of_words(0, 320)
    train, held_out = spans[:240], spans[240:]
    samples = chains(train, 8, 60, 0)
    assert not run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False)).detected
    samples[:12] = [train[5 * i] for i in range(12)]
    copied = run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False))
    assert copied.detected and copied.low <= 0.2


def test_a_few_copied_texts_are_found_where_few_are_held_out() -> None:
    """Labels had to agree, and those of eight training texts hardly can where a tenth is held out."""
    samples, train, held_out = divided(1, 8)
    result = run_text_test(
        samples, [*train, *held_out[20:]], held_out[:20], options=MemorizationOptions(controls=False)
    )
    assert result.detected and result.distance == "text that it shares with a single text"


def test_samples_without_a_part_of_a_training_text_have_no_pair() -> None:
    """Their distance is infinite, which JSON cannot hold."""
    samples, train, held_out = divided(1, 8)
    random = ["".join(np.random.default_rng(i).choice(list("qrstuvwxyz"), 3000)) for i in range(20)]
    pairs = run_text_test([*samples[:10], *random], train, held_out, options=MemorizationOptions(controls=False)).pairs
    assert pairs and all(np.isfinite(pair.distance) and np.isfinite(pair.usual) for pair in pairs)


def test_the_detection_limit_is_that_of_parts_of_texts() -> None:
    """Whole passages were planted, each as if it were of another text: 2% of them were noticed."""
    result = run_text_test(*divided(0, 0))
    assert not result.detected and result.samples == N_SAMPLES and result.train == N_TRAIN
    assert result.detection_limit == 0.1 and result.exact_limit is not None and result.exact_limit >= 0.05


def test_the_memorization_test_that_found_copies_gives_the_result() -> None:
    samples, train, held_out = divided(0, 0)
    clean = run_text_test(samples[:10], train[:20], held_out[:10], options=MemorizationOptions(controls=False))
    copied = replace(clean, detected=True, p=0.004, distance="the other")
    assert all(combined(*pair, clean).distance == "the other" for pair in ((copied, clean), (clean, copied)))
    assert combined(copied, clean, clean).p == 0.008 and combined(clean, clean, clean).distance == clean.distance
    shifted = replace(clean, method="shifted")
    assert combined(copied, shifted, shifted).method == combined(shifted, copied, copied).method == "shifted"
    assert combined(replace(copied, control_p=0.0005), clean, clean).invalid


def test_copies_of_texts_that_have_near_duplicates_are_found() -> None:
    """What a sample copied stood in several training texts, so that it seemed to be a set phrase."""
    samples, train, held_out = divided(1, 10)
    train = [*train[:60], *(text[:-20] for text in train[:60])]
    groups = np.array([*range(60), *range(60), *range(60, 60 + N_HELD_OUT)])
    results = [
        run_text_test(samples[:40], train, held_out, g, options=MemorizationOptions(controls=False))
        for g in (None, groups)
    ]
    assert [result.detected for result in results] == [False, True]
    clean = run_text_test(samples[10:50], train, held_out, groups, options=MemorizationOptions(controls=False))
    assert not clean.detected and clean.n_train_total == clean.train == 60


@pytest.mark.parametrize(("copied", "max_real"), [(5, None), (50, 1_000)])
def test_copies_are_shown_at_their_places_in_groups_and_in_excerpts(copied: int, max_real: int | None) -> None:
    samples, train, held_out = divided(1, copied)
    groups = np.array([*(np.arange(N_TRAIN) % 70), *range(100, 100 + N_HELD_OUT)])  # pairs of texts
    result = run_text_test(
        samples, train, held_out, groups, max_real=max_real, options=MemorizationOptions(controls=False)
    )
    assert result.detected and len(result.pairs) >= 5
    for pair in result.pairs[:5]:
        assert pair.sample < copied
        passage = samples[pair.sample][pair.sample_start :][:16]
        assert train[pair.train][pair.train_start :].startswith(passage)


def test_a_sentence_counts_one_unit() -> None:
    """It said "only 1 of 90 training items" where excerpts of all of them were compared, 1% of the text."""
    samples, train, held_out = divided(0, 0)
    long = (
        ["".join(train[i : i + 7]) for i in range(0, N_TRAIN, 7)],
        ["".join(held_out[i : i + 7]) for i in range(0, 56, 7)],
    )
    excerpts = run_text_test(samples, *long, max_real=400, options=MemorizationOptions(controls=False))
    assert excerpts.unit == "excerpt" and 10 <= excerpts.train <= 20 and excerpts.n_train_total > 80
    assert (
        f"only {excerpts.train} of {excerpts.n_train_total} training excerpts of texts"
        in copy_verdict(excerpts).sentence
    )
    copying = replace(excerpts, detected=True, p=0.001, low=0.1, share=0.1, unit="passage")
    assert copy_verdict(copying).clause.startswith("at least about 10% of the sample passages are ")
    assert "copies of training passages" in copy_verdict(copying).clause
    whole = run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False))
    assert (whole.unit, whole.compared) == ("item", f"{N_TRAIN} of {N_TRAIN} training items")


def test_what_a_small_memorization_test_takes_does_not_depend_on_the_part_that_long_texts_are_in() -> None:
    """It took one long document of the training part and many short ones of the other: no random labels."""
    rng = np.random.default_rng(0)
    long, short = ["x" * 256 * 200] * 5, ["x" * 256] * 100
    extents = []
    for parts in (([*long, *short[:50]], short[50:]), (short[50:], [*long, *short[:50]])):
        chosen = _choose_real(*(cut_passages(part) for part in parts), 60, rng)
        sizes = [np.unique(part.groups, return_counts=True)[1] for part in chosen]
        extents.append([len(size) for size in sizes])
        assert max(size.max() for size in sizes) in (1, EXCERPT)
    assert abs(sum(extents[0]) - sum(extents[1])) <= 1 and extents[0][1] == extents[1][1]
