"""Decodes the files of a data set: chooses the encoding of those that are not UTF-8, keeps it, and says which it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from anew.core import encodings
from anew.core.encodings import AUTO
from anew.core.wording import plural
from anew.data.file_names import split_record_name
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.formats.text import encoding_recognition as recognition
from anew.data.formats.text.text_encoding import BEYOND_ASCII, WINDOWS, decode_lines, decode_unicode, divide_lines
from anew.errors import shorten

MIN_SCORE_GAIN = 0.1  # a file keeps the encoding of the data set, unless another one's score is so much better
FEW_BYTES = 10  # bytes beyond ASCII; of fewer, no encoding is better than that of the data set
SURVEYED = 1 << 19  # bytes that are looked at of all files of a sample together: some 200 ms
MIN_SAMPLE_BYTES = 1 << 10  # bytes that are looked at of a file in any case
# Share of the bytes beyond ASCII without a meaning, from which on a file is not in the given encoding
MAX_DAMAGED = 0.1
MAX_UNREAD = 0.01  # the same for an encoding that was recognised in other files
MAX_LISTED_FILES = 3  # files that a sentence names
DAMAGED = "\N{REPLACEMENT CHARACTER}"


class _FileEncoding(NamedTuple):
    """How a file is read that is not UTF-8, or not in all of its lines.

    Attributes:
        encoding: Codec of its lines that are not UTF-8.
        is_sure: Whether it was recognised with certainty, or is asked for.
        in_part: Whether most of its lines beyond ASCII are UTF-8.
    """

    encoding: str
    is_sure: bool
    in_part: bool


class TextDecoder:
    """Decodes files to text.

    A file that is UTF-8, or has a byte order mark, is read so. Any other is read in the encoding that is asked for, or in the one
    that is recognised: that of most files, unless another one fits the file much better, or the characters tell where the two
    differ. A file has one encoding, however many spans it is read in: it depends on lines from all over it.

    Attributes:
        encoding: Codec of the files that are not UTF-8, as `survey` or the user chose it.
        is_sure: Whether it was recognised with certainty.
        agree: Whether all files that `survey` saw have it, so that others are not looked at.
    """

    def __init__(self, asked: str | None) -> None:
        """asked: the name of an encoding, "auto" to recognise it, or None: Windows-1252 whatever the bytes are."""
        self.asked = asked
        self.encoding = WINDOWS if asked in (None, AUTO) else encodings.codec_name(asked)
        self.is_sure = asked != AUTO
        self.agree = asked != AUTO
        self._other_line_ends = ""  # the first file that has some
        self._choices: dict[str, _FileEncoding | str] = {}  # or why a file cannot be read
        # Numbers of guessed and damaged characters by file and span, since a span may be read more than once
        self._guessed: dict[str, dict[tuple[int, bytes], int]] = {}
        self._damaged: dict[str, dict[tuple[int, bytes], int]] = {}

    def survey(self, samples: Iterable[bytes]) -> None:
        """Choose the encoding of a data set. samples: for each file of a sample, lines from all over it that hold bytes beyond ASCII."""
        if self.asked != AUTO:
            return
        self.encoding, self.is_sure, self.agree = WINDOWS, False, False
        files = [lines for sample in samples if (lines := divide_lines(sample).others)]
        files = [recognition.first_lines(lines, max(SURVEYED // len(files), MIN_SAMPLE_BYTES)) for lines in files]
        scores_by_file = [recognition.scores(lines) for lines in files]
        together = recognition.join_lines(files)
        # Where no file alone has enough text, all of them may have
        best = recognition.best_of(_votes(files, scores_by_file) or recognition.scores(together), together)
        if best is None or best.score < recognition.MIN_SCORE:
            return
        self.encoding, self.is_sure = best.codec, True
        recognised = [self._recognised(lines, scores) for lines, scores in zip(files, scores_by_file, strict=True)]
        self.agree = all(choice == (self.encoding, True) for choice in recognised)

    def decode(self, name: str, data: bytes, sample: bytes | None = None) -> str:
        """The text of a file, or of a span of one, with LF as its line ends.

        Args:
            name: The file.
            data: Its bytes, or those of the span.
            sample: For a span that is not UTF-8: lines with characters beyond ASCII, from all over the file.

        Raises:
            ValueError: It is binary, or not in the encoding that is asked for (one clause).
        """
        decoded = decode_unicode(data)
        return self.with_line_feeds(name, self.decode_non_utf8(name, data, sample) if decoded is None else decoded.text)

    def with_line_feeds(self, name: str, text: str) -> str:
        """A text with LF as its line ends. name: the item that holds it."""
        if "\r" not in text:
            return text
        self._other_line_ends = self._other_line_ends or split_record_name(name)[0]
        return with_line_feeds(text)

    def decode_non_utf8(self, name: str, data: bytes, sample: bytes | None) -> str:
        """The text of a file, or of a span of one, that is known not to be UTF-8; see `decode`."""
        choice = self._choices.get(name)
        if choice is None:
            lines = (
                recognition.sample_lines(lambda start, stop: data[start:stop], len(data)) if sample is None else sample
            )
            choice = self._choices[name] = self._choose(lines)
        if isinstance(choice, str):
            raise ValueError(choice)
        decoded = decode_lines(data, choice.encoding, choice.in_part)
        span = len(data), data[:64]
        if decoded.guessed:
            self._guessed.setdefault(name, {})[span] = decoded.guessed
        if damaged := decoded.text.count(DAMAGED):
            self._damaged.setdefault(name, {})[span] = damaged
        return decoded.text

    def _choose(self, sample: bytes) -> _FileEncoding | str:
        """The encoding of a file of which these are lines, or why it cannot be read (one clause)."""
        lines = divide_lines(sample)
        others = lines.others
        in_part = lines.num_utf8 > lines.num_others
        if self.asked != AUTO:
            if self.asked is not None and not in_part and _damage(others, self.encoding) > MAX_DAMAGED:
                return (
                    f"it is not {encodings.title(self.encoding)}, as the setting encoding says; leave it out, so that Anew "
                    "recognises the encoding"
                )
            return _FileEncoding(self.encoding, is_sure=True, in_part=in_part)
        if self.agree and _damage(others, self.encoding) <= MAX_UNREAD:
            return _FileEncoding(self.encoding, is_sure=True, in_part=in_part)
        return _FileEncoding(*self._recognised(others, recognition.scores(others)), in_part)

    def _recognised(self, lines: bytes, scores: Mapping[str, float]) -> tuple[str, bool]:
        """The encoding of lines that are not UTF-8, and whether it is certain."""
        best = recognition.best_of(scores, lines)
        is_readable = _damage(lines, self.encoding) <= MAX_UNREAD
        if best is not None and best.score >= recognition.MIN_SCORE:
            gain = best.score - scores.get(self.encoding, 0.0)
            if not is_readable or not self.is_sure or self._is_better(best.codec, gain, lines):
                return best.codec, True
        return (self.encoding, self.is_sure) if is_readable else (WINDOWS, False)

    def _is_better(self, codec: str, gain: float, lines: bytes) -> bool:
        """Whether another encoding, whose score is higher by `gain`, fits lines so much better that it replaces that of the data set."""
        if _beyond_ascii(lines) < FEW_BYTES:
            return False
        return gain >= MIN_SCORE_GAIN or recognition.is_distinguishable(lines, codec, self.encoding, gain)

    def notes(self) -> list[str]:
        """Sentences on the files read so far that are not UTF-8, or have other line ends than LF."""
        chosen = {name: choice for name, choice in self._choices.items() if isinstance(choice, _FileEncoding)}
        groups: dict[tuple[bool, str, bool], list[str]] = {}
        for name, (encoding, is_sure, _) in sorted(chosen.items()):
            groups.setdefault((name in self._guessed, encoding, is_sure), []).append(name)
        notes = [self._note(*group, names) for group, names in sorted(groups.items())] + self._damage_notes(chosen)
        if self._other_line_ends:
            notes.append(
                "Line ends of Windows or old Macs (CRLF, CR) are read as LF, which samples have too. The first file with such is "
                f"{self._other_line_ends}."
            )
        return notes

    def _note(self, is_part: bool, encoding: str, is_sure: bool, names: Sequence[str]) -> str:
        listed, called = ", ".join(names[:MAX_LISTED_FILES]), encodings.title(encoding)
        if is_part:
            count = sum(sum(self._guessed[name].values()) for name in names)
            note = f"{_files_are(names)} UTF-8 in part only; {plural(count, 'line')} that are not were read as {called}: {listed}"
        else:
            note = f"{_files_are(names)} not UTF-8; read as {called}{self._reason(is_sure, len(names))}: {listed}"
        them = "it" if len(names) == 1 and not is_part else "them"
        advice = f" (encoding=NAME reads {them} in another one)" if self.asked == AUTO else ""
        return f"{note}{advice}."

    def _reason(self, is_sure: bool, num_files: int) -> str:
        if self.asked is None:
            return ""
        if self.asked != AUTO:
            return ", as asked"
        if is_sure:
            return ", which fits best"
        return f", since {'its encoding' if num_files == 1 else 'their encoding'} cannot be recognised"

    def _damage_notes(self, chosen: Mapping[str, _FileEncoding]) -> list[str]:
        names = sorted(chosen.keys() & self._damaged.keys())
        if not names:
            return []
        count = sum(sum(self._damaged[name].values()) for name in names)
        called = ", ".join(dict.fromkeys(encodings.title(chosen[name].encoding) for name in names))
        where = ", ".join(names[:MAX_LISTED_FILES])
        return [f"{plural(count, 'place')} without a meaning in {called} became the replacement character: {where}."]

    def state(self) -> dict[str, object]:
        """JSON values for `restore`."""
        return {"encoding": self.encoding, "is_sure": self.is_sure, "agree": self.agree}

    def restore(self, encoding: str, is_sure: bool, agree: bool) -> None:
        """Take the values of `state`, unless an encoding is asked for. Raises ValueError (one clause) if it is unknown."""
        try:
            known = encodings.codec_name(encoding)
        except ValueError:
            raise ValueError(f"encoding {shorten(encoding)} is not supported") from None
        if self.asked == AUTO:
            self.encoding, self.is_sure, self.agree = known, is_sure, agree


def _votes(files: Sequence[bytes], scores_by_file: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean scores of the files that are sure of their encoding, by their length."""
    votes: dict[str, float] = {}
    voters = [
        (lines, scores)
        for lines, scores in zip(files, scores_by_file, strict=True)
        if max(scores.values(), default=0.0) >= recognition.MIN_SCORE
    ]
    size = sum(len(lines) for lines, _ in voters)
    for lines, scores in voters:
        for codec, score in scores.items():
            votes[codec] = votes.get(codec, 0.0) + score * len(lines) / size
    return votes


def _damage(lines: bytes, encoding: str) -> float:
    """The share of bytes beyond ASCII that have no meaning in an encoding."""
    return decode_lines(lines, encoding).text.count(DAMAGED) / max(_beyond_ascii(lines), 1)


def _beyond_ascii(lines: bytes) -> int:
    return len(lines) - len(lines.translate(None, BEYOND_ASCII))


def _files_are(names: Sequence[str]) -> str:
    return "1 file is" if len(names) == 1 else f"{len(names)} files are"
