"""Restore the family, codec, modality and weights of a run as objects. Code in a run is executed only if it is trusted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from anew.core import files
from anew.core import settings as cfg
from anew.core.machine.device import to_device
from anew.core.machine.memory import parameters_within
from anew.core.specs import Codec, Spec
from anew.data.find_data import restore_item_modality
from anew.data.latent_dataset import LatentModality
from anew.data.modality import Modality
from anew.errors import RunError, command, restoring
from anew.families.base import Family, load_family, load_family_file
from anew.runs import snapshots
from anew.runs.folder import RunFolder
from anew.runs.paths import CODEC_WEIGHTS, CONFIG, OWN_FAMILY
from anew.runs.record import CodecRecord, FamilyRecord, RunRecord, Status
from anew.runs.shards import whole
from anew.runs.state import Checkpoint
from anew.runs.tensors import read_tensors
from anew.runs.weights import read_weights, weights_path

CODE_BYTES = 16 * 2**20  # largest family.py that is read: no program of one file is as long


def load_family_class(name: str | None, folder: Path, trust_code: bool) -> type[Family]:
    """The family class of a run. If it is code in the run folder, that runs only if it is trusted."""
    path = trusted_family_file(name, folder, trust_code)
    return load_family(str(name)) if path is None else load_family_file(path)


def trusted_family_file(name: str | None, folder: Path, trust_code: bool) -> Path | None:
    """The path of the trusted `family.py` of a run; None for a built-in family.

    Raises:
        RunError: The user does not trust the code.
    """
    if name != OWN_FAMILY:
        return None
    path = folder / OWN_FAMILY
    if not trust_code:
        raise RunError(f"the family of this run is code ({path}); read it, then give `trust_code` to run it")
    files.check_regular(path, CODE_BYTES)
    return path


def restore_family(
    record: FamilyRecord | CodecRecord.CodecFamily,
    spec: Spec,
    owner: type[Family],
    weights: Mapping[str, Tensor],
    path: Path,
    device: torch.device,
) -> Family:
    """Restore a family from a run, ready to sample.

    Args:
        spec: Spec of what it generates.
        path: The file that the weights are from, for error messages.

    Raises:
        RunError: The files of the run do not fit together.
    """
    config = path.parent / CONFIG
    with restoring(config):
        if not owner.supports(spec):
            raise RunError(f"{str(config)!r} was edited: {record.name} does not take such data; restore it")
        # A stranger's settings may ask for any size. Twice the weights, as parts may be made and then replaced.
        with parameters_within(2 * sum(tensor.nbytes for tensor in weights.values())):
            family = owner(spec, cfg.from_json(owner.Config, record.config))
    load_weights(family, weights, path)
    return to_device(family, device).eval()


def restore_codec(record: RunRecord, folder: Path, device: torch.device) -> Family:
    """Restore the codec of a run. Raises RunError if it has none, or its files do not fit together."""
    codec_record = record.codec
    if codec_record is None:
        raise RunError(f"{str(folder)!r} has no codec: its family works on the data itself")
    owner = load_family(codec_record.family.name)
    path = folder / CODEC_WEIGHTS
    return restore_family(codec_record.family, codec_record.spec, owner, read_tensors(path), path, device)


def as_codec(family: Family, folder: Path) -> Codec:
    """The family as a codec. Raises RunError if it is not one, which means that the run in the folder was edited."""
    if family.codec_config is None or not isinstance(family, Codec):
        raise RunError(f"{str(folder / CONFIG)!r} was edited: its codec's family is not a codec; restore it")
    return family


def restore_modality(record: RunRecord, folder: Path, device: torch.device) -> Modality:
    """Restore the modality as the family sees it: through the codec of the run, if it has one."""
    plain = restore_item_modality(record.data, folder)
    modality: Modality = plain
    if record.codec is not None:
        modality = LatentModality(plain, as_codec(restore_codec(record, folder, device), folder))
    if modality.spec != record.spec or (record.codec is not None and record.codec.spec != plain.spec):
        raise RunError(f"{str(folder / CONFIG)!r} was edited: what it says of the data does not fit; restore it")
    return modality


class NewestWeights(NamedTuple):
    """The weights to sample from.

    Attributes:
        state: The tensors by name, as `Family.load_state_dict` takes them.
        path: The file that they were read from.
        checkpoint_step: The step of the checkpoint that they are from; None if they are the final ones.
        notes: Sentences for the user on checkpoints: why one is used, and which are damaged.
    """

    state: dict[str, Tensor]
    path: Path
    checkpoint_step: int | None = None
    notes: Sequence[str] = ()


def newest_weights(run: RunFolder, status: Status) -> NewestWeights:
    """The weights to sample from: those of a finished training, else of the newest checkpoint.

    Raises:
        RunError: There is no checkpoint yet, or all files are damaged.
    """
    path = weights_path(run.path)
    if path.exists() or path.is_symlink():
        return NewestWeights(read_weights(run.path), path)
    checkpoint, notes = run.latest()
    if checkpoint is None:
        mend = "restore it or train again"
        if status == "training":
            mend = f"the run is not finished; run `{command('anew', 'resume', run.path)}`"
        raise RunError(f"{str(path)!r} is missing and there is no whole checkpoint: {mend}")
    step = int(checkpoint["meta"]["step"])
    if status == "training":
        resume = command("anew", "resume", run.path)
        notes.append(f"Training is not finished; these are the weights of step {step:,}: `{resume}` finishes it.")
    else:
        notes.append(
            f"{str(path)!r} is missing though training is finished: restore it. "
            f"These are the weights of step {step:,}, the newest checkpoint, without what was chosen and fitted after training."
        )
    checkpoint = whole(checkpoint)
    weights = checkpoint_weights(checkpoint)
    averaged = {n.removeprefix("average/") for n in checkpoint["tensors"] if n.startswith("average/")}
    return NewestWeights(weights | _fitted_so_far(run.path, weights, averaged), path, step, notes)


def checkpoint_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The state of the family in a whole checkpoint, with averages in place of weights, as in `Trainer.weights`."""
    weights: dict[str, Tensor] = {}
    for part in ("weights/", "average/"):
        weights |= {n.removeprefix(part): t for n, t in checkpoint["tensors"].items() if n.startswith(part)}
    return weights


def _fitted_so_far(run: Path, weights: Mapping[str, Tensor], averaged: Collection[str]) -> dict[str, Tensor]:
    """Parts that are fitted only at the end of a training (the prior of a VAE), as they were fitted for the newest snapshot.

    It is what the snapshot has besides averaged weights. Without a snapshot, samples come from an unfitted prior.
    """
    saved = snapshots.snapshots(run) if averaged else []
    if not saved:
        return {}
    try:
        newest = snapshots.read(run, saved[-1].step)
    except RunError:  # it is only an improvement
        return {}
    fitted = {name: tensor for name, tensor in newest.items() if name in weights and name not in averaged}
    return {n: t.to(weights[n].dtype) for n, t in fitted.items() if t.shape == weights[n].shape}


def earlier_weights(run: Path, step: int, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Path]:
    """The weights of a snapshot; what it does not contain (counts, measurements) is taken from `weights`.

    Raises:
        RunError: The snapshot is missing, damaged, or of another model.
    """
    path = snapshots.WEIGHTS.path(run, step)
    earlier = snapshots.read(run, step)
    for name, tensor in earlier.items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise RunError(f"the weights in {str(path)!r} do not fit those of this run ({name}); delete this file")
    return {**weights, **{name: tensor.to(weights[name].dtype) for name, tensor in earlier.items()}}, path


def load_weights(family: Family, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a family. Raises RunError if names, shapes or dtypes do not fit, or values are not finite."""
    with restoring(path):
        family.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})
    expected = family.state_dict()
    shared = [name for name in expected if name in weights]
    misfits = sorted(set(expected) ^ set(weights))
    misfits += [name for name in shared if expected[name].shape != weights[name].shape]
    misfits += [name for name in shared if expected[name].dtype != weights[name].dtype]
    if misfits:
        raise RunError(
            f"the weights in {str(path)!r} do not fit config.json ({misfits[0]}): they are of another run or an older "
            "anew; restore both from one run, or train again"
        )
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not math.isfinite(float(tensor.float().abs().sum())):
            raise RunError(
                f"the weights in {str(path)!r} hold values that are not finite ({name}); restore it or train again"
            )
    with restoring(path):
        family.load_state_dict(dict(weights))
        family.check_state()
