"""Classes of texts by the suffixes of their files: interfaces and implementations in OCaml, style sheets and pages.

Which suffixes are classes follows from how common they are, not from their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anew.core import files
from anew.core.wording import listed
from anew.data.file_names import suffix_of, unpacked
from anew.data.types import Item

# Files of a class: enough that some are held out, and that two classes are documents enough for samples
# to begin like documents (`FEW_DOCUMENTS`). Chosen.
MIN_FILES = 30
MIN_SHARE = 0.1  # a class has at least this share of all files; chosen
PLAIN_SUFFIX = ".txt"  # suffix of the files of samples, if the data does not say which
OTHER = "other"  # the class of files with less common suffixes, where these are as common together


@dataclass(frozen=True, slots=True)
class SuffixClasses:
    """Which class a text has by the suffix of its file.

    Attributes:
        suffixes: The suffixes that are classes, the commonest first; () where texts have no classes.
        rest: The class of files with any other suffix: OTHER if they are common enough together, else that of the commonest.
    """

    suffixes: tuple[str, ...] = ()
    rest: str = ""

    @classmethod
    def of(cls, counts: Counter[str]) -> SuffixClasses:
        """The classes of files of these suffixes, "" for none; no classes where fewer than two suffixes are common enough."""
        least = max(MIN_FILES, MIN_SHARE * counts.total())
        suffixes = tuple(suffix for suffix, count in counts.most_common() if suffix and count >= least)
        if len(suffixes) < 2:
            return cls()
        num_others = counts.total() - sum(counts[suffix] for suffix in suffixes)
        return cls(suffixes, OTHER if num_others >= least else suffixes[0])

    @classmethod
    def restored(cls, suffixes: Sequence[str], rest: str) -> SuffixClasses:
        """The suffix classes of a run, which may come from anybody. Raises ValueError (one clause)."""
        checked = tuple(map(checked_suffix, suffixes))
        if checked and rest not in (OTHER, checked[0]):
            raise ValueError(f"the class of other files must be {OTHER!r} or {checked[0]!r} (got {rest!r:.40})")
        return cls(checked, rest)

    def label(self, suffix: str) -> str | None:
        """The class of a text whose file has this suffix; None where texts have no classes."""
        return (suffix if suffix in self.suffixes else self.rest) if self.suffixes else None

    def suffix(self, label: str | None) -> str:
        """The suffix of files of a class; "" for the class of all other suffixes."""
        return label if label in self.suffixes else ""

    def notes(self) -> list[str]:
        """A sentence on the classes; none without."""
        if not self.suffixes:
            return []
        names = [*self.suffixes, *([OTHER] if self.rest == OTHER else [])]
        return [
            f"Each suffix is a class ({listed(names)}), and a sample has that of its class; labels=off learns none."
        ]


def main_suffix(counts: Counter[str]) -> str:
    """The suffix of most files of these, PLAIN_SUFFIX if none is that of most."""
    suffix, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return suffix if suffix and 2 * count > counts.total() else PLAIN_SUFFIX


def file_ending(item: Item) -> str:
    """The suffix of an item's file, without that of gzip; "" for none that a sample could have."""
    return name_ending(item.name) if isinstance(item.data, bytes) else ""


def name_ending(name: str) -> str:
    """The suffix of a name, without that of gzip; "" for none that a sample could have."""
    return _sample_suffix(suffix_of(name))


def count_suffixes(names: Iterable[str], num_items: int) -> Counter[str]:
    """How many files have each suffix, see `file_ending`.

    Args:
        names: Names of files, each of which is an item.
        num_items: Number of all items: others than files have no suffix.
    """
    counts: Counter[str] = Counter()
    for suffix, count in Counter(map(suffix_of, names)).items():
        counts[_sample_suffix(suffix)] += count
    counts[""] += max(num_items - counts.total(), 0)
    return counts


def _sample_suffix(suffix: str) -> str:
    suffix = unpacked(suffix)
    return suffix if re.fullmatch(files.SUFFIX, suffix) else ""


def checked_suffix(value: object) -> str:
    """A suffix of files out of a run. Raises ValueError (one clause) if it is none."""
    if not isinstance(value, str) or not re.fullmatch(files.SUFFIX, value):
        raise ValueError(f"suffix must be the ending of a file, like .py (got {value!r:.40})")
    return value
