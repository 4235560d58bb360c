"""Settings: parsed, checked, routed to their owner; unknown names get the nearest."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.core import settings as cfg
from anew.core.registry import available, load
from anew.core.settings import setting
from anew.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    width: int = setting(8, "width", unit="channels", low=1, high=64)
    rate: float = setting(0.5, "rate", low=0.0)
    kind: str = setting("a", "kind", choices=("a", "b"))
    on: bool = setting(True, "on")
    mults: tuple[int, ...] = setting((1, 2), "mults")
    few: int | None = setting(None, "few")
    free: float = setting(0.0, "without bounds")
    even: str = setting("", "a text of even length", why_not=lambda text: "it is odd" if len(text) % 2 else None)


def test_text_becomes_the_fields_type() -> None:
    texts = {"width": "16", "rate": "1e-3", "kind": "b", "on": "false", "mults": "1,2,4", "few": "3"}
    values = cfg.route_settings(texts, {"inner": Inner})["inner"]
    assert replace(Inner(), **values) == Inner(16, 1e-3, "b", False, (1, 2, 4), 3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("widht", "3", "did you mean 'width'"),
        ("even", "abc", "even='abc' is not allowed; it is odd"),
        ("width", "0", "give 1 to 64 channels"),
        ("width", "wide", "a whole number"),
        ("width", "1.5", "a whole number"),
        ("kind", "c", "not allowed"),
        ("on", "maybe", "true or false"),
        ("other.width", "3", "unknown setting"),
    ],
)
def test_one_sentence_says_what_is_wrong(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cfg.route_settings({name: text}, {"inner": Inner})


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


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_no_value(text: str) -> None:
    for name in ("rate", "free"):
        with pytest.raises(ConfigError, match=rf"{name}=.* is not allowed; give a finite number"):
            cfg.route_settings({name: text}, {"inner": Inner})
        with pytest.raises(ConfigError, match="give a finite number"):
            cfg.route_settings({name: float(text)}, {"inner": Inner})
    with pytest.raises(ConfigError, match="give a whole number"):
        cfg.route_settings({"width": text}, {"inner": Inner})


def test_every_setting_of_every_owner_refuses_what_is_not_finite() -> None:
    from anew.core.registry import available, load
    from anew.planning.train_config import TrainConfig

    owners = [TrainConfig, *(load("data", name).Config for name in available("data"))]
    for name in available("families"):
        owners += [load("families", name).Config, load("families", name).Sampling]
    floats = [(config, f.name) for config in owners for f in fields(config) if f.type in ("float", float)]
    assert len(floats) > 30
    for config, name in floats:
        for text in ("nan", "inf"):
            with pytest.raises(ConfigError):
                cfg.parse(config, name, text)


def test_families_that_generate_are_known_without_an_import() -> None:
    from anew.core.registry import available, generators, load

    assert generators() == [name for name in available("families") if load("families", name).generates]


def test_whole_numbers() -> None:
    assert cfg.check_int("seed", np.int64(3)) == 3 and type(cfg.check_int("seed", np.int64(3))) is int
    for value in (1.5, "a", None, True, [1], np.ones(3)):
        with pytest.raises(ConfigError, match="is not allowed; give a whole number"):
            cfg.check_int("seed", value)
    for number in (-1, 10**23):
        with pytest.raises(ConfigError, match="out of range; give 0 to 9,223,372,036,854,775,807"):
            cfg.check_int("seed", number)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", "sixty-four", "a whole number"),
        ("width", 1.5, "a whole number"),
        ("width", 8.0, "a whole number"),
        ("width", True, "a whole number"),
        ("rate", "fast", "a number"),
        ("rate", False, "a number"),
        ("rate", 10**400, "a number"),
        ("on", "maybe", "true or false"),
        ("on", 1, "true or false"),
        ("kind", 3, "a text"),
        ("mults", 3, "a list"),
        ("mults", [1, "2"], "a whole number"),
        ("few", "3", "a whole number"),
    ],
)
def test_json_values_of_another_type_are_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}=.* is not allowed; give {expected}"):
        cfg.from_json(Inner, {name: value})


def test_whole_numbers_stand_for_floats_in_json() -> None:
    config = cfg.from_json(Inner, {"rate": 2, "few": None})
    assert config == Inner(rate=2.0) and type(config.rate) is float


@pytest.mark.parametrize("text", ["9007199254740993", "-9007199254740993"])
def test_large_whole_numbers_keep_their_last_digit(text: str) -> None:
    assert cfg.parse(Inner, "few", text) == int(text)


def test_a_rounded_whole_number_is_refused() -> None:
    assert cfg.parse(Inner, "few", "1e6") == 1_000_000
    with pytest.raises(ConfigError, match="few='1e17' is not allowed; give a whole number"):
        cfg.parse(Inner, "few", "1e17")


def test_an_unknown_setting_is_one_sentence() -> None:
    sentence = "unknown setting 'widht'; did you mean 'width'?"
    for reading in (
        lambda: cfg.from_json(Inner, {"widht": 3}),
        lambda: cfg.route_settings({"widht": 3}, {"inner": Inner}),
    ):
        with pytest.raises(ConfigError) as raised:
            reading()
        assert str(raised.value) == sentence


def test_only_a_similar_setting_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"^unknown setting 'report'; `anew settings` lists all"):
        cfg.route_settings({"report": False}, {"diffusion": load("families", "diffusion").Config})


def test_a_setting_with_choices_has_several() -> None:
    for name in available("data"):
        settings = cfg.settings_of(load("data", name).Config)
        assert all(len(setting.choices) != 1 for setting in settings.values()), name


def test_labels_are_switched_off_by_one_word() -> None:
    for name in available("data"):
        labels = cfg.settings_of(load("data", name).Config).get("labels")
        assert labels is None or "off" in (*labels.choices, *labels.help.replace(",", "").split()), name


def test_many_settings_are_not_listed_in_a_sentence_but_the_command_that_lists_them() -> None:
    config_class = make_dataclass("Many", [(f"name_{i}", int, setting(1, "a number")) for i in range(40)])
    with pytest.raises(ConfigError, match=r"^unknown setting 'zzz'; `anew settings` lists all"):
        cfg.route_settings({"zzz": "1"}, {"many": config_class})
