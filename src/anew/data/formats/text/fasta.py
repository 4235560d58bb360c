"""FASTA as text: records of a header and a sequence, the cleaning of sequences, and their classes by their headers.

The reader is tolerant: it takes any line ends, blank lines, `;` comments, lower case (soft masking), gaps of alignments, line
numbers, and stops at the end of a translation. A record with letters of no alphabet is refused. A file without headers is an
alignment (`alignments`), one sequence, or a list of short ones, one a line, see `is_list`.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from anew.data.formats.file_bytes import with_line_feeds
from anew.data.formats.gzip_files import inflate
from anew.data.formats.text import alignments
from anew.data.formats.text.text_encoding import decode_text
from anew.errors import ConfigError

LINE_LENGTH = 60  # residues in a line that is written, as in UniProt's files
MIN_WIDTH = 40  # residues in the lines of a wrapped sequence: formats have 50 to 80; shorter lines are records; chosen
CHARACTERS_AT_ONCE = 1 << 20  # characters that are split into lines at once: bounds memory
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
PROTEIN_MORE = "BJOUXZ"  # ambiguous (B, J, Z), rare (O, U) and unknown residues
DNA, RNA = "ACGT", "ACGU"
NUCLEOTIDE_MORE = "BDHKMNRSVWY"  # IUPAC codes for one of several bases
# A sequence of at least so many letters, all of them A, C, G, T, U or N, does not count as a protein: a protein has so many of
# these in a row with a chance below one in a billion.
MIN_NUCLEOTIDES = 20
MIN_LISTED = 20  # lines that a list without headers needs to be recognised by its content
# It also needs so many different letters, or those of nucleotides alone, as moves, results and codes are words in capitals, too;
# and records of this median length, as symbols and categories are; both chosen.
MIN_LETTERS, MIN_MEDIAN = 15, 5
# Share of the lines that such a list must have as entries, as a few may be titles or damaged; chosen.
LISTED_SHARE = 0.95
# A file with headers is FASTA if few of its lines are no residues (some may be damaged), and most letters are capitals. Where soft masking
# made most of them small, lines must have at least so many residues on average: lines of quoted mail have fewer characters without a
# space. All chosen.
MAX_OTHER_LINES, CAPITALS, MIN_MEAN_LINE = 0.05, 0.7, 30
_IGNORED = str.maketrans("", "", " \t\v\f0123456789")
_INNER_DIGITS = re.compile(r"[A-Za-z]\d+[A-Za-z]")  # no line number: that stands apart, before or after the residues
_GAPS = re.compile(r"[-.~]")
_LISTED = re.compile(f"[{PROTEIN}XUN]+[*]?")
_RESIDUES = re.compile(r"[A-Za-z*.~-]+(?:[ \d]+[A-Za-z*.~-]{5,})*[ \d]*")
ORGANISM = re.compile(r"\bOS=(.+?)(?= [A-Z]{2}=|$)|\[([^\[\]]+)\]\s*$")
FAMILY = re.compile(r"\b(PF\d{5}|IPR\d{6}|cd\d{5}|TIGR\d{5}|PTHR\d{5})\b")
LABELS = {
    "organism": (ORGANISM, "OS=NAME, or [NAME] at the end"),
    "family": (FAMILY, "PF, IPR, cd, TIGR or PTHR with its number"),
}
OTHER = "other"  # class of sequences whose header names none


@dataclass(frozen=True, slots=True)
class Alphabet:
    """An alphabet of residues.

    Attributes:
        name: Its name in sentences.
        letters: The usual letters.
        more: Further valid letters, ambiguous or rare.
        unknown: The letter that any other is read as.
    """

    name: str
    letters: str
    more: str
    unknown: str

    @property
    def all(self) -> str:
        return self.letters + self.more

    def nearest(self, letter: str) -> str:
        """The letter as which a foreign letter is read: U as T in DNA, and T as U in RNA; else `unknown`."""
        counterpart = {"T": "U", "U": "T"}.get(letter, "")
        return counterpart if counterpart and counterpart in self.letters else self.unknown


ALPHABETS = {
    "protein": Alphabet("protein", PROTEIN, PROTEIN_MORE, "X"),
    "dna": Alphabet("DNA", DNA, NUCLEOTIDE_MORE, "N"),
    "rna": Alphabet("RNA", RNA, NUCLEOTIDE_MORE, "N"),
}


def looks_like_nucleotides(sequence: str) -> bool:
    """Whether a sequence (upper case) is long enough, with letters of nucleotides alone, not to be a protein."""
    return len(sequence) >= MIN_NUCLEOTIDES and set(sequence) <= set("ACGTUN")


def detect_alphabet(sequences: Iterable[str]) -> str:
    """The key in ALPHABETS of the alphabet of these sequences (upper case)."""
    counts: dict[str, int] = {}
    for sequence in sequences:
        for letter in set(sequence):
            counts[letter] = counts.get(letter, 0) + sequence.count(letter)
    total = sum(counts.values())
    bases = sum(counts.get(letter, 0) for letter in "ACGTUN")
    if not total or bases < 0.9 * total or any(letter not in DNA + "U" + NUCLEOTIDE_MORE for letter in counts):
        return "protein"
    return "rna" if counts.get("U", 0) > counts.get("T", 0) else "dna"


@dataclass(frozen=True, slots=True)
class FastaRecord:
    """A record of a file.

    Attributes:
        header: The text after `>`.
        sequence: The residues as written, without white space, line numbers and other digits.
        has_digits: Whether digits stood between residues.
    """

    header: str
    sequence: str
    has_digits: bool = False

    @property
    def name(self) -> str:
        """The first word of the header."""
        return self.header.split(None, 1)[0] if self.header.strip() else ""


def parse(text: str) -> Iterator[FastaRecord]:
    """Yield the records of a file in order. Residues before the first header are a record without one, or a list of records."""
    if alignments.looks_like(text):
        yield from (FastaRecord(row.name, row.residues) for row in alignments.rows(text))
        return
    if not is_list(text):
        yield from _parse_records(text)
        return
    for line in _sequence_lines(text):
        yield FastaRecord("", line.translate(_IGNORED), _INNER_DIGITS.search(line) is not None)


def is_list(text: str) -> bool:
    """Whether a text without headers is a list of sequences, one a line: its lines have lengths that those of a wrapped sequence,
    which are equally long up to the last one, do not have."""
    if text.startswith(">") or "\n>" in with_line_feeds(text):
        return False
    lengths = [len(line.translate(_IGNORED)) for line in _sequence_lines(text)]
    if len(lengths) < 2:
        return False
    width = lengths[0]
    return width < MIN_WIDTH or lengths[-1] > width or any(length != width for length in lengths[:-1])


def _sequence_lines(text: str) -> Iterator[str]:
    """Yield the lines that are neither blank nor comments."""
    return (line for line in _lines(text) if line.strip() and not line.startswith(";"))


def _parse_records(text: str) -> Iterator[FastaRecord]:
    header: str | None = None
    lines: list[str] = []
    has_digits = False
    for line in _lines(text):
        if line.startswith(">"):
            if header is not None or any(lines):
                yield FastaRecord(header or "", "".join(lines), has_digits)
            header, lines, has_digits = line[1:].strip(), [], False
        elif line and not line.startswith(";"):
            lines.append(line.translate(_IGNORED))
            has_digits |= len(lines[-1]) < len(line) and _INNER_DIGITS.search(line) is not None
    if header is not None or any(lines):
        yield FastaRecord(header or "", "".join(lines), has_digits)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text. It is split in pieces, since a list of all lines takes several times its memory."""
    text = with_line_feeds(text)
    start = 0
    while start <= len(text):
        end = text.find("\n", start + CHARACTERS_AT_ONCE)
        end = len(text) if end < 0 else end
        yield from text[start:end].split("\n")
        start = end + 1


def clean_sequence(sequence: str) -> tuple[str, bool]:
    """Residues in upper case without gaps and without stops at the end, and whether there were gaps."""
    upper = sequence.upper()
    letters = _GAPS.sub("", upper)
    return letters.rstrip("*"), len(letters) < len(upper)


def normalise_residues(part: str, alphabet: Alphabet) -> str:
    """Clean the residues of a prompt like those of data; letters that are not in the alphabet stay."""
    swapped = {ord(c): alphabet.nearest(c) for c in "TU" if c not in alphabet.all}
    return clean_sequence("".join(part.split()))[0].translate(swapped)


def first_sequence(data: bytes) -> str:
    """The first sequence of a file, which may have no header. Raises ValueError (one clause) if there is none."""
    record = next(_parse_records(decode_file(data)), None)
    if record is None or not record.sequence:
        raise ValueError("it holds no sequence")
    return record.sequence


@dataclass(frozen=True, slots=True)
class FastaLayout:
    """How records are written.

    Attributes:
        width: Residues in a line; 0: a sequence is one line.
        has_crlf: Whether lines end with CR and LF instead of LF.
        has_stop: Whether a sequence ends with `*`.
    """

    width: int = LINE_LENGTH
    has_crlf: bool = False
    has_stop: bool = False


def layout_of(texts: Iterable[str]) -> FastaLayout:
    """How most records of these files are written."""
    widths: Counter[int] = Counter()
    num_crlf = num_lf = num_records = num_stops = 0
    for text in texts:
        head = text[:CHARACTERS_AT_ONCE]
        num_crlf, num_lf = num_crlf + head.count("\r\n"), num_lf + head.count("\n")
        for record in re.split("^>", head, flags=re.MULTILINE)[1:]:
            lines = [line for line in map(str.strip, record.splitlines()[1:]) if line]
            widths.update(map(len, lines[:-1]))
            widths[0] += len(lines) == 1 and len(lines[0]) > LINE_LENGTH
            num_records, num_stops = num_records + 1, num_stops + (bool(lines) and lines[-1].endswith("*"))
    width = widths.most_common(1)[0][0] if widths.total() else LINE_LENGTH
    return FastaLayout(width, 2 * num_crlf > num_lf, 2 * num_stops > num_records)


def to_fasta(records: Iterable[FastaRecord], layout: FastaLayout | None = None) -> str:
    """Write records as FASTA text. layout: None has lines of LINE_LENGTH residues, LF, and no `*`."""
    layout = layout or FastaLayout()
    out, line_end = io.StringIO(), "\r\n" if layout.has_crlf else "\n"
    for record in records:
        out.write(f">{record.header}{line_end}")
        sequence = record.sequence + "*" * layout.has_stop
        width = layout.width or max(1, len(sequence))
        for at in range(0, len(sequence), width):
            out.write(sequence[at : at + width] + line_end)
    return out.getvalue()


def decode_file(data: bytes) -> str:
    """The text of a file, compressed by gzip or not, in any encoding. Raises ValueError (one clause)."""
    return decode_text(inflate(data)).text


def looks_like(head: bytes) -> bool:
    """Whether a file that begins with `head` looks like FASTA, headers, each followed by lines of residues only; like a list; or
    like an alignment."""
    try:
        text = decode_text(head, is_complete=False).text
    except ValueError:
        return False
    if alignments.looks_like(text):
        return True
    lines = [line.strip() for line in with_line_feeds(text).split("\n")]
    lines = [line for line in lines[:-1] or lines if line and not line.startswith(";")]
    if not lines or not lines[0].startswith(">"):
        return _looks_like_list(lines)
    bodies = [line for line in lines if not line.startswith(">")]
    # Quoted mail and prose begin with `>`, too, but their other lines are not residues only.
    if not bodies or sum(_RESIDUES.fullmatch(line) is None for line in bodies) > MAX_OTHER_LINES * len(bodies):
        return False
    letters = "".join(bodies)
    capitals = sum(map(str.isupper, letters)) >= CAPITALS * sum(map(str.isalpha, letters))
    return capitals or len(letters) >= MIN_MEAN_LINE * len(bodies)


def _looks_like_list(lines: list[str]) -> bool:
    """Whether lines are sequences in capitals."""
    sequences = [line for line in lines if _LISTED.fullmatch(line)]
    if len(sequences) < max(MIN_LISTED, LISTED_SHARE * len(lines)) or not is_list("\n".join(sequences)):
        return False
    letters = set("".join(sequences)) - set("*")
    return median(map(len, sequences)) >= MIN_MEDIAN and (len(letters) >= MIN_LETTERS or letters <= set("ACGTUN"))


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

    def remarks(self, *, has_classes: bool = False) -> list[str]:
        """Remarks on the records that were read before the first call: sources may be read again later.

        has_classes: Whether the classes are those of a model already, so that the records need not have several.
        """
        if self._first_remarks is None:
            self._first_remarks = self._missed(has_classes) if self.setting != "off" and self._classes else []
        return self._first_remarks

    def _missed(self, has_classes: bool) -> list[str]:
        if has_classes and (len(self._classes) < 2 or not self._num_searched):
            return []
        names = [name for name in self._classes if name is not None and not (self.read and name == OTHER)]
        setting, headers = f"labels={self.setting}", f"{self._num_searched:,} headers that were read"
        if not self.read:
            location = f"all lie in the folder {names[0]!r}" if names else "lie in no class folders"
            return (
                [f"{setting}: the sequences {location}, so no classes are learned."] if len(self._classes) < 2 else []
            )
        if not self._num_searched:
            return [f"{setting}: the sequences have no headers, so no classes are learned."]
        if not names:
            return [f"{setting}: none of the {headers} has {self._meaning}, so no classes are learned."]
        if len(self._classes) < 2:
            return [f"{setting}: each of the {headers} says {names[0]!r}, so no classes are learned."]
        n = sum(self._classes[name] for name in names)
        sentence = f"{setting}: {n:,} of the {headers} have {self._meaning}; the others are of the class {OTHER!r}."
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
