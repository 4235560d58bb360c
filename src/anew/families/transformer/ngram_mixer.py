"""The counting head of the Transformer: Kneser-Ney probabilities and, in records of a small alphabet, those of known records
that lie beside the new one, joined to the network's by a gate that sees how sure each side is and how well it did on the
tokens before.

Legend for shapes: n targets, V vocabulary, F features, S sides (network, counts and perhaps aligned records).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anew.core.specs import Batch
from anew.estimators.alignment_experts import Ahead, Aligned
from anew.estimators.kneser_ney import ARRAYS, KneserNey
from anew.families.transformer.mixing import joined, newton, normalise, softmax

EXTRA = 12  # features beside one for each order: see `_features`
BESIDE = 7  # more of them where records are aligned
MEMORY = 0.97  # what a token's weight among those before shrinks to with every further one
PRIOR = 4.0  # tokens' worth of doubt: means over few tokens lie near 0
WORST = -8.0  # nats that one token may count at most, so that features stay in the range of the fit
GAIN = 0.005  # share of the bits of held-out records that known records must save
MOST_EVIDENCE = 30.0  # nats of evidence for a relative; more says no more
AT_ONCE = 8_388_608  # log-probabilities that are joined at a time; bounds memory
KINDS = {"contexts": torch.int64, "starts": torch.int64, "tokens": torch.int32}
ALIGNED = {"aligned_ids": torch.int32, "aligned_lengths": torch.int64, "aligned_change": torch.float32}
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Pair = tuple[Floats, Floats]  # probabilities and their logarithms, each (n, V)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gate sees of n targets. found: (order+1, n) contexts; network: (n, V) log-probabilities; past: (n, S) how each
    side did before; of aligned records, or None: (n, V) log-probabilities, (n,) nats of evidence, (n,) whether one is near."""

    found: Ints
    network: Floats
    past: Doubles
    aligned: Floats | None = None
    evidence: Floats | None = None
    near: NDArray[np.bool_] | None = None

    def rows(self, which: NDArray[np.bool_] | Ints) -> Seen:
        """Of the targets that a mask or numbers choose."""
        return self._each(lambda name, value: value[:, which] if name == "found" else value[which])

    @classmethod
    def joined(cls, parts: Sequence[Seen]) -> Seen:
        """Of all parts, one behind the other."""
        names = [one.name for one in fields(cls) if getattr(parts[0], one.name) is not None]
        return cls(**{n: np.concatenate([getattr(p, n) for p in parts], int(n == "found")) for n in names})

    def _each(self, change: Callable[[str, NDArray[Any]], NDArray[Any]]) -> Seen:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Seen(**{name: change(name, value) for name, value in values.items() if value is not None})


class Past:
    """How well each of S sides foretold the tokens so far in n rows: decayed means of their log-probabilities.

    A record without relatives in the train part, or a text by another hand, shows itself by counts that did badly.
    """

    def __init__(self, n: int, sides: int = 2) -> None:
        self._sums, self._weight = np.zeros((n, sides)), 0.0

    @property
    def means(self) -> Doubles:
        """(n, S) nats of each side, 0 before the first token."""
        return self._sums / (self._weight + PRIOR)

    def repeated(self, n: int) -> Past:
        """n rows of what this one row has shown."""
        other = Past(n, self._sums.shape[1])
        other._sums, other._weight = self._sums.repeat(n, 0), self._weight
        return other

    def add(self, *told: NDArray[np.floating]) -> None:
        """The next token of every row came; (n,) log-probabilities that each side gave it."""
        self._sums *= MEMORY
        for column, side in zip(self._sums.T, told, strict=True):
            column += np.maximum(side, WORST)
        self._weight = MEMORY * self._weight + 1.0


class Watch:
    """What n rows that grow together have shown so far."""

    def __init__(self, counting: Counting, n: int) -> None:
        self.past = Past(n, counting.sides)
        self.following = counting.records.follow(n) if counting.aligned else None
        self._offered: list[Floats] = []

    def repeated(self, n: int) -> Watch:
        """n rows that have all shown what this one row has."""
        other = copy(self)
        other.past = self.past.repeated(n)
        other.following = None if self.following is None else self.following.repeated(n)
        return other

    def begin(self, ids: Ints) -> None:
        """ids: (n,) that stand in front, and are no targets."""
        if self.following is not None:
            self.following.came(ids)

    def offer(self, sides: Sequence[Floats]) -> None:
        """S of (n, V) log-probabilities of what comes next, kept until `came` says what it was."""
        self._offered = list(sides)

    def came(self, tokens: Ints) -> None:
        """tokens: (n,) that were drawn after the last offer."""
        rows = np.arange(len(tokens))
        self.past.add(*(side[rows, tokens] for side in self._offered))
        self.begin(tokens)


class Counting(nn.Module):
    """Counts, known records and gate as buffers. aligned: whether records are looked at side by side."""

    gate: Tensor

    def __init__(self, vocab: int, order: int, aligned: bool = False) -> None:
        super().__init__()
        self.vocab, self.order, self.aligned = vocab, order, aligned
        self.sides = 3 if aligned else 2
        gate = torch.zeros(self._wide(aligned), self.sides, dtype=torch.float64)
        gate[-1] = 1 / self.sides
        self.register_buffer("gate", gate)
        self._model: KneserNey | None = None
        self._records: Aligned | None = None
        self._gate = gate.numpy()
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())  # type: ignore[no-untyped-call]

    @property
    def ready(self) -> bool:
        """Whether anything has been counted."""
        return "contexts_0" in self._buffers

    def learn(self, sequences: Iterable[Ints]) -> None:
        """Count token sequences that do not continue each other."""
        sequences = list(sequences)
        arrays = KneserNey.fit(sequences, self.vocab, self.order).arrays()
        if self.aligned:
            known = Aligned.fit(sequences, self.vocab)
            arrays |= dict(zip(ALIGNED, (known.ids, known.lengths, known.change), strict=True))
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array).to(self.gate.device))
        self.forget()

    def make_room(self, shapes: Mapping[str, torch.Size]) -> None:
        """Empty buffers for a state dict, whose names come without prefix."""
        if "gate" in shapes and shapes["gate"] != self.gate.shape:  # its fit found no use for known records
            self._without_records()
            self.register_buffer("gate", torch.zeros(shapes["gate"], dtype=torch.float64, device=self.gate.device))
        levels = (f"{name}_{k}" for k in range(self.order + 1) for name in ARRAYS)
        for name in (*levels, *ALIGNED):
            if name in shapes:
                kind = ALIGNED.get(name) or KINDS.get(name.rpartition("_")[0], torch.float32)
                self.register_buffer(name, torch.zeros(shapes[name], dtype=kind, device=self.gate.device))
        self.forget()

    def forget(self) -> None:
        """The buffers have changed."""
        self._model = self._records = None

    @property
    def model(self) -> KneserNey:
        if self._model is None:
            arrays = {n: b.cpu().numpy() for n, b in self.named_buffers() if n != "gate" and n not in ALIGNED}
            self._model = KneserNey.restore(self.vocab, arrays)
            self._gate = self.gate.cpu().numpy()
        return self._model

    @property
    def records(self) -> Aligned:
        """The train part's, where `aligned`."""
        if self._records is None:
            ids, lengths, change = (self.get_buffer(name).cpu().numpy() for name in ALIGNED)
            self._records = Aligned(ids, lengths, self.vocab, change)
        return self._records

    def contexts(self, ids: Ints) -> Ints:
        """ids: (B, L) -> contexts (order+1, B*L) of what follows each id, none across rows."""
        rows, length = ids.shape
        # A walk wants a target at each place: a row grows by one, whose value is never looked at.
        grown = np.zeros((rows, length + 1), dtype=np.int64)
        grown[:, :-1] = ids
        places = np.arange(1, length + 1)
        at = (np.arange(rows)[:, None] * (length + 1) + places).ravel()
        return self.model.walk(grown.ravel(), np.tile(places, rows), at)

    def last(self, ids: Ints) -> Ints:
        """ids: (n, L) -> contexts (order+1, n) of what follows each row."""
        recent = ids[:, max(0, ids.shape[1] - self.order) :].tolist()
        return np.array([self.model.tail(row) for row in recent], dtype=np.int64).T

    def look(self, ids: Ints, network: Floats) -> Seen:
        """What the gate sees of the targets ids[:, 1:]. ids: (B, L+1), network: (B*L, V) log-probabilities."""
        found = self.contexts(ids[:, :-1])
        shape = (len(ids), ids.shape[1] - 1)
        past = np.empty((*shape, self.sides))
        aligned = np.empty((*shape, self.vocab if self.aligned else 0), dtype=np.float32)
        evidence, near = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=bool)
        told = self.told(found, network, ids[:, 1:])
        for place, (means, ahead) in enumerate(self.watched(ids, told, Watch(self, len(ids)))):
            past[:, place] = means
            if ahead is not None:
                np.log(ahead.chance, out=aligned[:, place])
                evidence[:, place], near[:, place] = ahead.evidence, ahead.near
        seen = Seen(found, network, past.reshape(-1, self.sides))
        if not self.aligned:
            return seen
        return replace(seen, aligned=aligned.reshape(-1, self.vocab), evidence=evidence.ravel(), near=near.ravel())

    def told(self, found: Ints, network: Floats, targets: Ints) -> Floats:
        """found: (order+1, B*L) contexts, network: (B*L, V) log-probabilities, targets: (B, L) -> (2, B, L) log-probabilities
        that network and counts gave the targets."""
        flat = targets.ravel()
        both = network[np.arange(len(flat)), flat], np.log(self.model.probability(found, flat))
        return np.stack(both).reshape(2, *targets.shape)

    def watched(self, ids: Ints, told: Floats, watch: Watch) -> Iterator[tuple[Doubles, Ahead | None]]:
        """Show `watch` the ids (B, L+1), of whose targets network and counts told (2, B, L). Before each target: how all sides
        did so far (B, S), and what `Following.ahead` says."""
        rows = np.arange(len(ids))
        watch.begin(ids[:, 0])
        for place, tokens in enumerate(ids[:, 1:].T):
            ahead = None if watch.following is None else watch.following.ahead()
            yield watch.past.means, ahead
            beside = () if ahead is None else (np.log(ahead.chance[rows, tokens]),)
            watch.past.add(*told[:, :, place], *beside)
            watch.begin(tokens)

    def mix(self, seen: Seen) -> Floats:
        """(n, V) log-probabilities of all sides together."""
        return normalise(self._joined(seen.found, self._pairs(seen), seen.past, seen.evidence))

    def probability(self, found: Ints, logits: Floats, watch: Watch) -> Floats:
        """found: (order+1, n) contexts, logits: (n, V) of the network -> (n, V) in proportion to the joint probability.
        `watch` is told what all sides say and wants to hear what came."""
        counted = self.model.distribution(found)
        pairs, evidence = [softmax(logits), (counted, np.log(counted))], None
        if watch.following is not None:
            chance, evidence, _ = watch.following.ahead()
            pairs.append((chance, np.log(chance)))
        watch.offer([log for _, log in pairs])
        score = self._joined(found, pairs, watch.past.means, evidence)
        np.exp(score, out=score)
        return score

    def fit(self, seen: Seen, targets: Ints) -> None:
        """Set the gate from held-out targets (n,). Known records stay where they foretell these better by a GAIN."""
        alone = replace(seen, past=seen.past[:, :2], aligned=None, evidence=None, near=None)
        gate, loss = self._fitted(alone, targets)
        if self.aligned:
            wider, other = self._fitted(seen, targets)
            if other < (1.0 - GAIN) * loss:
                gate = wider
            else:
                self._without_records()
        self._gate = gate
        self.register_buffer("gate", torch.from_numpy(gate).to(self.gate.device))

    def _fitted(self, seen: Seen, targets: Ints) -> tuple[Doubles, float]:
        """A gate and its mean nats. Records that are nearly copies of known ones have no part in it where there are others:
        they would teach it to draw copies."""
        far = np.arange(len(targets)) if seen.near is None else np.flatnonzero(~seen.near)
        some, wanted = (seen.rows(far), targets[far]) if len(far) else (seen, targets)
        pairs = self._pairs(some)
        features = self._features(some.found, pairs, some.past, some.evidence)
        self._gate = newton(features, [log for _, log in pairs], wanted)
        return self._gate, -float(self.mix(seen)[np.arange(len(targets)), targets].mean(dtype=np.float64))

    def _without_records(self) -> None:
        """Known records are of no use."""
        for name in ALIGNED:
            self._buffers.pop(name, None)
        self.aligned, self.sides, self._records = False, 2, None

    def _pairs(self, seen: Seen) -> list[Pair]:
        """Probabilities and their logarithms of each side."""
        counted = self.model.distribution(seen.found)
        logs = [seen.network] if seen.aligned is None else [seen.network, seen.aligned]
        pairs = [(np.exp(log), log) for log in logs]
        return [pairs[0], (counted, np.log(counted)), *pairs[1:]]

    def _joined(self, found: Ints, pairs: Sequence[Pair], past: Doubles, evidence: Floats | None) -> Floats:
        return joined(self._features(found, pairs, past, evidence), self._gate, [log for _, log in pairs])

    def _features(self, found: Ints, pairs: Sequence[Pair], past: Doubles, evidence: Floats | None) -> Doubles:
        """(n, F): the longest order seen (one of order+1), log of the types that followed it, the mass it leaves to shorter
        ones, entropy and peak of the network and of the counts, how both did before with squares and product; of aligned
        records entropy, peak, evidence and how they did before, with its square and products; 1."""
        n, order = found.shape[1], self.order
        if n == 1:
            more = None if evidence is None else float(evidence[0])
            return self._feature_row(found[:, 0].tolist(), pairs, past[0].tolist(), more)
        longest = (found >= 0).sum(0) - 1  # (n,)
        out = np.zeros((n, self._wide(evidence is not None)))
        out[np.arange(n), longest] = 1.0
        for k in set(longest.tolist()):
            rows = np.flatnonzero(longest == k)
            level, context = self.model.levels[k], found[k, rows]
            out[rows, order + 1] = np.log(np.maximum(level.starts[context + 1] - level.starts[context], 1))
            out[rows, order + 2] = level.backoff[context]
        for place, (chance, log) in zip((3, 5, EXTRA), pairs, strict=False):
            out[:, order + place] = -np.vecdot(chance, log)
            out[:, order + place + 1] = chance.max(1)
        out[:, order + 7 : order + 9] = past[:, :2]
        out[:, order + 9 : order + 11] = past[:, :2] ** 2
        out[:, order + 11] = past[:, 0] * past[:, 1]
        if evidence is not None:
            out[:, order + EXTRA + 2] = np.minimum(evidence, MOST_EVIDENCE) / 10
            out[:, order + EXTRA + 3] = past[:, 2]
            out[:, order + EXTRA + 4 : -1] = past[:, 2:] * past
        out[:, -1] = 1.0
        return out

    def _wide(self, aligned: bool) -> int:
        """Number of features."""
        return self.order + 1 + EXTRA + (BESIDE if aligned else 0)

    def _feature_row(
        self, found: Sequence[int], pairs: Sequence[Pair], past: Sequence[float], evidence: float | None
    ) -> Doubles:
        """`_features` of one target in plain numbers: most of a sampler's single step is the cost of calls."""
        order = self.order
        longest = sum(place >= 0 for place in found) - 1
        level, context = self.model.levels[longest], found[longest]
        out = np.zeros((1, self._wide(evidence is not None)))
        row = out[0]
        row[longest] = row[-1] = 1.0
        row[order + 1] = math.log(max(int(level.starts[context + 1]) - int(level.starts[context]), 1))
        row[order + 2] = level.backoff[context]
        for place, (chance, log) in zip((3, 5, EXTRA), pairs, strict=False):
            row[order + place] = -chance[0].dot(log[0])
            row[order + place + 1] = chance[0].max()
        one, two = past[:2]
        row[order + 7 : order + EXTRA] = (one, two, one * one, two * two, one * two)
        if evidence is not None:
            three = past[2]
            row[order + EXTRA + 2 : -1] = (
                min(evidence, MOST_EVIDENCE) / 10,
                three,
                three * one,
                three * two,
                three * three,
            )
        return out


def sequences(sweep: Iterable[Batch], most: int) -> Iterator[Ints]:
    """Token sequences of a sweep's batches, at most `most` tokens in all."""
    left = most
    for batch in sweep:
        counted = None if batch.mask is None else batch.mask.sum(1).long().tolist()
        for i, row in enumerate(batch.x.cpu().numpy()):
            ids = row if counted is None else row[: int(counted[i]) + 1]
            yield ids[:left].astype(np.int64)
            left -= len(ids)
            if left <= 0:
                return
