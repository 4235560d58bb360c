"""Whether records are whole in their language, and which beginnings can go on."""

from __future__ import annotations

import json

import pytest

from anew.core.grammars.record_languages import RECORD_LANGUAGES, RecordLanguage, language_of

JSON, XML, SMILES = RECORD_LANGUAGES
OBJECT = json.dumps(
    {
        "a": [1, 2.5e-3, -4.25e7, True, False, None, 'é\n"q'],
        "b": {"c": [], "": {}},
        "d": float("nan"),
        "e": -float("inf"),
    }
)
ELEMENTS = '<a b="c&amp;d"><e/>text<!-- x --><![CDATA[ y ]]></a><f/>'


@pytest.mark.parametrize(("language", "record"), [(JSON, OBJECT), (XML, ELEMENTS)], ids=["json", "xml"])
def test_each_beginning_of_a_record_can_go_on(language: RecordLanguage, record: str) -> None:
    assert language.is_whole(record) and not language.is_whole(record[:-1])
    assert all(language.can_go_on(record[:length]) for length in range(len(record) + 1))


@pytest.mark.parametrize(
    "text",
    [
        '{"a" 1',
        '{"a":1,]',
        "[1 2",
        "{a",
        '{"a":tx',
        '{"a":1.x',
        '{"a":01',
        '{"a":1}}',
        "12",
        '{"a":"\\q',
        '["\\u12g',
        "[-x",
    ],
)
def test_what_no_json_begins_with(text: str) -> None:
    assert not JSON.can_go_on(text) and not JSON.is_whole(text)


@pytest.mark.parametrize("text", ["<a></b>", "<a b=c", "<a>&foo;</a>", "<!DOCTYPE a", "plain", "<a><b></a>"])
def test_what_no_xml_begins_with(text: str) -> None:
    assert not XML.can_go_on(text) and not XML.is_whole(text)


def test_entities_are_not_expanded() -> None:
    """A record may declare none, so none can grow without end."""
    assert not XML.is_whole('<!DOCTYPE r [<!ENTITY a "aa">]><r>&a;</r>')


def test_the_language_is_that_of_nearly_all_records() -> None:
    assert language_of([OBJECT] * 999 + ["{"], 0.001) is JSON and language_of([OBJECT] * 900 + ["{"], 0.001) is None
    assert language_of([ELEMENTS] * 10, 0.001) is XML
    assert language_of(["CCO", "c1ccccc1", "[Na+].[Cl-]"] * 10, 0.001) is SMILES
    assert language_of(["CCO", "c1cccc1"] * 10, 0.001) is None and language_of(["Anna", "Bo"], 0.001) is None
    assert language_of(["12", "true", '"word"'], 0.001) is None and language_of([], 0.001) is None
    assert language_of(["[" * 100_000], 0.001) is None  # deeper than can be read
