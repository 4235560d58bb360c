"""Evaluation by several processes: they draw the samples together and, where all of them can read the data, measure them together."""

from __future__ import annotations

from anew.core.processes.shared_work import SharedWork
from anew.core.processes.world import World
from anew.core.reporter import Reporter
from anew.sampling.model import Model
from anew.sampling.samples import Samples
from anew.sampling.together import draw_together, share_samples
from anew.workflows.timing.pace import FIRST_CHUNK, GROWTH, MAX_CHUNK


def draw_and_share(
    world: World, model: Model, n: int, seed: int, reporter: Reporter, refusal: str = ""
) -> tuple[Samples, SharedWork | None]:
    """Draw n samples on all processes, and give them to all.

    The batches are those of a single process without a time limit, so the samples are the same.

    Args:
        world, model, reporter: See `evaluate_run`.
        n, seed: See `EvaluationRequest`.
        refusal: Why this process cannot read the data; "" if it can.

    Returns:
        The samples; what shares the work of measuring them. If a process cannot read the data, the others than the first one get
        None, as they have nothing more to do, and the first one works alone.
    """
    batches, first, chunk = [], 0, min(FIRST_CHUNK, n)
    while chunk >= 1:
        batches.append((chunk, first))
        first += chunk
        chunk = min(MAX_CHUNK, GROWTH * chunk, n - first)
    samples = draw_together(
        world, model, batches, lambda count, first_index: model.sample(count, seed=seed, first_index=first_index)
    )
    refusals = world.gather(refusal)
    rank = next((rank for rank, reason in enumerate(refusals) if reason), None)
    if rank is not None:
        reporter.message(
            f"the first process measures alone, since process {rank} cannot read the data: {refusals[rank]}"
        )
        return samples, SharedWork() if world.is_main else None
    return share_samples(world, model, samples), SharedWork(world)
