"""A generator in memory: from a request to tensors, and from tensors to items. It knows no folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anew.core import random
from anew.core import settings as cfg
from anew.core.specs import Codec, Condition, Grid, SampleRequest, Spec
from anew.data.latent_dataset import LatentModality
from anew.data.modality import Modality, ModalityTraits
from anew.data.types import DecodedItem
from anew.errors import ConfigError, RunError, shorten
from anew.families.base import Family
from anew.sampling.conditioning import class_index
from anew.sampling.origins import MAX_BATCH
from anew.sampling.samples import Samples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SAMPLE_BATCH = MAX_BATCH
STOP_CHECK_STEPS = 16  # drafts between two looks for the stop text: decoding all of them would cost more than it saves


def sampling_config(
    owner: type, traits: ModalityTraits, settings: Mapping[str, object] | None = None
) -> DataclassInstance:
    """The sampling settings of a family (its `Sampling`) for data with these traits."""
    values = cfg.subset(traits.default_sampling, owner) | dict(settings or {})
    return cfg.from_json(owner, cfg.route_settings(values, {"sampling": owner})["sampling"])


class Generator:
    """A family with the modality that turns its tensors into items.

    Attributes:
        family: The network, in evaluation mode.
        modality: The kind of data as the family sees it: seen through a codec where the family works on latents.
        codec: The codec of a family that works on latents, else None.
        labels: Names of the classes.
        label_shares: Share of each class in the training data; empty for even shares.
    """

    def __init__(
        self, family: Family, modality: Modality, labels: Sequence[str] = (), label_shares: Sequence[float] = ()
    ) -> None:
        self.family = family
        self.modality = modality
        self.codec: Codec | None = modality.codec if isinstance(modality, LatentModality) else None
        self.labels = list(labels)
        self.label_shares = list(label_shares)

    @property
    def device(self) -> torch.device:
        """The device on which the family samples."""
        return self.family.device

    @property
    def spec(self) -> Spec:
        """The spec that the family generates: items, or latents of a codec."""
        spec: Spec = self.family.spec
        return spec

    @property
    def item_modality(self) -> Modality:
        """The kind of data as people see it, without the codec."""
        return self.modality.base

    @property
    def item_spec(self) -> Spec:
        """The spec of an item, whatever the family works on."""
        return self.item_modality.spec

    @property
    def fills_in(self) -> bool:
        """Whether a part of an item can be given, so that the rest is made anew."""
        return self.family.fills_in and (self.codec is None or isinstance(self.spec, Grid))

    @property
    def family_name(self) -> str:
        return type(self.family).__name__.lower()

    def sampling_config(self, settings: Mapping[str, object] | None = None) -> DataclassInstance:
        """The family's Sampling with these settings, else those that suit the data.

        Args:
            settings: Values, or the texts that stand for them, by name.

        Returns:
            An instance of the family's `Sampling`.

        Raises:
            ConfigError: A setting is unknown, which names the nearest one, or out of range.
        """
        return sampling_config(type(self.family).Sampling, self.modality.traits, settings)

    def sample_labels(self, n: int, seed: int, label: str | int | None = None, first_index: int = 0) -> Tensor | None:
        """Classes of samples.

        Args:
            n: How many.
            seed: Decides them together with the index of each sample.
            label: The class of all of them; None draws each with its share in the data.
            first_index: Index of the first sample.

        Returns:
            (n,) int64 class numbers; None where the generator has no classes.
        """
        classes = self.spec.classes
        if classes == 0:
            if label is not None:
                raise ConfigError(f"`label` {shorten(label)} was given, but this run has no labels; leave it out")
            return None
        if label is not None:
            return torch.full((n,), class_index(self.labels, label))
        shares = torch.tensor(self.label_shares or [1.0] * classes, dtype=torch.float64).cumsum(0)
        context = random.StepContext(seed, 0, phase="sample", first_row=first_index)
        uniform = context.uniform("label", (n,)).double()  # (n,)
        return torch.searchsorted(shares / shares[-1], uniform, right=True).clamp_(max=classes - 1)

    def request(
        self,
        n: int,
        seed: int,
        *,
        label: str | int | None = None,
        condition: Condition | None = None,
        sampling: object = None,
        first_index: int = 0,
    ) -> SampleRequest:
        """The request to the family.

        Args:
            n: How many samples.
            seed: Decides their classes, where the data has any.
            label: The class of all of them; None draws each with its share in the data.
            condition: What is given of the samples.
            sampling: As `sampling_config` gives it; None: its defaults.
            first_index: Index of the first sample.

        Returns:
            The request, for `generate`.

        Raises:
            ConfigError: There is no such class.
        """
        labels = self.sample_labels(n, seed, label, first_index)
        return SampleRequest(n, labels, condition, sampling or self.sampling_config(), first_index)

    def generate(self, request: SampleRequest, seed: int, stop: str | None = None) -> Tensor:
        """Draw samples as the family gives them.

        Args:
            request: What is asked of the family.
            seed: The random numbers of sample i depend on it and `request.first_index + i` alone.
            stop: Drawing ends once every sample holds this text.

        Returns:
            (n, *shape) or (n, <=L), on the CPU.
        """
        last: Tensor | None = None
        for number, draft in enumerate(self.family.sample(request, seed), 1):
            last = draft
            if stop is not None and number % STOP_CHECK_STEPS == 0:
                texts = self.modality.truncate_at(draft.cpu(), _prompt_ids(request), stop)
                if None not in texts:
                    break
        if last is None:
            raise RunError("the family returned no samples; train the run again")
        return last.cpu()

    def decode_items(self, x: Tensor, request: SampleRequest, stop: str | None = None) -> Sequence[DecodedItem]:
        """Samples as items.

        Args:
            x: (n, *shape) or (n, <=L), as `generate` gives them.
            request: What was asked for.
            stop: Each text ends before the first such text behind its prompt.

        Returns:
            n items.
        """
        items = self._items(x, request)
        if stop is None:
            return items
        stopped = self.modality.truncate_at(x, _prompt_ids(request), stop)
        return [item if text is None else text for item, text in zip(items, stopped, strict=True)]

    def generate_samples(
        self,
        n: int,
        seed: int = 0,
        *,
        label: str | int | None = None,
        condition: Condition | None = None,
        sampling: object = None,
        stop: str | None = None,
        first_index: int = 0,
    ) -> Samples:
        """Draw new items. The random numbers of sample i depend on the seed and i alone; its last bits also on the size of its batch.

        Args:
            n: How many.
            seed: Of the samples.
            label: The class of all of them; None draws each with its share in the data.
            condition: What is given of the samples.
            sampling: As `sampling_config` gives it; None: its defaults.
            stop: Each text ends before the first such text behind its prompt.
            first_index: Index of the first sample.

        Returns:
            n items.
        """
        samples = Samples([], [], self.item_modality)
        for offset in range(0, n, SAMPLE_BATCH):
            request = self.request(
                min(SAMPLE_BATCH, n - offset),
                seed,
                label=label,
                condition=condition,
                sampling=sampling,
                first_index=first_index + offset,
            )
            items = self.decode_items(self.generate(request, seed, stop), request, stop)
            samples += Samples(items, self.label_names(request.labels, len(items)), self.item_modality)
        return samples

    def stream_items(self, request: SampleRequest, seed: int) -> Iterator[Sequence[DecodedItem]]:
        """Drafts of the items while they form.

        Args:
            request: What is asked of the family.
            seed: Of the samples.

        Yields:
            n items, as far as they are formed; the last are the samples.
        """
        for draft in self.family.sample(request, seed):
            yield self._items(draft.cpu(), request)

    def _items(self, x: Tensor, request: SampleRequest) -> Sequence[DecodedItem]:
        """Samples or drafts as items, with what was given of them as it was given."""
        items = self.modality.decode(x)
        condition = request.condition
        if condition is not None and self.codec is not None:
            condition = condition.items
        if condition is None or not isinstance(self.spec, Grid):
            return items
        return self.item_modality.keep_known(items, condition)

    def label_names(self, labels: Tensor | None, n: int) -> list[str | None]:
        """Names of classes.

        Args:
            labels: (n,) class numbers; None without classes.
            n: How many names.

        Returns:
            n names, all None without classes.
        """
        return [None] * n if labels is None else [self.labels[int(index)] for index in labels]


def _prompt_ids(request: SampleRequest) -> Tensor | None:
    return None if request.condition is None else request.condition.x
