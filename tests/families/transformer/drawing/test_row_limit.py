"""Samples of rows have values that the data has, where these are used up, and values that go together."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch

from anew.core.arrays import Ints
from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.row_limit import LEFT_OUT, RowLimit
from anew.families.transformer.family import Transformer

LETTERS = [chr(code) for code in range(32, 127)]
BEGIN, END, PAD = len(LETTERS), len(LETTERS) + 1, len(LETTERS) + 2
SPELLINGS = (*(letter.encode() for letter in LETTERS), b"\0", b"\0", b"\0")
SPECIAL = {"begin": BEGIN, "end": END, "pad": PAD}
CITIES = {
    "Graz": "Styria",
    "Leoben": "Styria",
    "Linz": "Upper Austria",
    "Wels": "Upper Austria",
    "Bregenz, Rheintal": "Vorarlberg",
}


def ids(line: str) -> Ints:
    return np.array([LETTERS.index(letter) for letter in line])


def spelt(tokens: Ints) -> str:
    return "".join(LETTERS[token] for token in tokens.tolist() if token < BEGIN)


def visits(n: int, seed: int = 0) -> list[str]:
    """A name, a city, the state that it lies in, and a date."""
    rng = np.random.default_rng(seed)
    lines = []
    for city, year, month, day in zip(rng.choice(list(CITIES), n), *rng.integers(0, 28, (3, n)).tolist(), strict=True):
        name = "".join(rng.choice(list("abcdefghijklmnop"), 6))
        cell = f'"{city}"' if "," in city else city
        lines.append(f"{name},{cell},{CITIES[str(city)]},{1990 + year}-{1 + month % 12:02}-{1 + day:02}")
    return lines


def fitted(lines: list[str]) -> RowLimit:
    limit = RowLimit(SPELLINGS, SPECIAL)
    limit.fit([np.array([BEGIN, *ids(line), END]) for line in lines])
    return limit


def next_letters(limit: RowLimit, beginning: str) -> str:
    """What may follow the beginning of a row; END is a line break."""
    state = limit.start([(0, 0)])
    assert state is not None
    for token in [BEGIN, *ids(beginning).tolist()]:
        state.observe(np.array([token]))
    allowed = np.flatnonzero(state.allowed(None)[0]).tolist()
    return "".join("\n" if token == END else LETTERS[token] for token in allowed if token <= END and token != BEGIN)


def test_only_known_values_may_come_that_go_together_with_those_before() -> None:
    limit = fitted(visits(600))
    assert "\n" not in next_letters(limit, "abc") and "x" in next_letters(limit, "abc")
    assert next_letters(limit, "abc,") == '"GLW'
    assert next_letters(limit, "abc,L") == "ei"
    assert next_letters(limit, "abc,Leoben") == ","
    assert next_letters(limit, "abc,Leoben,") == "S"
    assert next_letters(limit, 'abc,"Bregenz, Rheintal",') == "V"
    assert next_letters(limit, "abc,Wels,Upper Austria,") == "12"


def test_parts_of_dates_are_those_of_the_data() -> None:
    limit = fitted(visits(6_000))
    assert next_letters(limit, "abc,Graz,Styria,199") == "0123456789"
    assert next_letters(limit, "abc,Graz,Styria,201") == "01234567"
    assert next_letters(limit, "abc,Graz,Styria,2001-1") == "012"
    assert next_letters(limit, "abc,Graz,Styria,2001-11-2") == "012345678"
    assert next_letters(limit, "abc,Graz,Styria,2001-11-20") == "\n"


def test_prompts_may_hold_what_the_data_does_not() -> None:
    limit = fitted(visits(600))
    assert "t" in next_letters(limit, "abc,Wien")
    assert next_letters(limit, "abc,Wien,") == "SUV"
    assert next_letters(limit, "abc,Graz,V") == "o"
    assert "\n" in next_letters(limit, "abc,Graz,Styria,2001-11-20,more,than,that")


def test_other_values_are_as_rare_as_further_rows_have_them() -> None:
    lines = visits(1_000)
    lines[::50] = [f"abc,City{chr(65 + number)},Styria,2001-11-20" for number in range(20)]
    limit = fitted(lines)
    state = limit.start([(0, number) for number in range(4_000)])
    assert state is not None
    for token in [BEGIN, *ids("abc,").tolist()]:
        state.observe(np.full(4_000, token))
    share = (state.allowed(None)[:, LETTERS.index("x")] > 0.0).mean()
    assert 0.012 < share < 0.028  # 20 of 1,000 rows have a city of their own


def test_other_records_are_not_limited() -> None:
    for lines in (["".join(name) for name in visits(600)[:100]], [line.replace(",", "") for line in visits(600)]):
        limit = fitted(lines)
        assert not limit.is_fitted and limit.start([(0, 0)]) is None and not limit.left_out
        limit.check()
    assert fitted(visits(600)).left_out == (LEFT_OUT,)


@pytest.mark.parametrize("name", ["width", "views", "roles"])
def test_inconsistent_buffers_are_refused(name: str) -> None:
    limit = fitted(visits(600))
    limit.check()
    limit.set_buffers({name: limit.arrays()[name][:0]})
    with pytest.raises(ValueError, match="inconsistent"):
        limit.check()


def make_family(lines: list[str]) -> Transformer:
    longest = max(map(len, lines)) + 1
    spec = Tokens(vocab=len(SPELLINGS), length=longest, special=SPECIAL, packed=False, spellings=SPELLINGS)
    small = TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, ngram_order=2, precision="fp32")
    torch.manual_seed(0)
    family = Transformer(spec, small).eval()
    rows = np.full((len(lines), longest + 1), PAD)
    for row, line in zip(rows, lines, strict=True):
        row[: len(line) + 2] = [BEGIN, *ids(line), END]
    mask = torch.from_numpy(rows[:, 1:] != PAD).float()
    family.fit_closed_form([Batch(torch.from_numpy(rows), mask=mask)])
    return family


def drawn_rows(family: Transformer, **sampling: object) -> list[str]:
    settings = TransformerSampling(avoid_known=False, **sampling)  # type: ignore[arg-type]
    *_, drawn = family.sample(SampleRequest(64, sampling=settings), 0)
    return [spelt(row[: (row == END).argmax()]) for row in drawn.numpy()]


def test_samples_are_rows_of_the_data_s_values() -> None:
    family = make_family(visits(600))
    rows = [next(csv.reader([row])) for row in drawn_rows(family)]
    assert all(len(row) == 4 and CITIES.get(row[1]) == row[2] for row in rows)
    assert len({row[1] for row in rows}) == len(CITIES) and len({row[0] for row in rows}) > 50
    rows = [next(csv.reader([row])) for row in drawn_rows(family, match_error_rates=False)]
    assert not all(len(row) == 4 and CITIES.get(row[1]) == row[2] for row in rows)


def test_samples_are_objects_with_the_data_s_values() -> None:
    rows = [next(csv.reader([row])) for row in visits(600)]
    lines = [json.dumps({"city": city, "state": state, "number": i}) for i, (_, city, state, _) in enumerate(rows)]
    for text in drawn_rows(make_family(lines)):
        match = re.match(r'\{"city": "([^"]*)", "state": "([^"]*)", "number":', text)
        assert match is not None and CITIES[match[1]] == match[2]


def test_a_prompt_goes_on_with_what_goes_together_with_it() -> None:
    family = make_family(visits(600))
    request = SampleRequest(16, condition=Condition(torch.from_numpy(ids("abc,Wels,"))), sampling=TransformerSampling())
    *_, drawn = family.sample(request, 0)
    assert all(spelt(row).startswith("abc,Wels,Upper Austria,") for row in drawn.numpy())
