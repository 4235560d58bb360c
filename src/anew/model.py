"""A trained model, loaded from its run folder: sample, stream, score."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from anew import config as cfg
from anew import rng, spaces
from anew.data.encoded import Encoded
from anew.data.modality import Artifact, Item, Modality
from anew.errors import ConfigError, RunError, nearest
from anew.families.family import Family
from anew.find import find
from anew.job import family_of
from anew.maths.likelihood import mean_bits
from anew.samples import Samples
from anew.spec import Ask, Grid, Known, Tokens, spec_from_json
from anew.training.distributed import pick_device
from anew.training.run import RunFolder, read_tensors

if TYPE_CHECKING:
    from anew.walking import Walk

MOST = 1_000_000  # samples in one call
AT_ONCE = 256  # samples in one pass of the network


class Model:
    """A generator ready to sample. `load(run)` makes one; it needs the run folder alone, not the data."""

    def __init__(self, folder: RunFolder, device: str = "auto", *, trust_code: bool = False) -> None:
        self.folder = folder
        self.config = folder.config()
        if self.config.get("status") == "begun":
            raise RunError(f"{str(folder.path)!r} was stopped before training began; run `anew resume {folder.path}`")
        self.device = torch.device(pick_device(device))
        try:
            self._restore(trust_code)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            what = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            raise RunError(
                f"{str(folder.path / 'config.json')!r} was edited or is of another version ({what}); restore it"
            ) from error

    def _restore(self, trust_code: bool) -> None:
        folder = self.folder
        self.modality: Any = load_modality(self.config["data"], folder.path)
        self.codec: Family | None = None
        if "codec" in self.config:
            self.codec = spaces.restored(self.config, folder.path, self.device)[0]
            self.modality = Encoded(self.modality, self.codec)  # type: ignore[arg-type]
        self.labels: list[str] = list(self.config["data"].get("labels", []))
        self.label_shares: list[float] = list(self.config.get("label_shares", []))
        self.family = self._family(trust_code)

    @classmethod
    def of(cls, family: Family, modality: Any, config: Mapping[str, Any]) -> Model:
        """A model in memory, before its run is finished: for previews."""
        model = cls.__new__(cls)
        model.family, model.modality, model.config, model.device = family, modality, dict(config), family.device
        model.codec = modality.codec if isinstance(modality, Encoded) else None  # type: ignore[assignment]
        model.labels, model.label_shares = list(config["data"]["labels"]), list(config["label_shares"])
        return model

    def _family(self, trust_code: bool) -> Family:
        kind = family_of(self.config, self.folder.path, trust_code)
        spec = spec_from_json(self.config["spec"])
        family: Family = kind(spec, cfg.from_json(kind.Config, self.config["family"]["config"]))
        weights = read_tensors(self.folder.path / "model.safetensors")
        load_weights(family, weights, self.folder.path / "model.safetensors")
        return family.to(self.device).eval()

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
        label: str | None = None,
        known: Known | tuple[Any, Any] | None = None,
        first: int = 0,
        **how: Any,
    ) -> Samples:
        """n new items. Sample i depends on the seed and i alone.

        prompt: what text starts with; suffix: what it ends with, where that can be given;
        label: one of the data's classes (default: as the data has them); how: the
        family's sampling knobs, as in `anew sample --set`. `stop="..."` ends text at that string.
        known: (item, mask) to fill in: an image as a uint8 array (H, W) or (H, W, C) or the bytes of a file, and (H, W) that
        is true where it is kept; a clip with one axis more, (T, H, W[, C]), and (T, H, W) or (T,) for whole frames; or a
        `Known` in the model's own values.
        """
        _check_n(n)
        stop = how.pop("stop", None)
        if stop is not None and not isinstance(self.item_spec, Tokens):
            raise ConfigError(f"{self.modality.name} data has no text to stop at; leave stop out")
        settings = self.how(how)
        given = self._known(prompt, known, suffix)
        items: list[Any] = []
        artifacts: list[Artifact] = []
        names: list[str | None] = []
        for start in range(0, n, AT_ONCE):
            count = min(AT_ONCE, n - start)
            ask = self._ask(count, seed, label, given, settings, first + start)
            x = self._last(ask, seed, stop)
            items += self.modality.decode(x)
            artifacts += self.modality.write(x)
            names += [None] * count if ask.label is None else [self.labels[int(i)] for i in ask.label]
        if stop is not None:
            items = [_cut(item, stop, prompt) for item in items]
            artifacts = [Artifact(".txt", item.encode(), item) for item in items]
        return Samples(items, artifacts, names, self.modality)

    def stream(
        self, n: int = 1, *, seed: int = 0, prompt: str | None = None, label: str | None = None, **how: Any
    ) -> Iterator[list[Any]]:
        """Drafts while they form, each the list of n items so far; the last is the sample. To cancel, stop iterating."""
        _check_n(n)
        settings = self.how(how)
        known = self._known(prompt, None)
        for draft in self.family.draw(self._ask(n, seed, label, known, settings, 0), seed):
            yield self.modality.decode(draft.cpu())

    def _known(
        self, prompt: str | None, known: Known | tuple[Any, Any] | None, suffix: str | None = None
    ) -> Known | None:
        if prompt is not None or suffix is not None:
            found = self.modality.known(prompt or "", suffix or "")
            return found if isinstance(found, Known) else Known(torch.as_tensor(found))
        if known is None or isinstance(known, Known):
            return known
        if not isinstance(self.item_spec, Grid):
            raise ConfigError(f"{self.modality.name} data is not filled in by a mask; give a prompt")
        if self.codec is not None:
            raise ConfigError("this run works on latents, where no pixel can be kept; train diffusion with space=pixel")
        image, mask = known
        try:
            stored = self.modality.encode(Item("known", image))
        except ValueError as error:
            raise ConfigError(f"the known {self.modality.name} cannot be used: {error}") from None
        kept, wanted = torch.as_tensor(mask).float(), self.spec.shape[1:]
        if tuple(kept.shape) == wanted[: kept.dim()]:  # of frames alone: whatever they show
            kept = kept.view(*kept.shape, *[1] * (len(wanted) - kept.dim())).expand(wanted)
        if tuple(kept.shape) != wanted:
            size = tuple(kept.shape)
            raise ConfigError(
                f"the mask has the size {size}, and samples of this run have {wanted}; give one of that size"
            )
        return Known(self.modality.batch(stored[None], None, None).x[0], kept[None])

    def walk(
        self,
        n: int = 60,
        *,
        stops: int = 5,
        seed: int = 0,
        label: str | None = None,
        ends: tuple[Any, Any] | None = None,
        **how: Any,
    ) -> Walk:
        """n frames of a walk through the space that samples start from, past `stops` samples of the seed.

        label: a class to stay in. ends: two items to walk between instead, as paths, bytes of files, or uint8 arrays.
        how: the family's sampling knobs. ConfigError says why where the family has no such space."""
        from anew.walking import walked  # walking builds on this module

        return walked(self, n, stops, seed, label, ends, how)

    def encode(self, items: Sequence[Any]) -> Tensor:
        """(n, *latent), or (n, L) codes, of items (paths, bytes of files, or uint8 arrays). For vae, and for runs on latents
        or codes."""
        from anew.coding import encoded  # coding builds on this module

        return encoded(self, items)

    def decode(self, latents: Tensor) -> Samples:
        """The items that latents (n, *latent), as `encode` gives them, stand for."""
        from anew.coding import decoded

        return decoded(self, latents)

    def _ask(self, n: int, seed: int, label: str | None, known: Known | None, how: Any, first: int) -> Ask:
        return Ask(n, self.labels_of(n, seed, label, first), known, how, first)

    def labels_of(self, n: int, seed: int, label: str | None = None, first: int = 0) -> Tensor | None:
        """(n,) the class of each sample: the one asked for, or as the data has them; None without classes."""
        classes = self.spec.classes
        if classes == 0:
            if label is not None:
                raise ConfigError(f"--label {label!r} was given, but this run has no labels; leave it out")
            return None
        if label is not None:
            if label not in self.labels:
                raise ConfigError(f"{label!r} is no label of this run{nearest(label, self.labels)}")
            return torch.full((n,), self.labels.index(label))
        shares = torch.tensor(self.label_shares or [1.0] * classes, dtype=torch.float64).cumsum(0)
        u = rng.Moment(seed, 0, phase="sample", first=first).uniform("label", (n,)).double()
        return torch.searchsorted(shares / shares[-1], u, right=True).clamp_(max=classes - 1)

    def _last(self, ask: Ask, seed: int, stop: str | None) -> Tensor:
        last: Tensor | None = None
        for number, draft in enumerate(self.family.draw(ask, seed)):
            last = draft
            if (
                stop is not None
                and number % 16 == 15
                and all(stop in str(t) for t in self.modality.decode(draft.cpu()))
            ):
                break
        if last is None:
            raise RunError("the family drew nothing; train the run again")
        return last.cpu()

    def score(self, data: str | Path, *, limit: float | None = None) -> dict[str, Any]:
        """Bits per character (residue, dimension) of other data under the model; context carries across a document.

        limit: about how many units to score, taken evenly (None: all). `bound` says whether the bits are exact, `skipped`
        how many items were refused, `notes` which and why. Raises ConfigError where the run has no likelihood."""
        from anew.work import scored  # work builds on this module

        return scored(self, str(data), limit)

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
        name = model.config["family"]["name"]
        raise ConfigError(f"the family {name!r} has no likelihood, so data cannot be scored; score a run of vae")


def _bits(family: Family, batch: Any, part: str | None) -> Tensor | None:
    alone = family.bits_by_part(batch) if part is not None else {}
    return alone[part] if part in alone else family.bits(batch)


def load_weights(family: Family, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a family; names, shapes and kinds are checked first, RunError where they do not fit."""
    family.size_state({name: tensor.shape for name, tensor in weights.items()})
    wanted = family.state_dict()
    odd = sorted(set(wanted) ^ set(weights))
    odd += [n for n in wanted if n in weights and wanted[n].shape != weights[n].shape]
    odd += [n for n in wanted if n in weights and wanted[n].dtype != weights[n].dtype]
    if odd:
        raise RunError(f"the weights in {str(path)!r} do not fit config.json ({odd[0]}); restore both from one run")
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not math.isfinite(float(tensor.float().abs().sum())):
            raise RunError(
                f"the weights in {str(path)!r} hold values that are not finite ({name}); restore it or train again"
            )
    family.load_state_dict(dict(weights))


def load_modality(data: Mapping[str, Any], folder: Path) -> Modality:
    """The fitted modality that a run's config describes."""
    kind = find("data", data["modality"])
    modality: Modality = kind(cfg.from_json(kind.Config, data["config"]))
    modality.restore(data["learned"], folder)
    return modality


def _check_n(n: int) -> None:
    if not isinstance(n, int) or not 1 <= n <= MOST:
        raise ConfigError(f"n={n!r} is out of range; give 1 to {MOST:,}")


def _cut(text: str, stop: str, prompt: str | None) -> str:
    at = text.find(stop, len(prompt or ""))
    return text if at < 0 else text[:at]


__all__ = ["AT_ONCE", "Model", "Samples", "load_modality", "load_weights"]
