"""Evaluation of text: bits per character of held-out text next to naive models, and statistics of samples next to held-out text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import numpy as np
from rapidfuzz.distance import Levenshtein

from anew.core.specs import Tokens
from anew.core.wording import plural
from anew.evaluation.base import Evaluation
from anew.evaluation.compared_texts import ComparedTexts
from anew.evaluation.features.kmers import FEATURES, NAME, Kmers, bigrams
from anew.evaluation.inputs import MAX_SAMPLES, EvaluationInputs, RealItems, RealPool
from anew.evaluation.item_sets import Embedder
from anew.evaluation.measure import BOTH, NOVELTY, Measure
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.item_types import (
    PASSAGE,
    PASSAGES,
    RECORDS,
    FieldDistance,
    count_passages,
    records_type,
)
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.text_test import run_text_test
from anew.evaluation.metrics.bits import bits_score, bits_spec
from anew.evaluation.metrics.duplicate_groups import KeysOf, equal_keys
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.records.odd_records import MIN_RECORDS
from anew.evaluation.metrics.records.row_formats import part_delimiter
from anew.evaluation.metrics.records.word_order import WORD_ORDER
from anew.evaluation.metrics.text import baselines
from anew.evaluation.metrics.text.text_statistics import ODD_RECORDS_MEASURE, VERBATIM_MEASURE, TextStatistics
from anew.evaluation.metrics.text.whole_texts import MIN_TEXTS, have_similar_lengths, whole_text_scores
from anew.evaluation.metrics.text.words import ENOUGH_PAIRS, KNOWN_PAIRS
from anew.evaluation.nearest_texts import edited_records, edits_caption, nearest_passages, nearest_records, passage_pair
from anew.evaluation.notes import Note, out_of_time
from anew.evaluation.parts_of_texts import drawn_pieces
from anew.evaluation.reporting.content import NearestPairs, ReportContent, SamplePair
from anew.evaluation.score import Score
from anew.evaluation.text_classes import LabelledTexts
from anew.evaluation.timed_memorization import with_facts_of_pool

ORDER = 6  # characters of context of the counting model: longer contexts rarely occur twice in data of this size
# Characters that naive models and other baselines take, drawn evenly: they hold all counts in memory
MAX_TRAIN_CHARACTERS, MAX_TEST_CHARACTERS = 4_000_000, 1_000_000
# Held-out characters from which MAX_TEST_CHARACTERS are drawn evenly; chosen: more take seconds to read
MAX_READ_CHARACTERS = 4_000_000
PAIRS = 12  # samples next to their nearest training text: they fill a page
PAIR_LENGTH = 1_500  # characters of a sample that the report shows
MAX_SEARCHED_CHARACTERS = 16_000_000  # training characters that are searched for passages
SEARCH_SECONDS = 6.0  # time that this search takes
SEVERAL_WORDS, NAME_WORDS = 0.2, 4  # share of records with several words, and their median number, of names; chosen
WHOLE_TEXTS, REPETITIONS = "beginnings, ends and order of whole texts", "samples that repeat themselves"


class TextEvaluation(Evaluation[str]):
    """Measures bits per character of the test part next to naive models, and statistics of samples.

    Each statistic compares n characters of samples with n held-out characters, cut into the same lengths. Its real baseline is
    n training characters in the samples' place.
    """

    noun = "texts"
    feature_description = f"{FEATURES} features ({NAME})"
    unit = "character"
    further_questions = (*BOTH, *NOVELTY)

    def __init__(self, inputs: EvaluationInputs[str]) -> None:
        super().__init__(inputs)
        spec = inputs.spec
        self.records = isinstance(spec, Tokens) and not spec.packed
        self.item_type = RECORDS if self.records else PASSAGES
        self.counted = "sample" if self.records else "text piece"
        if self.records and self.noun == TextEvaluation.noun:
            self.noun = "records"
        self._texts: dict[tuple[str, int], list[str]] = {}
        self._is_type_fitted = False

    def embedder(self, train: Sequence[str]) -> Embedder[str]:
        return Kmers(train)

    def naive(self, train: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
        return list(bigrams(train, n, rng))

    def items(self, part: str, n: int) -> list[str]:
        """Records, or pieces of PASSAGE characters of longer texts in random order, which may hold several documents."""
        if self.records:
            return [str(text) for text in super().items(part, n) if text]
        if part == "test":
            self.num_cut_texts = sum(map(len, self._compared.texts(part)))
        return self._compared.pieces(part)[:n]

    def duplicate_keys(self) -> KeysOf[str] | None:
        return super().duplicate_keys() if self.records else self._compared.keys_of_pieces

    def num_held_out(self) -> int | None:
        return super().num_held_out() if self.records else len(self._compared.pieces("test"))

    @cached_property
    def _compared(self) -> ComparedTexts:
        return ComparedTexts(
            self.inputs, lambda: self._held_out, lambda: self._train, lambda note: self.notes.append(note)
        )

    def let_go_of_texts(self) -> None:
        _ = self._train, self._held_out  # a quarter of all, which simple models are fitted to after the test
        self._texts.clear()
        self.__dict__.pop("_statistics", None)  # its figures are measured, and it holds three texts for each sample

    def compared_samples(self) -> Sequence[str]:
        samples = [str(text) for text in self.inputs.samples]
        return samples if self.records else [text for text in samples if text]

    def pool_size(self, pool: RealPool[str]) -> int:
        return super().pool_size(pool) if self.records else count_passages([*pool.train, *pool.held_out])

    def real_items(self, pool: RealPool[str]) -> RealItems:
        texts = super().real_items(pool)
        return texts if self.records else _passages_of(pool, texts)

    @classmethod
    def type_of(cls, items: Sequence[str]) -> ItemType[str] | None:
        """How records like these are compared."""
        return cls.item_type or records_type([str(record) for record in items])

    def fit_item_type(self, pool: RealPool[str]) -> None:
        if self.item_type is RECORDS and not self._is_type_fitted:
            self.item_type, self._is_type_fitted = records_type(pool.train), True

    def run_memorization_test(
        self, pool: RealPool[str], max_items: int | None, num_samples: int, **options: bool
    ) -> CopyTestResult:
        if self.records:
            return super().run_memorization_test(pool, max_items, num_samples, **options)
        num_texts = num_samples if num_samples < MAX_SAMPLES else None  # passages are drawn from all texts then
        samples = self.compared_samples()[:num_texts]
        result = run_text_test(
            samples,
            pool.train,
            pool.held_out,
            pool.groups,
            self.test_options(pool, **options),
            max_samples=MAX_SAMPLES,
            max_real=max_items,
            num_train_texts=pool.num_train_total,
        )
        self.closest_pairs = [
            self.pair_view(
                samples[pair.sample][pair.sample_start : pair.sample_start + PASSAGE],
                pool.train[pair.train][pair.train_start : pair.train_start + PASSAGE],
                pair.distance,
                pair.usual,
                result.distance,
            )
            for pair in result.pairs
        ]
        return with_facts_of_pool(result, pool, PASSAGES)

    def likelihood(self) -> Iterator[Score]:
        yield from self._model_bits()

    def naive_likelihood(self) -> Iterator[Score]:
        yield from self._kneser_ney()
        yield from self._compressors()

    def answer_scores(self) -> Iterator[Score]:
        # A reader notices broken words first, and they take no time. If they came last they could be left out for lack of time,
        # and the report would call the samples close to the data.
        if self._statistics is not None:
            yield from self.metrics_in_time(self._first_metrics())
            # Other scores of records need all of them, and reading many short ones takes seconds: they are read once.
            training = self._part("train", MAX_SEARCHED_CHARACTERS) if self.records else self._train
            words = list(self._statistics.words(training))
            yield from words
            self.notes += _notes_on_word_order(self._statistics.train, words) if self.records else []
        yield from super().answer_scores()

    def _class_metrics(self, features: FeatureSets) -> Iterator[Score]:
        if self.records:
            yield from super()._class_metrics(features)
        elif texts := LabelledTexts.of(self.inputs, self._compared.beginnings, self._embedder):
            num_probe = self._affordable_probe(texts.embed, texts.further, texts.n)
            yield from texts.scores(num_probe, self.noun, self.note_not_measured)

    def modality_metrics(self) -> Iterator[Score]:
        yield from self.metrics_in_time(self._first_metrics() | self.text_metrics())

    def _first_metrics(self) -> dict[str, Measure]:
        """Metrics of errors that readers see first, whatever the modality."""
        return {} if self._statistics is None else {REPETITIONS: Measure(self._statistics.repetitive)}

    def text_metrics(self) -> dict[str, Measure]:
        """The metrics of texts as `metrics_in_time` takes them."""
        if self._statistics is None:
            self.note_not_measured("statistics of the generated text", "there is too little of it, or of held-out text")
            return {}
        metrics = self._statistics.measures()
        if self.inputs.are_halves:
            del metrics[VERBATIM_MEASURE]
            self.note_not_measured(VERBATIM_MEASURE, "nothing is held out, and half of the data says too little")
        if ODD_RECORDS_MEASURE in metrics:
            metrics[ODD_RECORDS_MEASURE] = Measure(partial(self._odd_records, metrics[ODD_RECORDS_MEASURE]))
        if self.records:
            self.notes += _notes_on_parts(self._statistics.train)
        if not self.records:
            metrics[WHOLE_TEXTS] = Measure(self._whole_texts)
        return metrics

    def _odd_records(self, measure: Measure) -> Iterator[Score]:
        """Yield the score of odd records, if training records suffice to tell which are odd."""
        scores = list(measure.compute())
        yield from scores
        if not scores:
            self.note_not_measured(ODD_RECORDS_MEASURE, f"fewer than {MIN_RECORDS} training records are left to count")

    def _whole_texts(self) -> Iterator[Score]:
        """Yield the score of whole texts, whose beginnings and ends the pieces of other metrics do not show."""
        samples, test, train = (_whole_texts_of(self.inputs, part) for part in ("samples", "test", "train"))
        if reason := _why_not_whole(self.inputs, samples, test, train):
            lacks_samples = len(samples) < MIN_TEXTS <= min(len(test), len(train))
            self.note_not_measured(WHOLE_TEXTS, reason, lacks_samples=lacks_samples)
        else:
            keys_of = self.inputs.near_duplicate_groups or equal_keys
            yield from whole_text_scores(samples, test, train, self.inputs.seed, keys_of)

    # ---- what the report shows ----

    def report_content(self) -> ReportContent:
        is_late = not self.records and self.total_clock.remaining() <= SEARCH_SECONDS
        samples = [str(text) for text in self.inputs.samples[:PAIRS]]
        pair_samples = samples if self.records else [text[:PAIR_LENGTH] for text in samples]
        nearest = self.nearest(pair_samples, 1 / 8 if is_late else 1.0)
        explanation = " ".join(text for text in (nearest.explanation, nearest.marking) if text)
        return ReportContent(pairs=nearest.pairs, explanation=explanation, closest_pairs=self.closest_pairs)

    def nearest(self, items: Sequence[str], effort: float = 1.0) -> NearestPairs:
        """The nearest record is the one with the fewest edits, the nearest text that with the longest passage in common."""
        texts = [str(text) for text in items]
        if self.records:
            return nearest_records(texts, lambda n: self.searched_items(n)[0], effort)
        max_characters = int(MAX_SEARCHED_CHARACTERS * effort)
        return nearest_passages(texts, self._part(self.inputs.searched_part, max_characters), max_characters)

    def pair_view(self, sample: str, train: str, distance: float, usual: float, measure: str) -> SamplePair:
        """Show records with the number of edits between them and how near that is, passages with their longest common part marked."""
        sample, train = str(sample), str(train)
        if self.records:
            edits = Levenshtein.distance(sample, train)
            caption = f"{edits_caption(edits)}{nearness(distance, usual, measure)}"
            return SamplePair(*edited_records(sample, train, edits), caption, distance < 0.5 * usual)
        return passage_pair(sample, train)

    # ---- likelihood and its naive rows ----

    def _model_bits(self) -> Iterator[Score]:
        if self.inputs.bits is None:
            return
        limit = self.clock.limit
        examples = self.inputs.bits(None if limit is None else max(min(0.7 * limit, self.clock.remaining(0.85)), 0.0))
        if not examples:
            self.note_not_measured(f"bits per {self.unit}", "no test text could be scored in the time left")
            return
        units_of_all = self.inputs.test_units
        total = sum(self._units(text) for text in self._held_out) if units_of_all is None else round(units_of_all())
        n = round(sum(units for _, units in examples))
        scored = f"{n:,} of {total:,} {self.unit}s of the test part" if n < 0.99 * total else "whole test part"
        condition = "" if self.inputs.labels is None else ", given the class of each"
        source = f"{scored}, each {self.unit} counted once{condition}"
        yield bits_score(bits_spec(self.unit), examples, source, self.inputs.seed)

    def _kneser_ney(self) -> Iterator[Score]:
        train, test = self._train, self._held_out
        if not train or not test:
            return
        seconds = self.clock.remaining()
        if seconds < float("inf") and baselines.kneser_ney_seconds(train, test, ORDER, self.records) > seconds:
            self.notes.append(out_of_time(f"bits per {self.unit} of n-gram counts"))
            return
        bits = baselines.kneser_ney_bits(train, test, ORDER, self.records)
        source = f"naive: counts of up to {ORDER} {self.unit}s of context, {self._sizes(train, test)}"
        examples = np.stack([bits, np.ones(len(bits))], axis=1)
        yield bits_score(bits_spec(self.unit, "kneser_ney"), examples, source, self.inputs.seed)

    def _compressors(self) -> Iterator[Score]:
        for name in baselines.COMPRESSORS:
            if baselines.is_available(name):
                yield from self._compressor(name)
            else:
                missing = f"it needs the package {baselines.PACKAGES[name]} (`pip install '.[compressors]'` in a clone of Anew)"
                self.note_not_measured(f"bits per {self.unit} of {name}", missing)

    def _compressor(self, name: str) -> Iterator[Score]:
        train, test = self._train, self._held_out
        if not train or not test:
            return
        size = 2 * sum(map(len, train)) + sum(map(len, test))  # training text is compressed twice
        if size / baselines.COMPRESSORS[name][1] > self.clock.remaining(0.95):
            self.notes.append(out_of_time(f"bits per {self.unit} of {name}"))
            return
        bits = baselines.compressed_bits(name, train, test, self.records)
        units = sum(map(self._units, test))
        source = f"naive: {name} compression, {self._sizes(train, test)}"
        yield Score(bits_spec(self.unit, name), bits / units, n=units, source=source)

    def _units(self, text: str) -> int:
        """The number of characters of a text; the end of a record counts as one."""
        return len(text) + self.records

    def _sizes(self, train: Sequence[str], test: Sequence[str]) -> str:
        num_train, num_test = (sum(map(self._units, part)) for part in (train, test))
        return f"{num_train:,} training and {num_test:,} test {self.unit}s"

    def _part(self, part: str, max_characters: int) -> list[str]:
        """Texts of a part, or pieces from all over it, up to `max_characters` in all."""
        if (part, max_characters) not in self._texts:
            longer = [texts for (name, limit), texts in self._texts.items() if name == part and limit > max_characters]
            read_text = self.inputs.text_reader(part)
            if longer:
                self._texts[part, max_characters] = _drawn(longer[0], max_characters, self.inputs.seed)
            else:
                self._texts[part, max_characters] = [] if read_text is None else read_text(max_characters)
        return self._texts[part, max_characters]

    @cached_property
    def _train(self) -> list[str]:
        """Texts of the training part, or pieces of them, MAX_TRAIN_CHARACTERS in all."""
        return _drawn(self._part("train", MAX_SEARCHED_CHARACTERS), MAX_TRAIN_CHARACTERS, self.inputs.seed)

    @cached_property
    def _held_out(self) -> list[str]:
        """Texts of the test part, or pieces of them, MAX_TEST_CHARACTERS in all."""
        return _drawn(self._part("test", MAX_READ_CHARACTERS), MAX_TEST_CHARACTERS, self.inputs.seed)

    # ---- generated text compared with held-out text ----

    @cached_property
    def _statistics(self) -> TextStatistics | None:
        """Statistics of samples; None if there is too little text."""
        sets = self._equal_sets()
        if sets is None:
            return None
        inputs, training = self.inputs, partial(self._part, "train", MAX_SEARCHED_CHARACTERS)
        samples, keys_of = [str(text) for text in inputs.samples if text], inputs.near_duplicate_groups or equal_keys
        return TextStatistics(*sets, samples, training, self.records, inputs.seed, keys_of, inputs.field_names)

    def _equal_sets(self) -> tuple[list[str], list[str], list[str]] | None:
        """Equally many samples, held-out and training pieces of the same lengths; None if there is too little text."""
        samples = [str(text) for text in self.inputs.samples if text]
        if self.records:
            n = len(samples)
            test, train = self.items("test", n), self.items("train", n)
            n = min(n, len(test), len(train))
            return (samples[:n], test[:n], train[:n]) if n >= 20 else None
        return self._compared.equal_sets()


def _whole_texts_of(inputs: EvaluationInputs[str], part: str) -> list[str]:
    """Whole samples, or real texts. Real texts of a run are cut as its samples are, since items of running text are excerpts from
    anywhere; none where samples are passages."""
    if part == "samples":
        return [str(text) for text in inputs.samples if text]
    if inputs.are_whole:
        return (inputs.train if part == "train" else inputs.test)(MAX_SAMPLES)
    return [] if inputs.beginnings is None else inputs.beginnings(part, MAX_SAMPLES)


def _why_not_whole(
    inputs: EvaluationInputs[str], samples: Sequence[str], test: Sequence[str], train: Sequence[str]
) -> str:
    """Why these are not compared as whole texts, a clause; "" if they are."""
    if not inputs.are_whole and inputs.beginnings is None:
        return "samples are passages of long texts"
    if min(map(len, (samples, test, train))) < MIN_TEXTS:
        counts = f"{plural(len(samples), 'sample')}, {len(test):,} held-out and {len(train):,} training texts"
        return f"it takes {MIN_TEXTS} of each, and there are {counts}"
    return "" if have_similar_lengths(samples, test) else "samples are far longer or shorter than real ones"


def _drawn(texts: Sequence[str], max_characters: int, seed: int) -> list[str]:
    return drawn_pieces(texts, max_characters, np.random.default_rng(seed))


def _passages_of(pool: RealPool[str], texts: RealItems) -> RealItems:
    """The numbers of passages of all texts, if those that are not in the pool are as long. texts: how many there are in all."""
    parts = ((pool.train, texts.train), (pool.held_out, texts.held_out))
    return RealItems(*(round(count_passages(part) * total / max(len(part), 1)) for part, total in parts))


def _notes_on_parts(records: Sequence[str]) -> list[Note]:
    """A note on records of several parts that no figure compares with each other; none for other records."""
    delimiter = part_delimiter(records)
    if delimiter is None:
        return []
    sentence = (
        f"Not judged: whether the parts of a record, divided by {delimiter!r}, go together, such as a sum and its summands, or a name in "
        "both. That is judged only for rows that all have the same number of fields, and for JSON objects."
    )
    return [Note(sentence)]


def _notes_on_word_order(records: Sequence[str], scores: Sequence[Score]) -> list[Note]:
    """A note on names of several words, whose order no figure sees where they are too few; none for others."""
    num_words = np.array([len(record.split()) for record in records])
    is_judged = any(
        score.name == WORD_ORDER.name or (score.name == KNOWN_PAIRS.name and score.n >= ENOUGH_PAIRS)
        for score in scores
    )
    if is_judged or np.mean(num_words > 1) < SEVERAL_WORDS or np.median(num_words) > NAME_WORDS:
        return []
    return [Note("Not judged: the order of words within records, since too few records have several words.")]


def nearness(distance: float, usual: float, measure: str) -> str:
    """How near two records are by what the closest pairs are chosen by, which is not the number of edits; a further clause, or "".

    measure: Name of the distance; usual: that of the training record from its own nearest real one.
    """
    if measure == FieldDistance.name:
        return f"; {distance:.0%} of the fields differ (usual: {usual:.0%})"
    return f"; {distance / usual:.0%} of the usual distance" if distance and usual > 0.0 else ""


EXPORT = TextEvaluation
