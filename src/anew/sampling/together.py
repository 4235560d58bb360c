"""Drawing of samples by several processes together: each draws some batches, and the first process collects them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import torch

from anew.core.processes.world import World
from anew.core.reporter import Reporter
from anew.data.types import DecodedItem
from anew.sampling.drawing import DrawingProgress, joined
from anew.sampling.model import Model
from anew.sampling.origins import SAMPLE_BATCH, Origin
from anew.sampling.samples import Samples

Draw = Callable[[int, int], Samples]  # (number of samples, index of the first) -> the samples


def whole_batches(n: int) -> list[tuple[int, int]]:
    """(size, index of the first sample) of each batch of n samples, as a single process draws them."""
    return [(min(SAMPLE_BATCH, n - first), first) for first in range(0, n, SAMPLE_BATCH)]


def draw_together(world: World, model: Model, batches: Sequence[tuple[int, int]], draw: Draw) -> Samples:
    """As `draw_batches_together`, but all samples at once."""
    return joined(draw_batches_together(world, model, batches, draw), model.item_modality)


def draw_batches_together(
    world: World,
    model: Model,
    batches: Sequence[tuple[int, int]],
    draw: Draw,
    reporter: Reporter | None = None,
) -> Iterator[Samples]:
    """Draw batches in turns, one on each process at a time. All call this with the same arguments, and iterate to the end.

    Args:
        batches: (size, index of the first sample) of each batch.
        reporter: Shows the progress, on the first process.

    Yields:
        On the first process all samples in order, the same as a single process draws; on the others none.
    """
    run = world.broadcast(model.identity[0])
    total, num_drawn = sum(size for size, _ in batches), 0
    progress = DrawingProgress(reporter if world.is_main else None, total)
    empty = Samples([], [], model.item_modality)
    for turn in range(0, len(batches), world.size):
        data = b""
        if turn + world.rank < len(batches):
            data = _packed(draw(*batches[turn + world.rank]))
        drawn = world.exchange(data)[: len(batches) - turn]
        for packed in drawn if world.is_main else ():
            part = _unpacked(packed, empty, run)
            part.first, part.num_planned = num_drawn, total
            num_drawn += len(part)
            yield part
        progress.show(num_drawn)
    progress.end()


def share_samples(world: World, model: Model, samples: Samples) -> Samples:
    """The samples of the first process, on every one. samples: those that `draw_together` returned."""
    data = {"samples": torch.frombuffer(bytearray(_packed(samples)), dtype=torch.uint8)} if world.is_main else None
    received = world.broadcast_tensors(data)["samples"]
    run = world.broadcast(model.identity[0])
    return samples if world.is_main else _unpacked(received.numpy().tobytes(), samples, run)


def _packed(samples: Samples) -> bytes:
    """Serialise samples: a line of JSON, then the values of all arrays."""
    descriptions: list[object] = []
    contents = []
    for item in samples:
        if isinstance(item, str):
            descriptions.append(item)
        else:
            array = np.ascontiguousarray(item)
            descriptions.append([array.dtype.str, list(array.shape)])
            contents.append(array.tobytes())
    header = [descriptions, samples.labels, [asdict(origin) for origin in samples.origins]]
    return b"\n".join([json.dumps(header).encode(), b"".join(contents)])


def _unpacked(data: bytes, empty: Samples, run: str) -> Samples:
    header, _, content = data.partition(b"\n")
    descriptions, labels, fields = json.loads(header)
    items: list[DecodedItem] = []
    offset = 0
    for description in descriptions:
        if isinstance(description, str):
            items.append(description)
            continue
        dtype, shape = np.dtype(description[0]), tuple(description[1])
        count = int(np.prod(shape))
        items.append(np.frombuffer(content, dtype, count, offset).reshape(shape).copy())
        offset += count * dtype.itemsize
    origins = [replace(Origin(**{**origin, "batch": tuple(origin["batch"])}), run=run) for origin in fields]
    return Samples(items, labels, empty.modality, origins)
