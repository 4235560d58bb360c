"""Predicts the next token of a new record from similar places in known records.

An expert follows one place step by step and predicts the token there, with the trust that its own hits have earned: the expert
model of Cao, Dix, Allison and Mears, "A simple statistical algorithm for biological sequence compression" (DCC 2007). Unlike a
counted context, it continues after a different token: relatives that share every second residue never share six in a row.

If records have classes, a row of one class follows records of others less: by as much less as known records do.

Legend for shapes: N known tokens, V vocabulary, n rows, E experts of a row, P proposals to a row, B tokens looked back at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Floats, Int32s, Ints
from anew.estimators.class_odds import ClassOdds

# Chosen on a family of proteins (docs/log.md: "Sequences: known records beside a new one"). E and P of 64, B of 32 and a
# sharpness of 0.5 brought held-out clusters from 2.227 to 2.193 bits.
EXPERTS = 64  # E
PROPOSALS = 64  # P: places that a step offers to a row, evenly spread over all that share its last tokens
LOOK_BACK = 32  # B: tokens before a proposal from which its first score is computed
SCORE_DECAY = 0.97  # factor of a score with each token: relatives diverge along the way
HIT_DECAY = 0.95  # factor of an expert's hits and tries with each token
PRIOR_HIT_RATE = 0.45  # hit rate that is expected of a new expert
PRIOR_TRIES = 2.0  # weight of that expectation, in tries
# The largest bound without copies among 300 samples; 1.3% were above 95% identity, with 0.60 it was 6%
MAX_TRUST = 0.55
SHARPNESS = 0.5  # below 1: experts that follow relatives of one another are not independent evidence
CHANCE_HITS = 16  # contexts are so long that about so many places share one at random
# Tokens of records from which substitutions are counted, and of one record: bounds the time
SUBSTITUTION_TOKENS = 50_000
SUBSTITUTION_PRIOR = 20.0  # pseudo-counts of substitutions, divided by the frequencies of tokens
NEARNESS_PRIOR = 2.0  # tokens without a match that nearness counts in addition: the first ones match by chance; chosen
NO_EXPERT = np.float32(-1e9)  # the score of a slot without an expert
ROWS = 256  # rows whose proposals are scored together, which bounds memory
# Odds of classes that are tried, as powers of those that `ClassOdds` estimates, and the share of probes that they are tried on; chosen
ODDS_POWERS, TRIED_SHARE = (0.0, 0.25, 0.5, 0.75, 1.0), 0.25
# Larger odds, by which samples are more surely of their class, may cost this share of the bits of known records; chosen.
MAX_EXCESS = 0.001

PLACES = np.arange(LOOK_BACK)  # (B,) of the tokens that are looked back at, the newest last
# (B, 3) weights of these tokens in scores, hits and matches
WINDOW_WEIGHTS = np.stack([decay ** PLACES[::-1] for decay in (SCORE_DECAY, HIT_DECAY, 1.0)], 1).astype(np.float32)
# (B + 1, 3) their sums over the newest tokens, by how many these are
WINDOW_SUMS = np.concatenate((np.zeros((1, 3)), np.cumsum(WINDOW_WEIGHTS[::-1], 0))).astype(np.float32)


class Prediction(NamedTuple):
    """Predictions of the next token for n rows.

    Attributes:
        probabilities: (n, V), above 0.
        log_odds: (n,) nats of evidence that a relative is followed.
        is_near: (n,) whether it is so near that its experts have the largest trust allowed.
    """

    probabilities: Floats
    log_odds: Floats
    is_near: Bools


class AlignmentIndex:
    """Known records, and the positions of all their short contexts.

    Args:
        ids: (N,) tokens, one record after another.
        lengths: (records,) tokens of each record.
        substitution: (V, V) probability of the column's token where the row's token was predicted and another one came; None
            takes the frequencies of tokens.
        classes: (records,) class of each record, -1 without; None: no record has one.
        class_odds: How much likelier a row follows a record of its class than one of another, 1 or more.

    Attributes:
        record: (N,) record of each token.
        depth: (N,) tokens before it in its record.
        frequencies: (V,) frequency of each token.
        gains: (V + 1, V + 1), see `_gains`.
        windows: (N + 1, B) the tokens before each one, whichever record they are of; -1 before the first.
        context_length: Number of last tokens that a proposed place shares.
    """

    def __init__(
        self,
        ids: Int32s,
        lengths: Ints,
        vocab_size: int,
        substitution: Floats | None = None,
        classes: Ints | None = None,
        class_odds: float = 1.0,
    ) -> None:
        self.ids, self.lengths, self.vocab_size = ids, lengths, vocab_size
        self.classes = np.full(len(lengths), -1, dtype=np.int64) if classes is None else classes
        self.class_odds = class_odds
        self.num_groups = int(self.classes.max(initial=-1)) + 2  # the classes, and records without one
        starts = np.cumsum(lengths) - lengths
        self.record = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        self.depth = (np.arange(len(ids)) - starts[self.record]).astype(np.int32)
        counts = np.bincount(ids, minlength=vocab_size) + 0.5
        self.frequencies: Floats = (counts / counts.sum()).astype(np.float32)
        if substitution is None:
            substitution = _substitution_rows(np.zeros((vocab_size, vocab_size)), self.frequencies)
        self.substitution = substitution
        self.gains = self._gains()
        before = np.concatenate((np.full(LOOK_BACK, -1, dtype=ids.dtype), ids))
        self.windows = np.lib.stride_tricks.sliding_window_view(before, LOOK_BACK)
        self.context_length = suggest_context_length(len(ids), self.frequencies, self.num_groups)
        self.keys, self.positions = self._index()

    @classmethod
    def fit(
        cls,
        sequences: Iterable[Sequence[int] | NDArray[np.integer]],
        vocab_size: int,
        substitution_tokens: int = SUBSTITUTION_TOKENS,
        classes: Sequence[int] = (),
    ) -> AlignmentIndex:
        """Index records. Some of them, of about so many tokens, are predicted from the others, to learn which token substitutes
        which, and how much less they follow records of other classes. classes: of the first sequences, -1 without; () for none."""
        records = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        record_classes = np.full(len(records), -1, dtype=np.int64)
        record_classes[: len(classes)] = classes[: len(records)]
        has_tokens = np.array([len(record) > 0 for record in records], dtype=bool)
        records, record_classes = [record for record in records if len(record)], record_classes[has_tokens]
        if not records:
            records, record_classes = [np.zeros(1, dtype=np.int32)], np.full(1, -1, dtype=np.int64)
        ids = np.concatenate(records)
        lengths = np.array([len(record) for record in records], dtype=np.int64)
        index = cls(ids, lengths, vocab_size, classes=record_classes)
        num_probes = max(1, substitution_tokens // int(lengths.max()))
        probes = np.unique(np.linspace(0, len(records) - 1, num_probes).round().astype(np.int64))
        rows = np.zeros((len(probes), min(int(lengths[probes].max()), substitution_tokens)), dtype=np.int64)
        for row, record in zip(rows, probes, strict=True):
            row[: lengths[record]] = records[record][: len(row)]
        counts = np.zeros((vocab_size, vocab_size))
        experts = index.experts(len(probes), excluded=probes)
        class_odds = ClassOdds(int(record_classes.max()) + 1)
        for position in range(rows.shape[1]):
            if position:
                experts.predict()
                unfinished = np.flatnonzero(position < lengths[probes])
                experts.count_substitutions(counts, unfinished, rows[:, position])
                experts.count_classes(class_odds, unfinished, record_classes[probes])
            experts.observe(rows[:, position])
        substitution = _substitution_rows(counts, index.frequencies)
        odds = class_odds.estimate()
        if odds == 1.0:
            return cls(ids, lengths, vocab_size, substitution)
        index = cls(ids, lengths, vocab_size, substitution, record_classes, odds)
        step = round(1 / TRIED_SHARE)
        index.class_odds = _likeliest_odds(index, probes[::step], rows[::step])
        return index if index.class_odds > 1.0 else cls(ids, lengths, vocab_size, substitution)

    def _gains(self) -> Floats:
        """(V + 1, V + 1) nats by which the column's token is likelier than its frequency says where the row's token was predicted, less
        those of trust. The last row and column stand for missing tokens."""
        log_substitution = np.log(np.maximum(self.substitution, 1e-9))
        np.fill_diagonal(log_substitution, 0.0)
        gains = np.zeros((self.vocab_size + 1, self.vocab_size + 1), dtype=np.float32)
        gains[:-1, :-1] = log_substitution - np.log(self.frequencies)
        return gains

    def _index(self) -> tuple[Ints, Int32s]:
        """The contexts of all positions with `context_length` tokens before them.

        Returns:
            (N',) contexts and the class of the record as one number each, sorted; (N',) position of each.
        """
        positions = np.flatnonzero(self.depth >= self.context_length)
        keys = np.zeros(len(positions), dtype=np.int64)
        for distance in range(self.context_length, 0, -1):
            keys = keys * self.vocab_size + self.ids[positions - distance]
        keys = keys * self.num_groups + self.classes[self.record[positions]] + 1
        order = np.argsort(keys, kind="stable")
        return keys[order], positions[order].astype(np.int32)

    def nearness(self, rows: Ints, lengths: Ints) -> Doubles:
        """(n,) share of a row's tokens (n, L) that it has in common, in order, with the record that shares most of them. lengths: (n,) how
        many tokens count, one at least."""
        experts, nearness = self.experts(len(rows)), np.zeros(len(rows))
        for place in range(rows.shape[1]):
            experts.predict()
            experts.observe(rows[:, place])
            shared = np.where(experts.scores > NO_EXPERT / 2, experts.matches, np.float32(0.0)).max(1)  # (n,)
            nearness = np.where(place < lengths, np.maximum(nearness, shared), nearness)
        return nearness / (lengths + NEARNESS_PRIOR)

    def experts(self, n: int, excluded: Ints | None = None, classes: Ints | None = None) -> AlignmentExperts:
        """Experts for n rows that grow together.

        Args:
            excluded: (n,) the record that a row's experts must not follow.
            classes: (n,) classes of the rows, -1 without; None: no row has one.
        """
        return AlignmentExperts(self, n, excluded, classes)

    def places(self, contexts: Ints, first_group: Ints | int, last_group: Ints | int) -> tuple[Ints, Ints]:
        """(n,) where in `positions` those after contexts (n,) begin, of records of some groups, and how many they are.

        Groups: 0 without a class, class + 1 otherwise."""
        first = np.searchsorted(self.keys, contexts * self.num_groups + first_group)
        return first, np.searchsorted(self.keys, contexts * self.num_groups + last_group, side="right") - first


class AlignmentExperts:
    """The experts of n rows. Rows do not depend on each other.

    Attributes:
        history: (n, B) the last tokens of each row, -1 where there are none yet.
        positions: (n, E) position of the known token that each expert predicts next, -1 without an expert.
        scores: (n, E) nats by which the expert predicted better than the frequencies of tokens.
        hits: (n, E) decayed number of tokens that it predicted correctly.
        tries: (n, E) decayed number of tokens that it predicted.
        matches: (n, E) number of all tokens of the row that its record shares, while it is followed.
    """

    _arrays = ("history", "positions", "scores", "hits", "tries", "matches")

    def __init__(
        self, index: AlignmentIndex, n: int, excluded: Ints | None = None, classes: Ints | None = None
    ) -> None:
        self.index, self.excluded, self.classes = index, excluded, classes
        self.history = np.full((n, LOOK_BACK), -1, dtype=np.int64)
        self.positions = np.full((n, EXPERTS), -1, dtype=np.int32)
        self.scores = np.full((n, EXPERTS), NO_EXPERT)
        self.hits = np.zeros((n, EXPERTS), dtype=np.float32)
        self.tries = np.zeros((n, EXPERTS), dtype=np.float32)
        self.matches = np.zeros((n, EXPERTS), dtype=np.float32)

    def select(self, rows: Ints) -> AlignmentExperts:
        """Rows (k,) of these, by their numbers; a row may be taken several times."""
        excluded = None if self.excluded is None else self.excluded[rows]
        classes = None if self.classes is None else self.classes[rows]
        selected = AlignmentExperts(self.index, len(rows), excluded, classes)
        for name in self._arrays:
            setattr(selected, name, getattr(self, name)[rows])
        return selected

    @classmethod
    def concatenate(cls, parts: Sequence[AlignmentExperts]) -> AlignmentExperts:
        """All rows of parts of one index that exclude no record, one after the other."""
        classes = [part.classes for part in parts if part.classes is not None]
        whole = cls(parts[0].index, 0, None, np.concatenate(classes) if classes else None)
        for name in cls._arrays:
            setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
        return whole

    def predict(self) -> Prediction:
        """Predict the next token."""
        n, index = len(self.positions), self.index
        for first in range(0, n, ROWS):
            self._propose(slice(first, min(first + ROWS, n)))
        scores = self.scores - self._handicap(self.positions, slice(None))  # (n, E)
        log_weights = np.where(self.scores > NO_EXPERT / 2, scores * SHARPNESS, NO_EXPERT)  # (n, E)
        # "No expert" has the log weight 0; all log weights are shifted by the largest.
        largest = np.maximum(log_weights.max(1), 0.0)  # (n,)
        weights = np.exp(log_weights - largest[:, None])
        no_expert = np.exp(-largest)  # (n,)
        total = weights.sum(1) + no_expert
        self._weights = weights / total[:, None]  # (n, E)
        trust = self._trust()  # (n, E)
        # Cells of (n, V), by expert
        cells = (np.arange(n)[:, None] * index.vocab_size + index.ids[self.positions]).ravel()
        trusted = self._sum_by_token(cells, self._weights * trust)  # (n, V)
        distrusted = self._sum_by_token(cells, self._weights - self._weights * trust)  # (n, V)
        probabilities = trusted + distrusted @ index.substitution + (no_expert / total)[:, None] * index.frequencies
        probabilities /= probabilities.sum(1, keepdims=True)
        is_near = (self._weights * (trust >= MAX_TRUST)).sum(1) > 0.5
        return Prediction(probabilities, np.log(total) + largest, is_near)

    def _sum_by_token(self, cells: Ints, weights: NDArray[np.floating]) -> Floats:
        """(n, V) weights (n, E) summed by the cells (n * E,) of their tokens."""
        n, vocab_size = len(weights), self.index.vocab_size
        return np.bincount(cells, weights.ravel(), n * vocab_size).reshape(n, vocab_size).astype(np.float32)

    def observe(self, tokens: Ints) -> None:
        """Update scores, trust and positions by the tokens (n,) that came next."""
        index, is_live = self.index, self.scores > NO_EXPERT / 2
        predicted, token = index.ids[self.positions], tokens[:, None]
        is_hit = predicted == token
        # Nats by which experts predicted the token better than its frequency does
        trust = self._trust()
        gain = np.log(np.where(is_hit, trust, 1.0 - trust)) + index.gains[predicted, token]
        self.scores = np.where(is_live, SCORE_DECAY * self.scores + gain, NO_EXPERT).astype(np.float32)
        self.hits = HIT_DECAY * self.hits + is_hit
        self.tries = HIT_DECAY * self.tries + 1.0
        self.matches += is_hit
        self.positions = np.where(is_live, self.positions + 1, -1).astype(np.int32)
        is_past_end = self.positions >= len(index.ids)
        self.positions[is_past_end] = -1
        has_ended = is_past_end | (index.depth[self.positions] == 0)  # the next record has begun
        self.scores[has_ended], self.positions[has_ended] = NO_EXPERT, -1
        self.history = np.concatenate((self.history[:, 1:], token), 1)

    def count_substitutions(self, counts: Doubles, rows: Ints, tokens: Ints) -> None:
        """Add to `counts` (V, V) the tokens (n,) that came where experts of these rows were wrong; after `predict`."""
        predicted = self.index.ids[self.positions[rows]]
        observed = np.broadcast_to(tokens[rows, None], predicted.shape)
        weight = self._weights[rows] * (1.0 - self._trust()[rows]) * (predicted != observed)
        np.add.at(counts, (predicted, observed), weight)

    def count_classes(self, class_odds: ClassOdds, rows: Ints, classes: Ints) -> None:
        """Add to `class_odds` the weights of the experts of these rows, by the classes of their records; after `predict`. classes: (n,)."""
        record_classes = self.index.classes[self.index.record[self.positions[rows]]]  # (k, E)
        class_odds.add(rows, classes[rows], self._weights[rows].astype(np.float64), record_classes)

    def _handicap(self, positions: Int32s, rows: slice) -> Floats:
        """The loss in score of these rows' experts at positions (n, ...) for following another class. (n, ...) or (1, 1)."""
        if self.classes is None or self.index.class_odds <= 1.0:
            return np.zeros((1, 1), dtype=np.float32)
        of_experts, of_rows = self.index.classes[self.index.record[positions]], self.classes[rows, None]
        is_other = (of_experts >= 0) & (of_rows >= 0) & (of_experts != of_rows)
        handicap: Floats = is_other.astype(np.float32) * np.float32(math.log(self.index.class_odds) / SHARPNESS)
        return handicap

    def _trust(self) -> Floats:
        return _trust(self.hits, self.tries)

    def _propose(self, rows: slice) -> None:
        """Let positions with the same last tokens replace experts that score less."""
        index, history = self.index, self.history[rows]
        classes = None if self.classes is None else self.classes[rows]
        positions, is_good = self._matching_positions(history, classes)  # (n, P)
        is_good &= ~(self.positions[rows, :, None] == positions[:, None, :]).any(1)  # followed already
        if self.excluded is not None:
            is_good &= index.record[positions] != self.excluded[rows, None]
        scores, hits, tries, matches = self._first_scores(history, positions, is_good)  # each (n, P)
        all_scores = np.concatenate((self.scores[rows], scores), 1)  # (n, E + P)
        all_scores = all_scores - self._handicap(np.concatenate((self.positions[rows], positions), 1), rows)
        is_best = np.zeros(all_scores.shape, dtype=bool)  # (n, E + P)
        best = np.argpartition(-all_scores, EXPERTS - 1, axis=1)[:, :EXPERTS]
        np.put_along_axis(is_best, best, values=True, axis=1)
        # A row has as many new ones as slots that become free, so that the two are in the same order
        row, slot = np.nonzero(~is_best[:, :EXPERTS])
        replacements = np.nonzero(is_best[:, EXPERTS:])
        proposals = {"scores": scores, "hits": hits, "tries": tries, "matches": matches, "positions": positions}
        for name, proposed in proposals.items():
            getattr(self, name)[rows][row, slot] = proposed[replacements]

    def _first_scores(self, history: Ints, positions: Int32s, is_good: Bools) -> tuple[Floats, ...]:
        """Scores, hits, tries and matches (n, P) of proposals, from the tokens before them; NO_EXPERT for proposals that are not good."""
        index = self.index
        scores = np.full(positions.shape, NO_EXPERT)
        hits, tries, matches = np.zeros_like(scores), np.zeros_like(scores), np.zeros_like(scores)
        row, column = np.nonzero(is_good)  # K good proposals
        position = positions[row, column]  # (K,)
        # Tokens that both a row and the record have before the place
        num_shared = np.minimum(index.depth[position], (history >= 0).sum(1)[row])  # (K,)
        before, recent = index.windows[position], history[row]  # (K, B), the newest last
        # (K, B), one index of each pair: two are slower. Missing tokens are -1, so theirs count from the end
        gain = index.gains.ravel().take(before * np.int64(len(index.gains)) + recent)
        is_hit = before == recent
        if num_shared.min(initial=LOOK_BACK) < LOOK_BACK:
            exists = LOOK_BACK - num_shared[:, None] <= PLACES  # (K, B)
            is_hit &= exists
            gain *= exists
        shared_hits = is_hit.astype(np.float32) @ WINDOW_WEIGHTS  # (K, 3)
        scored, tried, _ = WINDOW_SUMS[num_shared].T  # each (K,)
        hits[row, column], tries[row, column], matches[row, column] = shared_hits[:, 1], tried, shared_hits[:, 2]
        trust = _trust(shared_hits[:, 1], tried)
        gain_of_trust = shared_hits[:, 0] * np.log(trust) + (scored - shared_hits[:, 0]) * np.log1p(-trust)
        scores[row, column] = gain @ WINDOW_WEIGHTS[:, 0] + gain_of_trust
        return scores, hits, tries, matches

    def _matching_positions(self, history: Ints, classes: Ints | None) -> tuple[Int32s, Bools]:
        """(n, P) positions after the same last tokens, and which of them are valid. Half are of the row's class, if it has one."""
        index = self.index
        recent = history[:, history.shape[1] - index.context_length :]
        contexts = np.zeros(len(recent), dtype=np.int64)
        for column in recent.T:
            contexts = contexts * index.vocab_size + column
        contexts[(recent < 0).any(1)] = -1
        last = index.num_groups - 1
        matches, is_valid = _evenly_spread(*index.places(contexts, 0, last), PROPOSALS)
        if classes is not None and last:
            first, count = index.places(contexts, classes + 1, classes + 1)
            own, is_own = _evenly_spread(first, count, PROPOSALS // 2)
            others, is_other = _evenly_spread(*index.places(contexts, 0, last), PROPOSALS // 2)
            is_other &= (others < first[:, None]) | (others >= (first + count)[:, None])
            has_class = (classes >= 0)[:, None]
            matches = np.where(has_class, np.concatenate((own, others), 1), matches)
            is_valid = np.where(has_class, np.concatenate((is_own, is_other), 1), is_valid)
        if not len(index.positions):  # no record is longer than a context
            return np.zeros(matches.shape, dtype=np.int32), np.zeros(matches.shape, dtype=bool)
        return index.positions[np.minimum(matches, len(index.positions) - 1)], is_valid


def _likeliest_odds(index: AlignmentIndex, probes: Ints, rows: Ints) -> float:
    """The largest odds, from 1 to those of an index, under which records (n,) with these tokens (n, L) are about as probable as they can
    be, given their classes.

    The tokens of a row so far are evidence of its class, and so are the records that it follows: their weights alone overstate the
    odds."""
    lengths, classes, most = index.lengths[probes], index.classes[probes], index.class_odds
    nats: dict[float, float] = {}
    for odds in (most**power for power in ODDS_POWERS):
        index.class_odds, nats[odds] = odds, 0.0
        experts = index.experts(len(probes), excluded=probes, classes=classes)
        for position, tokens in enumerate(rows.T):
            if position:
                unfinished = np.flatnonzero(position < lengths)
                probabilities = experts.predict().probabilities[unfinished, tokens[unfinished]]
                nats[odds] -= float(np.log(probabilities).sum())
            experts.observe(tokens)
    return max(odds for odds in nats if nats[odds] <= min(nats.values()) * (1.0 + MAX_EXCESS))


def _evenly_spread(first: Ints, count: Ints, n: int) -> tuple[Ints, Bools]:
    """(rows, n) numbers from each first (rows,) on, evenly spread over count (rows,) of them, and whether they are among these."""
    number = np.arange(n)  # (n,)
    evenly = (count[:, None] * ((number + 0.5) / n)).astype(np.int64)
    return first[:, None] + np.where(count[:, None] <= n, number, evenly), number < count[:, None]


def suggest_context_length(num_tokens: int, frequencies: Floats, num_groups: int = 1) -> int:
    """Length of the context by which positions among so many known tokens are proposed: about CHANCE_HITS positions match it at random.

    frequencies: (V,) of tokens, above 0. num_groups: of records, whose number stands in 64 bits beside the context."""
    entropy = max(float(-(frequencies * np.log(frequencies)).sum()), 0.1)
    length = round(math.log(max(num_tokens, 1) / CHANCE_HITS) / entropy) if num_tokens > CHANCE_HITS else 1
    longest_key = int(
        (62 - math.log2(num_groups)) / math.log2(max(len(frequencies), 2))
    )  # tokens that fit into one 64-bit number
    return max(2, min(length, LOOK_BACK, longest_key))


def _trust(hits: Floats, tries: Floats) -> Floats:
    """The probability that an expert is right, from its own record."""
    prior_hits, prior_tries = np.float32(PRIOR_HIT_RATE * PRIOR_TRIES), np.float32(PRIOR_TRIES)
    trust: Floats = np.minimum((hits + prior_hits) / (tries + prior_tries), np.float32(MAX_TRUST))
    return trust


def _substitution_rows(counts: Doubles, frequencies: Floats) -> Floats:
    """(V, V) rows of probabilities from observed counts and frequencies of tokens; 0 for the token itself."""
    smoothed = counts + SUBSTITUTION_PRIOR * frequencies
    np.fill_diagonal(smoothed, 0.0)
    rows: Floats = (smoothed / np.maximum(smoothed.sum(1, keepdims=True), 1e-30)).astype(np.float32)
    return rows
