"""Recognises the encoding of text that is not UTF-8, from lines of all parts of a file.

Lines in ASCII are alike in all encodings, so only others are looked at. They are judged in groups, and the mean counts: a
damaged byte, which speaks against the right encoding, spoils one group alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from anew.data.formats import by_range
from anew.data.formats.text.text_encoding import BEYOND_ASCII

PIECES = 8  # parts of a file that are looked at, evenly spread
PIECE_BYTES = 1 << 16  # bytes of each
SAMPLE_BYTES = 1 << 15  # bytes of lines that are kept of all of them
GROUP_BYTES = 1 << 12  # bytes that are judged together, which takes a millisecond of one core
# Scores above it were right in 99 of 100 texts, scores below it in 50 (docs/log.md).
MIN_SCORE = 0.08
# Of scores that differ by less, none is better: the encodings have most characters in common.
SAME = 0.01
# Characters that one codec reads with more sense than another: so many tell that it is the right one, if hardly any speak for the
# other. Of letters that both read, more are needed, and the score says whose are likelier. Right for all texts of 3,000
# characters in mixed encodings, and most of 400 (docs/log.md).
MIN_PLACES = 3
MAX_SHARE_AGAINST = 0.1
MIN_LETTER_PLACES, MIN_LEAD = 5, 0.005
# Codecs that read all but this share of the bytes beyond ASCII alike are similar. Their scores come from texts of several languages,
# so a few letters hardly count among them. Right for all texts of 1,000 characters in 28 languages, as is 0.05 from 3,000 on;
# with 0.2, Czech in ISO-8859-2 was taken for Windows-1250 (docs/log.md).
SIMILAR_SHARE = 0.1
# Encodings as the library names them, with the codec that reads them: a codec with more characters takes the place of one that
# it extends. Of encodings that fit alike, the first is taken. Codecs of EBCDIC, of the Macintosh and of rare scripts are not tried,
# since short texts in common encodings would be taken for them.
_CODECS = {
    "cp1252": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-15": "iso8859-15",
    "cp1250": "cp1250",
    "iso8859-2": "iso8859-2",
    "cp1251": "cp1251",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "cp866": "cp866",
    "iso8859-5": "iso8859-5",
    "cp1253": "cp1253",
    "iso8859-7": "iso8859-7",
    "cp1254": "cp1254",
    "iso8859-9": "cp1254",
    "cp1255": "cp1255",
    "iso8859-8": "cp1255",
    "cp1256": "cp1256",
    "iso8859-6": "iso8859-6",
    "cp1257": "cp1257",
    "iso8859-13": "iso8859-13",
    "cp1258": "cp1258",
    "cp874": "cp874",
    "tis-620": "cp874",
    "cp932": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp",
    "gb18030": "gb18030",
    "big5hkscs": "big5hkscs",
    "cp949": "cp949",
    "johab": "johab",
}
_ORDER = {codec: number for number, codec in enumerate(dict.fromkeys(_CODECS.values()))}
_BREAK = re.compile(rb"[\x00-\x2f]")  # these bytes are never part of a longer character


class Recognised(NamedTuple):
    """The codec that fits a text best, and how well it does, from 0 to 1."""

    codec: str
    score: float


def sample_lines(read: Callable[[int, int], bytes], size: int) -> bytes:
    """Lines beyond ASCII from all parts of a file.

    Args:
        read: Returns the bytes of the file from one offset to another.
        size: Size of the file.
    """
    if size <= PIECES * PIECE_BYTES:
        return _beyond_ascii(read(0, size), SAMPLE_BYTES)
    starts = [(size - PIECE_BYTES) * number // (PIECES - 1) for number in range(PIECES)]
    pieces = [(read(start, start + PIECE_BYTES), start > 0, start + PIECE_BYTES < size) for start in starts]
    return b"".join(_beyond_ascii(whole_lines(*piece), SAMPLE_BYTES // PIECES) for piece in pieces)


def sample_file(path: Path) -> bytes:
    """Lines beyond ASCII from all over a file. Raises OSError."""

    def read(start: int, stop: int) -> bytes:
        with by_range.open_file(path, stop) as stream:
            stream.seek(start)
            return stream.read(stop - start)

    return sample_lines(read, by_range.size_of(path))


def whole_lines(data: bytes, is_cut_before: bool, is_cut_after: bool) -> bytes:
    """A part of a file without lines that are cut off at its ends; if no whole line is left, without words that are cut off."""
    if is_cut_before:
        start = data.find(b"\n") + 1 or next((match.end() for match in _BREAK.finditer(data)), 0)
        data = data[start:]
    if is_cut_after:
        stop = data.rfind(b"\n") + 1 or max((match.end() for match in _BREAK.finditer(data)), default=len(data))
        data = data[:stop]
    return data


def first_lines(data: bytes, limit: int) -> bytes:
    """The first lines of at most `limit` bytes together; of a longer line, its first words."""
    if data and not data.endswith((b"\n", b"\r")):
        data += b"\n"
    return data if len(data) <= limit else whole_lines(data[:limit], is_cut_before=False, is_cut_after=True)


def join_lines(samples: Sequence[bytes]) -> bytes:
    """Lines of several files as one sample, about as many of each."""
    limit = SAMPLE_BYTES // max(len(samples), 1)
    return b"".join(first_lines(sample, limit) for sample in samples)


def find_break(data: bytes) -> int | None:
    """The first place after the first byte where no encoding has the middle of a character, None if there is none."""
    match = _BREAK.search(data, 1)
    return None if match is None else match.end()


def scores(sample: bytes) -> dict[str, float]:
    """How well each codec fits lines of a text, from 0 to 1."""
    totals: dict[str, float] = {}
    groups = _groups(sample)
    for group in groups:
        for codec, score in _scores_of(group).items():
            totals[codec] = totals.get(codec, 0.0) + score / len(groups)
    return totals


def best_of(scores_by_codec: Mapping[str, float], sample: bytes) -> Recognised | None:
    """The codec that fits lines of a text best, None if none fits."""
    if not scores_by_codec:
        return None
    highest = max(scores_by_codec.values())
    near = sorted((c for c, score in scores_by_codec.items() if score >= highest - SAME), key=lambda c: _ORDER[c])
    best = max(near, key=lambda c: scores_by_codec[c])
    texts = {codec: sample.decode(codec, "replace") for codec in near}
    # An encoding of single bytes has similar ones
    alike = [codec for codec in near if len(texts[codec]) == len(texts[best])]
    places = _differences([texts[codec] for codec in alike])
    best = max(
        alike, key=lambda c: (sum(_plausibility(texts[c], at) for at in places), bool(places) * scores_by_codec[c])
    )
    return Recognised(_best_similar(best, scores_by_codec, sample), scores_by_codec[best])


def _best_similar(codec: str, codecs: Iterable[str], sample: bytes) -> str:
    """The codec among this one and similar ones whose reading of a sample is likeliest.

    All readings are judged as texts in the first codec, so that the same letters count alike: first by the characters that make
    no sense there, then by the score.
    """
    upper_half = _upper_half(codec)
    if len(upper_half) != len(BEYOND_ASCII):  # not of single bytes
        return codec
    counts = [sample.count(bytes([byte])) for byte in BEYOND_ASCII]

    def difference(name: str) -> int:
        rows = zip(counts, upper_half, _upper_half(name), strict=True)
        return sum(n for n, character, other in rows if character != other)

    max_count = SIMILAR_SHARE * sum(counts)
    similar_codecs = [
        other for other in codecs if len(_upper_half(other)) == len(upper_half) and 0 < difference(other) <= max_count
    ]
    if not similar_codecs:
        return codec

    def fit(name: str) -> tuple[int, float]:
        characters = _upper_half(name)
        encoded = characters.encode(codec, "replace")
        pairs = zip(counts, characters, encoded.decode(codec), strict=True)
        strange = sum(n for n, meant, seen in pairs if meant != seen or "\x7f" <= meant < "\xa0")
        return -strange, scores(sample.translate(bytes(range(128)) + encoded)).get(codec, 0.0)

    return max([codec, *similar_codecs], key=fit)  # the first of equal ones


@functools.lru_cache
def _upper_half(codec: str) -> str:
    """The characters of the bytes beyond ASCII, 128 of them where each byte is one."""
    return BEYOND_ASCII.decode(codec, "replace")


def is_distinguishable(sample: bytes, codec: str, other: str, difference: float) -> bool:
    """Whether the lines decide between two codecs of single bytes that read most of them alike.

    Such similar codecs have nearly the same score, so the places decide where they differ.

    Args:
        difference: How much higher the score of the codec is.
    """
    text, other_text = (sample.decode(name, "replace") for name in (codec, other))
    if len(text) != len(other_text):
        return False
    ranks = [(_rank(text, at), _rank(other_text, at)) for at in _differences([text, other_text])]
    num_own, num_others = sum(a > b for a, b in ranks), sum(a < b for a, b in ranks)
    is_likelier = difference >= MIN_LEAD and ranks.count((2, 2)) >= MIN_LETTER_PLACES
    return num_others <= MAX_SHARE_AGAINST * num_own and (num_own >= MIN_PLACES or is_likelier)


def _rank(text: str, place: int) -> int:
    """2 for a letter beside another one, in a case that words have, 1 for other characters that are seen, 0 for control codes."""
    character, before, after = text[place], text[place - 1 : place], text[place + 1 : place + 2]
    if before.isalpha():
        is_in_word = not (character.isupper() and before.islower())
    else:
        is_in_word = after.isalpha() and (character.isupper() or after.islower())
    is_seen = character.isprintable() and character != "\N{REPLACEMENT CHARACTER}"
    return 2 if character.isalpha() and is_in_word else int(is_seen)


def _differences(texts: Sequence[str]) -> Sequence[int]:
    """The places where texts of the same length differ."""
    if len(set(texts)) == 1:
        return ()
    return [place for place, characters in enumerate(zip(*texts, strict=True)) if len(set(characters)) > 1]


def _plausibility(text: str, place: int) -> int:
    """How much sense the character at a place makes: letters do, but not a capital after a small one, nor control codes."""
    character = text[place]
    if character.isalpha():
        return -1 if character.isupper() and text[place - 1 : place].islower() else 2
    return 0 if character.isprintable() and character != "\N{REPLACEMENT CHARACTER}" else -3


def _scores_of(group: bytes) -> dict[str, float]:
    from chardet import detect_all  # here, since most data needs no such library

    entries = detect_all(
        group, ignore_threshold=True, prefer_superset=False, compat_names=False, include_encodings=_CODECS
    )
    best: dict[str, float] = {}
    for entry in entries:
        codec = _CODECS.get(entry["encoding"] or "")
        if codec is not None:
            best[codec] = max(best.get(codec, 0.0), entry["confidence"])
    return best


def _groups(sample: bytes) -> Sequence[bytes]:
    """Whole lines of a sample in groups of about GROUP_BYTES."""
    groups: list[bytearray] = []
    for line in sample.splitlines(keepends=True):
        if not groups or len(groups[-1]) + len(line) > GROUP_BYTES:
            groups.append(bytearray())
        groups[-1] += line
    if len(groups) > 1 and len(groups[-1]) < GROUP_BYTES // 2:
        last = groups.pop()
        groups[-1] += last
    return [bytes(group) for group in groups]


def _beyond_ascii(data: bytes, limit: int) -> bytes:
    """The first lines with bytes beyond ASCII, together at most `limit` bytes."""
    return first_lines(b"".join(line for line in data.splitlines(keepends=True) if not line.isascii()), limit)
