"""nanochat's model and optimiser (github.com/karpathy/nanochat, read at commit 92d63d4) at a size that a CPU core can train, written
anew from what they compute.

Model: rotary positions (arXiv 2104.09864, base 100,000), RMS norms without weights (1910.07467), also of the embedding and of
queries and keys (2302.05442, which are then scaled by 1.2), squared ReLUs (2109.08668), no biases, an embedding and a head of
their own, logits within 15 tanh(z / 15). Value embeddings in every other layer (2410.17897) with gates per head; learned
weights of the residual stream and of the embedding at each layer; some of the token before in the embedding; some of the
middle layer taken off before the head. Width is 64 times depth, heads are 64 wide, as in its script for CPUs.

Optimiser: Muon (kellerjordan.github.io/posts/muon) for the matrices of the layers, with Polar Express (2505.16932) on rows of
equal norm, an even size of neurons (NorMuon, 2510.05491) and weight decay only where it agrees with the step; AdamW for the
rest. Rates follow its rules: the root of batch / 2^19 tokens, and for AdamW the root of 768 / width. Schedules are its own, by
the clock: 40 steps of warm-up, a fall over the last 65% to a twentieth. The last line that it prints is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

from _peer import begin

ASPECT, HEAD, BASE, SHARPNESS, CAP = 64, 64, 100_000.0, 1.2, 15.0
GATE, SMEAR = 12, 24  # channels that the gates of value embeddings and of the token before look at
MATRICES, EMBEDDING, UNEMBEDDING, SCALARS, DECAY = 0.02, 0.3, 0.008, 0.5, 0.28  # rates at the reference
# The values of depth 12
REFERENCE_BATCH, REFERENCE_PARAMETERS, REFERENCE_WIDTH = 2**19, 12 * 12 * 768**2 + 768 * 2**15, 768
WARM_UP, FALL, LAST = 40, 0.65, 0.05  # steps; share of the run; share of the rate at its end
POLAR_EXPRESS = (  # the five steps of the paper, with its safety factor
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def norm(x: Tensor) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:])


def uniform(*shape: int, scale: float = 1.0) -> nn.Parameter:
    """A matrix whose entries have the deviation `scale` / sqrt(columns)."""
    bound = scale * math.sqrt(3.0 / shape[-1])
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class Block(nn.Module):
    def __init__(self, width: int, has_values: bool) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.queries, self.keys, self.values = (uniform(width, width) for _ in range(3))
        self.attended = nn.Parameter(torch.zeros(width, width))
        self.rise = uniform(4 * width, width, scale=0.4)
        self.descend = nn.Parameter(torch.zeros(width, 4 * width))
        self.gate = nn.Parameter(torch.empty(self.heads, GATE).uniform_(0.0, 0.02)) if has_values else None

    def forward(self, x: Tensor, embedded: Tensor | None, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Of x (B, T, width) and value embeddings of its tokens (B, T, width)."""
        x = x + self._attend(norm(x), embedded, turns)
        return x + functional.relu(norm(x) @ self.rise.T).square() @ self.descend.T

    def _attend(self, x: Tensor, embedded: Tensor | None, turns: tuple[Tensor, Tensor]) -> Tensor:
        batch, length, width = x.shape
        parts = (batch, length, self.heads, HEAD)
        q, k, v = ((x @ matrix.T).view(parts) for matrix in (self.queries, self.keys, self.values))
        if self.gate is not None and embedded is not None:
            v = v + 3.0 * torch.sigmoid(x[..., :GATE] @ self.gate.T)[..., None] * embedded.view(parts)
        q, k = (SHARPNESS * norm(rotated(part, turns)) for part in (q, k))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(batch, length, width) @ self.attended.T


def rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys (B, T, heads, HEAD), turned by their positions."""
    (a, b), (cos, sin) = x.chunk(2, -1), turns
    return torch.cat([a * cos + b * sin, b * cos - a * sin], -1)


class Model(nn.Module):
    def __init__(self, vocabulary: int, depth: int) -> None:
        super().__init__()
        width = ASPECT * depth
        self.embedding = nn.Parameter(0.8 * torch.randn(vocabulary, width))
        with_values = [index % 2 == (depth - 1) % 2 for index in range(depth)]
        self.blocks = nn.ModuleList(Block(width, has_values) for has_values in with_values)
        self.of_values = nn.ParameterList(uniform(vocabulary, width) for has_values in with_values if has_values)
        self.head = nn.Parameter(0.001 * torch.randn(vocabulary, width))
        places = torch.arange(depth) / max(depth - 1, 1)
        self.stream, self.origin = nn.Parameter(1.15 - 0.1 * places), nn.Parameter(0.2 - 0.15 * places)
        self.smear_gate = nn.Parameter(torch.empty(SMEAR).uniform_(0.0, 0.02))
        self.smear, self.less_of_middle = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(0.2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the tokens that follow (B, T)."""
        frequencies = BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
        angles = torch.outer(torch.arange(tokens.shape[1]), frequencies)[:, None]  # (T, 1, HEAD / 2)
        turns = angles.cos(), angles.sin()
        x = norm(functional.embedding(tokens, self.embedding))
        share = self.smear * torch.sigmoid(x[:, 1:, :SMEAR] @ self.smear_gate)[..., None]
        x = first = torch.cat([x[:, :1], x[:, 1:] + share * x[:, :-1]], 1)
        of_values, middle = iter(self.of_values), x
        for index, block in enumerate(self.blocks):
            x = self.stream[index] * x + self.origin[index] * first
            embedded = None if block.gate is None else functional.embedding(tokens, next(of_values))
            x = block(x, embedded, turns)
            if index == len(self.blocks) // 2:
                middle = x
        logits = norm(x - self.less_of_middle * middle) @ self.head.T
        return CAP * torch.tanh(logits / CAP)


def matrix_norm(x: Tensor) -> Tensor:
    """Frobenius norms (..., 1, 1) of matrices (..., rows, columns)."""
    norms: Tensor = torch.linalg.matrix_norm(x, keepdim=True)
    return norms


def orthogonal(x: Tensor) -> Tensor:
    """Matrices near the closest semi-orthogonal ones of (K, rows, columns)."""
    rows, columns = x.shape[-2:]
    whole = matrix_norm(x)
    x = x * (whole / math.sqrt(rows)) / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(1e-6)
    x = x.mT if rows > columns else x
    x = x / (1.01 * matrix_norm(x) + 1e-6)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.mT if rows > columns else x
    return x * math.sqrt(min(rows, columns)) / matrix_norm(x).clamp_min(1e-6)


def evened(x: Tensor, squares: Tensor) -> Tensor:
    """Updates divided by the running mean squares of their neurons, at the norm that they had (NorMuon)."""
    dim = -1 if x.shape[-2] >= x.shape[-1] else -2
    squares.lerp_(x.square().mean(dim, keepdim=True), 0.1)
    y = x * squares.clamp_min(1e-10).rsqrt()
    return y * (matrix_norm(x) / matrix_norm(y).clamp_min(1e-10))


class Muon:
    def __init__(self, matrices: Iterable[nn.Parameter]) -> None:
        shapes: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self.groups = []
        for (rows, columns), group in shapes.items():
            squares = torch.zeros(len(group), *((rows, 1) if rows >= columns else (1, columns)))
            self.groups.append((group, torch.zeros(len(group), rows, columns), squares))

    @torch.no_grad()
    def step(self, rate: float, momentum: float, decay: float) -> None:
        for group, velocity, squares in self.groups:
            gradient = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            velocity.lerp_(gradient, 1 - momentum)
            update = evened(orthogonal(gradient.lerp(velocity, momentum)), squares)  # (K, rows, columns)
            weights = torch.stack(list(group))
            update = update + decay * weights * (update * weights >= 0)
            step = rate * math.sqrt(max(1.0, update.shape[-2] / update.shape[-1]))
            torch._foreach_sub_(group, (step * update).unbind())


def other_groups(model: Model, factor: float) -> list[dict[str, object]]:
    """AdamW's parameters, with rates for `factor` (of the batch)."""
    wide = factor * math.sqrt(REFERENCE_WIDTH / model.head.shape[1])
    rows = (
        ([model.head], UNEMBEDDING * wide, (0.8, 0.96), 0.01),
        ([model.embedding], EMBEDDING * wide, (0.8, 0.995), 0.001),
        (list(model.of_values), EMBEDDING * wide / 2, (0.8, 0.995), 0.01),
        ([model.stream], 0.01 * SCALARS * factor, (0.8, 0.95), 0.05),
        ([model.origin], SCALARS * factor, (0.96, 0.95), 0.0),
        ([model.smear_gate, model.smear, model.less_of_middle], 0.2, (0.8, 0.95), 0.0),
    )
    names = ("params", "lr", "betas", "weight_decay")
    return [dict(zip(names, row, strict=True)) for row in rows]


def train(model: Model, tokens: Tensor, options: argparse.Namespace) -> int:
    """Steps that were done in the CPU seconds asked for, on random windows of the tokens (N,)."""
    batch = options.rows * options.context
    factor = options.rate * math.sqrt(batch / REFERENCE_BATCH)
    muon = Muon(model.blocks.parameters())
    others = torch.optim.AdamW(other_groups(model, factor), eps=1e-10)
    highest = [group["lr"] for group in others.param_groups]
    counted = sum(p.numel() for p in model.blocks.parameters()) + model.head.numel()
    decay = DECAY * math.sqrt(batch / REFERENCE_BATCH) * REFERENCE_PARAMETERS / counted
    steps, begun = 0, time.process_time()
    while (used := time.process_time() - begun) < options.seconds:
        progress = used / options.seconds
        falling = max(0.0, progress - (1 - FALL)) / FALL
        share = min(1.0, (steps + 1) / WARM_UP) * (1 - falling * (1 - LAST))
        momentum = 0.85 + 0.12 * min(1.0, steps / 400) if steps < 400 else 0.97 - 0.07 * falling
        for group, rate in zip(others.param_groups, highest, strict=True):
            group["lr"] = share * rate
        starts = torch.randint(len(tokens) - options.context, (options.rows, 1))
        rows = tokens[starts + torch.arange(options.context + 1)]  # (B, T + 1)
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        model.zero_grad()
        torch.autograd.backward(loss)
        muon.step(share * MATRICES * factor, momentum, decay * 0.5 * (1 + math.cos(math.pi * progress)))
        others.step()
        steps += 1
    return steps


@torch.inference_mode()
def nats(model: Model, tokens: Tensor, context: int, stride: int) -> float:
    """Loss summed over every token, each counted once, in its longest context; the first at the cost of a guess."""
    total, last = math.log(len(model.head)), 0
    for start in range(0, len(tokens) - 1, stride):
        piece = tokens[start : start + context + 1]
        fresh = max(last - start, 0)
        if len(piece) - 1 <= fresh:
            break
        logits = model(piece[None, :-1])[0, fresh:]
        total += float(functional.cross_entropy(logits, piece[1 + fresh :], reduction="sum"))
        last = start + len(piece) - 1
    return total


def encoder(text: str, size: int) -> Tokenizer:
    """Byte pairs of a text, `size` of them in all."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__)
    build.add_argument("--text", type=Path, required=True, help="the first 90% of its characters are learned")
    build.add_argument("--seconds", type=float, default=133.0, help="process CPU seconds of training")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--depth", type=int, default=2, help="layers; nanochat's one size")
    build.add_argument("--context", type=int, default=256, help="tokens of a row")
    build.add_argument("--rows", type=int, default=4, help="rows of a step")
    build.add_argument("--vocabulary", type=int, default=2048, help="byte pairs")
    build.add_argument("--rate", type=float, default=6.0, help="factor of the rates that its rules give")
    options = begin(build)

    with open(options.text, encoding="utf-8", newline="") as source:
        text = source.read()
    parts = text[: int(len(text) * 0.9)], text[int(len(text) * 0.9) :]
    tokenizer = encoder(parts[0], options.vocabulary)
    learned, scored = (torch.tensor(tokenizer.encode(part).ids) for part in parts)
    model = Model(tokenizer.get_vocab_size(), options.depth)
    begun = time.process_time()
    steps = train(model, learned, options)
    facts = {"steps": steps, "train_seconds": time.process_time() - begun}
    characters = len(parts[1])
    for name, stride in (("nats", options.context), ("nats_half_stride", options.context // 2)):
        facts[name] = nats(model, scored, options.context, stride) / characters
    facts |= {"characters": characters, "tokens": len(scored)}
    print(json.dumps({**facts, "parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
