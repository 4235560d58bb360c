"""The interface between data and families: specs of tensors, batches, and requests for samples.

Legend for shapes: B examples, n samples, L tokens, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


S = TypeVar("S")
UNKNOWN_CLASS = -1  # the label of an example whose class is not known
# Names of the ids before the parts of a text with a gap, of which only a prompt consists: what comes before it, after it, and in it
GAP_MARKS = ("fim_prefix", "fim_suffix", "fim_middle")
# Most values of a Grid, ids of a vocabulary, tokens of a sequence, and classes. A stranger's spec must not ask for more than memory holds:
# so many values are 4 GB; chosen.
MAX_VALUES, MAX_IDS, MAX_LENGTH, MAX_CLASSES = 2**30, 2**24, 2**24, 2**20
MIN_ROW_WIDTH = 64  # values of a row, at least, to be a signal: as many as the shortest clip of one has


def _check_number(name: str, value: object, low: int, high: int) -> None:
    # A spec may come out of the file of a run that somebody else made.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high:,} (got {value!r:.40})")


def _check_shape(shape: tuple[int, ...], max_values: int) -> None:
    for size in shape:
        _check_number("a size of the shape", size, 1, max_values)
    if math.prod(shape) > max_values:
        raise ValueError(f"the shape {shape!r:.60} holds more than {max_values:,} values")


@dataclass(frozen=True, slots=True)
class Grid:
    """Continuous values on a regular grid, scaled to [-1, 1] unless the modality says otherwise.

    Attributes:
        shape: Shape of one example, e.g. (1, 28, 28).
        axes: A letter for each axis, e.g. "CHW".
        classes: Number of classes, 0 without labels.
        std: Standard deviation of the values over the train split (what noise levels are measured against).
        bounded: Whether values end at -1 and 1; those of latents do not.
        brightness_channels: How many of the first channels, at most, hold brightness: 3 of pictures, whose fourth is transparency,
            1 of sound in stereo, whose others say where it is.
    """

    shape: tuple[int, ...]
    axes: str
    classes: int = 0
    std: float = 0.5
    bounded: bool = True
    brightness_channels: int = 3

    def __post_init__(self) -> None:
        _check_shape(self.shape, MAX_VALUES)
        _check_number("classes", self.classes, 0, MAX_CLASSES)
        _check_number("brightness_channels", self.brightness_channels, 1, 3)
        if not isinstance(self.axes, str) or len(self.axes) != len(self.shape):
            raise ValueError(f"axes must have a letter for each of {len(self.shape)} axes (got {self.axes!r:.40})")
        if not isinstance(self.std, int | float) or not 0.0 <= self.std < 1e6:
            raise ValueError(f"std must be a number of 0 or more (got {self.std!r:.40})")

    @property
    def kind(self) -> str:
        return "grid"

    @property
    def is_picture(self) -> bool:
        """Whether an example is a still image, and not a spectrogram, a signal, a clip or a latent."""
        return self.axes == "CHW" and self.bounded and self.brightness_channels == 3 and not self.is_row

    @property
    def is_row(self) -> bool:
        """Whether an example is one long row of values, as slow signals are."""
        return self.axes == "CHW" and self.shape[1] == 1 and self.shape[2] >= MIN_ROW_WIDTH


@dataclass(frozen=True, slots=True)
class Tokens:
    """Discrete symbols.

    Attributes:
        vocab: Number of ids.
        length: Most tokens in one example of a batch (the context).
        special: Ids with a meaning, among "begin", "end", "pad" and GAP_MARKS (absent where the data has none). "rare": the first
            id of a block, up to the next of these or the last id, that never stands for text of the train part and is not
            sampled, though it is coded like any other.
        classes: Number of classes, 0 without labels.
        packed: True where an example is a window of one long stream, False where it is one whole record.
        shape: Extents of the grid on which a record's last tokens lie, the last axis fastest; () where they are a sequence.
        spellings: Bytes that each id stands for in a text, of those with a meaning one zero byte; () where there are none.
        opening: Ids after which a passage of a long document begins, those of a line end or of an empty line. A sample without a
            prompt continues them, and does not show them. () where samples begin as documents do, or there are no line ends.
        grammar: Name of the grammar of programs, as in `anew.core.grammars`; "" if there is none, or more than one.
    """

    vocab: int
    length: int
    special: Mapping[str, int] = field(default_factory=dict)
    classes: int = 0
    packed: bool = True
    shape: tuple[int, ...] = ()
    spellings: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    opening: tuple[int, ...] = ()
    grammar: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_number("vocab", self.vocab, 1, MAX_IDS)
        _check_number("length", self.length, 1, MAX_LENGTH)
        _check_number("classes", self.classes, 0, MAX_CLASSES)
        _check_shape(self.shape, self.length)
        for name, number in self.special.items():
            _check_number(f"special.{name}", number, 0, self.vocab - 1)
        for number in self.opening:
            _check_number("opening", number, 0, self.vocab - 1)

    @property
    def kind(self) -> str:
        return "tokens"

    @property
    def rare_ids(self) -> range:
        """The ids that never occur in the train part; see `special`."""
        low = self.special.get("rare", self.vocab)
        return range(low, min((index for index in self.special.values() if index > low), default=self.vocab))

    @property
    def unsampled_ids(self) -> tuple[int, ...]:
        """The ids that are never sampled: those that never occur in the train part, and those that mark a gap, which a text that
        has begun does not."""
        return (*self.rare_ids, *(self.special[name] for name in GAP_MARKS if name in self.special))


Spec = Grid | Tokens
UNSTORED = frozenset({"spellings", "grammar"})  # fields of a spec that config.json lacks


def spec_to_json(spec: Spec) -> dict[str, object]:
    """A spec as config.json holds it, without spellings, which the tokenizer has, and grammar, which the modality knows."""
    values = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name not in UNSTORED}
    return {"kind": spec.kind} | {n: list(value) if isinstance(value, tuple) else value for n, value in values.items()}


def spec_from_json(data: Mapping[str, object]) -> Spec:
    """Undo `spec_to_json`. Raises KeyError, TypeError, ValueError or OverflowError where the data was not made by it."""
    owner = Grid if data["kind"] == "grid" else Tokens
    older_lack = {"brightness_channels"} if owner is Grid else {"shape", "opening"}
    names = {f.name for f in fields(owner)} - UNSTORED - (older_lack - data.keys())
    values = cast(dict[str, Any], {name: data[name] for name in names})
    for name, container in (("shape", tuple), ("opening", tuple), ("special", dict)):
        if name in values:
            values[name] = container(values[name])
    return owner(**values)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples for one step.

    Attributes:
        x: For a Grid, (B, *shape) float. For Tokens, (B, L+1) int64, L up to the length of the spec: inputs are x[:, :-1],
            targets x[:, 1:].
        labels: (B,) int64 class of each example, -1 where it is not known; None without classes, or where none is known.
        mask: (B, L) which targets count, or (B, T) which frames of a clip are there; None: all.
        units: (B,) characters, residues or pixels that the counted targets stand for: what bits are divided by.
        continues: (B,) whether the targets that count go on where those of the row before end, in one document; None: none do.
    """

    x: Tensor
    labels: Tensor | None = None
    mask: Tensor | None = None
    units: Tensor | None = None
    continues: Tensor | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def to(self, device: str | torch.device) -> Batch:
        from anew.core.machine.device import move  # imported here: specs are read without PyTorch

        return self._map(lambda tensor: move(tensor, device))

    def rows(self, start: int, stop: int) -> Batch:
        """The examples start .. stop - 1."""
        return self._map(lambda tensor: tensor[start:stop])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        optional = (self.labels, self.mask, self.units, self.continues)
        return Batch(change(self.x), *(None if tensor is None else change(tensor) for tensor in optional))


@dataclass(frozen=True, slots=True)
class PromptEnding:
    """Ids that may replace the last ids of a prompt without changing its text.

    Attributes:
        replaced: The last ids, which are drawn again.
        sequences: Sequences of ids, none a prefix of another; the ids that are drawn must begin with one of them.
    """

    replaced: tuple[int, ...]
    sequences: tuple[tuple[int, ...], ...]

    def num_known(self, drawn: Sequence[int]) -> int:
        """How many of the ids drawn in place of the last ones are not new; the most that can be while they are not a whole sequence.

        The last id of a sequence is new, since its text goes on after that of the prompt, except in the prompt's own."""
        drawn = tuple(drawn)
        whole = [sequence for sequence in self.sequences if drawn[: len(sequence)] == sequence]
        return max(len(sequence) - (sequence != self.replaced) for sequence in whole or self.sequences)


@dataclass(frozen=True, slots=True)
class Condition:
    """The known part of a sample: one type for a prompt, a prefix and an inpainting mask.

    Attributes:
        x: For Tokens, ids that the sample starts with, (L,) or (n, L). For a Grid, values (*shape) or (n, *shape).
        mask: For a Grid, 1 where x is to be kept, of x's shape or (1, H, W); None keeps all of it. None for Tokens.
        items: Where x are latents of a codec, what is given of the items themselves.
        ending: For Tokens, what the last ids of x may give way to; None: nothing.
    """

    x: Tensor
    mask: Tensor | None = None
    items: Condition | None = None
    ending: PromptEnding | None = None

    @property
    def num_kept(self) -> int:
        """For Tokens, how many ids of x stay as they are."""
        return self.x.shape[-1] - (0 if self.ending is None else len(self.ending.replaced))


@runtime_checkable
class Codec(Protocol):
    """A trained pair that turns a Grid into a smaller Grid (latents) or into Tokens (codes), and back.

    Attributes:
        latent: Spec of the output of `encode`: (B, *shape) -> (B, *latent.shape) of about unit deviation, or (B, L) int64.
    """

    @property
    def latent(self) -> Spec: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A request to a sampler. The random numbers of sample i depend on (seed, first_index + i) alone; its last bits also depend
    on the size of the batch, since sums round by it.

    Attributes:
        n: Number of samples.
        labels: Class of each sample, (n,) int64; None where the data has no classes.
        condition: The given part of each sample; None: nothing is given.
        sampling: The family's `Sampling`; None takes its defaults.
        first_index: Global index of the first sample.
        keys: (seed, index) of each sample, where they are of several seeds; see `Family.follows_keys`.
    """

    n: int
    labels: Tensor | None = None
    condition: Condition | None = None
    sampling: object = None
    first_index: int = 0
    keys: tuple[tuple[int, int], ...] | None = None

    def sample_keys(self, seed: int) -> tuple[tuple[int, int], ...]:
        """(seed, index) of each sample, which its random numbers follow from."""
        return self.keys or tuple((seed, self.first_index + i) for i in range(self.n))

    def sampling_as(self, owner: type[S]) -> S:
        """The sampling settings, which are a family's `Sampling`; its defaults where none were given."""
        if self.sampling is None:
            return owner()
        if not isinstance(self.sampling, owner):
            raise TypeError(f"sampling must be {owner.__name__} (got {type(self.sampling).__name__})")
        return self.sampling
