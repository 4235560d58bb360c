"""Small pieces of English that sentences share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# The beginning of the sentence of a command that failed, by which other programs of Anew find it
ERROR_PREFIX = "anew: "
BARELY_TRAINED = 50  # with fewer training steps, a run says little about its family; chosen
EXTREME = 0.0001  # shares nearer to 0 or 1 are given without digits: few things are counted to one in 10,000
UNMEASURED = "not measured"  # begins a clause on an answer that is open because figures are missing
# The questions of a report, as they are put to the owner of the data.
QUESTIONS = {"closeness": "Close to your data?", "variety": "As varied?", "novelty": "New?"}
ANSWERS = {  # words for the grades of a report
    "good": "yes",
    "fair": "partly",
    "poor": "no",
    "too_few": "too few to tell",
    "not_settled": "not settled",
    "not_measured": UNMEASURED,
}

NEGATIVE_ZERO = re.compile(r"(?<![\w.])-(?=0(?:\.0+)?(?![\w.]))")


def answer_of(grade: str) -> str:
    """A grade in words; UNMEASURED for one that is unknown, as those of later versions may be."""
    return ANSWERS.get(grade, UNMEASURED)


def sentence(clause: str) -> str:
    """A clause, the beginning of which may be a figure or a word, as a sentence: with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def plural(n: int, singular: str) -> str:
    """A number with its noun: "1 step", "2,000 steps"."""
    return f"{n:,} {singular}" if n == 1 else f"{n:,} {singular}s"


def are(n: int) -> str:
    """The verb for n things."""
    return "is" if n == 1 else "are"


def percent(share: float) -> str:
    """A share of 0 to 1, with two digits where it is small and as many as distinguish it from all: "0.5%", "23%", "99.6%"."""
    if 0.0 < share < EXTREME:
        return f"under {100.0 * EXTREME:.2g}%"
    if 1.0 - EXTREME < share < 1.0:
        return f"over {100.0 - 100.0 * EXTREME:.2f}%"
    if share < 0.1:
        return f"{100.0 * share:.2g}%"
    return f"{100.0 * share:.{_percent_decimals(share)}f}%"


def percent_at_least(share: float) -> str:
    """A share that is a lower end, for a sentence with "at least": as in `percent`, but rounded down and always a number."""
    if share <= 0.0 or share >= 1.0:
        return percent(share)
    share = min(share, 1.0 - EXTREME)
    unit = 10.0 ** -_percent_decimals(share)
    # Multiples of the unit stay so in spite of the rounding of floats
    return f"{math.floor(100.0 * share / unit + 1e-9) * unit:.4g}%"


def _percent_decimals(share: float) -> int:
    """Decimals of a percentage: for two digits where it is small, and for one in its distance from 100 where it is large."""
    if share < 0.1:
        return 1 - math.floor(math.log10(100.0 * share))
    return len(f"{100.0 - 100.0 * share:.1g}".partition(".")[2]) if share > 0.99 else 0


def rounded_up(n: int) -> int:
    """A number of items, rounded up to two digits: more would suggest too much precision."""
    unit = int(10 ** max(len(str(n)) - 2, 0))
    return -(-n // unit) * unit


def unsigned_zero(text: str) -> str:
    """A text whose numbers that were rounded to 0 have no minus sign: "-0.0%" becomes "0.0%"."""
    return NEGATIVE_ZERO.sub("", text)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours in words: "20 s", "10 min", "2.5 h", "1 min 40 s"."""
    text = f"{round(seconds, 4):.4g}"
    if seconds < 60 and text != "60":
        return f"{text} s"
    is_long = round(seconds) >= 3600  # not 60 min
    (size, unit), (small, small_unit) = ((3600, "h"), (60, "min")) if is_long else ((60, "min"), (1, "s"))
    if math.isclose(10 * seconds / size, round(10 * seconds / size)):
        return f"{seconds / size:.10g} {unit}"
    whole, rest = divmod(round(seconds / small), size // small)
    return f"{whole} {unit} {rest} {small_unit}" if rest else f"{whole} {unit}"


def first_listed(names: Sequence[str], most: int) -> str:
    """The first `most` names as a list within a sentence, and how many others there are: "a, b and 3 others"."""
    rest = len(names) - most
    return listed([*names[:most], f"{rest} others"]) if rest > 1 else listed(names)


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Names as a list within a sentence: "a", "a and b", "a, b and c"; "" of none."""
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def discarded_training(steps: int, seconds: float) -> str:
    """A clause on a longer training that did no better than the one before, and was not kept."""
    return f"a longer training of {plural(steps, 'step')} in {seconds:,.0f} s did no better, and was not kept"


def short_training_warning(steps: int | None) -> str:
    """A warning if a model was hardly trained, else "". steps: number of training steps, if known."""
    if steps is None or steps >= BARELY_TRAINED:
        return ""
    return (
        f"The model was hardly trained ({plural(steps, 'step')}): give it more steps or more time. If a budget brought so few, "
        "check what else is using the CPU."
    )
