"""What a run says, made into objects: its family, its weights. Code in a run runs only where it is trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from anew.core import files
from anew.core import settings as cfg
from anew.core.memory import parameters_within
from anew.core.registry import load, load_user_family
from anew.core.specs import Spec
from anew.errors import RunError, restoring
from anew.families.base import Family
from anew.runs.folder import CONFIG, OWN_FAMILY
from anew.runs.record import CodecRecord, FamilyRecord
from anew.runs.tensors import read_tensors

WEIGHTS, CODEC_WEIGHTS = "model.safetensors", "codec.safetensors"
CODE_BYTES = 16 * 2**20  # of family.py, at most


def family_of(name: str | None, folder: Path, trust_code: bool) -> type[Family]:
    """The family class of a run. One of its own is code in the run folder, which runs only where it is trusted."""
    if name != OWN_FAMILY:
        kind: type[Family] = load("families", str(name))
        return kind
    path = folder / OWN_FAMILY
    if not trust_code:
        raise RunError(f"the family of this run is code ({path}); read it, then give `trust_code` to run it")
    files.check_regular(path, CODE_BYTES)
    own: type[Family] = load_user_family(path)
    return own


def own_family(name: str | None, folder: Path, trust_code: bool) -> type[Family] | None:
    """The class behind `family.py`; None where the run has a family of ours."""
    return family_of(name, folder, trust_code) if name == OWN_FAMILY else None


def restored_family(
    record: FamilyRecord | CodecRecord.Family, spec: Spec, kind: type[Family], weights: Path, device: torch.device
) -> Family:
    """A family as a run holds it, ready to sample; RunError where its files do not fit."""
    tensors = read_tensors(weights)
    with restoring(weights.parent / CONFIG):
        if not kind.supports(spec):
            raise RunError(
                f"{str(weights.parent / CONFIG)!r} was edited: {record.name} does not take such data; restore it"
            )
        # Twice the weights: parts may be made and then replaced. A stranger's settings may ask for any number of layers.
        with parameters_within(2 * sum(tensor.nbytes for tensor in tensors.values())):
            family = kind(spec, cfg.from_json(kind.Config, record.config))
    load_weights(family, tensors, weights)
    return family.to(device).eval()


def load_weights(family: Family, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a family; names, shapes and kinds are checked first, RunError where they do not fit."""
    with restoring(path):
        family.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})
    wanted = family.state_dict()
    odd = sorted(set(wanted) ^ set(weights))
    odd += [n for n in wanted if n in weights and wanted[n].shape != weights[n].shape]
    odd += [n for n in wanted if n in weights and wanted[n].dtype != weights[n].dtype]
    if odd:
        raise RunError(
            f"the weights in {str(path)!r} do not fit config.json ({odd[0]}): they are of another run or an older "
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
