"""A trained model, loaded from its run folder: sample, stream, score."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from anew.core import random
from anew.core import settings as cfg
from anew.core.arguments import optional_number, path, switch
from anew.core.device import pick_device
from anew.core.settings import whole
from anew.core.specs import Condition, SampleRequest
from anew.data.dataset import fitted
from anew.data.latent_dataset import Encoded
from anew.data.types import Artifact
from anew.errors import ConfigError, DataError, RunError, command, short
from anew.families.base import Family
from anew.functional.likelihood import mean_bits
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG, WEIGHTS
from anew.runs.record import RunRecord
from anew.sampling.conditioning import class_of, given, stop_of
from anew.sampling.restore import family_of, restored_family
from anew.sampling.samples import Samples
from anew.workflows import codec_stage

if TYPE_CHECKING:
    from anew.sampling.interpolation import Walk

MOST = 1_000_000  # samples in one call
AT_ONCE = 256  # samples in one pass of the network


class Model:
    """A generator ready to sample. `load(run)` makes one; it needs the run folder alone, not the data."""

    def __init__(self, folder: RunFolder, device: str = "auto", *, trust_code: bool = False) -> None:
        if not isinstance(folder, RunFolder):
            raise ConfigError(f"`folder` must be a RunFolder (got {short(folder)}); anew.load takes a path")
        trust_code = switch("trust_code", trust_code)
        self.folder = folder
        self.record = folder.record()
        self.device = torch.device(pick_device(device))
        self._restore(trust_code)

    def _restore(self, trust_code: bool) -> None:
        record, folder = self.record, self.folder.path
        kind = family_of(record.family.name, folder, trust_code)
        plain = fitted(record.data.model_dump(), folder)
        self.modality: Any = plain
        self.codec: Family | None = None
        if record.codec is not None:
            self.codec = codec_stage.restored(record, folder, self.device)
            self.modality = Encoded(plain, self.codec)  # type: ignore[arg-type]
        if self.modality.spec != record.spec or (record.codec is not None and record.codec.spec != plain.spec):
            raise RunError(f"{str(folder / CONFIG)!r} was edited: what it says of the data does not fit; restore it")
        self.labels: list[str] = list(record.data.labels)
        self.label_shares: list[float] = list(record.label_shares)
        weights = folder / WEIGHTS
        if record.status == "training" and not weights.exists():
            raise RunError(
                f"{str(weights)!r} is missing: the run is not finished; run `{command('anew', 'resume', folder)}`"
            )
        self.family = restored_family(record.family, record.spec, kind, weights, self.device)

    @classmethod
    def of(cls, family: Family, modality: Any, record: RunRecord) -> Model:
        """A model in memory, before its run is finished: for previews."""
        model = cls.__new__(cls)
        model.family, model.modality, model.record, model.device = family, modality, record, family.device
        model.codec = modality.codec if isinstance(modality, Encoded) else None  # type: ignore[assignment]
        model.labels, model.label_shares = list(record.data.labels), list(record.label_shares)
        return model

    @property
    def spec(self) -> Any:
        return self.family.spec

    @property
    def item_spec(self) -> Any:
        """What an item is, whatever the family works on."""
        return getattr(self.modality, "plain", self.modality).spec

    def how(self, given: Mapping[str, Any]) -> Any:
        """The family's Sampling with the given knobs, else the data's; ConfigError names the nearest where one is unknown."""
        kind = type(self.family).Sampling
        given = cfg.known(self.modality.sampling, kind) | dict(given)
        return cfg.from_json(kind, cfg.assign(given, {"sampling": kind})["sampling"])

    def sample(
        self,
        n: int = 16,
        *,
        seed: int = 0,
        prompt: str | None = None,
        suffix: str | None = None,
        label: str | int | None = None,
        known: Condition | tuple[Any, Any] | None = None,
        first: int = 0,
        **how: Any,
    ) -> Samples:
        """n new items. Sample i depends on the seed and i alone.

        prompt: what text starts with; suffix: what it ends with, where that can be given;
        label: one of the data's classes, or its place in `labels` (default: as the data has them); how: the
        family's sampling knobs, as in `anew sample --set`. `stop="..."` ends what is new of a text before that string.
        known: (item, mask) to fill in: an image as a path, the bytes of a file or a uint8 array (H, W) or (H, W, C), and
        (H, W) that is true where it is kept; a clip with one axis more, (T, H, W[, C]), and (T, H, W) or (T,) for whole
        frames; or a `Condition` in the model's own values.
        """
        n, seed, first = whole("n", n, 1, MOST), whole("seed", seed), whole("first", first)
        stop = stop_of(self, how.pop("stop", None))
        settings = self.how(how)
        begun = given(self, prompt, suffix, known)
        items: list[Any] = []
        artifacts: list[Artifact] = []
        names: list[str | None] = []
        for start in range(0, n, AT_ONCE):
            count = min(AT_ONCE, n - start)
            request = self._request(count, seed, label, begun, settings, first + start)
            x = self._last(request, seed, stop)
            shown = self.modality.decode(x)
            if stop is not None:
                ended = self.modality.ended(x, _ids(begun), stop)
                shown = [text if cut is None else cut for text, cut in zip(shown, ended, strict=True)]
            items += shown
            artifacts += self.modality.write(x) if stop is None else self.modality.files(shown)
            names += [None] * count if request.labels is None else [self.labels[int(i)] for i in request.labels]
        return Samples(items, artifacts, names, self.modality)

    def stream(
        self, n: int = 1, *, seed: int = 0, prompt: str | None = None, label: str | int | None = None, **how: Any
    ) -> Iterator[list[Any]]:
        """Drafts while they form, each the list of n items so far; the last is the sample. To cancel, stop iterating."""
        n, seed = whole("n", n, 1, MOST), whole("seed", seed)
        settings = self.how(how)
        known = given(self, prompt, None, None)
        ask = self._request(n, seed, label, known, settings, 0)
        return (self.modality.decode(draft.cpu()) for draft in self.family.sample(ask, seed))

    def walk(
        self,
        n: int = 60,
        *,
        stops: int = 5,
        seed: int = 0,
        label: str | int | None = None,
        ends: tuple[Any, Any] | None = None,
        **how: Any,
    ) -> Walk:
        """n frames of a walk through the space that samples start from, past `stops` samples of the seed.

        label: a class to stay in. ends: two items to walk between instead, as paths, bytes of files, or uint8 arrays.
        how: the family's sampling knobs. ConfigError says why where the family has no such space."""
        from anew.sampling.interpolation import walked  # walking builds on this module

        return walked(self, n, stops, seed, label, ends, how)

    def encode(self, items: Sequence[Any]) -> Tensor:
        """(n, *latent), or (n, L) codes, of items (paths, bytes of files, or uint8 arrays). For vae, and for runs on latents
        or codes."""
        from anew.sampling.latents import encoded  # coding builds on this module

        return encoded(self, items)

    def decode(self, latents: Tensor) -> Samples:
        """The items that latents (n, *latent), as `encode` gives them, stand for."""
        from anew.sampling.latents import decoded

        return decoded(self, latents)

    def _request(
        self, n: int, seed: int, label: str | int | None, known: Condition | None, how: Any, first: int
    ) -> SampleRequest:
        return SampleRequest(n, self.labels_of(n, seed, label, first), known, how, first)

    def labels_of(self, n: int, seed: int, label: str | int | None = None, first: int = 0) -> Tensor | None:
        """(n,) the class of each sample: the one asked for, or as the data has them; None without classes."""
        classes = self.spec.classes
        if classes == 0:
            if label is not None:
                raise ConfigError(f"`label` {short(label)} was given, but this run has no labels; leave it out")
            return None
        if label is not None:
            return torch.full((n,), class_of(self.labels, label))
        shares = torch.tensor(self.label_shares or [1.0] * classes, dtype=torch.float64).cumsum(0)
        u = random.StepContext(seed, 0, phase="sample", first_row=first).uniform("label", (n,)).double()
        return torch.searchsorted(shares / shares[-1], u, right=True).clamp_(max=classes - 1)

    def _last(self, request: SampleRequest, seed: int, stop: str | None) -> Tensor:
        last: Tensor | None = None
        for number, draft in enumerate(self.family.sample(request, seed)):
            last = draft
            if stop is None or number % 16 != 15:
                continue
            if None not in self.modality.ended(draft.cpu(), _ids(request.condition), stop):
                break
        if last is None:
            raise RunError("the family drew nothing; train the run again")
        return last.cpu()

    def score(self, data: str | Path, *, limit: float | None = None) -> dict[str, Any]:
        """Bits per character (residue, dimension) of other data under the model; context carries across a document.

        limit: about how many units to score, taken evenly (None: all). `bound` says whether the bits are exact, `skipped`
        how many items were refused, `notes` which and why. Raises ConfigError where the run has no likelihood."""
        from anew.workflows.train import scored  # work builds on this module

        return scored(self, str(path("data", data, DataError)), optional_number("limit", limit))

    @torch.no_grad()
    def bits_by_part(self, batches: Iterator[Any]) -> dict[str, float]:
        """Bits per unit of each part of a mixed model alone; empty where the family is one part."""
        bits: dict[str, float] = {}
        units = 0.0
        for batch in batches:
            views = [self.family.bits_by_part(b.to(self.device)) for b in self.modality.views(batch)]
            if not views[0]:
                return {}
            units += float(len(batch) if batch.units is None else batch.units.sum())
            for name in views[0]:
                bits[name] = bits.get(name, 0.0) + float(mean_bits([view[name] for view in views]).sum())
        return {name: value / units for name, value in bits.items()} if units else {}

    @torch.no_grad()
    def bits(
        self, batches: Iterator[Any], seconds: float | None = None, part: str | None = None
    ) -> list[tuple[float, float]]:
        """(bits, units) of each scored example, until the seconds are spent. ConfigError where there is no likelihood.

        part: of a mixed model that part alone, see `Family.bits_by_part`; of others the model."""
        scorable(self)
        begin = time.monotonic()
        found: list[tuple[float, float]] = []
        for batch in batches:
            views = [_bits(self.family, b.to(self.device), part) for b in self.modality.views(batch)]
            units = batch.units if batch.units is not None else torch.ones(len(batch))
            bits = mean_bits([view for view in views if view is not None])
            found += zip(bits.tolist(), units.double().tolist(), strict=True)
            if seconds is not None and time.monotonic() - begin > seconds:
                break
        return found


def scorable(model: Model) -> None:
    """ConfigError where items have no likelihood under the run."""
    if model.codec is not None:
        raise ConfigError(
            "this run works on what a codec makes of the items, whose bits are none of theirs; score a run of vae"
        )
    if type(model.family).bits is Family.bits:
        name = model.record.family.name
        raise ConfigError(f"the family {name!r} has no likelihood, so data cannot be scored; score a run of vae")


def _bits(family: Family, batch: Any, part: str | None) -> Tensor | None:
    alone = family.bits_by_part(batch) if part is not None else {}
    return alone[part] if part in alone else family.bits(batch)


def _ids(known: Condition | None) -> Tensor | None:
    return None if known is None else known.x


__all__ = ["AT_ONCE", "Model", "Samples"]
