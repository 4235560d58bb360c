"""Knobs: parsed, checked, assigned to their owner; unknown names get the nearest."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anew.core import settings as cfg
from anew.core.settings import knob, seconds
from anew.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    width: int = knob(8, "width", unit="channels", low=1, high=64)
    rate: float = knob(0.5, "rate", low=0.0)
    kind: str = knob("a", "kind", choices=("a", "b"))
    on: bool = knob(True, "on")
    mults: tuple[int, ...] = knob((1, 2), "mults")
    few: int | None = knob(None, "few")
    free: float = knob(0.0, "without bounds")


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
        ("other.width", "3", "unknown setting"),
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


@pytest.mark.parametrize("text", ["", "-5", "0", "ten", "5x", "m", "1e9h", "nan", 0, -1, float("nan"), [1], True, None])
def test_what_is_no_time(text: Any) -> None:
    with pytest.raises(ConfigError, match="must be a time"):
        seconds(text)


@given(st.text(max_size=8))
@example("²")  # a digit that no number is written with
def test_any_text_is_a_time_or_a_clear_error(text: str) -> None:
    try:
        assert seconds(text) > 0
    except ConfigError as error:
        assert "must be a time" in str(error)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_no_value(text: str) -> None:
    for name in ("rate", "free"):
        with pytest.raises(ConfigError, match=rf"{name}=.* is not allowed; give a finite number"):
            cfg.assign({name: text}, {"inner": Inner})
        with pytest.raises(ConfigError, match="give a finite number"):
            cfg.assign({name: float(text)}, {"inner": Inner})
    with pytest.raises(ConfigError, match="give a whole number"):
        cfg.assign({"width": text}, {"inner": Inner})


def test_every_knob_of_every_kind_refuses_what_is_not_finite() -> None:
    from anew.core.registry import available, load
    from anew.planning.budget import TrainConfig

    kinds = [TrainConfig, *(load("data", name).Config for name in available("data"))]
    for name in available("families"):
        kinds += [load("families", name).Config, load("families", name).Sampling]
    floats = [(kind, f.name) for kind in kinds for f in fields(kind) if f.type in ("float", float)]
    assert len(floats) > 30
    for kind, name in floats:
        for text in ("nan", "inf"):
            with pytest.raises(ConfigError):
                cfg.parse(kind, name, text)


def test_whole_numbers() -> None:
    assert cfg.whole("seed", np.int64(3)) == 3 and type(cfg.whole("seed", np.int64(3))) is int
    for value in (1.5, "a", None, True, [1], np.ones(3)):
        with pytest.raises(ConfigError, match="is not allowed; give a whole number"):
            cfg.whole("seed", value)
    for number in (-1, 10**23):
        with pytest.raises(ConfigError, match="out of range; give 0 to 9,223,372,036,854,775,807"):
            cfg.whole("seed", number)


@pytest.mark.parametrize(("name", "value"), [("width", True), ("rate", False), ("mults", [1, True])])
def test_true_in_json_is_no_number(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="give a number"):
        cfg.from_json(Inner, {name: value})
