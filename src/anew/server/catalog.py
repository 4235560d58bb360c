"""The runs that a server offers, by name. The facts for checking a request stay in memory when a model is unloaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core.specs import Grid, Spec, Tokens
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.errors import ConfigError, RunError, command, did_you_mean
from anew.families.base import SamplesTokens, num_parameters
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG
from anew.sampling.class_mixture import log_shares
from anew.sampling.model import Model
from anew.sampling.scoring import has_likelihood
from anew.server.answer_schemas import Architecture, ModelDetails, ServedModel
from anew.server.errors import ApiError
from anew.server.limits import MAX_ROWS, ROW_VALUES, Limits
from anew.server.worker import ModelWorker


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One served run.

    Attributes:
        name: Name of the model.
        created: Seconds since 1970.
        family: Name of its family.
        modality: Modality of its items, as before any codec.
        spec: Spec of an item, as before any codec.
        labels: Names of its classes.
        sampling: Class of its sampling settings.
        num_parameters: Number of parameters of its family.
        num_bytes: Size of its weights.
        continues_text: Whether it continues texts.
        follows_keys: Whether samples of different seeds can be drawn as one batch.
        fills_in: Whether it can keep given pixels.
        has_likelihood: Whether items have a likelihood.
        mixed_classes: Number of classes under all of which an item is scored; 0 if its class changes nothing.
        max_rows: Largest number of samples in a batch.
        worker: Its thread.
    """

    name: str
    created: int
    family: str
    modality: Modality
    spec: Spec
    labels: tuple[str, ...]
    sampling: type
    num_parameters: int
    num_bytes: int
    continues_text: bool
    follows_keys: bool
    fills_in: bool
    has_likelihood: bool
    mixed_classes: int
    max_rows: int
    worker: ModelWorker

    @property
    def output(self) -> str:
        """What the model generates: "text", or the modality of a grid."""
        return "text" if isinstance(self.spec, Tokens) else self.modality.name

    def to_answer(self) -> ServedModel:
        """The model's entry in `/v1/models`, with the fields of OpenAI and of llama.cpp."""
        meta = ModelDetails(
            modality=self.modality.name,
            family=self.family,
            n_params=self.num_parameters,
            size=self.num_bytes,
            labels=list(self.labels),
            fills_in=self.fills_in,
            has_likelihood=self.has_likelihood,
            loaded=self.worker.is_loaded,
        )
        if isinstance(self.spec, Tokens):
            meta.n_vocab, meta.n_ctx_train = self.spec.vocab, self.spec.length
        if isinstance(self.spec, Grid):
            meta.shape, meta.axes = list(self.spec.shape), self.spec.axes
        return ServedModel(
            id=self.name,
            object="model",
            created=self.created,
            owned_by="anew",
            architecture=Architecture(input_modalities=[self.output], output_modalities=[self.output]),
            meta=meta,
        )


class Catalog:
    """All runs of a server. Each is loaded once, so that damaged runs are reported before the server starts.

    Args:
        runs: Their folders.
        device: As in `anew.load`.
        trust_code: As in `anew.load`.
        limits: Limits of the server.

    Raises:
        ConfigError: Two folders have the same name.
        RunError: A run is damaged or not finished.
    """

    def __init__(self, runs: Sequence[Path], device: str, trust_code: bool, limits: Limits) -> None:
        folders = {}
        for run in runs:
            name = run.resolve().name
            if name in folders:
                raise ConfigError(
                    f"two of `runs` are called {name!r}, and requests choose a model by this name; rename one folder"
                )
            folders[name] = _open_finished(run)
        self._entries: dict[str, CatalogEntry] = {}
        for name, folder in folders.items():
            self._entries[name] = _entry(name, folder, device, trust_code, limits)

    @property
    def entries(self) -> list[CatalogEntry]:
        """All models, in the order in which they were given."""
        return list(self._entries.values())

    def entry(self, name: str) -> CatalogEntry:
        """The model of this name; ApiError 404 if there is none."""
        if name not in self._entries:
            message = f"unknown model {name[:60]!r}{did_you_mean(name[:60], self._entries)}"
            raise ApiError(404, message, param="model", code="model_not_found")
        return self._entries[name]

    def text_entry(self, name: str) -> CatalogEntry:
        """The model of this name; ApiError 404 if there is none, 400 if it does not continue texts."""
        entry = self.entry(name)
        if not entry.continues_text:
            message = f"the model {name!r} ({entry.family}) generates {entry.modality.traits.plural}, and does not continue text"
            raise ApiError(400, message, param="model")
        return entry

    def item_entry(self, name: str, output: str) -> CatalogEntry:
        """The model of this name; ApiError 404 if there is none, 400 if it does not generate `output`."""
        entry = self.entry(name)
        if entry.output != output:
            message = f"the model {name!r} generates {entry.modality.traits.plural}, which have another path; see /docs"
            raise ApiError(400, message, param="model")
        return entry

    def names_for(self, capability: str = "") -> list[str]:
        """Names of the models that have a capability, or of all.

        capability: a modality: generates it; "text": continues texts; "edits": fills in images; "scores": scores items.
        """
        offers: dict[str, Callable[[CatalogEntry], bool]] = {
            "": lambda entry: True,
            "text": lambda entry: entry.continues_text,
            "edits": lambda entry: entry.output == "image" and entry.fills_in,
            "scores": lambda entry: entry.has_likelihood,
        }
        is_offered = offers.get(capability)
        return [e.name for e in self.entries if (e.output == capability if is_offered is None else is_offered(e))]

    def counts(self) -> list[tuple[str, int, int, bool]]:
        """Name, running and waiting tasks of each model, and whether it is in memory."""
        return [(entry.name, *entry.worker.counts(), entry.worker.is_loaded) for entry in self.entries]

    def stop(self) -> None:
        """End all threads."""
        # All are told before any is waited for, so that the waits overlap.
        for entry in self.entries:
            entry.worker.request_stop()
        for entry in self.entries:
            entry.worker.stop()


def _open_finished(run: Path) -> RunFolder:
    folder = RunFolder.open(run)
    if folder.record().status == "training":
        raise RunError(f"the run {str(run)!r} is not finished; run `{command('anew', 'resume', run)}` first")
    return folder


def _max_rows(spec: Spec) -> int:
    """Largest number of samples in a batch: fewer where each is large."""
    return MAX_ROWS if isinstance(spec, Tokens) else min(MAX_ROWS, max(1, ROW_VALUES // math.prod(spec.shape)))


def _entry(name: str, folder: RunFolder, device: str, trust_code: bool, limits: Limits) -> CatalogEntry:
    def load() -> Model:
        return Model(folder, device, trust_code=trust_code)

    model = load()
    tensors = list(model.family.state_dict().values())
    is_text = model.codec is None and isinstance(model.item_modality, Text)
    return CatalogEntry(
        name=name,
        created=int((folder.path / CONFIG).stat().st_mtime),
        family=model.family_name,
        modality=model.item_modality,
        spec=model.item_spec,
        labels=tuple(model.labels),
        sampling=type(model.family).Sampling,
        num_parameters=num_parameters(model.family),
        num_bytes=sum(tensor.nbytes for tensor in tensors),
        continues_text=is_text and isinstance(model.family, SamplesTokens),
        follows_keys=model.family.follows_keys,
        fills_in=model.fills_in,
        has_likelihood=has_likelihood(model),
        mixed_classes=len(log_shares(model)),
        max_rows=_max_rows(model.item_spec),
        worker=ModelWorker(name, load, limits, model),
    )
