"""A folder that samples with NumPy and ONNX Runtime alone: a graph a network, the steps between them, and a program of a page."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from anew.core import files
from anew.core.extras import require
from anew.core.specs import Tokens
from anew.data.formats import pixel_steps
from anew.data.formats.tokenizer import SubWords
from anew.data.modalities.text import Text
from anew.errors import ConfigError
from anew.exporting.base import Target
from anew.exporting.card import json_text, sampler_card
from anew.families import portable
from anew.families.base import Family
from anew.families.portable import Graph, PortableSampler
from anew.sampling.model import Model

FORMAT = 1  # of sampler.json
MOST_BYTES = 2**31 - 1  # of a file of protocol buffers
RUNTIME = Path(__file__).parent / "runtime"


class Onnx(Target):
    """GRAPH.onnx for each network, sampler.json, sample.py and a card."""

    name: ClassVar[str] = "onnx"

    @classmethod
    def check_packages(cls) -> None:
        for module in ("onnx", "onnxscript"):
            require(module, extra="export", purpose="an export to ONNX")

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        sampler = _sampler(model)
        for graph in sampler.graphs:
            files.write(folder / f"{graph.name}.onnx", traced(graph))
        item = _item(model)
        program = {
            "format": FORMAT,
            "labels": {"names": model.labels, "shares": model.label_shares} if model.spec.classes else None,
            "steps": [{**step, **_own_sampling(model, step)} for step in sampler.steps],
            "item": item,
        }
        files.write_text(folder / "sampler.json", json_text(program))
        files.write(folder / "sample.py", (RUNTIME / "sample.py").read_bytes())
        if item["kind"] == "sound":
            files.write(folder / "sound.py", (RUNTIME / "sound.py").read_bytes())
        if item.get("matching"):
            files.write(folder / "pixel_steps.py", Path(pixel_steps.__file__).read_bytes())
        notes = [f"left behind: {clause}" for clause in sampler.left_behind]
        files.write_text(folder / "README.md", sampler_card(model, [graph.name for graph in sampler.graphs], notes))
        return notes


def _sampler(model: Model) -> PortableSampler:
    """The steps up to an item: those of the family, and the codec's."""
    in_fp32(model.family)
    sampler = model.family.portable_sampler()
    codec = model.codec
    if codec is None:
        return sampler
    if not isinstance(codec, Family):
        raise ConfigError("the codec of this run hands out no graph, so the run cannot be exported to onnx")
    in_fp32(codec)
    decoder = codec.portable_decoder()
    last = portable.run(decoder.name, str(sampler.steps[-1]["out"]), out="item")
    return PortableSampler((*sampler.graphs, decoder), (*sampler.steps, last), sampler.left_behind)


def _own_sampling(model: Model, step: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a step that suit the data better than the family's defaults."""
    defaults = model.modality.traits.default_sampling if step["step"] == "tokens" else {}
    return {name: value for name, value in defaults.items() if name in step}


def in_fp32(family: Family) -> None:
    """Let a family compute in fp32, whatever its setting says: other machines may not have the number type of this one."""
    config = family.config
    if is_dataclass(config) and not isinstance(config, type) and "precision" in {f.name for f in fields(config)}:
        family.config = replace(config, precision="fp32")


class _Traced(nn.Module):
    """A function as a module, with the parameters that it uses."""

    def __init__(self, owner: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.owner = owner
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def traced(graph: Graph) -> bytes:
    """The graph as ONNX, checked.

    Raises:
        ConfigError: It cannot be traced, or is too large.
    """
    import onnx

    module = _Traced(graph.owner, graph.function).eval()
    axes = {name: torch.export.Dim(name) for input_name in graph.inputs for name in graph.axes(input_name).values()}
    dynamic = tuple({axis: axes[name] for axis, name in graph.axes(input_name).items()} for input_name in graph.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            # Exported here: `torch.onnx.export` would fall back to a graph of fixed size, and say nothing.
            exported = torch.export.export(
                module, tuple(graph.inputs.values()), dynamic_shapes=(dynamic,), strict=False
            )
            program = torch.onnx.export(
                exported, input_names=list(graph.inputs), output_names=list(graph.outputs), dynamo=True, verbose=False
            )
        except Exception as error:  # whatever a network of any family may run into there
            reason = next((line.strip(" -") for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConfigError(f"the network {graph.name!r} cannot be written as ONNX ({reason[:200]})") from error
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the network {graph.name!r} has over 2 GB, more than a file of ONNX may hold")
    onnx.checker.check_model(data, full_check=True)
    return data


def _item(model: Model) -> Mapping[str, Any]:
    """What a sample is, and how sample.py writes it."""
    modality: Any = model.item_modality
    if isinstance(modality, Text) and isinstance(model.item_spec, Tokens):
        return {"kind": "text", "tokens": _tokens(modality), "skip": sorted(set(model.item_spec.special.values()))}
    if modality.name == "image":
        return {"kind": "image", "matching": modality.matching.model_dump(mode="json")["steps"]}
    if modality.name == "video":
        return {"kind": "clip", "rate": modality.rate}
    if modality.name == "audio":
        return {"kind": "sound", **modality.sound_scale()}
    return {"kind": "array"}


def _tokens(modality: Text) -> list[str]:
    """The text of each id, its bytes as characters 0 to 255."""
    tokenizer = modality.tokenizer
    if isinstance(tokenizer, SubWords):
        return [piece.decode("latin-1") for piece in tokenizer.pieces]
    return [tokenizer.decode([index]).encode("utf-8", "replace").decode("latin-1") for index in range(tokenizer.size)]


EXPORT = Onnx
