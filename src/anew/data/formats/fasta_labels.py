"""Classes of sequences from their headers, and remarks if headers do not name one."""

from __future__ import annotations

import re
from collections import Counter

from anew.errors import ConfigError

ORGANISM = re.compile(r"\bOS=(.+?)(?= [A-Z]{2}=|$)|\[([^\[\]]+)\]\s*$")
FAMILY = re.compile(r"\b(PF\d{5}|IPR\d{6}|cd\d{5}|TIGR\d{5}|PTHR\d{5})\b")
LABELS = {
    "organism": (ORGANISM, "OS=NAME, or [NAME] at the end"),
    "family": (FAMILY, "PF, IPR, cd, TIGR or PTHR with its number"),
}
OTHER = "other"  # class of sequences whose header names none


class Headers:
    """Finds classes in headers.

    Args:
        setting: "off", "folder", "organism", "family", or a regular expression whose single group matches the class.

    Raises:
        ConfigError: The expression is invalid.
    """

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.read = setting not in ("off", "folder")
        self._pattern: re.Pattern[str] | None = None
        if self.read:
            self._pattern, self._meaning = _pattern(setting)
        self._classes: Counter[str | None] = Counter()
        self._num_searched = 0
        self._first_remarks: list[str] | None = None

    def label(self, header: str, folder: str | None) -> str | None:
        """The class of a record with this header, in a file of this class folder."""
        name = self._search(header) if self._pattern is not None else folder
        self._classes[name] += 1
        return name

    def _search(self, header: str) -> str:
        assert self._pattern is not None
        self._num_searched += bool(header)
        match = self._pattern.search(header)
        return next((g.strip() for g in match.groups() if g), OTHER) if match else OTHER

    def remarks(self) -> list[str]:
        """Remarks on the records that were read before the first call: sources may be read again later."""
        if self._first_remarks is None:
            self._first_remarks = self._missed() if self.setting != "off" and self._classes else []
        return self._first_remarks

    def _missed(self) -> list[str]:
        names = [name for name in self._classes if name is not None and not (self.read and name == OTHER)]
        setting, headers = f"labels={self.setting}", f"{self._num_searched:,} headers that were read"
        if not self.read:
            location = f"all lie in the folder {names[0]!r}" if names else "lie in no class folders"
            return [f"{setting}: the sequences {location}, so no classes are learned"] if len(self._classes) < 2 else []
        if not self._num_searched:
            return [f"{setting}: the sequences have no headers, so no classes are learned"]
        if not names:
            return [f"{setting}: none of the {headers} has {self._meaning}, so no classes are learned"]
        if len(self._classes) < 2:
            return [f"{setting}: each of the {headers} says {names[0]!r}, so no classes are learned"]
        n = sum(self._classes[name] for name in names)
        sentence = f"{setting}: {n:,} of the {headers} have {self._meaning}; the others are of the class {OTHER!r}"
        return [sentence] if n < self._classes.total() else []


def _pattern(text: str) -> tuple[re.Pattern[str], str]:
    """The pattern that finds a class in a header, and its description in words."""
    if text in LABELS:
        return LABELS[text]
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"invalid labels {text!r} ({error}); expected off, folder, organism, family, or a regular expression"
        ) from None
    if pattern.groups != 1:
        raise ConfigError(
            f"labels={text!r} has {pattern.groups} groups; mark what the class is with one pair of parentheses",
            "labels",
        )
    return pattern, f"what matches {text}"
