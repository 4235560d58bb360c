"""A run waits for its loops to be compiled, or does without them where that would take too much of its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest

from anew.core.machine.loop_compiler import Loops
from anew.core.processes.world import World
from anew.core.specs import Tokens
from anew.estimators.context_mixing import compilation
from anew.families.transformer.family import Transformer
from anew.planning.context import RunContext, TrainingTask
from anew.planning.family_choice import FamilyChoice
from anew.planning.loops import compile_loops, report_compilation
from anew.planning.planner import scale_of
from anew.planning.train_config import TrainConfig
from anew.runs.record import Request

DATA = SimpleNamespace(
    spec=Tokens(vocab=4, length=16, spellings=(b"a", b"b", b"c", b"d")), train_items=3000, train_units=1e6
)
CHOICE = FamilyChoice("transformer", Transformer)


class Compiler:
    """In place of a LoopCompiler: notes how long it was waited for; `works` says whether the loops are compiled then."""

    def __init__(self, works: bool) -> None:
        self.works = works
        self.limits: list[float | None] = []
        self.loops: Loops | None = None

    def run(self, loops: Loops, seconds: float | None, report: Callable[[float], None] = lambda share: None) -> bool:
        self.loops = loops
        self.limits.append(seconds)
        report(0.22)
        return self.works and seconds != 0.0

    def is_done(self) -> bool:
        return self.works


class Messages:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, task: str, count: int, total: int) -> None:
        self.lines.append(f"{task}: {count} of {total}")


def _compiled(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
    works: bool = True,
    slowdown: float = 1.0,
    settings: Mapping[str, str] | None = None,
) -> tuple[RunContext, Compiler, list[str]]:
    """The context of a training on a machine that has compiled nothing; the compiler; what was said."""
    compiler, messages = Compiler(works), Messages()
    monkeypatch.setattr(compilation, "is_compiled", lambda: works and compiler.limits not in ([], [0.0]))
    request = Request(data="d", settings=dict(settings or {}))
    context = RunContext(
        messages,
        time.monotonic(),
        World(),
        slowdown=slowdown,
        loop_compiler=compiler,  # type: ignore[arg-type]
    )
    task = TrainingTask(request, TrainConfig(), context, DATA)  # type: ignore[type-var]
    return compile_loops(task, CHOICE, seconds), compiler, messages.lines


def test_a_run_waits_for_as_long_as_half_of_its_training(monkeypatch: pytest.MonkeyPatch) -> None:
    context, compiler, lines = _compiled(monkeypatch, 90.0)
    assert context.loops_ready and compiler.limits == [45.0]
    assert lines[0].startswith(
        "compiling the loops of context mixing, once on this machine: about 15 s on an idle core"
    )
    assert lines[0].endswith("; this run waits for at most 45 s")
    assert lines[1:] == ["compiling, in percent: 22 of 100", "compiling, in percent: 100 of 100", "compiled in 0 s"]
    report_compilation(context)
    assert len(lines) == 4


@pytest.mark.parametrize(("seconds", "slowdown", "limit"), [(90.0, 1.0, 45.0), (90.0, 4.0, 0.0), (20.0, 1.0, 0.0)])
def test_a_run_without_the_time_does_without_context_mixing(
    seconds: float, slowdown: float, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, compiler, lines = _compiled(monkeypatch, seconds, works=False, slowdown=slowdown)
    assert not context.loops_ready and compiler.limits == [limit]
    scale = scale_of(DATA, context, seconds, 0)  # type: ignore[arg-type]
    config = Transformer.suggest(DATA.spec, scale)
    assert config.ngrams and not config.contexts
    assert Transformer.plan_notes(DATA.spec, scale, config)[0].startswith("without context mixing, which predicts")
    report_compilation(context)
    assert "are not all compiled yet" in lines[-1]
    assert "`python -m anew.estimators.context_mixing.compilation` compiles them once, in about 15 s" in lines[-1]
    compiler.works = True
    report_compilation(context)
    assert lines[-1].startswith("the loops of context mixing are compiled now: a new run will use them")


def test_there_is_no_limit_without_a_budget_or_where_a_setting_needs_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"contexts": "true", "ngrams": "false"}
    for seconds, settings in ((None, {}), (5.0, wanted)):
        context, compiler, lines = _compiled(monkeypatch, seconds, settings=settings)
        assert context.loops_ready and compiler.limits == [None]
        assert lines[0].endswith("about 15 s on an idle core")


def test_nothing_is_compiled_for_a_training_that_does_not_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    context, compiler, lines = _compiled(monkeypatch, 90.0, works=False, settings={"contexts": "false"})
    assert context.loops_ready and not compiler.limits and not lines
