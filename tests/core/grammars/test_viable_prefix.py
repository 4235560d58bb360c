"""Beginnings of programs are told from texts with which no program begins."""

from __future__ import annotations

import random
import re
import signal
from types import FrameType

import pytest

from anew.core.deadline import TimeIsUp, can_stop, hard_stop
from anew.core.grammars.viable_prefix import NAME_REST, Grammar, grammar_of
from anew.errors import DataError

PROGRAMS = {
    "python": '''"""A module."""
import os, sys as system


class Queue(list):
    size: int = 0x1F

    def put(self, *items, at=None, **more) -> None:
        """Put items."""
        for item in items:
            if not item != at and item[1:-2] is not None:
                self.append({"a": item, **more})
            elif at:
                pass
            else:
                raise ValueError(f"no {item}") from None
        try:
            return lambda x, y=1.5e3: (x + y) // 2
        except (OSError, KeyError) as error:
            print(error, ...)
        finally:
            self.size += 1

    @property
    def first(self):
        return [x async for x in self if x]
''',
    "javascript": """// a
const m = new Map([[1, 'a'], [2, "b"]]);
function f(x, y = 3) {
  if (x === null || !y) { return `a ${x}`; } else { y += x[0]; }
  for (let i = 0; i < 10; i++) { m.set(i, z => z ** 2); }
  try { g(); } catch (e) { throw e; }
}
""",
    "lua": """local t = { 1, 2; a = "b" }
function t.f(x, ...)
  for i, v in ipairs(x) do
    if v ~= 1 and not i then return v .. "c" elseif i then break end
  end
  repeat x = #x - 1 until x <= 0
end
""",
    "perl": """use strict; # a
my %seen = map { $_ => 1 } qw(a b c);
sub count {
  my ($self, @items) = @_;
  foreach my $item (@items) { $self->{n} += $#items if $item =~ /^x/ or not $seen{$item}; }
  return unless defined $self->{n};
  print STDERR 'none' . $self->{name} . "b", 1 <=> 2;
}
1;
""",
    "json": '{"a": [1, -2.5e3, true, null], "b": {"c": "d\\n"}}\n',
}
BROKEN = {
    "python": [
        "def f(sys.stdout",
        "x = 1 2",
        "for x indent",
        "foo(a]",
        "x = (1,\n)\n  y",
        "try:\n  x\nif",
        "import a import",
        "x = 'a\n",
        "if a = b:",
    ],
    "javascript": ["foo(a b", "x = }", "var a b", "while (1) { foo) ", 'x = "a\nb'],
    "lua": ["x = = 1", "for i in do x", "local function 1"],
    "perl": ["foo(a]", "my $x = }", "sub { ) ", "if (1) 2"],
    "json": ['{"a" 1', "[1,,", '{"a": [}', "[1] ]"],
}


def grammar(name: str) -> Grammar:
    if name != "python":
        pytest.importorskip("tree_sitter_language_pack")
    return grammar_of(name, ())


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_beginning_of_a_program_can_go_on(name: str) -> None:
    text, checker = PROGRAMS[name], grammar(name)
    strings = [(m.start(), m.end()) for m in re.finditer(r'"""[^"]*"""|"[^"\n]*"|\'[^\'\n]*\'|`[^`]*`', text)]
    for stop in range(1, len(text) + 1):
        # White space and marks are drawn as one token, as most vocabularies have them
        is_split = text[stop - 1 : stop + 1] in ("  ", "\n ", "..")
        if not is_split and not any(start < stop < end for start, end in strings):
            assert checker.rest_of(text[:stop]) is not None, text[:stop]
    assert checker.is_complete(text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_text_with_which_no_program_begins_cannot(name: str, text: str) -> None:
    checker = grammar(name)
    assert checker.rest_of(text) is None and not checker.is_complete(text)


@pytest.mark.parametrize("name", ["python", "javascript", "json"])
def test_texts_that_cannot_go_on_never_parse_as_a_whole(name: str) -> None:
    """Tokens of programs in random order: whatever is refused is refused with all that follows it."""
    checker, rng = grammar(name), random.Random(0)
    tokens = re.findall(r'"[^"\n]*"|\w+|\n *|[^\w\s]', PROGRAMS[name].replace('"""', '"'))
    refused = 0
    for _ in range(60):
        chosen = rng.choices(tokens, k=rng.randrange(1, 8))
        for number in range(1, len(chosen) + 1):
            if chosen[0].strip() and checker.rest_of(" ".join(chosen[:number])) is None:
                refused += 1
                assert not checker.is_complete(" ".join(chosen))
                break
    assert refused > 10


def test_words_may_be_beginnings_of_others() -> None:
    checker = grammar("python")
    assert (
        checker.rest_of("for x i") == "n"
        and checker.rest_of("for x in") == ""
        and checker.rest_of("x = inde") == NAME_REST
    )
    assert checker.rest_of("x = 0x") == "0" and checker.rest_of("a !") == "=" and checker.rest_of("x = 'ab", "'") == "'"
    # Where a token spells the whole mark, no other one begins it
    assert grammar_of("python", [b" !="]).rest_of("a !") is None


def test_a_tree_that_is_kept_changes_no_answer() -> None:
    reused, text = grammar("javascript"), PROGRAMS["javascript"]
    for stop in range(1, len(text)):
        for beginning in (text[:stop], f"{text[:stop]})", text[: stop // 2]):
            assert reused.rest_of(beginning) == grammar("javascript").rest_of(beginning)


@pytest.mark.skipif(not can_stop(), reason="no SIGALRM")
@pytest.mark.parametrize("stop", [TimeIsUp, KeyboardInterrupt])
def test_parsing_can_be_stopped_at_any_time(stop: type[BaseException]) -> None:
    """Most of it is spent in the function that reads the log, in which signals arrive."""
    tree_grammar, text = grammar("c"), "int f(int a) { return a + 1; }\n" * 20

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def parse_until_stopped() -> None:
        while True:
            tree_grammar.rest_of(text)
            tree_grammar._last = None  # type: ignore[attr-defined]

    if stop is TimeIsUp:
        with pytest.raises(TimeIsUp), hard_stop(0.05):
            parse_until_stopped()
        return
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            parse_until_stopped()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("end", ["foo#", "foo##", "q##", "foo #x", "s/a/#", "<<E;\nfoo#"])
def test_a_text_that_ends_in_a_comment_is_parsed(end: str) -> None:
    """The scanner of Perl looks for the end of the line for ever, where nothing can stop it."""
    checker, text = grammar("perl"), f"my $x = 1;\n{end}"
    assert checker.rest_of(text) == grammar("perl").rest_of(text)
    assert checker.is_complete(text) == checker.is_complete(f"{text}\n")


def test_a_grammar_that_is_not_there_is_named() -> None:
    pytest.importorskip("tree_sitter_language_pack")
    with pytest.raises(DataError, match="the grammar of klingon is not available"):
        grammar_of("klingon", ())
