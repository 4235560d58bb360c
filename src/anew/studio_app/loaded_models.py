"""Models in memory for the page Play: those that were used last, each in its own thread and with the current weights."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core.files import change_stamp
from anew.errors import UserError
from anew.runs.folder import RunFolder
from anew.runs.weights import weights_path
from anew.sampling.model import Model
from anew.sampling.samples import Samples
from anew.server.errors import ApiError
from anew.server.limits import Limits
from anew.server.worker import ModelWorker
from anew.studio_app import run_summary
from anew.studio_app.watcher import Signature

if TYPE_CHECKING:
    from torch import Tensor

MAX_LOADED = 3  # models that stay in memory; chosen
MAX_SAMPLE_SETS = 12  # sets of samples of each model that stay in memory, as pages may still ask for them; chosen
CHANGED = "the weights of this run have just been changed or deleted; try again"
UNLOADED = f"the Studio keeps {MAX_LOADED} models in memory, and others have been used meanwhile; try again"
LIMITS = Limits(queue=16, idle_seconds=300.0, stop_seconds=2.0)


@dataclass(slots=True)
class LoadedModel:
    """A model and its samples.

    Attributes:
        run: Folder of its run.
        stamp: Signature of its weights when it was loaded.
        worker: Its thread.
        cache: Results that several requests need, by name.
    """

    run: Path
    stamp: Signature
    worker: ModelWorker
    cache: dict[str, object] = field(default_factory=dict)
    _samples: OrderedDict[str, Samples] = field(default_factory=OrderedDict)
    _values: dict[str, Tensor] = field(default_factory=dict)
    # The last model with earlier weights, by the model with the newest weights, with which it leaves memory.
    _earlier: weakref.WeakKeyDictionary[Model, tuple[int, Model]] = field(default_factory=weakref.WeakKeyDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, samples: Samples, values: Tensor | None = None) -> str:
        """Keep samples, and their values in the model (n, *shape) if given, for later requests. Returns their name."""
        with self._lock:
            # Random: pages may ask by a name from before the model was loaded again, which must not mean other samples
            name = f"samples-{secrets.token_hex(6)}"
            self._samples[name] = samples
            if values is not None:
                self._values[name] = values
            while len(self._samples) > MAX_SAMPLE_SETS:
                self._values.pop(self._samples.popitem(last=False)[0], None)
            return name

    def model_at(self, model: Model, step: int | None) -> Model:
        """The model with the weights that were kept at a step; for None `model`, which has the newest. Called in the model's thread."""
        if step is None:
            return model
        earlier = self._earlier.get(model)
        if earlier is None or earlier[0] != step:
            self._earlier.pop(model, None)  # two models at a time, not three
            earlier = self._earlier[model] = (step, Model(RunFolder.open(self.run), "auto", step=step))
        return earlier[1]

    def values(self, name: str) -> Tensor | None:
        """(n, *shape) values of samples in the model; None if they were not kept."""
        with self._lock:
            return self._values.get(name)

    def samples(self, name: str, index: int = 0) -> Samples:
        """Samples by their name. index: one that they must have.

        Raises:
            ApiError: 404 they are no longer in memory.
        """
        with self._lock:
            samples = self._samples.get(name)
        if samples is None or not 0 <= index < len(samples):
            raise ApiError(404, "these samples are no longer in memory; generate them again with the same seed")
        return samples


class LoadedModels:
    """The models in memory. Thread-safe."""

    def __init__(self) -> None:
        self._models: OrderedDict[Path, LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, run: Path) -> LoadedModel:
        """The model of a run with its current weights, which are loaded at the first task."""
        stamp = _weights_stamp(run)
        ended: list[tuple[LoadedModel, str]] = []
        with self._lock:
            loaded = self._models.pop(run, None)
            if loaded is not None and loaded.stamp != stamp:
                ended.append((loaded, CHANGED))
                loaded = None
            if loaded is None:
                loaded = LoadedModel(run, stamp, ModelWorker(run.name, lambda: _load(run), LIMITS))
            self._models[run] = loaded
            while len(self._models) > MAX_LOADED:
                ended.append((self._models.popitem(last=False)[1], UNLOADED))
        for old, reason in ended:
            threading.Thread(target=old.worker.stop, args=(reason,), daemon=True).start()
        return loaded

    def stop(self) -> None:
        """End all threads."""
        with self._lock:
            loaded_models = list(self._models.values())
            self._models.clear()
        for loaded in loaded_models:
            loaded.worker.stop()


def _load(run: Path) -> Model:
    if run_summary.has_own_code(run_summary.read_record(run)):
        raise ApiError(400, run_summary.refused_code(run))
    try:
        return Model(RunFolder.open(run), "auto")
    except UserError as error:  # the user may read why
        raise ApiError(400, str(error)) from None


def _weights_stamp(run: Path) -> Signature:
    """A signature that changes with the weights of a run, or while it trains with its checkpoints."""
    values: list[object] = []
    for path in (weights_path(run), run / "checkpoints"):
        try:
            values.append(change_stamp(path.stat()))
        except OSError:
            values.append(None)
    return tuple(values)
