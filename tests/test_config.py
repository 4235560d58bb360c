"""Knobs: parsed, checked, assigned to their owner; unknown names get the nearest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew import config as cfg
from anew.config import knob
from anew.errors import ConfigError
from anew.plan import seconds


@dataclass(frozen=True)
class Inner:
    width: int = knob(8, "width", unit="channels", low=1, high=64)
    rate: float = knob(0.5, "rate", low=0.0)
    kind: str = knob("a", "kind", choices=("a", "b"))
    on: bool = knob(True, "on")
    mults: tuple[int, ...] = knob((1, 2), "mults")
    few: int | None = knob(None, "few")


def test_text_becomes_the_fields_type() -> None:
    texts = {"width": "16", "rate": "1e-3", "kind": "b", "on": "false", "mults": "1,2,4", "few": "3"}
    found = cfg.assign(texts, {"inner": Inner})["inner"]
    assert replace(Inner(), **found) == Inner(16, 1e-3, "b", False, (1, 2, 4), 3)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("widht", "3", "did you mean 'width'"),
        ("width", "0", "at least 1 and at most 64 channels"),
        ("width", "wide", "a whole number"),
        ("width", "1.5", "a whole number"),
        ("kind", "c", "not allowed"),
        ("on", "maybe", "true or false"),
        ("other.width", "3", "no setting here"),
    ],
)
def test_one_sentence_says_what_is_wrong(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        cfg.assign({name: text}, {"inner": Inner})


@given(
    st.builds(
        Inner,
        width=st.integers(1, 64),
        rate=st.floats(0, 1e6),
        kind=st.sampled_from("ab"),
        on=st.booleans(),
        mults=st.lists(st.integers(1, 9)).map(tuple),
        few=st.none() | st.integers(),
    )
)
def test_json_round_trip(config: Inner) -> None:
    assert cfg.from_json(Inner, cfg.to_json(config)) == config


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("60s", 60), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("0.5m", 30), (45, 45), (" 5M ", 300)],
)
def test_times(text: str | float, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-5", "0", "ten", "5x", "m", "1e9h", "nan", 0, -1, float("nan")])
def test_what_is_no_time(text: str | float) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        seconds(text)


@given(st.text(max_size=8))
def test_any_text_is_a_time_or_a_clear_error(text: str) -> None:
    try:
        assert seconds(text) > 0
    except ConfigError as error:
        assert "is no time" in str(error)
