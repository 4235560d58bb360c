from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.languages import CHINESE, JAPANESE, OLD_ENCODINGS, POLISH, RUSSIAN

from anew.data.formats.text import encoding_recognition as recognition

MULTI_BYTE = ("euc_jp", "cp932", "shift_jis", "gb18030", "gb2312", "big5", "big5hkscs", "euc_kr", "cp949", "johab")


def sample_of(data: bytes) -> bytes:
    return recognition.sample_lines(lambda start, stop: data[start:stop], len(data))


@pytest.mark.parametrize(("text", "encoding"), OLD_ENCODINGS)
def test_languages(text: str, encoding: str) -> None:
    sample = sample_of(text.encode(encoding))
    best = recognition.best_of(recognition.scores(sample), sample)
    assert best is not None and best.score >= recognition.MIN_SCORE
    assert text.encode(encoding).decode(best.codec) == text


def test_nothing_is_recognised_in_nothing() -> None:
    assert recognition.best_of(recognition.scores(b""), b"") is None


def test_a_few_letters_are_not_certain() -> None:
    sample = sample_of("one cafe\ntwo caf\xe9\n".encode("cp1252"))
    best = recognition.best_of(recognition.scores(sample), sample)
    assert best is None or best.score < 0.5


def test_lines_in_ascii_are_left_out() -> None:
    assert sample_of(b"plain\nd\xe9j\xe0\r\nplain\nvu\xe9") == b"d\xe9j\xe0\r\nvu\xe9\n"


def test_damage_spoils_one_group_alone() -> None:
    data = bytearray((JAPANESE * 60).encode("euc_jp"))
    data[1000] = 0x80
    sample = sample_of(bytes(data))
    best = recognition.best_of(recognition.scores(sample), sample)
    assert best is not None and best.codec == "euc_jp" and best.score >= recognition.MIN_SCORE


def test_sisters_are_told_apart_by_the_letters_that_differ() -> None:
    text = "Ο Άρης πήγε στην Άρτα.\n" * 3
    for encoding in ("iso8859-7", "cp1253"):
        sample = text.encode(encoding)
        best = recognition.best_of(recognition.scores(sample), sample)
        assert best is not None and best.codec == encoding


def test_a_sample_comes_from_all_parts_of_a_file(tmp_path: Path) -> None:
    lines = [b"plain line\n"] * 200_000
    for number in range(0, len(lines), 100):
        lines[number] = b"caf\xe9 %d\n" % number
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(lines))
    sample = recognition.sample_file(path)
    numbers = [int(line.split()[1]) for line in sample.splitlines()]
    assert numbers == sorted(numbers) and numbers[0] == 0 and numbers[-1] > 195_000
    assert len(sample) <= recognition.SAMPLE_BYTES


@pytest.mark.parametrize("encoding", ["euc_jp", "cp932", "gb18030", "big5hkscs"])
def test_a_sample_of_a_file_without_line_ends_holds_whole_characters(encoding: str) -> None:
    text = (JAPANESE if encoding in ("euc_jp", "cp932") else CHINESE[:20] + " ").replace("\n", " ")
    data = (text.encode(encoding, "ignore") + b" ") * 12_000
    sampled = sample_of(data).decode(encoding).split()
    assert len(sampled) > 100 and set(sampled) <= set(data.decode(encoding).split())


@pytest.mark.parametrize("encoding", MULTI_BYTE)
def test_small_bytes_are_never_inside_a_character(encoding: str) -> None:
    """So what is cut at line ends, or behind any byte below 0x30, holds whole characters."""
    for number in (*range(128, 0xD800), *range(0xE000, 0x30000)):
        encoded = chr(number).encode(encoding, "ignore")
        assert len(encoded) < 2 or min(encoded) >= 0x30, (chr(number), encoded)


@given(st.lists(st.sampled_from([*RUSSIAN.splitlines(), *POLISH.splitlines(), "plain"]), max_size=30))
def test_samples_hold_whole_lines(lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    stream = io.BytesIO(data)

    def read(start: int, stop: int) -> bytes:
        stream.seek(start)
        return stream.read(stop - start)

    sample = recognition.sample_lines(read, len(data))
    assert set(sample.splitlines()) <= {line.encode() for line in lines}
    assert not any(line.isascii() for line in sample.splitlines())
