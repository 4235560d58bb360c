"""nanoGPT's documented CPU recipe on transformers' GPT-2, for machines without a checkout of nanoGPT.

Same shape (4 layers, 4 heads, 128 wide, context 64), batch 12, 2000 steps, AdamW .9 and .99, decay .1 on matrices,
1e-3 after 100 steps of warm-up and by a cosine to 1e-4, gradient norm 1, no dropout. GPT-2 has biases, nanoGPT's
default has none. Runs as a script of its own (`text.py` and `generation.py` start it); the last line it prints is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

CONTEXT, BATCH, STEPS, WARM, HIGH, LOW = 64, 12, 2000, 100, 1e-3, 1e-4


def network(vocabulary: int) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def rate(step: int) -> float:
    if step < WARM:
        return HIGH * (step + 1) / (WARM + 1)
    share = (step - WARM) / (STEPS - WARM)
    return LOW + 0.5 * (1 + math.cos(math.pi * share)) * (HIGH - LOW)


def train(model: GPT2LMHeadModel, ids: torch.Tensor) -> float:
    """Process CPU seconds of 2000 steps on random windows."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=HIGH, betas=(0.9, 0.99))
    begun = time.process_time()
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        starts = torch.randint(len(ids) - CONTEXT, (BATCH,))
        rows = torch.stack([ids[i : i + CONTEXT + 1] for i in starts])  # (B, L+1)
        logits = model(rows[:, :-1]).logits  # (B, L, V)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return time.process_time() - begun


@torch.no_grad()
def nats(model: GPT2LMHeadModel, ids: torch.Tensor, stride: int) -> tuple[float, int]:
    """Mean loss over every character but the first; each counted once, in its longest context."""
    total, count, last = 0.0, 0, 0
    for start in range(0, len(ids) - 1, stride):
        piece = ids[start : start + CONTEXT + 1]
        fresh = max(last - start, 0)
        if len(piece) - 1 <= fresh:
            break
        logits = model(piece[None, :-1]).logits[0]  # (L, V)
        losses = torch.nn.functional.cross_entropy(logits[fresh:], piece[1:][fresh:], reduction="none")
        total, count, last = total + float(losses.sum()), count + len(losses), start + len(piece) - 1
    return total / count, count


def trained(path: Path, seed: int) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    symbols = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([symbols[c] for c in text])
    cut = int(len(ids) * 0.9)
    torch.manual_seed(1337 + seed)
    model = network(len(symbols))
    seconds = train(model, ids[:cut])
    model.train(False)
    apart, count = nats(model, ids[cut:], CONTEXT)
    overlapping, _ = nats(model, ids[cut:], CONTEXT // 2)
    return {
        "steps": STEPS,
        "train_seconds": seconds,
        "ms_per_step": 1e3 * seconds / STEPS,
        "nats": apart,
        "nats_stride_32": overlapping,
        "characters": count,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


@torch.no_grad()
def generated(streams: int, length: int, repeats: int) -> dict[str, Any]:
    """Characters a second without a cache, a whole window each time, as nanoGPT generates."""
    model, seconds = network(65), []
    model.train(False)
    for _ in range(repeats + 1):
        ids = torch.zeros(streams, 1, dtype=torch.long)
        begun = time.process_time()
        for _ in range(length):
            logits = model(ids[:, -CONTEXT:], use_cache=False).logits[:, -1] / 0.8
            ids = torch.cat([ids, torch.multinomial(logits.softmax(-1), 1)], 1)
        seconds.append(time.process_time() - begun)
    return {"characters_per_second": streams * length / statistics.median(seconds[1:]), "streams": streams}


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__)
    build.add_argument("action", choices=["train", "generate"])
    build.add_argument("--text", type=Path)
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--streams", type=int, default=1)
    build.add_argument("--length", type=int, default=500)
    build.add_argument("--repeats", type=int, default=3)
    options = build.parse_args()
    torch.set_num_threads(1)
    if options.action == "generate":
        print(json.dumps(generated(options.streams, options.length, options.repeats)))
    else:
        print(json.dumps(trained(options.text, options.seed)))


if __name__ == "__main__":
    main()
