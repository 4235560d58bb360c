"""Where a family works: on the data itself, or on the latents of a codec that is learned first, inside the same budget.

The first stage is an ordinary run in the folder `codec/` of the run, so that a kill loses nothing of it. Once it is over
its weights are `codec.safetensors` and its description is in config.json; the folder goes.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from anew.core import settings as cfg
from anew.core.registry import load
from anew.core.specs import Grid
from anew.data.dataset import Dataset
from anew.data.latent_dataset import EncodedDataset
from anew.errors import ConfigError, RunError
from anew.families.base import Codec, Family
from anew.planning.budget import TrainConfig
from anew.planning.planner import codecs_for
from anew.runs.folder import CONFIG, RunFolder
from anew.runs.record import CodecRecord, RunRecord
from anew.runs.tensors import read_tensors, write_tensors
from anew.sampling.restore import CODEC_WEIGHTS, WEIGHTS, restored_family

if TYPE_CHECKING:
    from anew.workflows.job import Job

STAGE = "codec"
NOT_OF_A_STAGE = {"dial", "train_seconds", "previews", "evaluate_samples", "space", "tensorboard"}


def codec_of(job: Job, name: str) -> str | None:
    """The family of the codec whose latents the job's family works on; None: it works on the data itself. ConfigError where
    a space was asked for that cannot be. A family that does not take the data as it is works on what a codec makes of it."""
    spec, kind, wanted = job.data.spec, job.kind, job.train_config.space
    able, direct = codecs_for(spec, kind), kind.supports(spec)
    if wanted == "pixel" and not direct:
        raise ConfigError(f"space=pixel does not fit: the family {name!r} takes codes alone; leave it out")
    if wanted == "latent" and not able:
        raise ConfigError(f"space=latent does not fit: {_not_latent(job.data, name, kind)}; leave it out")
    if wanted == "latent" or not direct:
        return able[0]
    return able[0] if wanted == "auto" and able and _latents_win(job) else None


def _latents_win(job: Job) -> bool:
    """What `auto` means where both spaces can be: as in the run that is replayed, else as the family knows itself."""
    if job.request.plan_from is not None:
        return RunFolder.open(Path(job.request.plan_from)).record().codec is not None
    return job.kind.better_on_latents(job.data.spec, job.planner.scale(job.planner.seconds_to_train()))


def _not_latent(data: Any, name: str, kind: type[Family]) -> str:
    """Why the family cannot work on latents of this data, one clause."""
    if not isinstance(data.spec, Grid):
        return "this data is discrete"
    if kind.codec_config is not None:
        return f"the family {name!r} has latents of its own"
    return f"no codec makes what {name!r} takes of {data.modality.many()}"


def encoded(job: Job, name: str) -> EncodedDataset:
    """The job's data through a codec: the one of the run, the one of the run that is replayed, or one that is learned now."""
    if job.request.plan_from is not None:
        other = RunFolder.open(Path(job.request.plan_from))
        record = other.record()
        codec, described = restored(record, other.path, job.world.device), record.codec
    else:
        codec, described = _learned(job, name, load("families", name))
    job.codec = described
    job.planner.least = 1.0  # a codec that took longer than planned shall not have been for nothing
    if job.world.is_main:
        write_tensors(job.folder.path / CODEC_WEIGHTS, {n: t.cpu() for n, t in codec.state_dict().items()})
    return EncodedDataset(job.data, codec)  # type: ignore[arg-type]


def restored(record: RunRecord, folder: Path, device: torch.device) -> Family:
    """The codec of a run; RunError where its files do not fit."""
    described = record.codec
    if described is None:
        raise RunError(f"{str(folder)!r} has no codec: its family works on the data itself")
    kind: type[Family] = load("families", described.family.name)
    codec = restored_family(described.family, described.spec, kind, folder / CODEC_WEIGHTS, device)
    if not isinstance(codec, Codec) or kind.codec_config is None:
        raise RunError(f"{str(folder / CONFIG)!r} was edited: {described.family.name} is not a codec; restore it")
    return codec


def clear(folder: RunFolder) -> None:
    """The first stage's own run is no longer needed: its outcome is in the run."""
    shutil.rmtree(folder.path / STAGE, ignore_errors=True)


def _learned(job: Job, name: str, kind: type[Family]) -> tuple[Family, CodecRecord]:
    from anew.workflows.job import Job

    stage = Job(RunFolder(job.folder.path / STAGE), _request(job, name, kind), job.reporter, job.started)
    begun = (stage.folder.path / CONFIG).exists()
    job.world.barrier()
    state = None
    if begun:
        stage.reopen(kind, data=job.data)
        state, notes = stage.folder.latest()
        for note in notes:
            job.reporter.message(note)
    else:
        job.reporter.message(f"first a codec ({name}), on whose latents the generator then works")
        stage.folder.path.mkdir(parents=True, exist_ok=True)
        stage.begin(data=job.data)
    if stage.record.status == "training" and stage.train([], state) == "interrupted":
        raise KeyboardInterrupt
    whole = stage.rebuilt(read_tensors(stage.folder.path / WEIGHTS))
    family = CodecRecord.Family(name=name, config=stage.record.family.config)
    return whole, CodecRecord(family=family, spec=job.data.spec, plan=stage.record.plan)


def _request(job: Job, name: str, kind: type[Family]) -> Any:
    """What is asked of the first stage: its share of the time, or as many steps as the second."""
    request, settings = job.request, dict(kind.codec_config or {})
    given = {f"{name}.{key}": str(value) for key, value in settings.items()}
    own = {name: kind.Config, "train": TrainConfig, job.data.modality.name: type(job.data.modality).Config}
    for key, value in request.settings.items():
        owner, _, knob = key.rpartition(".")
        alone = knob in cfg.knobs(kind.Config) and knob not in cfg.knobs(job.kind.Config)
        fits = owner in own or (not owner and (knob in cfg.knobs(TrainConfig) or alone))
        if fits and knob not in NOT_OF_A_STAGE:
            given[key] = value
    given |= {"train.space": "pixel", "train.previews": "0"}
    seconds = job.planner.seconds_to_train()
    if seconds is not None:
        given["train.train_seconds"] = str(kind.codec_time_share * seconds)
    return dataclasses.replace(request, budget=None, family=name, settings=given)


def shorter(job: Job) -> None:
    """What is left for the second stage where training time itself was asked for."""
    seconds = job.train_config.train_seconds
    if seconds:
        spent = load("families", str(job.planner.codec)).codec_share * seconds
        left = dataclasses.replace(job.train_config, train_seconds=seconds - spent)
        job.train_config = job.planner.train_config = left


def reopened(record: RunRecord, folder: Path, data: Dataset, device: torch.device) -> Any:
    """The data of a saved run as its family sees it."""
    return data if record.codec is None else EncodedDataset(data, restored(record, folder, device))  # type: ignore[arg-type]
