"""What figures are called and what they say, for readers who know no statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from anew.evaluation.memorization.result import Copies
from anew.evaluation.metrics.classes import mixed
from anew.evaluation.metrics.statistics import Score

TERMS: dict[str, tuple[str, str]] = {
    "bits_per_character": (
        "Bits per character",
        "How many yes/no questions a character of unseen text still costs after what the model predicts. Lower is better.",
    ),
    "bits_per_character_kneser_ney": ("… a counting model (Kneser-Ney)", "Only counts which characters follow which."),
    "bits_per_character_network": ("… its network alone", "The model without its counting part."),
    "bits_per_character_xz": ("… the xz compressor", "A general compressor that has read the training text."),
    "bits_per_character_bz2": ("… the bz2 compressor", "A general compressor that has read the training text."),
    "bits_per_residue": (
        "Bits per residue",
        "How many yes/no questions a residue of an unseen sequence still costs; its end counts as one more. Lower is better.",
    ),
    "bits_per_residue_clusters": (
        "Bits per residue, clusters",
        "The same for whole clusters of relatives that were held out: nothing like them was in training.",
    ),
    "bits_per_residue_uniform": ("… all residues alike", "Knows nothing but the alphabet."),
    "bits_per_residue_unigram": ("… frequencies alone", "Knows how common each residue is."),
    "bits_per_residue_profile": ("… a profile of places", "Knows how common each residue is at each place."),
    "bits_per_residue_kneser_ney": ("… a counting model (Kneser-Ney)", "Only counts which residues follow which."),
    "bits_per_residue_clusters_kneser_ney": ("… the counting model, clusters", "The same on the held-out clusters."),
    "bits_per_residue_network": ("… its network alone", "The model without its counting part."),
    "bits_per_residue_xz": ("… the xz compressor", "A general compressor that has read the training sequences."),
    "bits_per_residue_bz2": ("… the bz2 compressor", "A general compressor that has read the training sequences."),
    "length_distance": ("Lengths", "How far lengths are from those of unseen sequences, in residues, on average."),
    "composition_distance": (
        "Composition",
        "How far the shares of residues are from those of unseen sequences: 0 is the same, 1 has nothing in common.",
    ),
    "nearest_identity": (
        "Likeness to training",
        "Identity with the nearest training sequence, the median; real unseen sequences have the floor's.",
    ),
    "repeat_share": ("Repeats within", "Share of residues in pieces that stand earlier in the same sequence."),
    "valid_share": ("Valid", "Share of samples that are molecules at all."),
    "function_share": ("Functions parse", "Share of the whole functions and methods in generated programs that parse."),
    "parse_share": ("Parses", "Share of the statements, functions and classes of generated programs that parse."),
    "unique_share": ("Unique", "Share of the valid samples that differ from all others."),
    "novel_share": ("New", "Share of the unique samples that are not in the training data."),
    "bits_per_dimension": (
        "Bits per value",
        "How many yes/no questions a colour value of an unseen image costs, at most, after what the model predicts.",
    ),
    "bits_per_dimension_png": ("… the PNG format", "A lossless compressor that has learned from no image."),
    "bigram_divergence": (
        "Pairs of characters",
        "How far the counts of character pairs are from those of unseen text: 0 is the same, 1 has nothing in common.",
    ),
    "fourgram_divergence": (
        "Runs of four characters",
        "The same for runs of four: whether the pieces of words are those of the data.",
    ),
    "zipf_distance": (
        "Common and rare words",
        "How differently word frequencies fall from the commonest to the rarest. 0 is the same.",
    ),
    "repetition_rate": (
        "Repetition",
        "Share of passages that were said before. Real text has some; much more is a fault.",
    ),
    "verbatim_share": ("Verbatim", "Share of what was generated that stands word for word in the training data."),
    "frechet_distance": (
        "Fréchet distance",
        "Distance between the overall look of samples and of unseen real items: averages and how features vary together.",
    ),
    "kernel_distance": (
        "Kernel distance",
        "Another distance between samples and unseen real items, without a bias from how many there are. 0: the same.",
    ),
    "precision": ("Precision", "Share of samples that look like some real item."),
    "recall": ("Recall", "Share of real items that look like some sample."),
    "density": ("Density", "How much real company a sample has: 1 is usual, low means unlike real items."),
    "coverage": ("Coverage", "Share of real items that have a sample close by: low means kinds of items are missing."),
    "diversity": (
        "Diversity",
        "How varied samples are, as a multiple of held-out items; as many training items get the figure for real ones.",
    ),
    "duplicate_share": ("Repeats", "Share of samples that are nearly the same as another sample."),
    "bits_gap": (
        "Gap to training data",
        "How many more bits unseen items cost than training items. Near 0: nothing was learned by heart.",
    ),
    "copied_share": ("Copies", "Share of samples that are copies of training items or nearly so."),
    "novelty_auc": (
        "Distance from training data",
        "Chance that a sample is farther from its nearest training item than an unseen real item is: 0.5 is as new as real.",
    ),
    "two_sample_auc": (
        "Told apart",
        "How often a trained judge picks the generated one out of a pair: 0.5 is guessing, 1 is always.",
    ),
    "colour_distance": (
        "Colours",
        "How far the counts of dark, middle and bright values are from those of real images: 0 is the same.",
    ),
    "frame_distance": ("Single frames", "Distance between the look of single frames and of unseen real ones."),
    "frame_difference_distance": (
        "What changes",
        "Distance between what changes from frame to frame in samples and in unseen real clips.",
    ),
    "motion_distance": (
        "Amount of motion",
        "How far the amount of motion is from that of real clips, in decibels. 0: the same.",
    ),
    "motion_spectrum_distance": (
        "Speed of motion",
        "How differently slow and fast changes are mixed than in real clips, in decibels. 0: the same.",
    ),
    "bits_per_dimension_gif": ("… the GIF format", "A lossless compressor that has learned from no clip."),
    "spectrum_distance": (
        "Sharpness",
        "How much fine and coarse detail (of sound: high and low tones) differs from real items, in decibels. 0: the same.",
    ),
    "periodicity_distance": (
        "Tone",
        "How differently exactly sounds repeat themselves at a pitch, as voices do and noise does not. 0: the same.",
    ),
    "loudness_distance": ("Loudness", "How far the spread of loudness is from that of real sounds, in decibels."),
    "label_histogram": (
        "Mix of classes",
        "Share of samples that would have to be of another class for all classes to be as common as in real items.",
    ),
    "label_accuracy": (
        "Labels",
        "Share of samples that a classifier of real items takes for what they were asked to be.",
    ),
}
GROUPS: dict[str, tuple[str, ...]] = {
    # titles of groups of figures on the page, in order; the one without names takes what is in no other
    "How close samples are to real data": (),
    "How varied they are": ("diversity", "recall", "coverage", "label_histogram", "duplicate_share", "repetition_rate"),
    "How new they are": ("copied_share", "novelty_auc", "verbatim_share", "bits_gap"),
}
FURTHER = ("prediction", "verbatim")  # questions that stand under the three cards
QUESTIONS = {
    "closeness": "Does it look like your data?",
    "variety": "Is it as varied?",
    "novelty": "Is it new, or copied?",
}
_BESIDE = re.compile(r"bits_per_(character|residue|dimension)(_clusters)?_.+")


def is_naive(name: str) -> bool:
    """Whether a score is a row beside the model's own: of a naive model, or of a part of it."""
    return name != "bits_per_residue_clusters" and _BESIDE.fullmatch(name) is not None


def term(name: str) -> tuple[str, str]:
    """Title and explanation of a score; a name that is not known here is shown as it is."""
    return TERMS.get(name, (name.replace("_", " ").capitalize(), ""))


FEW = 200  # samples under which figures are rough
BARELY = 50  # steps of training under which a run says little about its family
Finding = tuple[int, str]  # a level, 0 the best, and what was found


def group_of(name: str) -> str | None:
    """The title of the group that names a figure."""
    return next((title for title, names in GROUPS.items() if name in names), None)


def cards(verdict: Mapping[str, str], grades: Mapping[str, str]) -> list[dict[str, str]]:
    """The three questions that the page answers first, with their sentence and grade."""
    missing = "This could not be measured; the notes at the end say why."
    return [
        {"name": name, "question": question, "said": verdict.get(name, missing), "grade": grades.get(name, "unknown")}
        for name, question in QUESTIONS.items()
    ]


def grades(scores: Sequence[Score], copies: Copies | None = None) -> dict[str, str]:
    """ "good", "fair" or "poor" of closeness, variety and novelty, where they were measured."""
    by_name = {s.name: s for s in scores}
    found = {}
    near = _worst(by_name)
    if near is not None:
        found["closeness"] = ("good", "good", "fair", "fair", "poor")[near[0]]
    elif (runs := _runs(by_name)) is not None:
        found["closeness"] = ("good", "good", "fair", "poor")[runs]
    one = by_name.get("diversity")
    if one is not None:
        share = one.value / one.floor if one.floor else one.value
        found["variety"] = "good" if share >= 0.9 else "fair" if share >= 0.6 else "poor"
        if found["variety"] == "good" and (_repetition(by_name) or mixed(by_name)):
            found["variety"] = "fair"
    if copies is not None:
        sure = copies.method == "scan" and copies.detection_limit is not None and not copies.fails
        # What looks like nothing real is new, too, and deserves no praise for it.
        sure = sure and found.get("closeness") != "poor"
        found["novelty"] = "poor" if copies.found else "good" if sure else "fair"
    return found


def verdict(scores: Sequence[Score], copies: Copies | None = None, steps: int | None = None) -> dict[str, str]:
    """What was found, by question (closeness, variety, ...): whole sentences. Questions that were not measured are absent.
    steps: of training, where they are known."""
    by_name = {s.name: s for s in scores}
    barely = _barely(steps)
    near, varied = _closeness(by_name), _variety(by_name, bool(barely))
    answers = {
        "closeness": f"{near} {barely}".rstrip() if near else "",
        "variety": " ".join(s for s in (varied, mixed(by_name), _repetition(by_name)) if s),
        "novelty": "" if copies is None else copies.words() + _far(by_name, copies),
        "prediction": " ".join(s for s in (_likelihood(by_name), _overfitting(by_name)) if s),
        "verbatim": _verbatim(by_name),
    }
    return {question: sentence for question, sentence in answers.items() if sentence}


def _barely(steps: int | None) -> str:
    """Said of a model that has hardly been trained."""
    if steps is None or steps >= BARELY:
        return ""
    return f"The model was hardly trained ({steps} step{'s' * (steps != 1)}): give it more time, or see what else uses the cores."


def _far(scores: Mapping[str, Score], copies: Copies) -> str:
    """Samples that are unlike the data are no copies either."""
    worst = _worst(scores)
    if worst is None or worst[0] < len(LEVELS) - 1 or copies.found:
        return ""
    return " That is easy for samples that do not look like the data."


def _likelihood(scores: Mapping[str, Score]) -> str:
    unit = next((u for u in ("character", "residue") if f"bits_per_{u}" in scores), None)
    if unit is None:
        return ""
    model = scores[f"bits_per_{unit}"]
    said = f"The model predicts unseen {PLACES[unit]} at {model.value:.2f} bits a {unit}"
    naive = scores.get(f"bits_per_{unit}_kneser_ney")
    if naive is None:
        return said + "."
    change = 100.0 * (naive.value - model.value) / naive.value
    if abs(change) < 0.5:
        return f"{said}, about as well as merely counting which {unit}s follow which ({naive.value:.2f})."
    word = "better" if change > 0 else "worse"
    return f"{said}, {abs(change):.0f}% {word} than merely counting which {unit}s follow which ({naive.value:.2f})."


def _overfitting(scores: Mapping[str, Score]) -> str:
    """Whether training items are predicted better than chance has it, and much better."""
    gap = scores.get("bits_gap")
    if gap is None or gap.low is None:
        return ""
    if gap.low <= 0.0:
        return "Training items are predicted no better than unseen ones, so nothing points to over-fitting."
    bits = [s.value for n, s in scores.items() if n.startswith("bits_per_") and not is_naive(n)]
    if bits and gap.value > 0.1 * bits[0]:
        return f"Training items are predicted {gap.value:.2f} bits better than unseen ones, which is a sign of over-fitting."
    return f"Training items are predicted a little better than unseen ones ({gap.value:.2g} bits)."


def _worst(scores: Mapping[str, Score]) -> Finding | None:
    """The worst of several figures decides: each is blind to something, and none may hide what another sees."""
    found = (_frechet(scores), _kernel(scores), _spectrum(scores), _told(scores), *_shares(scores))
    return max((f for f in found if f is not None), key=lambda f: f[0], default=None)


def _closeness(scores: Mapping[str, Score]) -> str:
    worst, told = _worst(scores), _told(scores)
    if worst is None:
        level = _runs(scores)
        if level is None:
            return ""
        runs = scores["fourgram_divergence"]
        beside = f"divergence {runs.value:.2f}, real against real {runs.floor:.2f}, nothing in common 1"
        return f"Runs of four characters in the generated text are {RUNS[level]} ({beside})."
    said = f"The samples are {LEVELS[worst[0]]}"
    if told is None:
        return f"{said} ({worst[1]})."
    n = scores["two_sample_auc"].n
    few = f" Only {n} samples were compared, so this is rough." if 0 < n < FEW else ""
    most = "" if worst[1] == told[1] or worst[0] == 0 else f" What shows most: {worst[1]}."
    return f"{said}: {told[1]}.{most}{few}"


def _runs(scores: Mapping[str, Score]) -> int | None:
    runs = scores.get("fourgram_divergence")
    if runs is None or runs.floor is None or runs.floor >= 1.0:
        return None
    # The divergence ends at 1, nothing in common; so it is the way from the floor to there that says how far.
    return _level((runs.value - runs.floor) / (1.0 - runs.floor), (0.05, 0.15, 0.4))


def _told(scores: Mapping[str, Score]) -> Finding | None:
    """A classifier sees the least difference, also one that does not matter; so it never says "far"."""
    one = scores.get("two_sample_auc")
    if one is None:
        return None
    level = _level(one.value, (0.6, 0.7, 0.85)) if one.low is None or one.low > 0.5 else 0
    return level, f"a trained judge picks the generated one out of a pair {one.value:.0%} of the time (guessing: 50%)"


LEVELS = (
    "not to be told from unseen real items by these figures",
    "very close to the data",
    "close to the data, with differences that show",
    "recognisably different from the data",
    "far from the data",
)
PLACES = {"character": "text", "residue": "sequences"}
RUNS = (
    "put together as in real text",
    "close to those of real text",
    "recognisably different from those of real text",
    "far from those of real text",
)


def _level(value: float, steps: Sequence[float]) -> int:
    return sum(value > step for step in steps)


def _frechet(scores: Mapping[str, Score]) -> Finding | None:
    one = scores.get("frechet_distance")
    # With few items the floor is mostly the bias of fitting a Gaussian, and the ratio says nothing.
    if one is None or not one.floor or one.floor < 0 or one.n < 500:
        return None
    times = one.value / one.floor
    return _level(times, (1.15, 2.0, 4.0, 10.0)), f"a Fréchet distance {times:.2g} times that between real items"


def _kernel(scores: Mapping[str, Score]) -> Finding | None:
    one = scores.get("kernel_distance")
    if one is None or one.floor is None:
        return None
    seen = one.low is None or one.low > max(one.floor, 0.0)
    level = 1 + _level(one.value, (0.003, 0.01, 0.05)) if seen else 0
    return level, f"a kernel distance of {one.value:.2g} over {one.n:,} samples, between real items {one.floor:.2g}"


def _spectrum(scores: Mapping[str, Score]) -> Finding | None:
    one = scores.get("spectrum_distance")
    if one is None or one.floor is None:
        return None
    level = _level(one.value, (0.3, 0.7, 1.2, 4.0)) if one.value > 2.0 * one.floor else 0
    return level, f"fine and coarse detail differ by {one.value:.1f} dB, real against real {one.floor:.1f} dB"


def _shares(scores: Mapping[str, Score]) -> list[Finding]:
    said = {"precision": "of samples look like a real item", "recall": "of real items look like a sample"}
    found = []
    for name, words in said.items():
        one = scores.get(name)
        if one is not None and one.floor:
            level = _level(1.0 - one.value / one.floor, (0.1, 0.2, 0.3, 0.6))
            found.append((level, f"{one.value:.0%} {words}, real against real {one.floor:.0%}"))
    return found


def _variety(scores: Mapping[str, Score], barely: bool) -> str:
    one = scores.get("diversity")
    if one is None:
        return ""
    share = one.value / one.floor if one.floor else one.value
    if share < 0.3 and not barely:
        return f"The generator has collapsed: the samples have {share:.0%} of the variety of the data."
    words = (
        "as varied as real items"
        if share >= 0.9
        else "less varied than real items"
        if share >= 0.6
        else "far less varied"
    )
    missing = scores.get("coverage")
    if missing is None or not missing.floor:
        return f"The samples are {words} ({share:.0%} of what real ones have)."
    near = f"{missing.value:.0%} of real items have a sample close by (real against real: {missing.floor:.0%})"
    return f"The samples are {words} ({share:.0%} of what real ones have), and {near}."


def _repetition(scores: Mapping[str, Score]) -> str:
    one = scores.get("repetition_rate")
    if one is None or one.floor is None or one.value < max(3.0 * one.floor, one.floor + 0.05):
        return ""
    return f"The samples repeat themselves: {one.value:.0%} was said before (real text: {one.floor:.0%})."


def _verbatim(scores: Mapping[str, Score]) -> str:
    one = scores.get("verbatim_share")
    if one is None or one.floor is None:
        return ""
    return f"{one.value:.1%} of what was generated stands word for word in the training data (real unseen text: {one.floor:.1%})."
