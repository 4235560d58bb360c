"""Compile the loops of a family before its training, where there is time for that."""

from __future__ import annotations

import time
from dataclasses import replace

from anew.core.machine.loop_compiler import Loops
from anew.planning.build import agreed_config
from anew.planning.context import RunContext, TrainingData, TrainingTask
from anew.planning.family_choice import FamilyChoice, settings_of
from anew.planning.planner import DEFAULT_MODEL_SIZE, scale_of

# Share of the time for training that compiling may take: with more, most of the time would be waiting; chosen.
COMPILING_SHARE = 0.5


def compile_loops(task: TrainingTask[TrainingData], family: FamilyChoice, seconds: float | None) -> RunContext:
    """The context of a training that is to be planned: its loops are compiled, or it does without them for lack of time.

    Args:
        task, family: See `make_plan`.
        seconds: Seconds of training that are left; None if the request counts steps.
    """
    context, data, family_class = task.context, task.data, family.family_class
    overrides = settings_of(task.request.settings, family.name, family_class.Config)
    scale = scale_of(data, context, seconds, max(task.train_config.model_size, DEFAULT_MODEL_SIZE))
    with_loops, without = (
        agreed_config(family_class, data.spec, replace(scale, loops_ready=is_ready), overrides, context.world)
        for is_ready in (True, False)
    )
    loops, is_ready = family_class.loops_to_compile(data.spec, with_loops), True
    if loops is not None:
        is_needed = family_class.loops_to_compile(data.spec, without) is not None  # a setting may say so
        limit = None if seconds is None or is_needed else COMPILING_SHARE * seconds
        wait_for(loops, context, limit)
        is_ready = limit is None or family_class.loops_to_compile(data.spec, with_loops) is None
    return replace(context, loops_ready=bool(context.world.minimum(int(is_ready))))


def wait_for(loops: Loops, context: RunContext, limit: float | None) -> None:
    """Compile loops and say so; after `limit` seconds (None: no limit) they are compiled beside what follows."""
    if limit is not None and loops.seconds * context.slowdown > limit:
        context.loop_compiler.run(loops, 0.0)
        return
    at_most = "" if limit is None else f"; this run waits for at most {limit:.0f} s"
    context.reporter.message(
        f"compiling the loops of {loops.name}, once on this machine: about {loops.seconds:.0f} s on an idle core{at_most}"
    )
    start = time.monotonic()

    def show(share: float) -> None:
        context.reporter.progress("compiling, in percent", round(100 * share), 100)

    if context.loop_compiler.run(loops, limit, show):
        show(1.0)
        context.reporter.message(f"compiled in {time.monotonic() - start:.0f} s")


def report_compilation(context: RunContext) -> None:
    """Report, at the end of a run without compiled loops, whether the next run can use them."""
    loops = context.loop_compiler.loops
    if context.loops_ready or loops is None:
        return
    if context.loop_compiler.is_done():
        text = (
            f"the loops of {loops.name} are compiled now: a new run will use them, but this one continues without them"
        )
    else:
        text = (
            f"the loops of {loops.name} are not all compiled yet, and runs as short as this one, or on cores as busy, do not finish "
            f"compiling them; `python -m {loops.module}` compiles them once, in about {loops.seconds:.0f} s of an idle core, and "
            "new runs then use them"
        )
    context.reporter.message(text)
