"""Steps that are timed: as few as possible where cores are busy and each takes long."""

from __future__ import annotations

from typing import Any

import pytest

from anew.core.machine.threads import MIN_SLOWDOWN
from anew.core.processes.world import World
from anew.core.specs import Grid
from anew.families.base import Scale
from anew.families.vae.family import EXPORT as VAE
from anew.planning import benchmark
from anew.planning.benchmark import measure_candidates


@pytest.mark.parametrize(("slowdown", "seconds", "num_steps"), [(1.0, 0.0, 2), (8.0, 600.0, 2), (8.0, 0.0, 1)])
def test_busy_cores_time_one_long_step_for_each_number_of_threads(
    slowdown: float, seconds: float, num_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    class Timed:
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            counts.append(0)

        def __iter__(self) -> Any:
            while True:
                counts[-1] += 1
                yield None

    monkeypatch.setattr(benchmark, "Trainer", Timed)
    monkeypatch.setattr(benchmark, "rows_in_memory", lambda *arguments: 1_000)
    monkeypatch.setattr(benchmark, "MIN_SHARE_S", 0.0)
    monkeypatch.setattr(benchmark, "use_threads", lambda count: count)
    monkeypatch.setattr(benchmark, "choose_thread_count", lambda seconds, measure: max(seconds, measure()))
    scale = Scale(items=100, units=100.0, seconds=seconds, slowdown=slowdown)
    spec = Grid((1, 8, 8), "CHW")
    measure_candidates(VAE, spec, scale, {}, None, World(), seconds=0.0, sizes=(0,))  # type: ignore[arg-type]
    # On busy cores only steps that take long on one thread are timed with all of them, too
    is_busy = slowdown >= MIN_SLOWDOWN
    assert counts == ([num_steps] if is_busy else [num_steps, num_steps])
    counts.clear()
    monkeypatch.setattr(benchmark, "LONG_STEP_S", 0.0)
    measure_candidates(VAE, spec, scale, {}, None, World(), seconds=0.0, sizes=(0,))  # type: ignore[arg-type]
    assert counts == [num_steps, num_steps]
