from __future__ import annotations

import pytest
from tests.languages import CHINESE, HUNGARIAN, JAPANESE, OLD_ENCODINGS, POLISH, RUSSIAN, SPANISH

from anew.data.formats.text import encoding_recognition as recognition
from anew.data.formats.text.encoding_recognition import sample_lines
from anew.data.formats.text.text_decoder import TextDecoder


def decoder_of(files: dict[str, bytes], asked: str | None = "auto") -> TextDecoder:
    decoder = TextDecoder(asked)
    decoder.survey(sample_lines(lambda start, stop, data=data: data[start:stop], len(data)) for data in files.values())
    return decoder


def read(files: dict[str, bytes], asked: str | None = "auto") -> tuple[dict[str, str], list[str]]:
    decoder = decoder_of(files, asked)
    return {name: decoder.decode(name, data) for name, data in files.items()}, decoder.notes()


@pytest.mark.parametrize(("text", "encoding"), OLD_ENCODINGS)
def test_one_file(text: str, encoding: str) -> None:
    texts, notes = read({"a.txt": text.encode(encoding)})
    assert texts == {"a.txt": text}
    assert len(notes) == 1 and notes[0].startswith("1 file is not UTF-8; read as ")
    assert notes[0].endswith(", which fits best: a.txt (encoding=NAME reads it in another one).")


def test_files_in_several_encodings() -> None:
    stored = {
        "ja.txt": (JAPANESE, "euc_jp"),
        "ru.txt": (RUSSIAN, "koi8-r"),
        "ru2.txt": (RUSSIAN * 3, "cp1251"),
        "es.txt": (SPANISH, "cp1252"),
        "utf8.txt": (RUSSIAN, "utf-8"),
        "utf16.txt": (RUSSIAN, "utf-16"),
    }
    texts, notes = read({name: text.encode(encoding) for name, (text, encoding) in stored.items()})
    assert texts == {name: text for name, (text, _) in stored.items()}
    assert len(notes) == 4


@pytest.mark.parametrize("majority", ["cp1250", "iso8859-2"])
def test_sister_encodings_are_told_by_the_characters_where_they_differ(majority: str) -> None:
    """Their scores differ by .02, so that the files in one of them were all read in the other."""
    encodings = {f"{codec} {number}.txt": codec for number in range(3) for codec in ("cp1250", "iso8859-2")}
    texts = dict.fromkeys(encodings, POLISH)
    texts["more.txt"], encodings["more.txt"] = POLISH * 3, majority
    texts["short.txt"], encodings["short.txt"] = "Siedź, łąko\n", majority
    decoded, notes = read({name: text.encode(encodings[name]) for name, text in texts.items()})
    assert decoded == texts
    assert len(notes) == 2 and {"Windows-1250", "ISO-8859-2"} == {
        note.split("read as ")[1].split(",")[0] for note in notes
    }


def test_sister_encodings_with_letters_at_the_same_places_are_told_by_their_score() -> None:
    czech = (
        "Šéf řekl, že Žofie může přijít později, když se počasí zhorší a těžké mraky zakryjí všechno kolem šíré řeky.\n"
        * 3
    )
    files = {f"{codec} {number}.txt": czech.encode(codec) for number in range(3) for codec in ("cp1250", "iso8859-2")}
    assert set(read(files)[0].values()) == {czech}


def test_signs_within_words_are_not_taken_for_letters() -> None:
    text = "The café, 5 µm or ½cup of x±y, §3, 20°C: “don’t” and ¶Now a×b, r²d, ®Co, ©J, naïve.\n" * 5
    files = {"long.txt": (SPANISH * 3).encode("cp1252"), "a.txt": text.encode("cp1252"), "b.txt": text.encode("cp1252")}
    assert read(files)[0]["a.txt"] == text


def test_short_files_are_read_as_the_others() -> None:
    words = [word for word in RUSSIAN.split() if len(word) > 4]
    files = {"long.txt": RUSSIAN.encode("cp866"), **{f"{word}.txt": word.encode("cp866") for word in words}}
    texts, notes = read(files)
    assert all(texts[f"{word}.txt"] == word for word in words)
    assert len(notes) == 1 and f"{len(files)} files are not UTF-8; read as CP866, which fits best" in notes[0]


def test_short_files_tell_their_encoding_together() -> None:
    lines = RUSSIAN.split(".")
    texts, _ = read({f"{number}.txt": line.encode("koi8-r") for number, line in enumerate(lines)})
    assert list(texts.values()) == lines


def test_what_nothing_tells_is_windows_1252_and_said() -> None:
    texts, notes = read({"a.txt": b"\xbd\n", "b.txt": b"\xbe\n"})
    assert texts == {"a.txt": "½\n", "b.txt": "¾\n"}
    assert notes == [
        "2 files are not UTF-8; read as Windows-1252, since their encoding cannot be recognised: a.txt, b.txt "
        "(encoding=NAME reads them in another one)."
    ]


def test_lines_of_a_utf8_file_are_read_in_the_encoding_that_they_are_in() -> None:
    mixed = SPANISH.encode() * 3 + SPANISH.encode("cp1252") + b"plain\n"
    texts, notes = read({"c.txt": mixed})
    assert texts == {"c.txt": SPANISH * 4 + "plain\n"}
    assert notes == [
        "1 file is UTF-8 in part only; 3 lines that are not were read as Windows-1252: c.txt "
        "(encoding=NAME reads them in another one)."
    ]
    texts, _ = read({"c.txt": RUSSIAN.encode() * 3 + RUSSIAN.encode("koi8-r")})
    assert texts == {"c.txt": RUSSIAN * 4}


def test_spans_of_a_file_have_its_encoding() -> None:
    """Also a span that alone would be taken for another encoding, and one of a single letter."""
    data = (JAPANESE * 20).encode("euc_jp")
    sample = sample_lines(lambda start, stop: data[start:stop], len(data))
    decoder = TextDecoder("auto")
    decoder.survey([sample])
    for text in ("あ\n", JAPANESE, "plain\n", "é caf\n"[2:]):
        assert decoder.decode("large.txt", text.encode("euc_jp"), sample) == text
    other = HUNGARIAN.encode("cp1250")
    assert decoder.decode("other.txt", other) == HUNGARIAN


def test_an_encoding_that_is_asked_for() -> None:
    files = {"a.txt": RUSSIAN.encode("koi8-r"), "b.txt": RUSSIAN.encode(), "c.txt": "ё".encode("koi8-r")}
    texts, notes = read(files, "koi8-r")
    assert texts == {"a.txt": RUSSIAN, "b.txt": RUSSIAN, "c.txt": "ё"}
    assert notes == ["2 files are not UTF-8; read as KOI8-R, as asked: a.txt, c.txt."]
    assert read(files, "cp1251")[0]["a.txt"] == RUSSIAN.encode("koi8-r").decode("cp1251")


def test_a_file_that_is_not_in_the_encoding_that_is_asked_for_is_refused() -> None:
    decoder = TextDecoder("euc-jp")
    refusals = []
    for _ in range(2):
        with pytest.raises(ValueError, match="is not EUC-JP, as the setting encoding says; leave it out") as refusal:
            decoder.decode("a.txt", POLISH.encode("cp1250"))
        refusals.append(refusal.value)
    assert refusals[0] is not refusals[1]  # its traceback would keep every span of the file in memory
    assert decoder.notes() == []


def test_damaged_places_are_counted_once_for_each_span() -> None:
    data = (JAPANESE * 5).encode("euc_jp") + b"\x80\n"
    decoder = TextDecoder("euc-jp")
    for _ in range(2):
        assert decoder.decode("a.txt", data) == JAPANESE * 5 + "\N{REPLACEMENT CHARACTER}\n"
    assert decoder.notes() == [
        "1 file is not UTF-8; read as EUC-JP, as asked: a.txt.",
        "1 place without a meaning in EUC-JP became the replacement character: a.txt.",
    ]


def test_without_recognition_all_is_windows_1252() -> None:
    assert read({"a.smi": RUSSIAN.encode("cp1251")}, None) == (
        {"a.smi": RUSSIAN.encode("cp1251").decode("cp1252")},
        ["1 file is not UTF-8; read as Windows-1252: a.smi."],
    )


def test_the_choice_is_kept() -> None:
    files = {"a.txt": CHINESE.encode("gb18030"), "b.txt": RUSSIAN.encode("cp1251")}
    first, second = decoder_of(files), TextDecoder("auto")
    second.restore(**first.state())  # type: ignore[arg-type]
    assert second.state() == first.state()
    for name, data in files.items():
        assert second.decode(name, data) == first.decode(name, data)
    with pytest.raises(ValueError, match="'nonsense' is not supported"):
        second.restore("nonsense", True, True)


def test_large_folders_of_one_encoding_are_not_judged_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = decoder_of({str(number): RUSSIAN.encode("koi8-r") for number in range(4)})
    monkeypatch.setattr(
        "anew.data.formats.text.encoding_recognition.scores", lambda sample: pytest.fail("judged again")
    )
    assert decoder.decode("another", RUSSIAN.encode("koi8-r")) == RUSSIAN


def test_a_survey_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    scores = recognition.scores
    monkeypatch.setattr(recognition, "scores", lambda sample: looked_at.append(len(sample)) or scores(sample))
    decoder = decoder_of({str(number): (RUSSIAN * 40).encode("koi8-r") for number in range(100)})
    assert decoder.encoding == "koi8-r" and decoder.agree and len(looked_at) == 100
    assert 400_000 < sum(looked_at) <= 1 << 19
