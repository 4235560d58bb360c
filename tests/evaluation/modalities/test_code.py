"""Programs: what parses, as wholes, blocks and functions."""

from __future__ import annotations

import importlib.util
import random
import re

import numpy as np
import pytest

from anew.evaluation.metrics.shares import share_score
from anew.evaluation.modalities import text as text_module
from anew.evaluation.modalities.code import (
    WHOLE_SHARE,
    CodeEvaluation,
    judge_python,
    python_blocks,
    without_open_guards,
)
from anew.evaluation.reporting.grading import part_of
from samples import program
from text_inputs import scores_of, text_inputs


def test_blocks_are_judged_by_the_parser() -> None:
    text = '"""Doc\nof lines."""\n\nimport a\n\n\n@cached\ndef f(x):\n    return (\n        1\n    )\n\n\nif a:\n    b\nelse:\n    c\nd = ('
    code = "".join(text.removesuffix("d = (").split())
    blocks = judge_python(text, False)
    assert len(python_blocks(text)) == 5 and sum(good for good, _ in blocks) == len(code) == sum(n for _, n in blocks)
    assert judge_python("def f(:\n    x\ny = 1\nz", False) == [(0, 7), (3, 3)]
    assert judge_python("", False) == [] == judge_python("x = 1", False) and judge_python("x = 1", True) == [(3, 3)]
    assert judge_python("# License\n\n# of lines\n\ndef f(:\n    x\nz", False)[-1] == (0, 7)


@pytest.mark.parametrize(
    "text", ["try:\n    a()\nexcept(ValueError, KeyError):\n    pass\n", "if a:\n    b()\nelse:c()\n"]
)
def test_clauses_belong_to_the_statement_before_without_a_blank_after_their_word(text: str) -> None:
    """`except(ValueError):` and `else:x` began blocks of their own, so that real programs did not parse."""
    size = len("".join(text.split()))
    assert judge_python(text, True) == [(size, size)]


def test_programs_of_one_function_are_judged_if_they_are_whole() -> None:
    """Of 400 files with one function each, "3 text pieces" were compared: the last block of each was left out."""
    real = [f"def f{i}(x):\n    return {{\n        {i}: x,\n    }}\n" for i in range(60)]
    broken = [text.replace("}", "") for text in real]
    shares = scores_of(CodeEvaluation(text_inputs(broken, real, real, True, are_whole=True))._parsing())
    whole = shares["whole_parse_share"]
    assert (whole.n, whole.value, whole.real_baseline) == (60, 0.0, 1.0)


def test_one_long_program_is_judged_by_its_blocks() -> None:
    real = ["\n".join(program(i) for i in range(40))]
    share = scores_of(CodeEvaluation(text_inputs(real, real, real, True, are_whole=True))._parsing())["parse_share"]
    assert share.n > 40 and share.interval is not None


def test_parse_share_of_real_programs_is_whole_and_of_broken_ones_not() -> None:
    real = [program(i) for i in range(30)]
    shares = scores_of(CodeEvaluation(text_inputs(real[:10], real[10:20], real[20:], True))._parsing())
    own = shares["parse_share"]
    assert own.value == 1.0 == own.real_baseline and own.better == "higher"
    broken = [text.replace("):", ")") for text in real[:10]]
    assert scores_of(CodeEvaluation(text_inputs(broken, real, real, True))._parsing())["parse_share"].value < 0.6


def test_real_programs_are_judged_from_their_beginning_where_only_part_of_the_held_out_text_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the test part had more than a million characters, its files were cut in the middle, and few of them parsed."""
    monkeypatch.setattr(text_module, "MAX_TEST_CHARACTERS", 20_000)
    real = ["def f(x):\n    return {\n        1: x,\n    }\n\n" * 80] * 60
    samples = [text[:300] for text in real]
    shares = scores_of(CodeEvaluation(text_inputs(samples, real, real, True))._parsing())
    assert {name: score.real_baseline for name, score in shares.items()} == dict.fromkeys(shares, 1.0)


def test_a_program_with_one_error_does_not_parse_though_nearly_all_of_it_does() -> None:
    block = "def f(x):\n    return x\n\n"
    real, broken = [block * 12] * 60, [block * 9 + "def g(:\n    return 1\n\n" + block * 2] * 60
    shares = scores_of(CodeEvaluation(text_inputs(broken, real, real, True))._parsing())
    assert shares["parse_share"].value > 0.85
    assert (shares["whole_parse_share"].value, shares["whole_parse_share"].real_baseline) == (0.0, 1.0)


def test_where_half_of_the_programs_do_not_parse_the_samples_are_not_like_real_ones() -> None:
    """It was "partly" at 49% of CMake files, of which all real ones parse."""
    real = np.ones(250, bool)
    for share, grade in ((1.0, "good"), (0.75, "fair"), (0.49, "poor")):
        part = part_of(share_score(WHOLE_SHARE, np.arange(250) < share * 250, real, ""))
        assert part is not None and part.grade == grade


def test_other_languages_are_judged_by_their_grammars() -> None:
    pytest.importorskip("tree_sitter_language_pack")

    class JavaScript:
        suffix = ".js"

    good, bad = "function f(x) { return x + 1; }\n" * 4, "function f(x { return x + ; }\n" * 4
    for text, whole in ((good, True), (bad, False)):
        evaluation = CodeEvaluation(text_inputs([text] * 3, [good], [good] * 3, True, modality=JavaScript()))
        score = scores_of(evaluation._parsing())["parse_share"]
        assert (score.value == 1.0) is whole and score.real_baseline == 1.0


def test_each_program_is_judged_by_the_grammar_of_its_kind_of_file() -> None:
    """Interfaces in OCaml, of which hardly any parses as a program, counted as broken."""
    pytest.importorskip("tree_sitter_language_pack")
    kinds = type("Language", (), {"suffix": ".ml", "kinds": (".ml", ".mli")})()
    program_text = "let f x =\n  match x with\n  | Some y -> y\n  | None -> 0\n\n" * 4
    interface = "type t = int\n\nval f : t option -> t\n\nval g : t -> (t -> t) -> t\n\nend" * 4
    interface = interface.replace("end", "")
    real = [program_text, interface] * 4
    score = scores_of(CodeEvaluation(text_inputs([interface] * 8, real, real, True, modality=kinds))._parsing())
    assert score["parse_share"].value == 1.0 == score["parse_share"].real_baseline
    mixed = [f"{program_text}\nval g : int ->\nlet in\n{interface}"] * 8
    score = scores_of(CodeEvaluation(text_inputs(mixed, real, real, True, modality=kinds))._parsing())
    assert score["parse_share"].value < 0.8


def test_without_held_out_code_no_grammar_is_said_not_to_fit() -> None:
    python = type("Language", (), {"suffix": ".py"})()
    evaluation = CodeEvaluation(text_inputs(["x = 1\n"] * 3, ["x = 1\n"], [], True, modality=python))
    assert not list(evaluation._parsing())
    sentences = str([note.sentence for note in evaluation.notes])
    assert "there is no held-out code" in sentences and "does not fit" not in sentences


def test_without_a_grammar_that_fits_it_counts_whether_brackets_close() -> None:
    """Prolog was read as Perl: 6% of real files parsed, and 13% of samples, of which a third close their brackets."""
    real = ["\n\n".join(f"rule{i}(X, [Y|_]) :-\n    is(X, Y + {i}).\n\n    % more" for i in range(5))] * 30
    broken = [text.replace("]", "", 3) for text in real]
    for suffix, reason in (
        (".pl", "the grammar of perl does not fit: 0% of held-out .pl code parses"),
        (".zzz", "no grammar"),
    ):
        if suffix == ".pl" and importlib.util.find_spec("tree_sitter_language_pack") is None:
            continue
        language = type("Language", (), {"suffix": suffix})()
        evaluation = CodeEvaluation(text_inputs(broken, real, real, True, modality=language))
        (score,) = scores_of(evaluation._parsing()).values()
        assert score.name == "bracket_share" and reason in evaluation.notes[0].sentence
        assert score.real_baseline == 1.0 and score.value == pytest.approx(0.25, abs=0.02)


ERLANG = """%% %CopyrightBegin%
%%
%% Licensed under the Apache License, Version 2.0
-module(lists).
-export([member/2, last/1]).

member(X, [X | _]) -> true;
member(X, [_ | Rest]) -> member(X, Rest);
member(_, []) -> false.

last([X]) -> X;
last([_ | Rest]) -> last(Rest).

cut(X) ->
    case X of
"""


LUA = """-- A library
-- of lines.
local counts = {}

function add(name, n)
  counts[name] = (counts[name] or 0) + n
  return counts[name]
end

local function sum(t)
  local total = 0
  for _, v in pairs(t) do total = total + v end
  return total
end

function cut(
"""


HEADER = """/* A header
 * of lines. */
#ifndef POINT_H
#define POINT_H

#include <stddef.h>

struct point { int x; int y; };

int distance(struct point a, struct point b);
size_t count(const struct point *points);

int cut(struct
"""


@pytest.mark.parametrize(
    ("suffix", "text", "comment"), [(".erl", ERLANG, "%"), (".lua", LUA, "-"), (".h", HEADER, "/* ")]
)
def test_comments_above_shuffled_tokens_do_not_parse(suffix: str, text: str, comment: str) -> None:
    """Heads of real files parse though they are cut; of their tokens in another order it said 87%, the comments and loose tokens."""
    pytest.importorskip("tree_sitter_language_pack")
    source = random.Random(0)

    def shuffled(line: str) -> str:
        tokens = re.findall(r"\w+|[^\w\s]", line)
        source.shuffle(tokens)
        return line if line.lstrip().startswith(tuple(comment)) else " ".join(tokens)

    broken = ["\n".join(map(shuffled, text.split("\n"))) for _ in range(20)]
    language = type("Language", (), {"suffix": suffix})()
    evaluation = CodeEvaluation(text_inputs(broken, [text], [text] * 20, True, modality=language))
    score = scores_of(evaluation._parsing())["parse_share"]
    assert score.real_baseline == 1.0 and score.value < 0.4 and score.n >= 15


def test_guards_that_do_not_end_are_taken_away() -> None:
    text = "#ifndef A\n#define A\n#if B\nint b;\n#else\nint c;\n#endif\n# ifdef C\nint d;\n#elif D\nint e;"
    expected = "\n#define A\n#if B\nint b;\n#else\nint c;\n#endif\n\nint d;\n\nint e;"
    assert without_open_guards(text) == expected


def test_what_is_measured_before_the_features_is_not_measured_again() -> None:
    """Short reports held the same figures twice."""
    real = ["def f(x):\n    return x\n\n" * 20] * 60
    evaluation = CodeEvaluation(text_inputs(real[:20], real[20:40], real[40:], True, seconds=60.0))
    figures = [score.name for _ in range(2) for score in evaluation.modality_metrics()]
    assert figures and len(set(figures)) == len(figures)
