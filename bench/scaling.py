"""Scaling: what a step sends and how long it takes on many GPUs, by strategy, and the memory of each rank; on paper, nothing runs.

    python bench/scaling.py [--ranks 8 64 1024] [--layers 32 --width 4096 --vocab 131072]

The network is built without memory (meta weights) and sharded by FSDP2 over a process group that only pretends to be there, so its
parts are those of a real run. Times follow from the given peak, share of it, bandwidth and latency: see docs/scaling.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from _common import Table, parser
from anew.nets.decoder import Decoder, DecoderConfig

STATES = 4  # tensors of fp32 for each weight beside it, at most: gradient, two moments, average
GB = 1e9


def decoder(arguments: argparse.Namespace) -> Decoder:
    with torch.device("meta"):
        return Decoder(
            DecoderConfig(
                vocab_size=arguments.vocab,
                context_length=arguments.context,
                num_layers=arguments.layers,
                hidden_size=arguments.width,
                num_heads=arguments.width // 128,
                mlp_size=round(arguments.width / 12) * 32,
            )
        )


def bytes_sent(strategy: str, weights: int, ranks: int) -> float:
    """Bytes that a rank sends in one step, with rings: a gather or a reduction of n bytes sends n (R - 1) / R.

    FSDP2 gathers weights twice in bf16, in which GPUs compute, and reduces gradients in fp32.
    """
    once = 4.0 * weights * (ranks - 1) / ranks
    return {"ddp": 2 * once, "fsdp": 2 * once}[strategy]


def messages(strategy: str, blocks: int, weights: int, ranks: int) -> float:
    """Hops one after another that a step waits for at least: DDP sends buckets of 25 MB, FSDP2 a block at a time,
    which it gathers twice, but the rest of the network once."""
    count = {"ddp": 2 * max(1.0, 4 * weights / 25e6), "fsdp": 3.0 * blocks + 2}[strategy]
    return count * (ranks - 1)


def step_seconds(
    strategy: str, weights: int, blocks: int, ranks: int, arguments: argparse.Namespace
) -> tuple[float, float]:
    """(compute, exchange) of a step; 6 operations for each weight and token."""
    tokens = arguments.tokens_each
    compute = 6.0 * weights * tokens / (arguments.peak * arguments.efficiency)
    bandwidth = arguments.inner if ranks <= arguments.gpus_a_host else arguments.outer
    exchange = (
        bytes_sent(strategy, weights, ranks) / bandwidth
        + messages(strategy, blocks, weights, ranks) * arguments.latency
    )
    return compute, exchange


def memory_a_rank(arguments: argparse.Namespace, ranks: int) -> dict[str, float]:
    """GB that a rank holds in parts, and whole for a moment."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        model = decoder(arguments)
        largest = max(sum(p.numel() for p in block.parameters()) for block in model.blocks)
        for block in model.blocks:
            fully_shard(block, mesh=init_device_mesh("cpu", (ranks,)))
        outside = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("blocks"))
        fully_shard(model, mesh=init_device_mesh("cpu", (ranks,)))
        mine = sum(p.to_local().numel() for p in model.parameters())  # type: ignore[attr-defined]
    finally:
        dist.destroy_process_group()
    return {"in_parts_gb": 4 * (1 + STATES) * mine / GB, "whole_gb": 4 * 2 * (largest + outside) / GB}


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    model = decoder(arguments)
    weights, blocks = sum(p.numel() for p in model.parameters()), len(model.blocks)
    for ranks in arguments.ranks:
        sharded_memory = memory_a_rank(arguments, ranks)
        for strategy in ("ddp", "fsdp"):
            compute, exchange = step_seconds(strategy, weights, blocks, ranks, arguments)
            memory = (
                {"in_parts_gb": 4 * (1 + STATES) * weights / GB, "whole_gb": 0.0}
                if strategy == "ddp"
                else sharded_memory
            )
            yield {
                "strategy": strategy,
                "ranks": ranks,
                "weights": weights,
                **{name: round(value, 2) for name, value in memory.items()},
                "sent_gb": round(bytes_sent(strategy, weights, ranks) / GB, 2),
                "compute_s": round(compute, 3),
                "exchange_s": round(exchange, 3),
                "step_s": round(max(compute, exchange), 3),
                "efficiency": round(compute / max(compute, exchange), 2),
            }


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--ranks", type=int, nargs="*", default=[8, 64, 1024])
    build.add_argument("--layers", type=int, default=32)
    build.add_argument("--width", type=int, default=4096)
    build.add_argument("--vocab", type=int, default=131_072)
    build.add_argument("--context", type=int, default=4096)
    build.add_argument("--tokens-each", type=int, default=16_384, help="tokens of a step for each rank")
    build.add_argument("--peak", type=float, default=989e12, help="operations a second of a GPU in bf16")
    build.add_argument("--efficiency", type=float, default=0.4, help="share of the peak that is reached")
    build.add_argument("--inner", type=float, default=350e9, help="bytes a second between GPUs of a host")
    build.add_argument("--outer", type=float, default=40e9, help="bytes a second for each GPU between hosts")
    build.add_argument("--latency", type=float, default=1e-5, help="seconds of a hop")
    build.add_argument("--gpus-a-host", type=int, default=8)
    table = Table("scaling")
    for row in rows(build.parse_args()):
        table.add(**row)
    table.show()


if __name__ == "__main__":
    main()
