"""Context mixing: a proper distribution, the same token by token as at once, that learns and adapts."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing.counts import CLASS
from anew.estimators.context_mixing.joint import JointWeights
from anew.estimators.context_mixing.mixer import ContextMixer, select_memory

SPELLINGS = (b"a", b"b", b"c", b" ", b"\n", b"ab", b" c", b"\0")
VOCAB = len(SPELLINGS)


def text(n: int, seed: int = 0) -> np.ndarray:
    """A text with a rule: after each token come mostly two others."""
    rng = np.random.default_rng(seed)
    tokens = [0]
    for choice in rng.random(n - 1):
        tokens.append((3 * tokens[-1] + 1 + (choice > 0.5)) % VOCAB if choice < 0.95 else int(choice * 1000) % VOCAB)
    return np.array(tokens, dtype=np.int32)


@pytest.fixture(scope="module")
def mixer() -> ContextMixer:
    fitted = ContextMixer.fit(SPELLINGS, text(3000))
    rng = np.random.default_rng(1)
    fitted.joint = JointWeights(
        *(weights + rng.normal(0, 0.1, weights.shape).astype(np.float32) for weights in fitted.joint)
    )
    return fitted


def network(n: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 3, (n, VOCAB))
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def test_token_by_token_is_as_all_at_once_and_sums_to_one(mixer: ContextMixer) -> None:
    tokens, probabilities = text(300, seed=2), network(300)
    contexts, orders = mixer.read(mixer.document(300), tokens)
    logits = mixer.network_logits(probabilities, tokens.astype(np.int64))
    at_once = mixer.log_probs(tokens, contexts, logits, orders, mixer.document_joint())
    rows, joint = mixer.rows(2, 300), mixer.joints(2)
    for place, token in enumerate(tokens):
        beside = probabilities[[place, place]]
        mixed = mixer.step(rows, joint, beside)
        np.testing.assert_allclose(mixed.sum(1), 1.0, atol=1e-5)
        np.testing.assert_allclose(np.log(mixed[:, token]), at_once[place], atol=1e-3)
        mixer.draw(rows, joint, beside, np.zeros(2, dtype=np.float32), np.array([token, token]))
        mixer.observe(rows, np.array([token, token]))


def test_rows_do_not_depend_on_each_other(mixer: ContextMixer) -> None:
    tokens = np.stack([text(50, seed) for seed in range(3)], 1).astype(np.int64)
    together, alone = mixer.rows(3, 50), [mixer.rows(1, 50) for _ in range(3)]
    for place, column in enumerate(tokens):
        mixed = mixer.step(together, mixer.joints(3), network(3, place))
        mixer.observe(together, column)
        for row, memory in enumerate(alone):
            single = mixer.step(memory, mixer.joints(1), network(3, place)[row : row + 1])
            assert np.array_equal(single[0], mixed[row])
            mixer.observe(memory, column[row : row + 1])


def test_what_is_drawn_follows_the_distribution(mixer: ContextMixer) -> None:
    n = 4000
    rows = mixer.rows(1, 20)
    for token in text(12, seed=7).astype(np.int64):
        mixer.observe(rows, np.array([token]))
    repeated, probabilities = select_memory(rows, np.zeros(n, np.int64)), network(1, 8).repeat(n, 0)
    expected = mixer.step(rows, mixer.joints(1), probabilities[:1])[0]
    tokens = np.full(n, -1)
    chances = mixer.draw(
        repeated, mixer.joints(n), probabilities, ((np.arange(n) + 0.5) / n).astype(np.float32), tokens
    )
    np.testing.assert_allclose(np.bincount(tokens, minlength=VOCAB) / n, expected, atol=2 / n)
    np.testing.assert_allclose(chances, expected[tokens], rtol=1e-4)
    given_chances = mixer.draw(repeated, mixer.joints(n), probabilities, np.zeros(n, dtype=np.float32), tokens.copy())
    np.testing.assert_allclose(given_chances, chances)


def test_with_min_p_the_tokens_that_stay_are_exact_and_other_rows_are_left_out(mixer: ContextMixer) -> None:
    rows = mixer.rows(3, 64)
    for token in (1, 2, 3):
        mixer.observe(rows, np.full(3, token))
    probabilities = network(3, 5)
    exact = mixer.step(rows, mixer.joints(3), probabilities)
    for min_p in (0.02, 0.2, 1.0):
        wanted = np.array([True, False, True])
        cut = mixer.step(rows, mixer.joints(3), probabilities, wanted, np.full(3, min_p, dtype=np.float32))
        assert not cut[1].any() and np.allclose(cut.sum(1), [1.0, 0.0, 1.0], atol=1e-4)
        stays = exact >= min_p * exact.max(1, keepdims=True)
        stays[1] = False
        assert np.array_equal(cut[stays], exact[stays])
        assert (cut[~stays & wanted[:, None]] < min_p * exact.max()).all()


def test_a_restored_mixer_is_the_same(mixer: ContextMixer) -> None:
    tokens = text(200, seed=3)
    restored = ContextMixer.restore(SPELLINGS, {name: array.copy() for name, array in mixer.arrays().items()})
    expected, _ = mixer.read(mixer.document(200), tokens)
    assert restored.base is mixer.base  # nothing is read twice in a process
    restored._read_train(0)  # as in another process
    assert np.array_equal(restored.read(restored.document(200), tokens)[0], expected)
    for fitted, again in zip(mixer.base, restored.base, strict=True):
        assert np.array_equal(fitted, again)


def test_a_fit_is_the_same_every_time() -> None:
    first, second = (ContextMixer.fit(SPELLINGS, text(500)).arrays() for _ in range(2))
    assert all(np.array_equal(array, second[name]) for name, array in first.items())


def test_more_room_changes_nothing(mixer: ContextMixer) -> None:
    tokens = text(120, seed=4).astype(np.int64)
    small, large = mixer.rows(1, 64), mixer.rows(1, 128)
    for token in tokens[:60]:
        for rows in (small, large):
            mixer.observe(rows, np.array([token]))
    grown = mixer.resized(small, 128)
    assert np.array_equal(*(mixer.step(rows, mixer.joints(1), network(1)) for rows in (grown, large)))


def test_documents_of_a_class_are_predicted_by_what_its_own_documents_said() -> None:
    """After a line end follows `a` in one class and `b` in the other, which nothing else tells."""
    rng = np.random.default_rng(0)

    def document(label: int) -> list[int]:
        return [token for _ in range(12) for token in (label, *rng.integers(2, 4, 3).tolist(), 4)] + [7]

    documents = [document(number % 2) for number in range(60)]
    starts = np.cumsum([0, *map(len, documents[:-1])])
    words = np.array([token for tokens in documents for token in tokens], dtype=np.int32)
    classes = np.stack((starts, np.arange(60) % 2))
    by_class = ContextMixer.fit(SPELLINGS, words, classes=classes)
    restored = ContextMixer.restore(SPELLINGS, by_class.arrays())
    for fitted in (by_class, restored):
        rows, beside = fitted.rows(3, 4, np.array([0, 1, -1])), np.full((3, VOCAB), 1 / VOCAB, dtype=np.float32)
        fitted.observe(rows, np.array([7, 7, 7]))
        assert fitted.resized(rows, 8).history[:, CLASS].tolist() == [1, 2, 0]
        first = fitted.step(rows, fitted.joints(3), beside)
        assert first[0, 0] > 2 * first[0, 1] and first[1, 1] > 2 * first[1, 0]
    right, wrong = (by_class.document(200, label) for label in (0, 1))
    held_out = np.array(document(0)[:20], dtype=np.int32)
    assert np.array_equal(by_class.arrays()["classes"], classes)
    logits = [by_class.read(memory, held_out[:1])[0][0, 0] for memory in (right, wrong)]
    assert logits[0] != logits[1]


def nats(mixer: ContextMixer, tokens: np.ndarray) -> float:
    contexts, orders = mixer.read(mixer.document(len(tokens)), tokens)
    alone = ContextMixer.restore(SPELLINGS, mixer.arrays())
    alone.joint = JointWeights(
        *(np.tile(np.array([1, 0, 0], np.float32), (len(weights), 1)) for weights in mixer.joint)
    )
    return float(-alone.log_probs(tokens, contexts, np.zeros_like(contexts), orders, alone.joint, rate=0.0).mean())


def test_it_learns_the_rule_of_a_text(mixer: ContextMixer) -> None:
    # Two choices of about .475 and a rest of .05 among the others: about .9 nats.
    assert nats(mixer, text(1000, seed=5)) < 1.1 < np.log(VOCAB) / 1.5


def test_a_document_that_repeats_itself_becomes_cheap(mixer: ContextMixer) -> None:
    piece = np.random.default_rng(6).integers(0, VOCAB, 60).astype(np.int32)
    assert nats(mixer, np.tile(piece, 6)) < 0.6 * nats(mixer, piece)


def test_an_empty_train_part_knows_nothing() -> None:
    empty = ContextMixer.fit(SPELLINGS, np.zeros(0, dtype=np.int32))
    mixed = empty.step(empty.rows(1, 4), empty.joints(1), np.full((1, VOCAB), 1 / VOCAB, dtype=np.float32))
    np.testing.assert_allclose(mixed.sum(), 1.0, atol=1e-5)


def test_a_bracket_is_closed_by_its_own_kind() -> None:
    """What was opened before the last six tokens, and differs from one place to the next, no other kind of context can tell."""
    spellings = (b"(", b"[", b")", b"]", b" x", b" y", b"\n", b"\0")
    rng = np.random.default_rng(0)
    blocks = [[kind, *rng.integers(4, 6, 9), 2 + kind, 6] for kind in rng.integers(0, 2, 300).tolist()]
    mixer = ContextMixer.fit(spellings, np.concatenate(blocks[:260]).astype(np.int32))
    rows, network, are_right = mixer.rows(1, 600), np.full((1, VOCAB), 1 / VOCAB, dtype=np.float32), []
    for block in blocks[260:]:
        for place, token in enumerate(block):
            if place == 10:
                mixed = mixer.step(rows, mixer.joints(1), network)[0]
                are_right.append(mixed[token] > 4 * mixed[5 - token])
            mixer.observe(rows, np.array([token]))
    assert np.mean(are_right) > 0.95
