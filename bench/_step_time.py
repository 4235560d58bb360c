"""A model of the time of a training step on several processes, from measured computing, bandwidth and latency.

Legend: R processes, P weights. A ring of n bytes sends n (R - 1) / R from each process and takes R - 1 hops. A hop of gloo takes the
way twice: a process sends once the other one has said that it is ready to receive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_BUCKET, BUCKET = 1024**2, 25 * 1024**2  # bytes of gradients that DDP reduces at once
# Rings of a few numbers in each step of the trainer: two that reduce its progress (3 numbers) for all, and one for its losses (a loss
# and a count, of which gloo reduces and hands round at once)
SMALL_RINGS = 3
NORM_RINGS = 2  # with shared weights also the gradients' norm


@dataclass(frozen=True)
class Link:
    """bandwidth: bytes a second that a process sends; latency: seconds of one hop."""

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Computing:
    """Seconds of a step of one process that exchanges nothing."""

    forward: float
    backward: float
    optimizer: float

    @property
    def total(self) -> float:
        return self.forward + self.backward + self.optimizer


def ring_seconds(rounds: int, size: float, ranks: int, link: Link) -> float:
    """rounds: 1 for a gather or a scattered reduction of `size` bytes, 2 for a reduction that all get."""
    return rounds * (ranks - 1) * (size / ranks / link.bandwidth + link.latency)


def buckets(weights: Sequence[int]) -> list[int]:
    """Bytes of DDP's buckets. weights: of each parameter, in the order in which gradients come."""
    sizes, limit = [0], FIRST_BUCKET
    for count in weights:
        sizes[-1] += 4 * count
        if sizes[-1] >= limit:
            sizes.append(0)
            limit = BUCKET
    return [size for size in sizes if size]


def ddp_seconds(computing: Computing, weights: Sequence[int], ranks: int, link: Link) -> float:
    """Buckets are reduced one after another, each as soon as backward has filled it."""
    sizes = buckets(weights)
    ready, end, filled = computing.forward, 0.0, 0
    for size in sizes:
        filled += size
        ready = computing.forward + computing.backward * filled / sum(sizes)
        end = max(end, ready) + ring_seconds(2, size, ranks, link)
    return max(end, ready) + computing.optimizer + ring_seconds(SMALL_RINGS, 0, ranks, link)


def fsdp_seconds(
    computing: Computing, blocks: Sequence[int], matrices: Sequence[int], ranks: int, link: Link, *, is_gloo: bool
) -> float:
    """Weights of each block are gathered forward and backward and gradients reduced, matrices of Muon gathered once more. What is in no
    block stays whole from the pass forward to the pass backward, so it is gathered once.

    Args:
        computing: Of a process.
        blocks: Weights of each block, the rest of the network last.
        matrices: Weights of each matrix that Muon takes.
        ranks: Number of processes.
        link: What they send by.
        is_gloo: On CPUs nothing overlaps, and a scattered reduction is one that all get (8 P instead of 4 P).
    """
    rings = 4 if is_gloo else 3
    exchange = sum(ring_seconds(rings, 4 * count, ranks, link) for count in blocks)
    exchange -= ring_seconds(1, 4 * blocks[-1], ranks, link)
    exchange += sum(ring_seconds(1, 4 * count, ranks, link) for count in matrices)
    small = ring_seconds(SMALL_RINGS + NORM_RINGS, 0, ranks, link)
    return computing.total + exchange + small if is_gloo else max(computing.total, exchange) + small
