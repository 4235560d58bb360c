"""Classes of sequences from their headers."""

from __future__ import annotations

import pytest

from anew.data.formats.fasta_labels import Headers
from anew.errors import ConfigError


def test_each_value_that_is_named_as_allowed_is() -> None:
    """`none` was named, and then refused."""
    with pytest.raises(ConfigError, match="invalid labels") as caught:
        Headers("(")
    allowed = str(caught.value).partition("expected ")[2].removesuffix(", or a regular expression").split(", ")
    assert [Headers(value).read for value in allowed] == [False, False, True, True]


def test_an_expression_needs_a_group_that_is_the_class() -> None:
    assert Headers("kind=([a-z]+)").label("P1 kind=toxin", None) == "toxin"
    with pytest.raises(ConfigError, match="'kind=' has 0 groups; mark what the class is"):
        Headers("kind=")
