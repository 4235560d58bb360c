"""Samples of programs parse as far as they go, in each way in which samples are drawn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from anew.core.arrays import Ints
from anew.core.grammars.lexis import COMMENT, LexicalState, lexis_of
from anew.core.grammars.viable_prefix import Grammar, grammar_of
from anew.core.specs import GAP_MARKS, Batch, Condition, SampleRequest, Tokens
from anew.errors import DataError
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing import program_limit
from anew.families.transformer.drawing.program_limit import LEFT_OUT, ProgramLimit
from anew.families.transformer.drawing.program_state import ProgramLimitState
from anew.families.transformer.family import Transformer

LETTERS = [*map(chr, range(32, 127)), "\n", "\n    ", '"""', "def ", "return ", "import "]
END = len(LETTERS)
SPECIAL = {"end": END} | {mark: END + 1 + number for number, mark in enumerate(GAP_MARKS)}
SPELLINGS = (*(letter.encode() for letter in LETTERS), *[b"\0"] * len(SPECIAL))
UNIFORMS = np.linspace(0, 1, 200, endpoint=False, dtype=np.float32)
SPEC = Tokens(len(SPELLINGS), 64, SPECIAL, spellings=SPELLINGS, grammar="python")


def ids(text: str) -> list[int]:
    """The longest token first."""
    tokens = []
    while text:
        letter = max((letter for letter in LETTERS if text.startswith(letter)), key=len)
        tokens.append(LETTERS.index(letter))
        text = text[len(letter) :]
    return tokens


def spelt(tokens: Ints) -> str:
    return "".join(LETTERS[token] for token in tokens.tolist() if 0 <= token < END)


def functions(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefgh"), 4)) for _ in range(n)]
    return [
        f'"""The {a}."""\nimport {b}\n\ndef {a}({b}):\n    """Call {b}."""\n    return {b}({a}, [1])\n'
        for a, b in pairwise(names)
    ]


def documents(texts: list[str]) -> list[Ints]:
    return [np.array([END, *ids(text), END]) for text in texts]


def fitted(texts: list[str], grammar: str = "python") -> ProgramLimit:
    limit = ProgramLimit(grammar, SPELLINGS, SPECIAL)
    limit.fit(documents(texts))
    return limit


def started(limit: ProgramLimit, beginning: list[int], n: int = 1) -> ProgramLimitState:
    state = limit.start(n)
    assert state is not None
    for token in beginning:
        state.observe(np.full(n, token))
    return state


def is_refused(limit: ProgramLimit, beginning: list[int], following: str) -> bool:
    """Whether the grammar refuses what follows; what is rare is accepted with some of many random numbers."""
    token = ids(following)[0] if following else END
    state = started(limit, beginning, 200)
    return len(state.refused(np.full(200, token), UNIFORMS)) == 200


def test_what_cannot_go_on_is_refused() -> None:
    limit = fitted(functions(200))
    assert is_refused(limit, [END, *ids("def f(a")], ".") and not is_refused(limit, [END, *ids("def f(a")], ",")
    assert is_refused(limit, [END, *ids("x = (1")], "]") and not is_refused(limit, [END, *ids("x = (1")], ")")
    assert not is_refused(limit, [END, *ids('def f():\n    """(1')], "]")  # in a string
    assert not is_refused(limit, [END, *ids("x = 1  # (1")], "]")  # in a comment
    assert is_refused(limit, [END, *ids("x = 'a")], "\n") and not is_refused(limit, [END, *ids("x = 'a'")], "\n")
    # A document ends where all is closed
    assert (
        is_refused(limit, [END, *ids("x = (1")], "")
        and is_refused(limit, [END, *ids('x = """a')], "")
        and not is_refused(limit, [END, *ids("x = 1\n")], "")
    )


def test_later_parts_of_php_are_code_as_the_first_is() -> None:
    """Without the tag of the first part each later one was text between tags, in which everything can follow."""
    pytest.importorskip("tree_sitter_language_pack")
    texts = [
        f"<?php\n\nnamespace A;\n\nuse {a};\n\n{a}({b}, 1);\n" for a, b in pairwise(map(str.upper, "abcdefgh" * 20))
    ]
    limit = fitted(texts, "php")
    start = "<?php\n\nnamespace A;\n\nuse B;\n\n"
    assert is_refused(limit, [END, *ids(f"{start}f(1")], "]") and not is_refused(limit, [END, *ids(f"{start}f(1")], ")")
    assert is_refused(limit, [END, *ids(f"{start}class C")], ")")
    assert is_refused(limit, [END, *ids(f"{start}#[A(1")], "]")  # an attribute, no comment
    assert not is_refused(limit, [END, *ids(f"{start}f(1);\n?>\nText f(1")], "]")


def test_after_a_prompt_that_does_not_parse_the_next_part_is_limited() -> None:
    limit = fitted(functions(200))
    state, weights = started(limit, [END, *ids("x = )")]), np.ones((1, len(SPELLINGS)))
    tokens = state.drawn_again(np.array([0]), weights, weights, np.array(ids("]")), UNIFORMS[:1])
    assert spelt(tokens) == "]"  # no other is accepted
    state.observe(tokens)
    assert not len(state.refused(np.array(ids("]")), np.zeros(1, dtype=np.float32)))
    for token in ids("\nimport a\nx = "):
        state.observe(np.array([token]))
    assert len(state.refused(np.array(ids("]")), np.zeros(1, dtype=np.float32)))


def test_tokens_are_as_rare_in_a_string_as_in_those_of_the_data() -> None:
    limit = fitted(functions(400))
    lifts = limit.lifts(LETTERS.index("\n    "))  # after which a docstring or `return` follows
    code, string = 0, 1
    assert lifts[string, LETTERS.index("return ")] < 0.1 < 0.9 < lifts[code, LETTERS.index("return ")]
    state = started(limit, [END, *ids('def f():\n    """A\n    ')], 1000)
    uniforms = np.linspace(0, 1, 1000, endpoint=False, dtype=np.float32)
    assert len(state.refused(np.full(1000, LETTERS.index("return ")), uniforms)) > 800


def test_gaps_and_passages_from_the_middle_are_not_limited() -> None:
    limit = fitted(functions(200))
    for beginning in ([END, SPECIAL["fim_prefix"], *ids("x = (1")], ids("x = (1")):
        assert not is_refused(limit, beginning, "]")


def test_data_that_the_grammar_does_not_fit_has_no_limit_of_it() -> None:
    limit = fitted(["x := (1]\n" * 20] * 20)
    assert limit.is_fitted and not is_refused(limit, [END, *ids("x = (1")], "]")
    assert not fitted(functions(20), "").is_fitted and fitted(functions(20)).left_out == (LEFT_OUT,)


def test_without_the_package_of_grammars_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = fitted(functions(100))

    def missing(name: str, spellings: object) -> None:
        raise DataError("no grammars")

    monkeypatch.setattr(program_limit, "grammar_of", missing)
    with pytest.raises(DataError, match="no grammars"):
        limit.start(1)
    assert not fitted(functions(100)).get_buffer("parses")  # trained without it


@pytest.mark.parametrize("name", ["pairs", "counts", "parses"])
def test_inconsistent_counts_are_refused(name: str) -> None:
    limit = fitted(functions(100))
    limit.check()
    limit.set_buffers({name: limit.arrays()[name][1:]})
    with pytest.raises(ValueError, match="inconsistent"):
        limit.check()


def make_family(contexts: bool) -> Transformer:
    config = TransformerConfig(
        layers=1,
        width=16,
        heads=2,
        mlp_size=24,
        ngram_order=3,
        precision="fp32",
        ngrams=not contexts,
        contexts=contexts,
    )
    torch.manual_seed(0)
    family = Transformer(SPEC, config).eval()
    stream = np.concatenate([[END], *(document[1:] for document in documents(functions(300)))])
    family.fit_closed_form([Batch(torch.from_numpy(stream)[None])])
    return family


@pytest.fixture(scope="module", params=[False, True], ids=["ngrams", "contexts"])
def family(request: pytest.FixtureRequest) -> Transformer:
    return make_family(request.param)


def drawn(family: Transformer, n: int = 24, prompt: str = "", **sampling: object) -> list[str]:
    settings = TransformerSampling(max_tokens=160, **sampling)  # type: ignore[arg-type]
    condition = Condition(torch.tensor(ids(prompt))) if prompt else None
    *_, rows = family.sample(SampleRequest(n, condition=condition, sampling=settings), 0)
    return [spelt(row) for row in rows.numpy()]


def share_that_goes_on(texts: list[str]) -> float:
    """Of texts that are programs or beginnings of some. One may be given up where hardly any token can follow."""
    grammar = grammar_of("python", ())
    return float(np.mean([grammar.is_complete(text) or accepts(grammar, text) for text in texts]))


def accepts(grammar: Grammar, text: str) -> bool:
    end = LexicalState(lexis_of("python")).after(text.encode())
    return end.state == COMMENT or grammar.rest_of(text, end.closer.decode()) is not None


@pytest.mark.parametrize("cut", [{}, {"min_p": 0.05}, {"temperature": 1.5}])
def test_samples_are_beginnings_of_programs(family: Transformer, cut: dict[str, float]) -> None:
    assert family.programs.is_fitted
    limited, free = drawn(family, **cut), drawn(family, match_error_rates=False, **cut)
    assert share_that_goes_on(limited) > 0.9 > 0.5 > share_that_goes_on(free)
    assert limited[:4] == drawn(family, 4, **cut)


def test_a_prompt_is_gone_on_with(family: Transformer) -> None:
    prompt = 'def abcd(efgh):\n    """Call'
    texts = drawn(family, prompt=prompt)
    assert all(text.startswith(prompt) for text in texts) and share_that_goes_on(texts) > 0.9


def test_drafts_and_streams_are_the_samples(family: Transformer) -> None:
    """As the server and the Studio draw them, by keys of their own and with the weights of each token."""
    settings = TransformerSampling(max_tokens=80, min_p=0.05)
    request = SampleRequest(4, sampling=settings)
    *_, rows = family.sample(request, 3)
    *_, draft = family.sample_tokens(SampleRequest(2, sampling=settings), ((3, 1), (3, 2)))
    for row, text in zip(draft.ids, rows.numpy()[1:], strict=False):
        assert spelt(row) == spelt(text)
