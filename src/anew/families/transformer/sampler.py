"""How a Transformer draws: one token after another, in NumPy, since a step of a small network is mostly the cost of calls.

Legend for shapes: n samples, L tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.random import generator
from anew.core.specs import SampleRequest, Tokens
from anew.families.transformer.mixing import softmax
from anew.families.transformer.ngram_mixer import AT_ONCE, Counting, Watch
from anew.functional import token_choice
from anew.nets.decoder import Decoder
from anew.nets.incremental import Stream

CHUNK = 64  # random numbers of a sample that are drawn at once
PLAIN = (1.0, 0, 1.0, 0.0)  # temperature, top_k, top_p, min_p that change nothing
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Drawn(Protocol):
    """What drawing needs of the family."""

    spec: Tokens
    net: Decoder
    counting: Counting | None
    prefix: int

    def label_ids(self, label: Tensor | None, n: int) -> Tensor: ...


class Drawing:
    """n samples that grow together. Sample i depends on (seed, request.first_index + i) and on what is known alone."""

    def __init__(self, family: Drawn, request: SampleRequest, how: Any, seed: int) -> None:
        self.family, self.request, self.how = family, request, how
        special = family.spec.special
        self.end = special.get("end")
        self.pad = special.get("pad", self.end or 0)
        # In a stream of many documents the end of one is where the next begins.
        self.begin = special.get("begin", self.end)
        self.sources = [generator(seed, "draw", request.first_index + i) for i in range(request.n)]
        self.numbers, self.used = np.zeros((0, 0), dtype=np.float32), 0
        self.plain = (how.temperature, how.top_k, how.top_p, how.min_p) == PLAIN
        self.counting = family.counting if family.counting is not None and family.counting.ready else None

    @torch.inference_mode()
    def __iter__(self) -> Iterator[Tensor]:
        spec, n = self.family.spec, self.request.n
        self.allowed = allowed(spec.special, spec.vocab, self._known())
        start, given = self._start()
        most = self.how.max_tokens or (500 if spec.packed else max(1, spec.length - start.shape[1] + 1))
        ids = np.concatenate((start, np.full((n, most), self.pad, dtype=np.int64)), 1)
        whole = torch.from_numpy(ids)
        ended = np.zeros(n, dtype=bool)
        stream, begun = Stream.open(self.family.net, n), False
        for place in range(start.shape[1], ids.shape[1]):
            token = token_choice.sample_tokens(self._next(stream, ids[:, :place], begun), self._uniform())
            begun = True
            if self.counting is not None:
                self.watch.came(token)
            if self.end is not None:
                token = np.where(ended, self.pad, token)
                ended |= token == self.end
            ids[:, place] = token
            yield whole[:, given : place + 1]  # what it shows is never written again
            if self.end is not None and ended.all():
                return

    def _known(self) -> Ints:
        """(n, L) ids that are given."""
        if self.request.condition is None:
            return np.zeros((self.request.n, 0), dtype=np.int64)
        known = self.request.condition.x.cpu().long()
        return (known.expand(self.request.n, -1) if known.ndim == 1 else known).numpy()

    def _start(self) -> tuple[Ints, int]:
        """(n, L) ids to start from, and how many of them the sample does not show."""
        n, known = self.request.n, self._known()
        if self.begin is not None and (known.shape[1] == 0 or not (known[:, 0] == self.begin).all()):
            return np.concatenate((np.full((n, 1), self.begin), known), 1), 1
        if known.shape[1]:
            return known, 0
        return token_choice.sample_tokens(self._permitted(self._common()), self._uniform())[:, None], 0

    def _common(self) -> Floats:
        """(n, V): without a prompt or a token that begins, the first token is drawn by how common it is."""
        n, vocab = self.request.n, self.family.spec.vocab
        if self.counting is None:
            return np.full((n, vocab), 1 / vocab, dtype=np.float32)
        return self.counting.model.distribution(self.counting.last(np.zeros((n, 0), dtype=np.int64)))

    def _uniform(self) -> Floats:
        """(n,) in [0, 1), the next of each sample's own numbers."""
        place = self.used % CHUNK
        if place == 0:
            self.numbers = np.stack([torch.rand(CHUNK, generator=source).numpy() for source in self.sources], 1)
        self.used += 1
        row: Floats = self.numbers[place]
        return row

    def _permitted(self, probability: Floats) -> Floats:
        """(n, V) without what is not drawn, each row summing to 1."""
        if self.allowed is None:
            return probability
        kept: Floats = probability * self.allowed
        kept /= np.maximum(kept.sum(1, keepdims=True), 1e-30)
        return kept

    def _next(self, stream: Stream, ids: Ints, begun: bool) -> Floats:
        """(n, V) probabilities of what follows ids (n, L); plain draws need no row to sum to 1."""
        fresh = self._fresh(stream, ids, begun)
        if not begun and self.counting is not None:
            self._recall(self.counting, fresh)
        logits = stream.feed(fresh)[:, : self.family.spec.vocab]
        probability: Floats = self._joint(logits, ids)
        if self.plain:
            return probability if self.allowed is None else probability * self.allowed
        how = self.how
        probability = self._permitted(probability / probability.sum(1, keepdims=True))
        # Before the cuts, which count tokens, and after: a high temperature lifts even a zero.
        cut = token_choice.filter_probabilities(
            torch.from_numpy(probability), how.temperature, how.top_k, how.top_p, how.min_p
        )
        uncut: Floats = cut.numpy()
        return self._permitted(uncut)

    def _joint(self, logits: Floats, ids: Ints) -> Floats:
        """(n, V) in proportion to the probability by network and counts together."""
        counting = self.counting
        return softmax(logits)[0] if counting is None else counting.probability(counting.last(ids), logits, self.watch)

    def _recall(self, counting: Counting, fresh: Ints) -> None:
        """What all sides would have said of what is given. fresh: (n, l), labels in front."""
        family, lead = self.family, self.family.prefix
        fresh = fresh[:1] if (fresh == fresh[0]).all() else fresh  # one prompt for all is read once
        known = fresh[:, lead:]
        length = known.shape[1] - 1
        at_once = max(1, AT_ONCE // max(1, length * family.spec.vocab))
        told = np.zeros((2, len(known), length), dtype=np.float32)
        for first in range(0, len(known) if length else 0, at_once):
            some = slice(first, first + at_once)
            ids = torch.from_numpy(fresh[some, :-1]).to(family.net.embed.device)
            logits = family.net(ids)[:, lead:, : family.spec.vocab].flatten(0, 1)
            network = logits.log_softmax(-1).cpu().numpy()
            told[:, some] = counting.told(counting.contexts(known[some, :-1]), network, known[some, 1:])
        watch = Watch(counting, len(known))
        for _ in counting.watched(known, told, watch):
            pass
        self.watch = watch if len(known) == self.request.n else watch.repeated(self.request.n)

    def _fresh(self, stream: Stream, ids: Ints, begun: bool) -> Ints:
        """(n, l) the tokens that the stream has not seen yet, or the later half of a full window, to start again from."""
        family = self.family
        if begun and stream.used < family.net.shape.context:
            return ids[:, -1:]
        # Dropping only the oldest key is not what was trained.
        length = family.spec.length
        fresh = ids[:, -(length if not begun else max(1, length // 2)) :]
        stream.reset()
        if not family.prefix:
            return fresh
        label = family.label_ids(self.request.labels, self.request.n).cpu().numpy()
        return np.concatenate((label[:, None], fresh), 1)


def allowed(special: Mapping[str, int], vocab: int, known: Ints) -> Floats | None:
    """(n, V) zero for the ids that no text of the train part takes, save for a sample whose own start has such; or None."""
    if "rare" not in special:
        return None
    low = special["rare"]
    high = min((i for i in special.values() if i > low), default=vocab)
    block = (np.arange(vocab) >= low) & (np.arange(vocab) < high)  # (V,)
    own = np.any((known >= low) & (known < high), axis=1, keepdims=True)  # (n, 1)
    free: Floats = (~(block & ~own)).astype(np.float32)
    return free
