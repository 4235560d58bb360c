"""Languages in which each record of a list may be written: whether a text is a complete record, and whether one begins with it.

Numbers and words by themselves are JSON, and any text is XML: so only objects and arrays, and elements, are meant. Molecules are
SMILES.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from xml.parsers import expat

from anew.core.grammars.smiles import ATOM_OPENERS, begins_molecule, is_molecule

# Parts of a JSON word or number, at whose beginning the decoder reports an error if the text is cut there
_PART_OF_VALUE = re.compile(r"-|t|tr|tru|f|fa|fal|fals|n|nu|nul|N|Na|-?I(?:n(?:f(?:i(?:n(?:i(?:t)?)?)?)?)?)?")
_PART_OF_NUMBER = re.compile(r"\d(?:\.|(?:\.\d+)?[eE][+-]?)")
# Part of an escape, or a whole one, which the decoder refuses if the text ends there
_PART_OF_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,4})?")


class RecordLanguage(ABC):
    """A language of records.

    Attributes:
        name: As reports call it.
        openers: The characters with which a record may begin.
    """

    name: str
    openers: str

    def is_whole(self, text: str) -> bool:
        """Whether a text is a complete record."""
        return text.lstrip()[:1] in tuple(self.openers) and self._parses(text)

    def can_go_on(self, text: str) -> bool:
        """Whether some record begins with a text."""
        opener = text.lstrip()[:1]
        return not opener or (opener in self.openers and self._begins(text))

    @abstractmethod
    def _parses(self, text: str) -> bool:
        """Whether a text parses."""

    @abstractmethod
    def _begins(self, text: str) -> bool:
        """Whether a text that parses begins so."""


class JsonLanguage(RecordLanguage):
    """JSON, with the NaN and Infinity that Python writes."""

    name, openers = "JSON", "{["

    def _parses(self, text: str) -> bool:
        return _json_error(text) is None

    def _begins(self, text: str) -> bool:
        error = _json_error(text)
        if not isinstance(error, json.JSONDecodeError):
            return error is None
        rest, size = text[error.pos :], len(text.rstrip())
        if error.msg.startswith("Invalid \\"):
            return _PART_OF_ESCAPE.fullmatch(text, text.rfind("\\")) is not None
        is_number = _PART_OF_NUMBER.fullmatch(text, max(0, error.pos - 1)) is not None
        is_cut = error.pos >= size or error.msg.startswith("Unterminated")
        return is_cut or is_number or _PART_OF_VALUE.fullmatch(rest) is not None


def _json_error(text: str) -> Exception | None:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return error
    return None


class XmlLanguage(RecordLanguage):
    """Elements of XML, one or several, without entities of their own. No file is read, and nothing is expanded."""

    name, openers = "XML", "<"

    def _parses(self, text: str) -> bool:
        return self._is_accepted(text, "</r>")

    def _begins(self, text: str) -> bool:
        return self._is_accepted(text, "")

    @staticmethod
    def _is_accepted(text: str, ending: str) -> bool:
        parser = expat.ParserCreate()
        try:
            # The text is put into an element, so that it may hold several elements and cannot declare entities
            parser.Parse(f"<r>{text}{ending}".encode("utf-8", "replace"), bool(ending))
        except expat.ExpatError:
            return False
        return True


class SmilesLanguage(RecordLanguage):
    """Molecules."""

    name, openers = "SMILES", ATOM_OPENERS

    def _parses(self, text: str) -> bool:
        return is_molecule(text)

    def _begins(self, text: str) -> bool:
        return begins_molecule(text)


# Runs store their numbers
RECORD_LANGUAGES: tuple[RecordLanguage, ...] = (JsonLanguage(), XmlLanguage(), SmilesLanguage())


def language_of(records: Sequence[str], max_broken: float) -> RecordLanguage | None:
    """The language in which records are written, except for a share of at most `max_broken`; None if there is none."""
    max_num_broken = max_broken * len(records)
    for language in RECORD_LANGUAGES if records else ():
        broken = (None for record in records if not language.is_whole(record))
        if sum(1 for _ in islice(broken, int(max_num_broken) + 1)) <= max_num_broken:
            return language
    return None
