from __future__ import annotations

import pytest

from anew.core.encodings import codec_name, title, why_not_encoding


@pytest.mark.parametrize(
    ("name", "codec", "called"),
    [
        ("euc-jp", "euc_jp", "EUC-JP"),
        ("KOI8-R", "koi8-r", "KOI8-R"),
        ("windows-1251", "cp1251", "Windows-1251"),
        ("latin1", "iso8859-1", "ISO-8859-1"),
        ("sjis", "shift_jis", "SHIFT-JIS"),
        ("shift_jis_2004", "shift_jis_2004", "SHIFT-JIS-2004"),
        ("cp949", "cp949", "EUC-KR"),
        ("gb18030", "gb18030", "GB18030"),
        ("utf-8-sig", "utf-8", "UTF-8"),
    ],
)
def test_names(name: str, codec: str, called: str) -> None:
    assert why_not_encoding(name) is None
    assert codec_name(name) == codec and title(codec) == called


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("koi8-rr", "did you mean 'koi8-r'"),
        ("nonsense", "give auto or an encoding, such as"),
        ("", "give auto or an encoding, such as"),
        ("a\0b", "did you mean|give auto"),
        ("utf-16", "byte order mark"),
        ("utf-32-le", "byte order mark"),
        ("iso2022_jp", "extends ASCII"),
        ("utf-7", "extends ASCII"),
        ("hz", "extends ASCII"),
        ("cp037", "extends ASCII"),
        ("ascii", "extends ASCII"),
        ("base64", "extends ASCII|give auto"),
        ("unicode_escape", "give auto"),
    ],
)
def test_what_is_not_an_encoding_of_files(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        codec_name(name)
    assert why_not_encoding(name)


def test_auto() -> None:
    assert why_not_encoding("auto") is None
