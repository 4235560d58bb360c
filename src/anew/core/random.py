"""Randomness keyed by (seed, step, phase, stream, example): a value, never a history.

No generator state is saved anywhere: a resumed run, a run on two processes and a run in smaller micro-batches draw the
same numbers for the same example of the same step.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from anew.core.machine.device import move

# Positions of a row whose numbers are drawn together, whatever the length of the row: its last draw wastes at most 15; chosen.
POSITIONS_PER_STREAM = 16
ROWS_PER_GENERATOR = 16  # few enough to waste little at the ends of a batch, enough to keep seeding cheap
# A row of so many numbers has a generator of its own: to draw it takes longer than seeding, and a small batch should not draw rows that
# it does not have; chosen.
LONG_ROW = 4096
# Multiples of the two, modulo 1, cover the unit square evenly: 1/g and 1/g**3 with g**4 = g + 1 (M. Roberts, "The
# Unreasonable Effectiveness of Quasirandom Sequences", 2018, in three dimensions; in two, ten samples of ten even classes
# would have five of them).
SPREAD_STEPS = {"label": 0.5497004779019703, "component": 0.8191725133961645}
# Where the state of PyTorch's CPU generator holds that of the Mersenne Twister: 624 words of 32 bits, each stored in 64 bits, after
# 24 bytes of counters.
STATE_WORDS, STATE_OFFSET = 624, 24
CIRCLE = 2**64  # positions modulo 1 are whole multiples of 1 / CIRCLE, which are exact for any index


def key(*parts: int | str | float) -> int:
    """A 63-bit integer from the parts, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(_joined(parts), digest_size=8).digest(), "little") & (2**63 - 1)


def generator(*parts: int | str | float) -> torch.Generator:
    """A CPU generator seeded by `key(*parts)`, of which PyTorch uses the low 32 bits.

    Any two lists of parts share their numbers with a chance of 2**-32. That does no harm to the draws of a training or a
    projection; samples, whose noise must differ among millions, have `sample_generator`.
    """
    return torch.Generator().manual_seed(key(*parts))


def sample_generator(*parts: int | str | float) -> torch.Generator:
    """A CPU generator for one sample, whose whole state is a digest of the parts: no two lists of parts share it."""
    words = np.frombuffer(hashlib.shake_128(_joined(parts)).digest(4 * STATE_WORDS), dtype="<u4")
    state = _fresh_state().clone()
    state.numpy()[STATE_OFFSET : STATE_OFFSET + 8 * STATE_WORDS].view(np.uint64)[:] = words
    rng = torch.Generator()
    rng.set_state(state)
    return rng


def _joined(parts: Sequence[int | str | float]) -> bytes:
    return "\x1f".join(map(str, parts)).encode()


@functools.cache
def _fresh_state() -> Tensor:
    """The state of a generator that has drawn nothing, whose next number begins a new block of words."""
    return torch.Generator().manual_seed(0).get_state()


def normal_rows(generators: Sequence[torch.Generator], count: int) -> Tensor:
    """(n, count) normal numbers, row i from the i-th of n generators."""
    return torch.stack([torch.randn(count, generator=rng) for rng in generators])


def evenly_spread(sample_keys: Sequence[tuple[int, int]], stream: Literal["label", "component"]) -> Tensor:
    """Numbers that choose the class or the mixture component of each sample.

    Over seeds each number is uniform. The numbers of successive samples lie further apart than independent ones, so that n
    samples have each class and component almost exactly as often as the data: independent choices would add their own
    noise to every statistic of the samples (a randomly shifted lattice sequence: Cranley & Patterson, 1976).

    Args:
        sample_keys: (seed, index) of each of n samples.
        stream: Name of the choice. The two are even together, too.

    Returns:
        (n,) float64 in [0, 1), a function of seed and index.
    """
    step = round(SPREAD_STEPS[stream] * CIRCLE)
    shifts = {seed: 2 * key(seed, "spread", stream) for seed, _ in sample_keys}
    positions = [(shifts[seed] + index * step) % CIRCLE for seed, index in sample_keys]
    # The 11 lowest bits are dropped first: rounded to float64, the largest positions would become 1
    return torch.tensor([(position >> 11) / 2**53 for position in positions], dtype=torch.float64)  # (n,)


@dataclass(slots=True)
class StepContext:
    """When and where a loss is computed: all that its randomness may depend on.

    Attributes:
        step: Finished steps so far.
        progress: Share of the plan that is done, in [0, 1].
        phase: Name of the phase, and of the update where a phase has several a step.
        first_row: Global index of the batch's row 0.
        device: Where the numbers are needed; they are drawn on the CPU, so that they are the same on every device.
        training: False where a loss is only measured.
    """

    seed: int
    step: int
    progress: float = 0.0
    phase: str = "main"
    first_row: int = 0
    device: str | torch.device = "cpu"
    training: bool = True
    _calls: dict[str, int] = field(default_factory=dict)

    def normal(self, stream: str, shape: tuple[int, ...] | torch.Size) -> Tensor:
        """Standard normal numbers of `shape` (rows first), a function of the stream and each row's global index."""
        return self._numbers(stream, tuple(shape), torch.Tensor.normal_)

    def uniform(self, stream: str, shape: tuple[int, ...] | torch.Size) -> Tensor:
        """Uniform numbers in [0, 1) of `shape` (rows first), a function of the stream and each row's global index."""
        return self._numbers(stream, tuple(shape), torch.Tensor.uniform_)

    def next_stream(self, stream: str) -> str:
        """The stream's name with a running number, for layers that are called several times in one forward pass."""
        self._calls[stream] = self._calls.get(stream, -1) + 1
        return f"{stream}/{self._calls[stream]}"

    def streams_so_far(self) -> dict[str, int]:
        """Counts of `next_stream` so far, by name."""
        return dict(self._calls)

    def continue_streams(self, streams: dict[str, int]) -> None:
        """Let `next_stream` count on from what `streams_so_far` gave: what is computed again draws the same numbers."""
        self._calls = dict(streams)

    def _numbers(self, stream: str, shape: tuple[int, ...], fill_: Callable[..., Tensor]) -> Tensor:
        num_rows, row_shape = shape[0], shape[1:]
        chunk_rows = 1 if math.prod(row_shape) >= LONG_ROW else ROWS_PER_GENERATOR
        first_chunk = self.first_row // chunk_rows
        last_chunk = (self.first_row + num_rows - 1) // chunk_rows
        chunks = []
        for chunk in range(first_chunk, last_chunk + 1):
            rng = generator(self.seed, self.step, self.phase, stream, chunk)
            chunks.append(fill_(torch.empty((chunk_rows, *row_shape)), generator=rng))
        rows = torch.cat(chunks) if len(chunks) > 1 else chunks[0]
        start = self.first_row - first_chunk * chunk_rows
        return move(rows[start : start + num_rows], self.device)


_active: ContextVar[StepContext | None] = ContextVar("anew_step_context", default=None)


def active_context() -> StepContext | None:
    """The context that layers draw from now."""
    return _active.get()


@contextmanager
def use_context(context: StepContext) -> Iterator[StepContext]:
    """Layers that are called inside (dropout) draw from this context."""
    token = _active.set(context)
    try:
        yield context
    finally:
        _active.reset(token)


class Dropout(nn.Module):
    """Inverted dropout whose mask is a function of the example, so that world size and resume change nothing. In training it works
    only inside `use_context`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, positions: PackedPositions | None = None) -> Tensor:
        """x: (B, ...), or (N, W) of some positions of a batch, which `positions` names."""
        context = _active.get()
        if not self.training or self.p == 0.0:
            return x
        if context is None:
            raise RuntimeError(
                "dropout in training draws its masks from a context; call the network inside `use_context`"
            )
        stream = context.next_stream("dropout")
        numbers = (
            context.uniform(stream, x.shape)
            if positions is None
            else _uniform_at(context, stream, positions, x.shape[-1])
        )
        return x * (numbers >= self.p).to(x.dtype) / (1.0 - self.p)


class PackedPositions(Protocol):
    """Some positions of a batch: indices (N,) among batch * length."""

    @property
    def batch(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def indices(self) -> Tensor: ...


def _uniform_at(context: StepContext, stream: str, positions: PackedPositions, width: int) -> Tensor:
    """(N, width) uniform numbers, a function of each position's row and place in it: not of the other rows of the batch, nor of
    the length that the batch is padded to, both of which differ by process and micro-batch."""
    spans = range(0, positions.length, POSITIONS_PER_STREAM)
    numbers = [context.uniform(f"{stream}/{first}", (positions.batch, POSITIONS_PER_STREAM, width)) for first in spans]
    return torch.cat(numbers, 1)[:, : positions.length].flatten(0, 1).index_select(0, positions.indices)
