"""WaveNet (van den Oord et al. 2016, arXiv 1609.03499) at a size that a CPU core can train, written from the paper; samples are
drawn with the queues of Fast WaveNet (Le Paine et al. 2016, arXiv 1611.09482).

Network (sections 2.1 to 2.5): a causal convolution of 256 mu-law levels as indicators, residual layers with filters of two
dilated samples and gated units, tanh(W_f * x + V_f h) sigmoid(W_g * x + V_g h), where h is the class; the sum of skip
connections, two layers of ReLU and 1 x 1 convolution, and a softmax over the next level. Dilations are doubled from 1 to 512,
once: an eighth of a second is heard at 8 kHz (section 3.2: a quarter), since twice as many layers take half as many steps. The
paper says nothing about the optimiser: here it is Adam with a warm-up and a cosine. Widths and batches are for a core: here
they are arguments.

The budget covers training and sampling: the time of a few sampling steps is measured first. The last line it prints is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from _peer import begin

LEVELS = 256  # levels of the mu-law
SILENCE = LEVELS // 2  # the level of zero
AFTER = 256  # samples of silence that are learned after the end of a clip
UNCOUNTED = -100  # a target that the loss leaves out
WARM_UP = 0.03  # share of the run
MEASURED = 48  # steps of sampling that are timed before the training
MARGIN = 1.1  # factor of the time that sampling is expected to take


def encoded(x: Tensor) -> Tensor:
    """Levels 1 to 255 of samples in [-1, 1] (equation of section 2.2); zero has a level of its own."""
    squeezed = x.sign() * (x.abs() * (LEVELS - 1)).log1p() / math.log(LEVELS)
    return (squeezed * (SILENCE - 1)).round().long() + SILENCE


def decoded(levels: Tensor) -> Tensor:
    squeezed = (levels - SILENCE).float() / (SILENCE - 1)
    return squeezed.sign() * (LEVELS ** squeezed.abs() - 1) / (LEVELS - 1)


class Layer(nn.Module):
    """A residual layer with a gated unit, conditioned on the class."""

    def __init__(self, width: int, skip: int, dilation: int, classes: int) -> None:
        super().__init__()
        self.width, self.dilation = width, dilation
        self.dilated = nn.Conv1d(width, 2 * width, 2, dilation=dilation)
        self.of_class = nn.Embedding(classes, 2 * width)
        self.out = nn.Conv1d(width, width + skip, 1)
        nn.init.zeros_(self.of_class.weight)

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Of (B, width, T): the input of the next layer and the part (B, skip, T) of the output."""
        y = self.dilated(functional.pad(x, (self.dilation, 0))) + self.of_class(labels)[:, :, None]
        filtered, gate = y.chunk(2, 1)
        y = self.out(filtered.tanh() * gate.sigmoid())
        return x + y[:, : self.width], y[:, self.width :]


class WaveNet(nn.Module):
    def __init__(self, width: int, skip: int, blocks: int, doublings: int, classes: int) -> None:
        super().__init__()
        self.width, self.skip = width, skip
        self.now, self.before = nn.Embedding(LEVELS, width), nn.Embedding(LEVELS, width)  # the first convolution
        dilations = [2**k for k in range(doublings)] * blocks
        self.layers = nn.ModuleList(Layer(width, skip, dilation, classes) for dilation in dilations)
        self.first, self.second = nn.Conv1d(skip, skip, 1), nn.Conv1d(skip, LEVELS, 1)

    def forward(self, levels: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, LEVELS, T) of the levels (B, T), each from those before it; silence comes before the first."""
        last = functional.pad(levels, (2, 0), value=SILENCE)
        x = (self.now(last[:, 1:-1]) + self.before(last[:, :-2])).mT.contiguous()
        total = x.new_zeros(len(x), self.skip, x.shape[2])
        for layer in self.layers:
            x, part = layer(x, labels)
            total = total + part
        logits: Tensor = self.second(functional.relu(self.first(functional.relu(total))))
        return logits

    def loss(self, levels: Tensor, labels: Tensor) -> Tensor:
        """Mean nats of a level, up to AFTER samples beyond the end of each clip."""
        stops = (levels != SILENCE).long().cumsum(1).argmax(1) + AFTER  # (B,)
        levels = levels[:, : int(stops.max())]
        beyond = torch.arange(levels.shape[1]) >= stops[:, None]  # (B, T)
        targets = levels.masked_fill(beyond, UNCOUNTED)
        return functional.cross_entropy(self(levels, labels), targets, ignore_index=UNCOUNTED)


class Cache:
    """The queues of one batch of samples: for each layer its inputs of the last `dilation` steps (Fast WaveNet, figure 3).

    They begin as what a network sees that hears silence before the first sample: zeros, as the padding in training.
    """

    def __init__(self, net: WaveNet, labels: Tensor) -> None:
        self.net, self.count = net, 0
        rows = len(labels)
        self.layers = [layer for layer in net.layers if isinstance(layer, Layer)]
        self.queues = [torch.zeros(layer.dilation, rows, net.width) for layer in self.layers]
        self.last = torch.full((2, rows), SILENCE)  # the level before the last, and the last
        taps = [layer.dilated.weight for layer in self.layers]  # (2 width, width, 2)
        self.maps = [torch.cat([tap[:, :, 0], tap[:, :, 1]], 1).T.contiguous() for tap in taps]
        self.shifts = [layer.of_class(labels) + layer.dilated.bias for layer in self.layers]
        self.outs = [layer.out.weight[:, :, 0] for layer in self.layers]

    def logits(self) -> Tensor:
        """(B, LEVELS) of the next level."""
        net, total = self.net, torch.zeros(len(self.shifts[0]), self.net.skip)
        x = net.now(self.last[1]) + net.before(self.last[0])
        for layer, queue, taps, shift, out in zip(
            self.layers, self.queues, self.maps, self.shifts, self.outs, strict=True
        ):
            slot = self.count % layer.dilation
            y = torch.addmm(shift, torch.cat([queue[slot], x], 1), taps)
            queue[slot] = x
            filtered, gate = y.chunk(2, 1)
            y = functional.linear(filtered.tanh() * gate.sigmoid(), out, layer.out.bias)
            x = x + y[:, : net.width]
            total += y[:, net.width :]
        hidden = functional.relu(functional.linear(functional.relu(total), net.first.weight[:, :, 0], net.first.bias))
        return functional.linear(hidden, net.second.weight[:, :, 0], net.second.bias)

    def push(self, levels: Tensor) -> None:
        """Takes the level (B,) that follows."""
        self.last = torch.stack([self.last[1], levels])
        self.count += 1


@torch.inference_mode()
def sample(net: WaveNet, labels: Tensor, length: int) -> Tensor:
    """Levels (B, length), drawn from the softmax as it is."""
    cache, levels = Cache(net, labels), torch.empty(len(labels), length, dtype=torch.long)
    for step in range(length):
        levels[:, step] = torch.multinomial(cache.logits().softmax(1), 1)[:, 0]
        cache.push(levels[:, step])
    return levels


def train(net: WaveNet, levels: Tensor, labels: Tensor, seconds: float, options: argparse.Namespace) -> int:
    """Steps that were done in `seconds` of CPU time on clips (N, T) and their labels (N,)."""
    optimiser = torch.optim.Adam(net.parameters(), lr=options.rate, betas=(0.9, 0.99))
    steps, begun = 0, time.process_time()
    while (used := time.process_time() - begun) < seconds:
        progress = used / seconds
        rise, fall = min(1.0, (progress + 1e-3) / WARM_UP), 0.5 * (1 + math.cos(math.pi * progress))
        optimiser.param_groups[0]["lr"] = options.rate * rise * fall
        rows = torch.randint(len(levels), (options.batch,))
        loss = net.loss(levels[rows], labels[rows])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        steps += 1
    return steps


@torch.inference_mode()
def nats(net: WaveNet, levels: Tensor, labels: Tensor) -> float:
    """Mean loss of clips."""
    parts = zip(torch.split(levels, 8), torch.split(labels, 8), strict=True)
    return float(np.mean([float(net.loss(clips, classes)) for clips, classes in parts]))


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__)
    build.add_argument("--clips", type=Path, required=True, help=".npy of float32 (N, T) in [-1, 1]")
    build.add_argument("--labels", type=Path, required=True, help=".npy of classes (N,), from 0")
    build.add_argument("--out", type=Path, required=True, help=".npz to write: clips (samples, T) and their labels")
    build.add_argument("--seconds", type=float, default=300.0, help="process CPU seconds of training and sampling")
    build.add_argument("--samples", type=int, default=500)
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--rate", type=float, default=2e-2, help="highest learning rate")
    build.add_argument("--width", type=int, default=24, help="channels of the residual layers")
    build.add_argument("--skip", type=int, default=64, help="channels of the skip connections")
    build.add_argument("--blocks", type=int, default=1, help="times that the dilations are doubled from 1 on")
    build.add_argument("--doublings", type=int, default=10, help="layers of a block")
    build.add_argument("--batch", type=int, default=1, help="clips of a step")
    options = begin(build)

    levels = encoded(torch.from_numpy(np.load(options.clips)))
    labels = torch.from_numpy(np.load(options.labels)).long()
    classes, length = int(labels.max()) + 1, levels.shape[1]
    net = WaveNet(options.width, options.skip, options.blocks, options.doublings, classes)
    requested = torch.arange(options.samples) % classes

    begun = time.process_time()
    sample(net, requested, MEASURED)
    expected = (time.process_time() - begun) / MEASURED * length * MARGIN
    begun = time.process_time()
    steps = train(net, levels, labels, options.seconds - expected, options)
    trained = time.process_time() - begun
    begun = time.process_time()
    made = decoded(sample(net, requested, length))
    sampled = time.process_time() - begun
    np.savez(options.out, clips=made.numpy(), labels=requested.numpy())
    facts = {"steps": steps, "train_seconds": trained, "sample_ms": 1000 * sampled / options.samples}
    some = torch.arange(0, len(levels), max(1, len(levels) // 64))
    facts["nats"] = nats(net, levels[some], labels[some])
    print(json.dumps({**facts, "parameters": sum(p.numel() for p in net.parameters())}))


if __name__ == "__main__":
    main()
