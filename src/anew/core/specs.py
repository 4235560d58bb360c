"""All that data and families know of each other: what a tensor is, a batch of it, and what is asked of a sampler.

Legend for shapes: B examples, L tokens, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """Continuous values on a regular grid, scaled to [-1, 1] unless the modality says otherwise.

    shape: extent of one example, e.g. (1, 28, 28); axes: one letter an extent, e.g. "CHW"; classes: 0 without labels.
    std: standard deviation of the values over the train split (what noise levels are measured against).
    bounded: whether values end at -1 and 1; those of latents do not.
    """

    shape: tuple[int, ...]
    axes: str
    classes: int = 0
    std: float = 0.5
    bounded: bool = True

    @property
    def kind(self) -> str:
        return "grid"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Discrete symbols. vocab: number of ids; length: most tokens in one example of a batch (the context).

    special: ids with a meaning, among "begin", "end", "pad" (absent where the data has none). "rare": the first id of a
    block, up to the next of these or the last id, that never stands for text of the train part and is not drawn, though
    it is coded like any other.
    packed: True where an example is a window of one long stream, False where it is one whole record.
    shape: extents of the grid on which a record's last tokens lie, the last axis fastest; () where they are a sequence.
    """

    vocab: int
    length: int
    special: Mapping[str, int] = field(default_factory=dict)
    classes: int = 0
    packed: bool = True
    shape: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        return "tokens"


Spec = Grid | Tokens


def spec_to_json(spec: Spec) -> dict[str, Any]:
    if isinstance(spec, Grid):
        return {
            "kind": "grid",
            "shape": list(spec.shape),
            "axes": spec.axes,
            "classes": spec.classes,
            "std": spec.std,
            "bounded": spec.bounded,
        }
    return {
        "kind": "tokens",
        "vocab": spec.vocab,
        "length": spec.length,
        "special": dict(spec.special),
        "classes": spec.classes,
        "packed": spec.packed,
        "shape": list(spec.shape),
    }


def spec_from_json(data: Mapping[str, Any]) -> Spec:
    if data["kind"] == "grid":
        return Grid(tuple(data["shape"]), data["axes"], data["classes"], data["std"], data["bounded"])
    special, shape = dict(data["special"]), tuple(data.get("shape", ()))
    return Tokens(data["vocab"], data["length"], special, data["classes"], data["packed"], shape)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples for one step.

    x: (B, *shape) float for a Grid, (B, L+1) int64 for Tokens (inputs are x[:, :-1], targets x[:, 1:]; L up to
    the length of the spec).
    label: (B,) int64. mask: (B, L) which targets count (None: all). units: (B,) characters, residues or pixels
    that the counted targets stand for: what bits are divided by.
    """

    x: Tensor
    label: Tensor | None = None
    mask: Tensor | None = None
    units: Tensor | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def to(self, device: Any) -> Batch:
        move = [None if t is None else t.to(device, non_blocking=True) for t in (self.label, self.mask, self.units)]
        return Batch(self.x.to(device, non_blocking=True), *move)

    def rows(self, start: int, stop: int) -> Batch:
        cut = [None if t is None else t[start:stop] for t in (self.label, self.mask, self.units)]
        return Batch(self.x[start:stop], *cut)


@dataclass(frozen=True, slots=True)
class Condition:
    """What is given of a sample: one type for a prompt, a prefix and an inpainting mask.

    Attributes:
        x: For Tokens, ids that the sample starts with, (L,) or (n, L). For a Grid, values (*shape) or (n, *shape).
        mask: For a Grid, 1 where x is to be kept, of x's shape or (1, H, W); None keeps all of it. None for Tokens.
    """

    x: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What a sampler is asked for. Sample i depends on (seed, first_index + i) alone, never on the batch it came in.

    Attributes:
        n: Number of samples.
        labels: Class of each sample, (n,) int64; None where the data has no classes.
        condition: What is given of the samples; None generates from nothing.
        sampling: The family's `Sampling`; None takes its defaults.
        first_index: Global index of the first sample.
    """

    n: int
    labels: Tensor | None = None
    condition: Condition | None = None
    sampling: Any = None
    first_index: int = 0
