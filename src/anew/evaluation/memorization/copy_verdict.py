"""The sentences of a copying test."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from anew.core.wording import are, percent, percent_at_least, plural, rounded_up
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.result import MANY_NEAR, MIN_SAMPLES, CopyTestResult
from anew.evaluation.memorization.thresholds import (
    ALPHA,
    COPIED_ALPHA,
    DETECTION_POWER,
    LABEL_ALPHA,
    MIN_RELATIVE_LOWER_END,
    NUM_TESTS,
    PLANTED_RATES,
)
from anew.functional.intervals import clopper_pearson

MAX_REACHABLE_ITEMS = 10**7  # held-out items that somebody may have: advice to bring more would help nobody
# Held-out items that are advised where there are none: as a share of the training items (a ninth, so a tenth of all), and at least.
ADVISED_SHARE, MIN_ADVISED = 1 / 9, 200
# Share of the training items that were compared below which a verdict gives this as its reason.
SMALL_COMPARED_SHARE = 0.5

HARDLY = 0.02  # a distance, as a share of the usual one, below which a pair hardly differs; chosen
NONE_FOUND = "no copies found"  # the beginning of a clause

# Reports of samples without copies among which one says that there are some, on average
CHANCE_REPORTS = round(1.0 / (NUM_TESTS * ALPHA))

METHODS = {
    "scan": "permutation tests: training and held-out items in one pool, their labels exchanged; samples that match real "
    "items, against real items that match each other",
    "shifted": "the held-out items were not drawn one by one from the source of the training items: samples against the nearest "
    "distances among all real items, not assumption-free",
    "reference": "no held-out items: samples against the nearest distances among your own items, not assumption-free",
}

# Why a test did not hold, and what would help: a sentence, and the same as a clause.
NO_RANDOM_DRAW = {
    False: (
        "with real items in the samples' place it raises an alarm, too, so the held-out items seem not to be a random draw from "
        "the source of the training items; draw them at random from the same source",
        "no sign of copying, but the held-out items seem not to be a random draw, so the test cannot prove it",
    ),
    True: (
        "whole files were held out, and items of one file resemble each other, so that even real items look like copies; it needs "
        "more files, each with fewer items",
        "no sign of copying, but items of one file resemble each other too much for the test to prove it",
    ),
}

LIMITS = {
    "": "",
    "time": " in the time given (`anew evaluate` has no time limit unless you give it a budget)",
    "memory": ", as many as memory holds",
}


class CopyVerdict(NamedTuple):
    """The result of a copying test in words, for readers who know no statistics.

    Attributes:
        sentence: A sentence or two.
        clause: The same in one short clause, with the same reason.
        has_but: Whether the clause qualifies itself with a "but", so that a second one does not follow it.
        lacks_items: Whether nothing was found, and samples or held-out items are too few for that to mean anything.
        samples_needed: How many samples would do then; 0 if that is not known, or if only more data would.
    """

    sentence: str
    clause: str
    has_but: bool = False
    lacks_items: bool = False
    samples_needed: int = 0


def result_json(result: CopyTestResult) -> dict[str, object]:
    """The result as JSON values, with its verdict in words."""
    return asdict(result) | {
        "method": METHODS[result.method],
        "exact_limit": result.exact_limit,
        "only_leans": result.only_leans,
        "verdict": copy_verdict(result).sentence,
    }


def copy_verdict(result: CopyTestResult) -> CopyVerdict:
    """The verdict of a result."""
    if result.invalid:
        return CopyVerdict(
            "The copying test is not valid here: even held-out items look like copies, so they and the training items "
            "are not random draws from one source.",
            "the test is not valid: even held-out items look like copies",
        )
    identical = (
        f"{_identical(result)}{' identical to another' if result.real_compared else ''}. " if result.identical else ""
    )
    if result.has_too_few_samples:
        counted, verb = result.count_phrase(result.samples), "was" if result.samples == 1 else "were"
        return CopyVerdict(
            f"Too few to tell: {counted} {verb} compared with training items; at least {MIN_SAMPLES} are needed.",
            f"{counted} compared; at least {MIN_SAMPLES} are needed",
            lacks_items=True,
            samples_needed=MIN_SAMPLES,
        )
    if result.saw_held_out and not result.detected:
        suspicion = "the generator has probably seen the held-out items"
        fact = _identical(result)
        real = f"; of {plural(result.real_compared, 'real item')} {_real_identical(result)} identical to another"
        return CopyVerdict(
            f"{fact}{real}. So {suspicion} (p = {result.seen_p:.2g}), and the test, which compares with them, misses copies. "
            "Hold out items that it was not trained on.",
            f"{fact}: {suspicion}",
        )
    if result.detected:
        sentence, clause, *_ = _found(result)
        if result.saw_held_out:
            sentence += f" Besides, {_identical_to_held_out(result)}: it has probably seen the held-out items, too."
        return CopyVerdict(sentence if result.method == "scan" else f"{identical}{sentence}", clause)
    verdict = _with_leaning(result, _not_found(result))
    if result.repeats_too_often:
        verdict = CopyVerdict(verdict.sentence, _identical(result))
        identical += f"Chance hardly explains that (p = {result.identical_p:.2g}), {_doubt(result)}. "
    elif result.identical and result.identical_p is not None:
        # "No copies found" alone would contradict what a reader sees beside it
        fact, chance, reason = _identical_to_training(result), "Chance may explain that", "which chance may explain"
        if count := result.held_out_identical:
            fact = _with_held_out(result)
            chance = f"As {count:,} {are(count)} identical to a held-out one, chance may explain that"
        elif result.identical * result.real_compared <= result.real_identical * result.samples:
            chance = "So samples repeat training items no more often than the data repeats itself"
            reason = "no more than real items are to each other"
        identical += f"{chance} (p = {result.identical_p:.2g}). "
        fact += f", {reason}"
        verdict = verdict._replace(clause=verdict.clause.replace(NONE_FOUND, fact, 1))
    return verdict._replace(sentence=f"{identical}{verdict.sentence}")


def _doubt(result: CopyTestResult) -> str:
    """Why identical samples that chance hardly explains are no proof of copying, and what would be one; a clause."""
    assert result.identical_p is not None
    if result.identical_p <= COPIED_ALPHA and not result.held_out_identical:
        return f"but {result.units} may be so simple that a generator reaches some by itself{_proof_needs(result)}"
    return f"although it is too little to prove copying{_proof_needs(result)}"


def _proof_needs(result: CopyTestResult) -> str:
    """How many held-out items would let the labels confirm the identical samples; a clause, or ""."""
    assert result.identical is not None and result.identical_p is not None
    # The share of training items with which so many are not chance; at half the level, since some matches are held-out items
    share = (LABEL_ALPHA / 2.0) ** (1.0 / max(result.identical, 1))
    needed = int(np.ceil(result.train * (1.0 - share) / share))
    # Where identical samples are few, or nearly as frequent among real items, the match test could not prove copies
    if (
        result.method != "scan"
        or result.identical_p > ALPHA / copying_test.NUM_INDEPENDENT_STEPS
        or not result.held_out < needed <= MAX_REACHABLE_ITEMS
    ):
        return ""
    return f"; {result.held_out:,} held-out {result.units} are too few to tell, about {rounded_up(needed):,} would settle it"


def _found(result: CopyTestResult) -> CopyVerdict:
    samples, items = ("sample passages", "passages") if result.unit == "passage" else ("samples", "items")
    low = result.counted_low
    amount, unknown = f"at least about {percent_at_least(low)} of the {samples}", ""
    if not low or (low < MIN_RELATIVE_LOWER_END * result.share and not result.counts_distant):
        amount, unknown = f"some {samples}", "; how many is not known"
    if result.train < SMALL_COMPARED_SHARE * result.n_train_total:
        unknown += f" (only {result.compared} were compared)"
    if result.method != "scan":
        return _found_without_random_items(result, amount, unknown)
    # Even the closest pair differs visibly, so samples are not plain copies
    if result.lacks_plain_copies:
        if result.only_leans:
            return _leaning(result, items)
        if result.is_coarse:
            return _coarsely_found(result, items)
        if result.needs_confirmation:
            return _perhaps_found(result, amount, unknown)
        return CopyVerdict(
            f"Copying found: {amount} are altered copies of training {items}, or follow single ones closely{unknown}; the closest "
            f"pair still differs by {result.closest:.0%} of the usual distance (p = {result.p:.2g}).",
            f"{amount} are altered copies of training {items}{unknown}",
        )
    if result.may_be_chance:
        return _perhaps_found(result, amount, unknown)
    if result.identical:
        return _identical_found(result, items, samples, amount, unknown)
    return CopyVerdict(
        f"Copying found: {amount} are copies of training {items}, or nearly so{unknown} (p = {result.p:.2g})."
        f"{_others_lean(result, items)}",
        f"{amount} are copies of training {items}{unknown}",
    )


def _identical_found(result: CopyTestResult, items: str, samples: str, amount: str, unknown: str) -> CopyVerdict:
    """The verdict where samples are identical to training items.

    Args:
        items, samples: Plurals of both.
        amount: How many samples are copies.
        unknown: What is not known of that.
    """
    assert result.identical
    if result.identical == result.samples:
        clause = f"all {result.count_phrase(result.samples)} are identical to a training {result.identical_unit}{result.likeness}"
        return CopyVerdict(f"Copying found: {clause} (p = {result.p:.2g}).", clause)
    verb = f"{are(result.identical)} identical to one{result.likeness}"
    fact = f"{result.identical:,} of {result.count_phrase(result.samples)} {verb}"
    clause_fact = f"{result.identical:,} of {result.samples:,} {verb}"
    others = _others_lean(result, items)
    if result.least_share > result.counted_low:
        amount = f"at least {percent_at_least(result.least_share)} of the {samples} are copies of training {items}"
        return CopyVerdict(f"Copying found: {amount}: {fact} (p = {result.p:.2g}).{others}", f"{amount}: {clause_fact}")
    # "At least 0.7%" beside 2% would read as a contradiction
    if result.identical > result.counted_low * result.samples:
        clause = f"{_identical_to_training(result)}; {amount} are copies beyond what chance gives{unknown}"
        return CopyVerdict(f"Copying found: {clause} (p = {result.p:.2g}).{others}", clause)
    return CopyVerdict(
        f"Copying found: {amount} are copies of training {items}, or nearly so{unknown}; {fact} (p = {result.p:.2g}).{others}",
        f"{amount} are copies of training {items}{unknown}; {clause_fact}",
    )


def _others_lean(result: CopyTestResult, items: str) -> str:
    """A sentence, after a space, on samples that are not counted since they may only lean to training items (`items`: their plural); or
    ""."""
    if not result.counts_distant:
        return ""
    fact, by_chance = _leaning_fact(result, items)
    fact = f"{fact}{f' ({by_chance})' if by_chance else ''}"
    if result.counts_leaning:
        return f" Many others only lean to the data: {fact}."
    return f" Others may be altered copies, or only lean to the data: {fact}."


def _found_without_random_items(result: CopyTestResult, amount: str, unknown: str) -> CopyVerdict:
    """The verdict where no held-out items were drawn at random, so that only identical items are proof."""
    nearer = f"{amount} are nearer to one of your items than your items are to their nearest ones{unknown}"
    if result.is_suspicion:
        clause = f"{amount} are nearer to one of your items than real items usually are{unknown}"
        return CopyVerdict(
            f"Suspicion of copying: {nearer}. Without held-out items drawn at random this is not proof: a generator that is sharper than "
            "its data looks the same.",
            f"suspicion: {_identical(result) if result.repeats_too_often else clause}",
        )
    return CopyVerdict(
        f"Copying found: {nearer}, and no generator makes so many identical ones unseen.",
        f"copies found: {_identical(result)}",
    )


def _leaning_fact(result: CopyTestResult, items: str) -> tuple[str, str]:
    """How far the samples lean to training items (`items`: their plural), and how far they would by chance, if that is known."""
    if result.picture is None:
        return f"samples are somewhat nearer to training {items} than real items are", ""
    fact = f"the nearest real item of {result.picture.shares[-1]:.0%} of the samples is a training item"
    return fact, f"by chance: {result.picture.expected:.0%}"


def _leaning(result: CopyTestResult, items: str) -> CopyVerdict:
    """The verdict on samples of which many are a little nearer to training items (`items`: their plural), and none is a copy."""
    fact, by_chance = _leaning_fact(result, items)
    figures = "; ".join(filter(None, (by_chance, f"p = {result.p:.2g}")))
    return CopyVerdict(
        f"No copies, but {fact} ({figures}): the model leans to what it was trained on, as after many passes over few items. "
        f"The closest pair still differs by {result.closest:.0%} of the usual distance.",
        f"no copies, but {fact}{f' ({by_chance})' if by_chance else ''}",
        has_but=True,
    )


def _perhaps_found(result: CopyTestResult, amount: str, unknown: str) -> CopyVerdict:
    """The verdict on samples that follow training items, perhaps by chance. amount: how many; unknown: what is not known."""
    items = "passages" if result.unit == "passage" else "items"
    if result.identical:
        return CopyVerdict(
            f"Perhaps copying: {amount} seem to be altered copies of training {items}, or follow single ones closely{unknown} "
            f"(p = {result.p:.2g}). {_identical_to_training(result)}, which chance may explain (p = {result.identical_p:.2g}). More "
            "samples would tell.",
            f"{amount} seem to be altered copies{unknown}; more samples would tell",
        )
    none = "None is a plain copy" if result.lacks_plain_copies else "None is identical to one"
    differs = f"differs by {result.closest:.0%} of the usual distance" if result.closest >= HARDLY else "hardly differs"
    return CopyVerdict(
        f"Perhaps copying: {amount} seem to be altered copies of training {items}, or follow single ones closely{unknown}. {none}: "
        f"the closest pair {differs}, and one report in {CHANCE_REPORTS} without copies says so by chance (p = {result.p:.2g}). "
        "More samples would tell.",
        f"{amount} seem to be altered copies{unknown}; more samples would tell",
    )


def _coarsely_found(result: CopyTestResult, items: str) -> CopyVerdict:
    """The verdict on samples that were compared coarsely, of which none is a plain copy. items: the plural of the training items."""
    fact, by_chance = _leaning_fact(result, items)
    figures = "; ".join(filter(None, (by_chance, f"p = {result.p:.2g}")))
    return CopyVerdict(
        f"No plain copies, but {fact} ({figures}). There was time for a coarse comparison only: a full one would tell whether some "
        "samples are altered copies, or the model only leans to what it was trained on. The closest pair differs by "
        f"{result.closest:.0%} of the usual distance.",
        f"no plain copies, but {fact}{f' ({by_chance})' if by_chance else ''}; a full comparison would tell more",
        has_but=True,
    )


def _not_found(result: CopyTestResult) -> CopyVerdict:
    sentence = "No further copies found" if result.repeats_too_often else "No copies found"
    if result.method == "reference":
        needed = max(round(ADVISED_SHARE * result.train), MIN_ADVISED)
        return CopyVerdict(
            "No sign of copying, but without held-out items the test cannot prove it; "
            f"about {needed:,} held-out {result.units}, drawn at random, would prove more.",
            "no sign of copying, but without held-out items the test cannot prove it",
            has_but=True,
        )
    if result.method == "shifted":
        reason, clause = NO_RANDOM_DRAW[result.held_out_together]
        return CopyVerdict(f"No sign of copying, but the test cannot prove it: {reason}.", clause, has_but=True)
    if result.detection_limit is not None:
        limit = percent(result.detection_limit)
        compared = f"{result.compared} were compared"
        is_whole = result.train >= SMALL_COMPARED_SHARE * result.n_train_total
        return CopyVerdict(
            f"{sentence}; {limit} copies or more, exact or lightly changed, would have been noticed"
            f"{'' if is_whole else f', although only {compared}'}.",
            f"{NONE_FOUND}; {limit} or more would have been noticed{'' if is_whole else f' ({compared})'}",
        )
    if result.near is not None and result.near.bound is not None:
        bound = f"at most {percent(result.near.bound)} of the samples are as near to a real item as lightly changed copies are"
        return CopyVerdict(f"{sentence}: {bound}.", f"{NONE_FOUND}: {bound}")
    if result.train < SMALL_COMPARED_SHARE * result.n_train_total:
        compared = f"only {result.compared} were compared"
        return CopyVerdict(
            f"{sentence}, but {compared}{LIMITS[result.limited_by]}, too few to notice even "
            f"{percent(PLANTED_RATES[-1])} of copies.",
            f"{NONE_FOUND}, but {compared}",
            has_but=True,
        )
    if all(p.caught >= DETECTION_POWER for p in result.controls) and round(PLANTED_RATES[-1] * result.samples) >= 1:
        reason = ", for lack of time" if result.shortened else ""
        return CopyVerdict(
            f"{sentence}; how few copies would have been noticed was not measured{reason}.",
            f"{NONE_FOUND}; how few would have been noticed was not measured{reason}",
        )
    if result.exact_limit is not None:
        limit = percent(result.exact_limit)
        return CopyVerdict(
            f"{sentence}; {limit} exact copies or more would have been noticed. Lightly changed copies are hardly closer to their "
            f"originals than your items are to each other: even {percent(PLANTED_RATES[-1])} of them could be missed.",
            f"{NONE_FOUND}; {limit} exact copies or more would have been noticed, altered ones perhaps not",
        )
    if result.is_among_relatives:
        return _told_by_identity(result, sentence)
    return _too_few_to_tell(result, sentence)


def _told_by_identity(result: CopyTestResult, sentence: str) -> CopyVerdict:
    """The verdict on items that have so many relatives that only identical samples tell copies. sentence: that none were found."""
    assert result.exact_bound is not None
    limit, missed = percent(result.exact_bound), f"altered ones could be missed, as {_near(result)}"
    if result.identical:
        fact = f"{sentence}: at most {limit} of the samples are exact copies"
        return CopyVerdict(f"{fact}. But {missed}.", f"{NONE_FOUND}, but {missed}", has_but=True)
    none = f"none of {result.count_phrase(result.samples)} is identical to a training {result.identical_unit}{result.likeness}"
    return CopyVerdict(
        f"{sentence}: {none}, so at most {limit} are exact copies. But {missed}.", f"{none}, but {missed}", has_but=True
    )


def _with_leaning(result: CopyTestResult, verdict: CopyVerdict) -> CopyVerdict:
    """The verdict with the fact that samples lean to training items, although they are no nearer to them than real items to each other."""
    if result.reference_p is None or result.picture is None or result.method != "scan":
        return verdict
    # The scan may have been significant for the closest samples only; 81% of all, where chance gives 80%, is no leaning
    low = clopper_pearson(result.picture.shares[-1] * result.samples, result.samples)[0]
    if low <= result.picture.expected:
        return verdict
    fact, by_chance = _leaning_fact(result, "items")
    return verdict._replace(
        sentence=f"{verdict.sentence} But {fact} ({by_chance}): the model leans to what it was trained on.",
        clause=f"{verdict.clause}; {'and' if verdict.has_but else 'but'} {fact} ({by_chance})",
        has_but=True,
    )


def _too_few_to_tell(result: CopyTestResult, sentence: str) -> CopyVerdict:
    held_out, samples = map(rounded_up, result.needed(PLANTED_RATES[-1]))
    ways = [result.count_phrase(samples)] if samples > result.samples else []
    # Where more samples would do, nobody collects many times the data
    reachable = result.n_train_total + result.held_out if ways else MAX_REACHABLE_ITEMS
    ways += [f"{held_out:,} held-out {result.units}"] if result.held_out < held_out <= reachable else []
    missed = f"could miss even {percent(PLANTED_RATES[-1])} {_unseen(result)}"
    near = _near(result)
    doubt = f"{sentence}, but this test {missed}{f', as {near}' if near else ''}"
    missed = near or f"the test {missed}"
    if not ways:
        return CopyVerdict(
            f"{doubt}: lightly changed copies are hardly closer to their originals than your items are to each other.",
            f"{NONE_FOUND}, but {missed}",
            has_but=True,
        )
    compared = f"{result.held_out:,} held-out {result.units} and {result.count_phrase(result.samples)}"
    return CopyVerdict(
        f"{doubt}: {compared} are too few; about {' or '.join(ways)} are needed.",
        f"{NONE_FOUND}, but {missed}: about {' or '.join(ways)} are needed",
        has_but=True,
        lacks_items=True,
        samples_needed=samples if samples > result.samples else 0,
    )


def _near(result: CopyTestResult) -> str:
    """How many samples and real items are as near to real ones as copies are, so that copies are not noticed among them; "" if few are."""
    near = result.near
    if near is None or near.samples < MANY_NEAR:
        return ""
    samples = f"{percent(near.samples)} of the samples are as near to a real item as copies are"
    return f"{samples} (real items: {percent(near.real)})"


def _unseen(result: CopyTestResult) -> str:
    """What a test without power misses: identical samples are counted, and are few where they are not said to be copies."""
    is_counted = result.identical is not None and result.identical < PLANTED_RATES[-1] / 2.0 * result.samples
    return "altered copies" if is_counted else "copies"


def _identical(result: CopyTestResult) -> str:
    """How many samples are identical to real items, a fact that needs no test, and how many real items are."""
    assert result.identical is not None
    if result.saw_held_out and not result.identical:
        return _identical_to_held_out(result)
    if result.saw_held_out:
        return _with_held_out(result)
    fact = _with_held_out(result) if result.held_out_identical else _identical_to_training(result)
    if not result.real_compared:
        return fact
    return f"{fact}; of {plural(result.real_compared, 'real item')} {_real_identical(result)}"


def _identical_to_training(result: CopyTestResult) -> str:
    assert result.identical is not None
    samples = f"{result.identical:,} of {result.count_phrase(result.samples)} {are(result.identical)}"
    return f"{samples} identical to a training {result.identical_unit}{result.likeness}"


def _with_held_out(result: CopyTestResult) -> str:
    comma = "," if "," in result.likeness else ""
    return f"{_identical_to_training(result)}{comma} and {result.held_out_identical:,} to a held-out one"


def _identical_to_held_out(result: CopyTestResult) -> str:
    assert result.held_out_identical is not None
    samples = f"{result.held_out_identical:,} of {result.count_phrase(result.samples)} {are(result.held_out_identical)}"
    return f"{samples} identical to a held-out {result.identical_unit}{result.likeness}"


def _real_identical(result: CopyTestResult) -> str:
    return f"{result.real_identical:,} {are(result.real_identical)}" if result.real_identical else "none is"
