"""What a sampler is asked for, with settings of the right family or its defaults."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from anew.core.specs import SampleRequest


@dataclass(frozen=True)
class Sampling:
    steps: int = 8


def test_settings_are_those_given_or_the_defaults() -> None:
    assert SampleRequest(1).sampling_as(Sampling) == Sampling()
    assert SampleRequest(1, sampling=Sampling(3)).sampling_as(Sampling).steps == 3


def test_settings_of_another_family_are_an_error() -> None:
    with pytest.raises(TypeError, match="sampling must be Sampling"):
        SampleRequest(1, sampling=object()).sampling_as(Sampling)
