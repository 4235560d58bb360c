"""Several generators of the same data, judged by the same figures: who is best at what, and which textbook claims held."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting import verdict

FIRST = (
    "frechet_distance",
    "kernel_distance",
    "precision",
    "recall",
    "coverage",
    "diversity",
    "fine_detail",
    "spectrum_distance",
    "walk_length",
    "walk_evenness",
    "walk_realness",
)  # figures in the order of the table; others follow
LAST = ("seconds_per_1000", "passes_per_1000", "training_seconds", "steps", "parameters")
TERMS = {
    "fine_detail": (
        "Fine detail",
        "Power at high spatial frequencies as a multiple of real images: 1 is as sharp, less is blurrier, more is rougher.",
    ),
    "spectrum_distance": (
        "Detail of all sizes",
        "Mean difference of power from real images, in decibels. 0: the same.",
    ),
    "walk_length": (
        "Length of walks",
        "The path from one sample to another, as a multiple of the straight line in the embedding. 1 is straight.",
    ),
    "walk_evenness": (
        "Evenness of walks",
        "Mean step over the largest step: 1 is even, near 0 means that it stands still and then jumps.",
    ),
    "walk_realness": ("Realness along walks", "Share of the frames between two samples that look like some real item."),
    "bits_per_dimension": (
        "Bits per dimension",
        "What a value of unseen items costs; for a VAE a bound. Lower is better.",
    ),
    "seconds_per_1000": ("Seconds for 1,000 samples", "Measured on this machine, without writing files."),
    "passes_per_1000": (
        "Network passes for 1,000 samples",
        "How often a weight is used, on average over the weights that sampling uses.",
    ),
    "training_seconds": (
        "Seconds of training",
        "Time in training steps; the budget also pays for reading and the report.",
    ),
    "steps": ("Steps of training", ""),
    "parameters": ("Parameters", "Of all networks that sampling may need."),
}
PLAIN = {"training_seconds", "steps", "parameters"}  # facts, which nobody wins
WALKING = 0.5  # of the best share of real-looking frames, below which walks are not compared: noise walks evenly, too
CLOSE = 0.05  # figures without an interval that differ by less are called a tie
KIND_WORDS = {"vae": "VAE", "gan": "GAN", "diffusion": "diffusion", "transformer": "Transformer"}


@dataclass
class Entrant:
    """One run in the comparison. kind: the family's name; scores: by name, facts included; failed: why it is not measured.

    copies: what the run's own report says of copies, None without one; samples, walks: what is shown; spectrum,
    real_spectrum: mean power by ring; no_walk: why it has no walks."""

    name: str
    kind: str
    run: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    samples: list[Any] = field(default_factory=list)
    walks: list[list[Any]] = field(default_factory=list)
    spectrum: Any = None
    real_spectrum: Any = None
    no_walk: str = ""
    failed: str = ""
    copies: dict[str, Any] | None = None

    def fact(self, name: str, value: float | None, source: str) -> None:
        """A figure without an interval; None is left out."""
        if value is not None:
            self.scores[name] = Score(name, float(value), source=source)


def term(name: str) -> tuple[str, str]:
    """Title and explanation of a row."""
    return TERMS[name] if name in TERMS else verdict.term(name)


def rows(entrants: Sequence[Entrant]) -> list[str]:
    """Names of all figures that some entrant has, in the order of the table."""
    found = {name for e in entrants for name in e.scores if not verdict.is_naive(name)}
    middle = sorted(found - set(FIRST) - set(LAST))
    bits = [n for n in middle if n.startswith("bits")]
    order = [*FIRST, *bits, *[n for n in middle if n not in bits], *LAST]
    return [name for name in order if name in found]


def merit(score: Score) -> float:
    """Lower is better, whatever the figure."""
    if score.name == "fine_detail":
        return abs(math.log(max(score.value, 1e-12)))
    return -score.value if score.better == "higher" else score.value


def tie(one: Score, other: Score) -> bool:
    """Whether two figures differ by no more than chance: their 95% intervals taken together, or both at the floor."""
    widths = [_half(s) for s in (one, other)]
    if widths[0] is None or widths[1] is None:
        largest = max(abs(one.value), abs(other.value))
        return abs(one.value - other.value) <= CLOSE * largest
    if abs(merit(one) - merit(other)) <= math.hypot(*(w or 0.0 for w in widths)):
        return True
    return all(at_floor(s) for s in (one, other))


def _half(score: Score) -> float | None:
    if score.low is None or score.high is None:
        return None
    half = (score.high - score.low) / 2
    return half / max(score.value, 1e-12) if score.name == "fine_detail" else half


def at_floor(score: Score) -> bool:
    """Whether real data in the samples' place scores no better."""
    if score.floor is None:
        return False
    real = Score(score.name, score.floor, better=score.better)
    return merit(score) <= merit(real) + (_half(score) or 0.0)


def best(entrants: Sequence[Entrant], name: str) -> list[Entrant]:
    """The best by a figure, and those that tie with it; best first. Empty where fewer than two have it."""
    having = sorted((e for e in comparable(entrants, name) if name in e.scores), key=lambda e: merit(e.scores[name]))
    if len(having) < 2 or name in PLAIN:
        return []
    return [e for e in having if e is having[0] or tie(e.scores[name], having[0].scores[name])]


def comparable(entrants: Sequence[Entrant], name: str) -> list[Entrant]:
    """Who may win by a figure: of walks, those whose frames look about as real as others'."""
    real = {e.name: e.scores["walk_realness"].value for e in entrants if "walk_realness" in e.scores}
    if name not in ("walk_length", "walk_evenness") or not real:
        return list(entrants)
    return [e for e in entrants if real.get(e.name, 0.0) >= WALKING * max(real.values())]


def findings(entrants: Sequence[Entrant]) -> list[str]:
    """Who wins what here, a sentence a question."""
    questions: Sequence[tuple[str, Sequence[str], Callable[[float], str]]] = (
        ("Closest to the data", ("frechet_distance", "fourgram_divergence"), _plain),
        ("Most varied", ("coverage",), _share),
        ("Sharpness nearest to real", ("fine_detail",), _times),
        ("Straightest walks", ("walk_length",), _times),
        ("Most even walks", ("walk_evenness",), _plain),
        ("Best prediction of unseen data", ("bits_per_dimension", "bits_per_character", "bits_per_residue"), _plain),
        ("Fastest sampling", ("seconds_per_1000",), _seconds),
    )
    found = [
        f"{e.name}: {copied(e)} What it wins, it may owe to that." for e in entrants if e.copies and e.copies["found"]
    ]
    return found + [s for what, names, show in questions for s in _finding(entrants, what, names, show)]


def copied(entrant: Entrant) -> str:
    """What the run's own report says of copies, and of how many samples."""
    if entrant.copies is None:
        return "The run's report has no audit for copies."
    return f"{entrant.copies['verdict']} ({entrant.copies['samples']:,} samples)"


def _finding(
    entrants: Sequence[Entrant], what: str, names: Sequence[str], show: Callable[[float], str]
) -> Iterator[str]:
    for name in names:
        winners = best(entrants, name)
        if not winners:
            continue
        others = sorted(
            (e for e in entrants if name in e.scores and e not in winners), key=lambda e: merit(e.scores[name])
        )
        title = term(name)[0]
        title = title if title.isupper() else title[0].lower() + title[1:]
        title = title.replace("fréchet", "Fréchet")
        measured = f"{title} {_listed([show(e.scores[name].value) for e in winners])}"
        beside = [f"{e.name} {show(e.scores[name].value)}" for e in others]
        floor = winners[0].scores[name].floor
        beside += [] if floor is None else [f"real against real {show(floor)}"]
        close = ", too close to call" if len(winners) > 1 else ""
        parts = [measured, *([", ".join(beside)] if beside else [])]
        parts += _real_on_the_way(entrants) if name == "walk_length" else []
        yield f"{what}: {_listed([e.name for e in winners])}{close} ({'; '.join(parts)})."
        return


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _times(value: float) -> str:
    return f"{value:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# ---- claims of textbooks ----


@dataclass(frozen=True)
class Claim:
    """held: "yes", "no", "partly", "tie" or "not tested"; because: what was measured, one clause."""

    claim: str
    held: str
    because: str

    def to_json(self) -> dict[str, str]:
        return {"claim": self.claim, "held": self.held, "because": self.because}


def claims(entrants: Sequence[Entrant]) -> list[Claim]:
    """What textbooks say of the families, beside what was measured on this data."""
    vae, gan, diffusion = (_of(entrants, kind) for kind in ("vae", "gan", "diffusion"))
    rest = [e for kind in dict.fromkeys(e.kind for e in entrants if e.kind != "diffusion") for e in _of(entrants, kind)]
    return [
        _together("A VAE walks more smoothly than a GAN", vae, gan, ("walk_length", "walk_evenness")),
        _together("A VAE's samples are blurrier than a GAN's", gan, vae, ("fine_detail",), _sharper),
        _quality(diffusion, rest),
        _together("Diffusion pays in sampling time", rest, diffusion, ("seconds_per_1000",)),
    ]


def _of(entrants: Sequence[Entrant], kind: str) -> list[Entrant]:
    """Runs of a family that were trained enough to stand for it."""
    runs = [e for e in entrants if e.kind == kind and not e.failed]
    return [e for e in runs if "steps" not in e.scores or e.scores["steps"].value >= verdict.BARELY]


def _better(one: Score, other: Score) -> int:
    """1 where the first is better, -1 where the second is, 0 for a tie."""
    return 0 if tie(one, other) else 1 if merit(one) < merit(other) else -1


def _sharper(one: Score, other: Score) -> int:
    """By detail alone, whatever real images have: 1 where the first has more."""
    halves = [((s.high or s.value) - (s.low or s.value)) / 2 for s in (one, other)]
    return 0 if abs(one.value - other.value) <= math.hypot(*halves) else 1 if one.value > other.value else -1


def _together(
    claim: str,
    these: Sequence[Entrant],
    those: Sequence[Entrant],
    names: Sequence[str],
    better: Callable[[Score, Score], int] = _better,
) -> Claim:
    """Whether all of these are better than all of those, by every figure named."""
    found = [
        better(a.scores[n], b.scores[n])
        for n in names
        for a, b in itertools.product(comparable(these, n), comparable(those, n))
        if n in a.scores and n in b.scores
    ]
    if not found:
        return Claim(claim, "not tested", "no two runs here can be compared in this")
    shown = []
    for name in names:
        each = [f"{e.name} {_plain(e.scores[name].value)}" for e in (*these, *those) if name in e.scores]
        shown.append(f"{term(name)[0].lower()}: {', '.join(each)}")
    if "walk_length" in names:
        shown += _real_on_the_way([*these, *those])
    return Claim(claim, _held(found), "; ".join(shown))


def _real_on_the_way(entrants: Sequence[Entrant]) -> list[str]:
    """A cross-fade of two pictures is smooth too: whether what lies between looks real belongs beside it."""
    name = "walk_realness"
    found = [f"{e.name} {_share(e.scores[name].value)}" for e in entrants if name in e.scores]
    return [f"frames on the way that look real: {', '.join(found)}"] if found else []


def _held(found: Sequence[int]) -> str:
    if all(f == 0 for f in found):
        return "tie"
    if all(f > 0 for f in found):
        return "yes"
    return "no" if all(f <= 0 for f in found) else "partly"


def _quality(diffusion: Sequence[Entrant], rest: Sequence[Entrant]) -> Claim:
    """The best diffusion against the best of the others."""
    claim, name = "Diffusion has the best quality", "frechet_distance"
    sides = [
        min((e for e in side if name in e.scores), key=lambda e: merit(e.scores[name]), default=None)
        for side in (diffusion, rest)
    ]
    ours, theirs = sides
    if ours is None or theirs is None:
        return Claim(claim, "not tested", "no two runs here can be compared in this")
    found = _better(ours.scores[name], theirs.scores[name])
    shown = ", ".join(f"{e.name} {_plain(e.scores[name].value)}" for e in (ours, theirs))
    return Claim(claim, _held([found]), f"Fréchet distance: {shown}")
