"""Text: how well unseen text is predicted, beside naive models, and how generated text compares with held-out text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import Tokens
from anew.evaluation.base import MOST, Evaluation, Evidence, Pool
from anew.evaluation.features.kmers import FEATURES, NAME, Kmers, bigrams
from anew.evaluation.memorization.item_types import PASSAGES, RECORDS, audit_texts, passages
from anew.evaluation.memorization.item_types import WIDTH as PIECE
from anew.evaluation.memorization.nearest import codes, edit_distances, longest_matches
from anew.evaluation.memorization.result import Copies
from anew.evaluation.metrics import baselines
from anew.evaluation.metrics.statistics import Score, ratio_interval
from anew.evaluation.metrics.text_statistics import Statistics
from anew.evaluation.reporting.content import Beside, Item, Shown

ORDER = 6  # characters of context of the counting model
TRAIN_MOST, TEST_MOST = 4_000_000, 1_000_000  # characters that naive models read: they hold all counts in memory
SHOWN = 12
CONTEXT = 60  # characters of training text shown around a passage
KNOWN_MOST = 16_000_000  # training characters that are searched for passages
SEARCH_SECONDS = 6.0  # that the search of so many may take


class TextEvaluation(Evaluation):
    """bits_per_character of the test part with naive rows, then statistics of generated text with held-out text beside.

    Every statistic of samples compares n characters of them with n held-out characters cut into the same lengths; its
    floor is n training characters in their place.
    """

    noun = "texts"
    features = f"{FEATURES} features ({NAME})"
    unit = "character"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        spec = evidence.spec
        self.records = isinstance(spec, Tokens) and not spec.packed
        self.kind = RECORDS if self.records else PASSAGES
        self._texts: dict[tuple[str, int], list[str]] = {}

    scored_s = 0.0  # seconds that scoring the whole model took

    def embedder(self, train: Sequence[Any]) -> Callable[[Sequence[Any]], NDArray[Any]]:
        return Kmers(train)

    def naive(self, train: Sequence[Any], n: int, source: np.random.Generator) -> list[Any]:
        return list(bigrams(train, n, source))

    def items(self, part: str, n: int) -> list[Any]:
        """Records; of other texts pieces of PIECE characters, in an order of chance."""
        if self.records:
            return [str(t) for t in super().items(part, n) if t]
        if part == "samples":
            return self._cut([str(s) for s in self.evidence.samples])[:n]
        return self._cut(self._part(part, TRAIN_MOST if part == "train" else TEST_MOST))[:n]

    def _cut(self, texts: Sequence[str]) -> list[str]:
        pieces = [t for t in passages(texts, PIECE).texts if len(t) == PIECE]
        return [pieces[i] for i in np.random.default_rng(self.evidence.seed).permutation(len(pieces))]

    def size(self, pool: Pool) -> int:
        return super().size(pool) if self.records else sum(map(len, [*pool.train, *pool.held])) // PIECE

    def audited(self, pool: Pool, most: int | None, samples: int) -> Copies:
        if self.records:
            return super().audited(pool, most, samples)
        made = [str(s) for s in self.evidence.samples[:samples]]
        how: dict[str, Any] = {"drawn": pool.drawn, "seed": self.evidence.seed, "left": self.whole.left}
        found = audit_texts(made, pool.train, pool.held, most=MOST, most_real=most, **how)

        def piece(text: str, start: int) -> str:
            return text[start : start + PIECE]

        self.suspects = [
            self.beside(
                piece(made[p.sample], p.sample_start), piece(pool.train[p.train], p.train_start), p.distance, p.usual
            )
            for p in found.pairs
        ]
        return found

    def likelihood(self) -> Iterator[Score]:
        yield from self._likelihood()
        yield from self._kneser_ney()
        yield from self._parts()

    def own(self) -> Iterator[Score]:
        yield from self._statistics()
        for name in baselines.COMPRESSORS:
            yield from self._compressor(name)

    def show(self) -> Shown:
        shown = [str(s) for s in self.evidence.samples[:SHOWN]]
        if self.records:
            return self._near_records(shown)
        most = KNOWN_MOST if self.whole.left() > SEARCH_SECONDS else KNOWN_MOST // 8
        training = "\n".join(self._part("train", most))
        where = f"the {len(training):,} characters of the training text"
        if len(training) >= most:
            where = f"{len(training):,} characters of the training text (no more of it was searched)"
        shown = [s[:1500] for s in shown]
        pairs = []
        for text, match in zip(shown, longest_matches(shown, codes(training)), strict=True):
            if match is None:
                pairs.append(Beside(Item(text=text), None, "no eight characters in a row stand in what was searched"))
                continue
            begin, end = max(match.place - CONTEXT, 0), match.place + match.length
            near = Item(text=training[begin : end + CONTEXT], mark=(match.place - begin, end - begin))
            sample = Item(text=text, mark=(match.start, match.start + match.length))
            pairs.append(Beside(sample, near, f"{match.length} characters in a row are the same"))
        note = (
            f"Marked: the longest passage of each that also stands word for word in {where}, with what surrounds it there. "
            "Real texts share passages too: set phrases, names."
        )
        return Shown(pairs=pairs, nearest=note, suspects=self.suspects)

    def _near_records(self, shown: list[str]) -> Shown:
        training = self.evidence.train(20_000)
        pairs = []
        for text in shown:
            distance = edit_distances(text, training)
            best = int(distance.argmin()) if len(distance) else -1
            near = Item(text=str(training[best])) if best >= 0 else None
            edits = int(distance[best]) if best >= 0 else 0
            said = "the same" if edits == 0 else f"{edits} edit{'s' * (edits > 1)} between"
            pairs.append(Beside(Item(text=text), near, said))
        note = (
            f"The one of {len(training):,} training records with the fewest characters to change. Short records coincide "
            "by chance, too; whether they do so too often, the copying test says."
        )
        return Shown(pairs=pairs, nearest=note, suspects=self.suspects)

    def beside(self, sample: Any, train: Any, distance: float, usual: float) -> Beside:
        """Records by their edits; passages with the longest part marked that both have."""
        sample, train = str(sample), str(train)
        if self.records:
            return Beside(Item(text=sample), Item(text=train), "the same" if sample == train else "", sample == train)
        match = longest_matches([sample], codes(train))[0]
        if match is None:
            return Beside(Item(text=sample), Item(text=train))
        marks = (match.start, match.start + match.length), (match.place, match.place + match.length)
        said = f"{match.length} characters in a row are the same"
        return Beside(
            Item(text=sample, mark=marks[0]), Item(text=train, mark=marks[1]), said, match.length > len(sample) / 2
        )

    # likelihood and its naive rows

    def _likelihood(self) -> Iterator[Score]:
        if self.evidence.bits is None:
            return
        begin = self.clock.spent()
        found = self.evidence.bits(self._bits_seconds())
        self.scored_s = self.clock.spent() - begin
        if not found:
            self.leave_out(f"bits per {self.unit}", "no test text could be scored in the time left")
            return
        rows = np.asarray(found, dtype=np.float64)  # (examples, 2)
        whole = sum(len(t) + self.records for t in self._part("test", TEST_MOST))
        n = round(float(rows[:, 1].sum()))
        part = (
            f"{n:,} of {whole:,} {self.unit}s of the test part" if n < 0.99 * whole < TEST_MOST else "whole test part"
        )
        yield self._ratio(f"bits_per_{self.unit}", rows[:, 0], rows[:, 1], f"{part}, each {self.unit} counted once")

    def _parts(self) -> Iterator[Score]:
        """What the network of a mixed model reaches without its counts: the two are told apart."""
        if self.evidence.parts is None or self.clock.left(0.7) < self.scored_s:
            return
        for name, value in self.evidence.parts().items():
            yield Score(f"bits_per_{self.unit}_{name}", value, source=f"the model's {name} alone, on the test part")

    def _bits_seconds(self) -> float | None:
        """What scoring may take: enough is kept for the counting model beside it, where that fits at all."""
        limit = self.clock.limit
        if limit is None:
            return None
        train, test = self._part("train", TRAIN_MOST), self._part("test", TEST_MOST)
        kept = baselines.kneser_ney_seconds(train, test, ORDER, self.records) if train and test else 0.0
        share = max(self.clock.left(0.85) - kept, 0.4 * limit) if kept < 0.5 * limit else 0.7 * limit
        return max(min(share, self.clock.left(0.85)), 0.0)

    def _ratio(self, name: str, bits: NDArray[Any], units: NDArray[Any], source: str) -> Score:
        edges = np.linspace(0, len(bits), min(len(bits), 200) + 1).astype(int)[:-1]
        top, bottom = np.add.reduceat(bits, edges), np.add.reduceat(units, edges)
        low, high = ratio_interval(top, bottom, self.evidence.seed)
        total = float(units.sum())
        return Score(name, float(bits.sum()) / total, low, high, n=round(total), source=source)

    def _kneser_ney(self) -> Iterator[Score]:
        train, test = self._part("train", TRAIN_MOST), self._part("test", TEST_MOST)
        if not train or not test:
            return
        left = self.clock.left()
        if left < float("inf") and baselines.kneser_ney_seconds(train, test, ORDER, self.records) > left:
            self.leave_out(f"bits per {self.unit} of the counting model", "it would not have fitted in the time left")
            return
        bits = baselines.kneser_ney_bits(train, test, ORDER, self.records)
        source = f"naive: counts of up to {ORDER} {self.unit}s of context, {self._sizes(train, test)}"
        yield self._ratio(f"bits_per_{self.unit}_kneser_ney", bits, np.ones(len(bits)), source)

    def _compressor(self, name: str) -> Iterator[Score]:
        train, test = self._part("train", TRAIN_MOST), self._part("test", TEST_MOST)
        if not train or not test:
            return
        size = 2 * sum(map(len, train)) + sum(map(len, test))
        if size / baselines.COMPRESSORS[name][1] > self.clock.left(0.95):
            self.leave_out(f"bits per {self.unit} of {name}", "it would not have fitted in the time left")
            return
        bits = baselines.compressed_bits(name, train, test, self.records)
        units = sum(len(t) + self.records for t in test)
        source = f"naive: {name} compression, {self._sizes(train, test)}"
        yield Score(f"bits_per_{self.unit}_{name}", bits / units, n=units, source=source)

    def _sizes(self, train: Sequence[str], test: Sequence[str]) -> str:
        sizes = [sum(len(t) + self.records for t in part) for part in (train, test)]
        return f"{sizes[0]:,} training and {sizes[1]:,} test {self.unit}s"

    def _part(self, part: str, most: int) -> list[str]:
        """Texts of a part in order, up to `most` characters."""
        if (part, most) not in self._texts:
            source = self.evidence.train_text if part == "train" else self.evidence.test_text
            self._texts[part, most] = [] if source is None else source(most)
        return self._texts[part, most]

    # generated text beside held-out text

    def _statistics(self) -> Iterator[Score]:
        sets = self._equal()
        if sets is None:
            self.leave_out("statistics of the generated text", "there is too little of it, or of held-out text")
            return
        own = Statistics(*sets, lambda: self._part("train", KNOWN_MOST), self.records, self.evidence.seed)
        for name, measure in own.measures().items():
            if self.clock.over(0.9):
                self.leave_out(name, "the time was spent")
                continue
            yield from measure()

    def _equal(self) -> tuple[list[str], list[str], list[str]] | None:
        """Samples, held-out and training pieces: as many, of the same lengths."""
        samples = [str(s) for s in self.evidence.samples if s]
        if self.records:
            n = len(samples)
            test, train = self.evidence.test(n), self.evidence.train(n)
            n = min(n, len(test), len(train))
            return (samples[:n], test[:n], train[:n]) if n >= 20 else None
        held, known = ("\n".join(self._part(part, TEST_MOST)) for part in ("test", "train"))
        kept, size = [], 0
        for text in samples:
            if size + len(text) > min(len(held), len(known)):
                break
            kept.append(text)
            size += len(text)
        if size < 500:
            return None
        lengths = [len(t) for t in kept]
        source = np.random.default_rng(self.evidence.seed)
        return kept, _pieces(held, lengths, source), _pieces(known, lengths, source)


def _pieces(text: str, lengths: Sequence[int], source: np.random.Generator) -> list[str]:
    """Cut pieces of these lengths from the whole text, without overlap, in an order of chance."""
    spare = len(text) - sum(lengths)
    gaps = np.diff(np.sort(source.integers(0, spare + 1, len(lengths))), prepend=0)
    pieces, place = [], 0
    for length, gap in zip(lengths, gaps, strict=True):
        place += int(gap)
        pieces.append(text[place : place + length])
        place += length
    return pieces


EXPORT = TextEvaluation
