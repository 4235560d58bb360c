from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.languages import JAPANESE, KOREAN, OLD_ENCODINGS, POLISH, RUSSIAN

from anew.data.formats.text.text_encoding import decode_lines, decode_text, is_unicode, looks_like_text
from anew.data.modalities.text import Text, TextConfig
from anew.data.types import Item


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("naïve €".encode(), "naïve €", "utf-8"),
        ("naïve".encode("utf-8-sig"), "naïve", "utf-8"),
        ("naïve €".encode("utf-16"), "naïve €", "utf-16-le"),
        ("naïve €".encode("cp1252"), "naïve €", "cp1252"),
        (b"a\x81b", "a\x81b", "cp1252"),
        (b"\x93a\x81b\x94", "“a\x81b”", "cp1252"),
        (b"one\r\ntwo\r\n", "one\r\ntwo\r\n", "utf-8"),
    ],
)
def test_encodings(data: bytes, text: str, encoding: str) -> None:
    assert decode_text(data) == (text, encoding, 0)
    assert is_unicode(data) == encoding.startswith("utf")


def test_lines_that_are_not_utf8_are_read_by_themselves() -> None:
    data = "naïve €\nb\n".encode() + b"d\xe9j\xe0 vu\r\n"
    assert decode_text(data) == ("naïve €\nb\ndéjà vu\r\n", "cp1252", 1)
    polish = POLISH.encode() + POLISH.encode("cp1250")
    assert decode_lines(polish, "cp1250") == (POLISH * 2, "cp1250", 4)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("KAPCSOLÓ…\n", "cp1250"), ("É…\n", "cp1252"), ("째\n", "euc_kr"), ("ﾃﾀ\n", "cp932"), ("联通\n", "gb18030")],
)
def test_what_is_utf8_by_chance_is_not_read_so(text: str, encoding: str) -> None:
    """The second character of each of these is one that follows in UTF-8."""
    text = "ő\n" * (encoding == "cp1250") + text
    data = text.encode(encoding) + text.encode(encoding)[:-1] + b"\xff\n"
    assert decode_lines(data, encoding).text.startswith(text)


def test_most_lines_decide_about_short_ones() -> None:
    data = "ж\n".encode() * 9 + "ж\n".encode("koi8-r")
    assert decode_lines(data, "koi8-r", in_part=True) == ("ж\n" * 10, "koi8-r", 1)


def test_bytes_without_a_meaning_are_replaced() -> None:
    data = JAPANESE.encode("euc_jp") + b"\x80\n"
    assert decode_lines(data, "euc_jp").text == JAPANESE + "\N{REPLACEMENT CHARACTER}\n"


@given(st.sampled_from(OLD_ENCODINGS), st.lists(st.integers(0, 300), max_size=8))
def test_round_trip(pair: tuple[str, str], places: list[int]) -> None:
    """Lines of any length, and pieces of texts that begin and end anywhere."""
    text, encoding = pair
    for place in places:
        text = text[place % len(text) :] + "\n" + text[: place % len(text)]
    assert decode_lines(text.encode(encoding), encoding).text == text


@given(st.sampled_from((RUSSIAN, KOREAN, JAPANESE, POLISH)), st.integers(0, 20))
def test_utf8_is_never_read_in_another_encoding(text: str, start: int) -> None:
    assert decode_text(text[start:].encode()) == (text[start:], "utf-8", 0)


def test_emphasis_by_overstriking_is_text() -> None:
    head = b"".join(b"_\b%c" % letter for letter in b"NAME") + b" of a page\n\x1b[1mbold\x1b[0m\n"
    assert looks_like_text(head) and decode_text(head + b"d\xe9j\xe0\n").encoding == "cp1252"
    assert not looks_like_text(bytes(range(1, 8)) + head)


@pytest.mark.parametrize("encoding", ["cp1252", "euc_jp"])
@pytest.mark.parametrize("data", [b"\x00\x01\x02" * 100, bytes(range(1, 9)) * 50 + b"\xff\xfe\xfd"])
def test_binary_is_refused(data: bytes, encoding: str) -> None:
    with pytest.raises(ValueError, match="binary"):
        decode_text(data)
    assert "binary" in (Text(TextConfig(encoding=encoding)).validate_header(Item("x", data)) or "")


def test_a_head_may_stop_inside_a_character() -> None:
    assert decode_text("é".encode()[:1], is_complete=False) == ("", "utf-8", 0)
