"""The codec stage: train a codec first, so that the family can work on its latents; both share one budget.

This first stage is an ordinary run in the folder `codec/` of the run, so that it survives a kill. At its end the weights
become `codec.safetensors`, the description goes into config.json, and the folder is removed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from anew.core import settings as cfg
from anew.data.dataset import Dataset
from anew.data.latent_dataset import LatentDataset
from anew.families.base import Family
from anew.planning.budget import training_seconds
from anew.planning.context import TrainingTask
from anew.planning.family_choice import FamilyChoice, check_settings, choose_family, family_by_name, train_config_of
from anew.planning.replay import replayed_run
from anew.planning.train_config import TrainConfig
from anew.runs import events
from anew.runs.folder import RunFolder
from anew.runs.paths import CODEC_WEIGHTS
from anew.runs.record import CodecRecord, Request, RunRecord
from anew.runs.tensors import write_tensors
from anew.runs.weights import read_weights
from anew.sampling.restore import as_codec, restore_codec
from anew.workflows.fit import fit, prepare
from anew.workflows.job import begin_job, latest_checkpoint, reopen_job
from anew.workflows.run_copy import is_begun, share_record, share_trained

STAGE = "codec"
# The second stage trains for at least this long: a codec that took longer than planned must not have been trained in vain.
MINIMUM_SECONDS = 1.0
# Settings that apply to the second stage only, or that the first stage sets itself.
NOT_FOR_CODEC = {
    "model_size",
    "train_seconds",
    "previews",
    "evaluate_samples",
    "space",
    "tensorboard",
    "parallel",
    "recompute",
    "compile",
}
# Settings that each family has as its own and that mean both stages: who asks for fp32 means all that is learned.
FOR_BOTH = {"precision"}


@dataclass(frozen=True)
class CodecStage:
    """Result of the first stage, for the second.

    Attributes:
        task: The second stage, on latents or codes; its `train_seconds` are what the first stage left.
        codec: Record of the codec in config.json.
    """

    task: TrainingTask[LatentDataset]
    codec: CodecRecord


def run_codec_stage(
    folder: RunFolder, task: TrainingTask[Dataset], generator: FamilyChoice, codec_name: str
) -> CodecStage:
    """The data as encoded by a codec: that of the run that is replayed, or else one that is trained now.

    Args:
        folder: The run; the codec's weights are written into it.
        task: The whole training, on the data that the codec learns from.
        generator: The family that will work on its latents.
        codec_name: The family of the codec.

    Raises:
        KeyboardInterrupt: The stage was stopped; its state is saved.
    """
    plan_from, train_config = task.request.plan_from, task.train_config
    if plan_from is not None:
        source_run = replayed_run(plan_from)
        record = source_run.record()
        codec, description = restore_codec(record, source_run.path, task.context.world.device), record.codec
        assert description is not None, "restore_codec() refuses a run without a codec"
    else:
        request = _stage_request(task, generator.family_class, codec_name)
        stage = TrainingTask(request, train_config_of(request), task.context, task.data)
        codec, description = _learn(RunFolder(folder.path / STAGE), stage, codec_name)
    write_tensors(folder.path / CODEC_WEIGHTS, {name: t.cpu() for name, t in codec.state_dict().items()})
    if train_config.train_seconds:
        share = family_by_name(codec_name).codec_time_share
        remaining = train_config.train_seconds - share * train_config.train_seconds
        train_config = replace(train_config, train_seconds=remaining)
    latents = LatentDataset(task.data, as_codec(codec, folder.path))
    return CodecStage(TrainingTask(task.request, train_config, task.context, latents), description)


def clear(folder: RunFolder) -> None:
    """Remove the first stage's own run: its result is part of the run now."""
    shutil.rmtree(folder.path / STAGE, ignore_errors=True)


def _learn(folder: RunFolder, task: TrainingTask[Dataset], name: str) -> tuple[Family, CodecRecord]:
    """Train the codec as a run of its own, or resume that run."""
    context, data = task.context, task.data
    was_begun = is_begun(context.world, folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    choice = choose_family(data.spec, name, as_codec=True)
    if was_begun:
        job = reopen_job(folder, share_record(context.world, folder), choice.family_class, context, data)
        checkpoint = latest_checkpoint(job)
    else:
        context.reporter.message(
            f"stage 1 of 2: training a codec ({name}), which compresses {data.modality.traits.plural} into latents"
        )
        check_settings(task.request, data, choice, codec=None)
        job = begin_job(folder, task, choice)
        checkpoint = None
    if job.record.status == "training":
        prepare(job, checkpoint)
        if fit(job, checkpoint, generates=False) == "interrupted":
            raise KeyboardInterrupt
    if job.record.status != "training":  # it was learned by an earlier process
        share_trained(context.world, folder)
    codec = job.rebuilt(read_weights(folder.path))
    family = CodecRecord.CodecFamily(name=name, config=job.record.family.config)
    seconds = events.last_step(folder.path).get("seconds")
    return codec, CodecRecord(family=family, spec=data.spec, plan=job.plan, seconds=seconds)


def _stage_request(task: TrainingTask[Dataset], generator: type[Family], codec_name: str) -> Request:
    """The request of the first stage: with its share of the time, or as many steps as the second stage."""
    request = task.request
    codec_class = family_by_name(codec_name)
    settings = {f"{codec_name}.{name}": str(value) for name, value in (codec_class.codec_config or {}).items()}
    settings |= {
        name: value
        for name, value in request.settings.items()
        if _concerns_stage(name, codec_name, task.data.modality.name, generator)
    }
    settings |= {"train.space": "pixel", "train.previews": "0"}
    seconds = training_seconds(request, task.train_config, task.context)
    if seconds is not None:
        settings["train.train_seconds"] = str(codec_class.codec_time_share * seconds)
    return replace(request, budget=None, family=codec_name, settings=settings)


def _concerns_stage(setting: str, codec_name: str, modality: str, generator: type[Family]) -> bool:
    """Whether a setting of the user applies to the codec: a setting of its own, of the data, or of training in general."""
    owner, _, name = setting.rpartition(".")
    if name in NOT_FOR_CODEC:
        return False
    if owner:
        return owner in (codec_name, "train", modality)
    if name not in cfg.settings_of(family_by_name(codec_name).Config):
        return name in cfg.settings_of(TrainConfig)
    return name in FOR_BOTH or name not in cfg.settings_of(generator.Config)


def family_data(record: RunRecord, folder: Path, data: Dataset, device: torch.device) -> Dataset:
    """The data of a saved run as its family sees it: items, or the latents of its codec."""
    if record.codec is None:
        return data
    return LatentDataset(data, as_codec(restore_codec(record, folder, device), folder))
