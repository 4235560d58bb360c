"""The list of settings: complete, in groups, and every default is one that the setting allows."""

from __future__ import annotations

import pytest

from anew.core.registry import available
from anew.errors import ConfigError
from anew.workflows.list_settings import GROUPS, list_settings


def test_every_owner_is_there_and_says_what_its_settings_mean() -> None:
    settings = list_settings()
    assert list(dict.fromkeys(s.group for s in settings)) == list(GROUPS)
    assert {s.owner for s in settings} >= {"train", *available("families"), *available("data")}
    assert all(s.meaning and s.values for s in settings)
    assert len({(s.group, s.owner, s.name) for s in settings}) == len(settings)


def test_names_owners_and_groups_select() -> None:
    assert {s.owner for s in list_settings("temperature")} == {"transformer", "vae"}
    assert {s.owner for s in list_settings("gan")} == {"gan"}
    assert {s.group for s in list_settings("sampling")} == {"sampling"}
    assert [s.values for s in list_settings("train.space")] == ["auto, pixel, latent"]
    with pytest.raises(
        ConfigError, match="no setting, family or kind of data is called 'tempratur'; did you mean 'temperature'"
    ):
        list_settings("tempratur")


def test_settings_are_shown_one_a_line() -> None:
    first, *others = repr(list_settings("gan")).split("\n")
    assert (
        first == "gan.batch_size=32 (1 to 1,000,000): examples per step"
        and len(others) == len(list_settings("gan")) - 1
    )
    assert "gan.channel_mults=1,2 (" in repr(list_settings("gan.channel_mults"))
    assert "<td>gan.width<td>" in list_settings("gan")._repr_html_()


def test_values_in_words() -> None:
    words = {f"{s.owner}.{s.name}": s.values for s in list_settings()}
    assert words["transformer.temperature"] == "0 to 10"
    assert words["transformer.top_k"] == "integer, at least 0"
    assert words["train.evaluate_samples"] == "1 to 1,000,000"
    assert words["train.tensorboard"] == "true or false"
