"""A generator in memory, which turns a request into tensors, and tensors into items. It knows no run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anew.core import random
from anew.core import settings as cfg
from anew.core.specs import Codec, Condition, Grid, SampleRequest, Spec
from anew.data.latent_dataset import LatentModality
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.types import DecodedItem
from anew.errors import ConfigError, RunError, shorten
from anew.families.base import NOT_FINITE, Family, label_conflict
from anew.sampling.drawing_in_parts import draw_in_parts, draws_in_parts
from anew.sampling.prompt_classes import class_weights
from anew.sampling.request_checks import class_index, no_classes, sampling_config
from anew.sampling.samples import Samples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STOP_CHECK_STEPS = 16  # drafts after which the stop text is searched: decoding each draft would cost more than it saves


class Generator:
    """A family with the modality that turns its tensors into items.

    Attributes:
        family: The network, in evaluation mode.
        modality: The kind of data as the family sees it: through a codec if the family works on latents.
        codec: The codec of a family that works on latents; None for others.
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
        """Whether a part of an item can be given, so that the generator fills in the rest."""
        return self.family.fills_in and (self.codec is None or isinstance(self.spec, Grid))

    @property
    def family_name(self) -> str:
        """Name of the family."""
        return type(self.family).__name__.lower()

    def sampling_config(self, settings: Mapping[str, object] | None = None) -> DataclassInstance:
        """The family's `Sampling` with these settings, and those that suit the data for all others.

        Args:
            settings: Values, or texts that are parsed, by name.

        Returns:
            An instance of the family's `Sampling`.

        Raises:
            ConfigError: A setting is unknown (the message names the nearest one) or out of range.
        """
        if isinstance((settings or {}).get("settings"), Mapping):
            raise ConfigError("pass sampling settings by name, as in sample(2, temperature=0.5), not as `settings`")
        training = {*cfg.settings_of(type(self.family).Config), *cfg.settings_of(type(self.item_modality).Config)}
        return sampling_config(type(self.family).Sampling, self.modality.traits, settings, training)

    def sample_labels(
        self,
        n: int,
        seed: int,
        label: str | int | None = None,
        first_index: int = 0,
        sampling: DataclassInstance | None = None,
        condition: Condition | None = None,
    ) -> Tensor | None:
        """The classes of samples.

        Args:
            n: Number of samples.
            seed: Seed of the samples, which decides their classes together with the index of each.
            label: The class of all of them; None draws each with its share in the data or, with a prompt, by how likely the prompt is
                of each class.
            first_index: Index of the first sample.
            sampling: Result of `sampling_config`; None for its defaults.
            condition: The known part of the samples.

        Returns:
            (n,) int64 class numbers; None if the generator has no classes, or samples with these settings follow none.
        """
        classes = self.spec.classes
        if classes == 0:
            if label is not None:
                raise no_classes(label)
            return None
        conflict = label_conflict(sampling)
        if conflict and label is not None:
            raise ConfigError(
                f"`label` {shorten(label)} was given, but {conflict} follows no label; leave one of them out"
            )
        if conflict:
            return None
        if label is not None:
            return torch.full((n,), class_index(self.labels, label))
        weights = torch.tensor(self.label_shares or [1.0] * classes, dtype=torch.float64)[None]
        if condition is not None:
            weights = class_weights(self.family, condition, weights[0], sampling or self.sampling_config())
        limits = (weights.cumsum(1) / weights.sum(1, keepdim=True)).expand(n, -1).contiguous()  # (n, classes)
        uniform = random.evenly_spread([(seed, first_index + i) for i in range(n)], "label")
        return torch.searchsorted(limits, uniform[:, None], right=True)[:, 0].clamp_(max=classes - 1)

    def request(
        self,
        n: int,
        seed: int,
        *,
        label: str | int | None = None,
        condition: Condition | None = None,
        sampling: DataclassInstance | None = None,
        first_index: int = 0,
    ) -> SampleRequest:
        """The request to the family.

        Args:
            n: Number of samples.
            seed: Seed of the samples, which decides their classes if the data has any.
            label: The class of all of them; None: see `sample_labels`.
            condition: The known part of the samples.
            sampling: Result of `sampling_config`; None for its defaults.
            first_index: Index of the first sample.

        Returns:
            The request, for `generate`.

        Raises:
            ConfigError: There is no such class.
        """
        labels = self.sample_labels(n, seed, label, first_index, sampling, condition)
        return SampleRequest(n, labels, condition, sampling or self.sampling_config(), first_index)

    def generate(
        self,
        request: SampleRequest,
        seed: int = 0,
        stop: str | None = None,
        report: Callable[[float], None] = lambda share: None,
    ) -> Tensor:
        """Draw samples in the values of the family, for code that works with tensors; `Model.sample` draws items.

        Args:
            request: The request to the family.
            seed: Seed. The random numbers of sample i depend only on it and on `request.first_index + i`.
            stop: Drawing ends once every sample contains this text.
            report: Called after each draft with about the share of the work that is done, below 1.

        Returns:
            (n, *shape) or (n, <=L), on the CPU.

        Raises:
            ConfigError: The request is none.
        """
        if not isinstance(request, SampleRequest):
            value = shorten(request)
            raise ConfigError(f"`request` must be a SampleRequest (got {value}); model.sample({value}) draws new items")
        if draws_in_parts(self.family, request):
            return draw_in_parts(self.family, request, seed, report)
        last: Tensor | None = None
        num_drafts = self.family.num_drafts(request)
        for number, draft in enumerate(self.family.sample(request, seed), 1):
            last = draft
            report(number / max(num_drafts, number + 1))
            if stop is not None and number % STOP_CHECK_STEPS == 0:
                texts = self.modality.truncate_at(draft.cpu(), _prompt_ids(request), stop)
                if None not in texts:
                    break
        if last is None:
            raise RunError("the family returned no samples; train the run again")
        return last.cpu()

    def decode_items(self, x: Tensor, request: SampleRequest, stop: str | None = None) -> Sequence[DecodedItem]:
        """Turn samples into items.

        Args:
            x: (n, *shape) or (n, <=L), as from `generate`.
            request: The request that they were drawn for.
            stop: Each text ends before the first occurrence of this text after its prompt.

        Returns:
            n items.
        """
        items = self._ended_items(x, request)
        if stop is None:
            return items
        stopped = self.modality.truncate_at(x, _prompt_ids(request), stop)
        return [item if text is None else text for item, text in zip(items, stopped, strict=True)]

    def generate_samples(
        self,
        request: SampleRequest,
        seed: int,
        stop: str | None = None,
        report: Callable[[float], None] = lambda drawn: None,
    ) -> Samples:
        """Draw new items as one batch. The random numbers of sample i depend only on the seed and i; its last bits also on the
        batch size.

        Args:
            request: The request to the family.
            seed: Seed of the samples.
            stop: Each text ends before the first occurrence of this text after its prompt.
            report: Called with the number of samples that are drawn, where unfinished ones count in part.

        Returns:
            The items of the request.
        """
        n = request.n
        x = self.generate(request, seed, stop, lambda share: report(share * n))
        items = self.decode_items(x, request, stop)
        report(n)
        return Samples(items, self.label_names(request.labels, len(items)), self.item_modality)

    def stream_items(self, request: SampleRequest, seed: int) -> Iterator[Sequence[DecodedItem]]:
        """Yield drafts of the items while they form.

        Args:
            request: The request to the family.
            seed: Seed of the samples.

        Yields:
            n unfinished items; the last ones are the samples.
        """
        last: Tensor | None = None
        for draft in self.family.sample(request, seed):
            last = draft
            yield self._items(draft.cpu(), request)
        if last is not None and self._has_usual_length(request):
            yield self._ended_items(last.cpu(), request)

    def _has_usual_length(self, request: SampleRequest) -> bool:
        """Whether samples are passages of text whose length nobody asked for, so that they may end a little earlier."""
        return isinstance(self.modality, Text) and getattr(request.sampling, "max_tokens", None) == 0

    def _ended_items(self, x: Tensor, request: SampleRequest) -> Sequence[DecodedItem]:
        """Samples as items. Passages of the usual length end well; a length that was asked for is exact."""
        if isinstance(self.modality, Text) and self._has_usual_length(request):
            return self.modality.end_well(x, _prompt_ids(request))
        return self._items(x, request)

    def _items(self, x: Tensor, request: SampleRequest) -> Sequence[DecodedItem]:
        """Turn samples or drafts into items, in which the known part is exactly as it was given.

        Raises:
            RunError: Values are not finite; as items they would be grey images or silence.
        """
        if not bool(x.isfinite().all()):
            raise RunError(NOT_FINITE)
        items = self.modality.decode(x)
        condition = request.condition
        if condition is not None and self.codec is not None:
            condition = condition.items
        if condition is None or not isinstance(self.spec, Grid):
            return items
        return self.item_modality.keep_known(items, condition)

    def class_name(self, label: str | int | None) -> str | None:
        """The name of a class.

        Args:
            label: Its name, or its index in `labels`; None for none.

        Returns:
            The name; None for none.

        Raises:
            ConfigError: There is no such class.
        """
        if label is None:
            return None
        if not self.spec.classes:
            raise no_classes(label)
        return self.labels[class_index(self.labels, label)]

    def label_names(self, labels: Tensor | None, n: int) -> list[str | None]:
        """The names of classes.

        Args:
            labels: (n,) class numbers; None without classes.
            n: Number of names.

        Returns:
            n names, all None without classes.
        """
        return [None] * n if labels is None else [self.labels[int(index)] for index in labels]


def _prompt_ids(request: SampleRequest) -> Tensor | None:
    return None if request.condition is None else request.condition.x
