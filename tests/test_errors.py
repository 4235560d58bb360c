"""What callers learn from an error besides its sentence."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import anew
from anew.core.settings import check_int
from anew.errors import ConfigError, ItemError, did_you_mean


def test_an_error_says_which_argument_was_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        anew.compare(out=tmp_path / "out", families=[3])  # type: ignore[list-item]
    assert caught.value.argument == "families"
    assert ConfigError("run `anew evaluate RUN`").argument is None and ConfigError("too small").argument is None


def test_an_error_of_a_setting_knows_its_name() -> None:
    """The server took the name out of the sentence by a regular expression."""
    with pytest.raises(ConfigError) as caught:
        check_int("steps", -1)
    assert caught.value.argument == "steps"


def test_an_error_of_an_item_keeps_its_number_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ItemError(3, "it is empty; leave it out")))
    assert (error.number, error.reason) == (3, "it is empty; leave it out") and error.argument == "data"
    assert str(error) == "`data` cannot be scored: item 3: it is empty; leave it out"


def test_a_number_is_not_taken_for_another_one_that_looks_alike() -> None:
    assert did_you_mean("11", map(str, range(3))) == "; allowed: 0, 1, 2"
    assert did_you_mean("catt", ("cat", "1")) == "; did you mean 'cat'?"
    assert did_you_mean("text", ("context", "text_column")) == "; did you mean 'text_column'?"
    assert did_you_mean("ngram", ("ngrams", "ngram_order")) == "; did you mean 'ngrams'?"
