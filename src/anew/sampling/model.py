"""A trained model, loaded from its run folder: the public class of this package."""

from __future__ import annotations

import functools
import html
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from anew.core.arguments import optional_number, path, switch
from anew.core.arguments import reporter as checked_reporter
from anew.core.arguments import settings as checked_settings
from anew.core.machine.device import pick_device
from anew.core.reporter import Reporter
from anew.core.settings import SettingValue, check_int
from anew.core.specs import Batch, Condition, Tokens
from anew.data.sources.source import names_place
from anew.data.types import DecodedItem
from anew.errors import ConfigError, DataError, shorten
from anew.families.base import num_parameters
from anew.runs.folder import RunFolder
from anew.sampling.conditioning import check_stop, condition_from_prompt
from anew.sampling.drawing import MAX_SAMPLES, draw_again, draw_batches, joined
from anew.sampling.generator import Generator
from anew.sampling.interpolation import Walk, latent_walk
from anew.sampling.latents import GivenItem, condition_from_mask, decode_latents, encode_items
from anew.sampling.origins import SAMPLE_BATCH, Origin, state_digest
from anew.sampling.restore import (
    earlier_weights,
    load_family_class,
    newest_weights,
    restore_family,
    restore_modality,
)
from anew.sampling.samples import Samples
from anew.sampling.scores import Scores
from anew.sampling.scoring import (
    bits_of_batches,
    check_has_likelihood,
    score_dataset,
    score_items,
)


class Model(Generator):
    """A generator with its run. `anew.load(run)` makes one; it needs only the run folder, not the data.

    Args:
        folder: The run.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        trust_code: Whether to run the `family.py` of a run with a family of its own.
        step: A step whose weights were kept during training, which are then loaded instead of the newest.

    Attributes:
        folder: The run.
        record: Contents of config.json.
        checkpoint_step: The step that the weights are from; None if they are the final ones.
        notes: Sentences on what the user should know, such as that the weights are those of a checkpoint.

    Raises:
        RunError: The run is damaged, was edited, or has no weights yet.
    """

    def __init__(
        self, folder: RunFolder, device: str = "auto", *, trust_code: bool = False, step: int | None = None
    ) -> None:
        if not isinstance(folder, RunFolder):
            raise ConfigError(f"`folder` must be a RunFolder (got {shorten(folder)}); anew.load takes a path")
        trust_code = switch("trust_code", trust_code)
        record = folder.record()
        place = torch.device(pick_device(device))
        owner = load_family_class(record.family.name, folder.path, trust_code)
        modality = restore_modality(record, folder.path, place)
        weights, weights_path, self.checkpoint_step, notes = newest_weights(folder, record.status)
        if step is not None:
            weights, weights_path = earlier_weights(folder.path, step, weights)
            self.checkpoint_step = step
            notes = [f"These are the weights of step {step:,}, which were kept during training."]
        # The modality's spec has the spellings of tokens, which config.json does not.
        family = restore_family(record.family, modality.spec, owner, weights, weights_path, place)
        super().__init__(family, modality, record.data.labels, record.label_shares)
        self.notes = [*folder.notes, *notes, *family.remarks()]
        self.folder = folder
        self.record = record

    @property
    def family_name(self) -> str:
        """Name of the run's family: "diffusion", or `family.py` for one of the user's own."""
        return self.record.family.name

    def __repr__(self) -> str:
        facts = self._facts()
        return f"Model({facts['family']}, {facts['data']}, {facts['parameters']} parameters, run={facts['run']!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in self._facts().items()
        )
        return f"<table>{rows}</table>{''.join(f'<p>{html.escape(note)}</p>' for note in self.notes)}"

    def _facts(self) -> dict[str, str]:
        """Facts that users want to see first, by name."""
        spec, record = self.item_spec, self.record
        size = f"up to {spec.length} tokens" if isinstance(spec, Tokens) else " x ".join(map(str, spec.shape))
        return {
            "family": record.described_family,
            "data": f"{record.data.modality} {size}",
            "classes": str(spec.classes) if spec.classes else "none",
            "parameters": f"{num_parameters(self.family):,}",
            "trained on": record.data.path,
            "status": record.status,
            "device": str(self.device),
            "run": str(self.folder.path),
        }

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(
        self,
        n: int = 16,
        *,
        seed: int = 0,
        prompt: str | None = None,
        suffix: str | None = None,
        stop: str | None = None,
        label: str | int | None = None,
        condition: Condition | tuple[GivenItem, ArrayLike] | None = None,
        first_index: int = 0,
        share: tuple[int, int] | None = None,
        reporter: Reporter | None = None,
        **sampling: SettingValue,
    ) -> Samples:
        """Draw new items. The random numbers of sample i depend only on the seed and i; its last bits also on the batch size.

        Args:
            n: Number of samples.
            seed: Seed, 0 to 2**63 - 1.
            prompt: The beginning of each sample.
            suffix: The end of each sample, for data whose end can be given.
            stop: New text ends before this string.
            label: One of the classes, or its index in `labels`; None draws each with its share in the data or, with a prompt, by how
                likely the prompt is in each class.
            condition: (item, mask) to fill in. An image is a path, the bytes of a file or a uint8 array (H, W) or
                (H, W, C), and its mask (H, W) is true for what is kept. A clip has one more axis, (T, H, W[, C]), and its
                mask is (T, H, W), or (T,) for whole frames. Or a `Condition` in the model's own values.
            first_index: Index i of the first sample.
            share: (i, k) draws only the i-th of k shares, for k processes or machines. All shares together are the n samples,
                byte for byte. Samples are drawn in batches of 256, so shares of fewer samples save no time.
            reporter: Shows the progress where drawing takes more than two seconds; None shows nothing.
            **sampling: The family's sampling settings, as in `anew sample --set`.

        Returns:
            n items: text, (H, W[, C]) uint8 pictures, (T, H, W[, C]) clips, or float32 sound (N,), stereo (N, 2). `save`
            writes files.

        Raises:
            ConfigError: An argument is unknown, out of range or does not fit the data.
        """
        parts = self.sample_batches(
            n,
            seed=seed,
            prompt=prompt,
            suffix=suffix,
            stop=stop,
            label=label,
            condition=condition,
            first_index=first_index,
            share=share,
            reporter=reporter,
            **sampling,
        )
        return joined(parts, self.item_modality)

    def sample_batches(
        self,
        n: int = 16,
        *,
        seed: int = 0,
        prompt: str | None = None,
        suffix: str | None = None,
        stop: str | None = None,
        label: str | int | None = None,
        condition: Condition | tuple[GivenItem, ArrayLike] | None = None,
        first_index: int = 0,
        share: tuple[int, int] | None = None,
        reporter: Reporter | None = None,
        **sampling: SettingValue,
    ) -> Iterator[Samples]:
        """Draw new items as `sample` does, and yield them in batches, for more than memory holds.

        Args:
            n: Number of samples in all batches.
            seed: As in `sample`.
            prompt: As in `sample`.
            suffix: As in `sample`.
            stop: As in `sample`.
            label: As in `sample`.
            condition: As in `sample`.
            first_index: As in `sample`.
            share: As in `sample`.
            reporter: As in `sample`.
            **sampling: As in `sample`.

        Yields:
            The samples in order, at most 256 at once. `save` numbers their files as those of all n.

        Raises:
            ConfigError: As in `sample`.
        """
        n, seed, first_index = (
            check_int("n", n, 1, MAX_SAMPLES),
            check_int("seed", seed),
            check_int("first_index", first_index),
        )
        stop = check_stop(self.modality, stop)
        given_part = self._condition(prompt, suffix, condition)
        is_given = given_part is not None and (condition is not None or not isinstance(self.item_spec, Tokens))
        name = self.class_name(label)
        origin = Origin(*self.identity, seed, 0, (0, 1), name, prompt, suffix, stop, is_given=is_given)
        config, reporter = self.sampling_config(sampling), checked_reporter(reporter)
        return draw_batches(
            self, origin, given_part, config, n, first_index=first_index, share=share, reporter=reporter
        )

    @functools.cached_property
    def identity(self) -> tuple[str, str]:
        """Identity of the model in files of samples: the name of the run, and a digest of all weights, the codec's included."""
        modules = [self.family, *([self.codec] if isinstance(self.codec, nn.Module) else [])]
        return self.folder.path.resolve().name, state_digest(modules)

    def again(self, origins: Sequence[Origin]) -> Samples:
        """Draw samples again; see `anew.again`.

        Args:
            origins: Origin of each sample, as its file records it.

        Returns:
            The samples in this order.
        """
        return draw_again(self, origins)

    def stream(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        prompt: str | None = None,
        suffix: str | None = None,
        label: str | int | None = None,
        condition: Condition | tuple[GivenItem, ArrayLike] | None = None,
        **sampling: SettingValue,
    ) -> Iterator[Sequence[DecodedItem]]:
        """Yield drafts of samples as they form. The last draft is what `sample` returns. To cancel, stop iterating.

        Args:
            n: Number of items, at most 256: all of them are drawn as one batch.
            seed: Seed, 0 to 2**63 - 1.
            prompt: The beginning of each sample.
            suffix: The end of each sample, for data whose end can be given.
            label: One of the classes, or its index in `labels`; None draws each with its share in the data or, with a prompt, by how
                likely the prompt is in each class.
            condition: (item, mask) to fill in, as in `sample`.
            **sampling: The family's sampling settings.

        Yields:
            n unfinished items, as from `sample`.

        Raises:
            ConfigError: An argument is unknown, out of range or does not fit the data.
        """
        n, seed = check_int("n", n, 1, SAMPLE_BATCH), check_int("seed", seed)
        given_part = self._condition(prompt, suffix, condition)
        config = self.sampling_config(sampling)
        return self.stream_items(self.request(n, seed, label=label, condition=given_part, sampling=config), seed)

    def walk(
        self,
        n: int = 60,
        *,
        stops: int = 5,
        seed: int = 0,
        label: str | int | None = None,
        ends: tuple[GivenItem, GivenItem] | None = None,
        **sampling: SettingValue,
    ) -> Walk:
        """The frames of a walk through the latent space that samples start from.

        Args:
            n: Number of frames.
            stops: Number of samples that the walk passes through.
            seed: Seed of these samples.
            label: A class to stay in.
            ends: Two items to walk between instead, as paths, bytes of files, or uint8 arrays.
            **sampling: The family's sampling settings.

        Returns:
            The frames in order; `save` writes them, a strip and an animated GIF.

        Raises:
            ConfigError: The family has no latent space; the message says why.
        """
        return latent_walk(self, n, stops=stops, seed=seed, label=label, ends=ends, sampling=sampling)

    def _condition(self, prompt: object, suffix: object, condition: object) -> Condition | None:
        """The condition of samples in the values of the run; None if there is none."""
        from_prompt = condition_from_prompt(self.modality, prompt, suffix)
        if condition is None:
            return from_prompt
        if from_prompt is not None:
            raise ConfigError("`condition` cannot be combined with `prompt` or `suffix`; give one")
        return condition_from_mask(self, condition)

    # -- latents --------------------------------------------------------------------------------------------------------

    def encode(self, items: Sequence[GivenItem]) -> Tensor:
        """The latents of items, for vae and for runs on latents or codes.

        Args:
            items: Paths, bytes of files, or uint8 arrays.

        Returns:
            (n, *latent) float32, or (n, L) int64 codes.

        Raises:
            ConfigError: The run has no codec, or an item cannot be used.
        """
        return encode_items(self, items)

    def decode(self, latents: Tensor) -> Samples:
        """The items that latents stand for.

        Args:
            latents: (n, *latent) or (n, L), as from `encode`.

        Returns:
            n items.

        Raises:
            ConfigError: The run has no codec, or these are not latents of it.
        """
        return decode_latents(self, latents)

    # -- score ----------------------------------------------------------------------------------------------------------

    def score(
        self,
        data: str | Path | Sequence[DecodedItem | bytes],
        *,
        label: str | int | None = None,
        limit: float | None = None,
        per_item: bool = False,
        settings: Mapping[str, SettingValue] | None = None,
        reporter: Reporter | None = None,
    ) -> Scores:
        """Score other data by its likelihood under the model: log-likelihood, and bits per character (residue, dimension).

        Each document, line, sequence or row of a table is scored by itself.

        Args:
            data: A path, an address or a hub name; or items: a list of texts or a list of arrays. A string always names a place;
                a single text is a list, `["The river."]`.
            label: The class of all items of a list; None: it is not known. Items of a path have the labels that are found there.
            limit: About how many units of a path to score, taken evenly; None for all. With a limit, the context continues from
                one document to the next.
            per_item: Whether to keep the score of each record of a path in `items`; those of a list are always kept.
            settings: How the files of a path are read, by name: `text_column` of texts, `image_column` and `label_column` of
                images, `header` of tables, `encoding` of texts and code. The columns of the run are read where the data has them.
            reporter: Shows the progress; None shows nothing.

        Returns:
            The scores of all data, and of each item if items were given. Items without a label that the model knows are scored
            under the mixture of all classes, and the notes say so.

        Raises:
            ConfigError: The run has no likelihood or no such class, or a setting is not about reading.
            DataError: The path or address does not exist, or holds nothing to score.
        """
        check_has_likelihood(self)
        limit, per_item = optional_number("limit", limit), switch("per_item", per_item)
        values, reporter = checked_settings(settings), checked_reporter(reporter)
        if not isinstance(data, str | os.PathLike) and isinstance(data, Sequence) and not isinstance(data, bytes):
            if limit is not None:
                raise ConfigError("`limit` is for data on the disk; leave it out")
            if values:
                raise ConfigError("`settings` say how files are read; leave them out for items")
            return score_items(self, data, label, reporter)
        if label is not None:
            raise ConfigError("`label` is for a list of items; those of a path have the labels that are found there")
        if limit is not None and per_item:
            raise ConfigError("`limit` takes parts of records, which `per_item` scores whole; leave one of them out")
        place = str(path("data", data, DataError))
        if isinstance(data, str) and not names_place(data):
            raise DataError(
                f"`data` {shorten(data)} names no file or folder; to score a text, give it in a list, [TEXT]"
            )
        return score_dataset(
            self,
            self.record,
            self.folder.path,
            place,
            limit=limit,
            per_item=per_item,
            settings=values,
            reporter=reporter,
        )

    def bits(
        self, batches: Iterable[Batch], seconds: float | None = None, part: str | None = None
    ) -> list[tuple[float, float]]:
        """The bits of each example.

        Args:
            batches: Batches, as from `Dataset.scoring`; an example without a label is scored under the mixture of all classes.
            seconds: Stop once this many seconds are over; None for no limit.
            part: A part of a mixed model to score alone, by its name in `Family.bits_by_part`.

        Returns:
            (bits, units) of each example; a unit is a character, a residue or a dimension.

        Raises:
            ConfigError: The run has no likelihood, or these are not batches.
        """
        return bits_of_batches(self, batches, seconds, part)


class LateModel(Model):
    """A model for a process that may never use it: what it holds is loaded when it is first needed."""

    def __init__(self, folder: RunFolder, device: str = "auto", *, trust_code: bool = False) -> None:
        self._arguments = folder, device, trust_code
        self._loading = threading.RLock()  # another thread waits until all is there

    def __getattr__(self, name: str) -> object:
        if "_loading" not in self.__dict__:
            raise AttributeError(name)
        with self._loading:
            arguments = self.__dict__.pop("_arguments", None)
            if arguments is not None:
                self._load(*arguments)
        return object.__getattribute__(self, name)  # AttributeError for what a loaded model lacks

    def _load(self, folder: RunFolder, device: str, trust_code: bool) -> None:
        try:
            super().__init__(folder, device, trust_code=trust_code)
        except BaseException:  # whatever it is, the next use raises it again
            self._arguments = folder, device, trust_code
            raise
