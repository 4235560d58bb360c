"""Figures that an evaluation measures together, and the questions that they help to answer."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from anew.evaluation.score import Question, Score

Questions: TypeAlias = tuple[Question | Literal["novelty"], ...]
CLOSENESS: Questions = ("closeness",)
VARIETY: Questions = ("variety",)
BOTH: tuple[Question, ...] = ("closeness", "variety")
# What figures besides the copying test say on New? (the test has a note of its own), and figures that help to answer no question
NOVELTY: Questions = ("novelty",)
NEITHER: Questions = ()
# Names of what was not measured, and the questions that it helps to answer
Unmeasured: TypeAlias = Mapping[str, Questions]
NOTHING: Unmeasured = MappingProxyType({})


def without(unmeasured: Unmeasured, measured: Container[str]) -> Unmeasured:
    """The names that remain unmeasured after some measurements, with their questions."""
    return {name: questions for name, questions in unmeasured.items() if name not in measured}


@dataclass(frozen=True, slots=True)
class Measure:
    """Figures that are measured together.

    Attributes:
        compute: Yields their scores.
        questions: The questions that they help to answer: without them, these stay open.
    """

    compute: Callable[[], Iterator[Score]]
    questions: Questions = CLOSENESS
