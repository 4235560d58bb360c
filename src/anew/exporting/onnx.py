"""A folder that samples with NumPy and ONNX Runtime alone: a graph for each network, the steps between them, and a short program."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import ClassVar

import torch

from anew.core import files
from anew.data.formats.images import detail_bands, pixel_steps, plain_areas
from anew.errors import ConfigError
from anew.exporting.base import Target
from anew.exporting.card import json_text, notes_on_parts, sampler_card
from anew.exporting.graph import export_program
from anew.exporting.sampler import class_labels, item_format, whole_sampler
from anew.families.portable import Graph
from anew.sampling.model import Model

FORMAT = 1  # version of sampler.json
MAX_BYTES = 2**31 - 1  # limit of a file of protocol buffers
RUNTIME = Path(__file__).parent / "runtime"


class Onnx(Target):
    """GRAPH.onnx for each network, sampler.json, sample.py and a card."""

    name: ClassVar[str] = "onnx"

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        sampler = whole_sampler(model)
        for graph in sampler.graphs:
            files.write(folder / f"{graph.name}.onnx", to_onnx(graph))
        item = item_format(model)
        program = {
            "format": FORMAT,
            "labels": class_labels(model),
            "steps": sampler.steps,
            "item": item,
        }
        files.write_text(folder / "sampler.json", json_text(program))
        files.write(folder / "sample.py", (RUNTIME / "sample.py").read_bytes())
        if item["kind"] == "sound":
            files.write(folder / "sound.py", (RUNTIME / "sound.py").read_bytes())
        if item.get("matching"):
            steps = Path(pixel_steps.__file__).read_text(encoding="utf-8")
            for module in (detail_bands, plain_areas):
                path, name = Path(str(module.__file__)), module.__name__
                assert f"from {name} import " in steps, "pixel_steps imports from it"
                # There the files lie next to each other, outside of any package
                steps = steps.replace(f"from {name} import ", f"from {path.stem} import ")
                files.write(folder / path.name, path.read_bytes())
            files.write_text(folder / "pixel_steps.py", steps)
        card = sampler_card(model, [graph.name for graph in sampler.graphs], sampler.left_out)
        files.write_text(folder / "README.md", card)
        return notes_on_parts(model, sampler.left_out)


def to_onnx(graph: Graph) -> bytes:
    """The graph as ONNX, checked.

    Raises:
        ConfigError: It cannot be traced, or is too large.
    """
    import onnx

    from anew.exporting.onnx_algebra import TRANSLATIONS

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            # Exported here: `torch.onnx.export` would silently fall back to a graph of fixed size.
            program = torch.onnx.export(
                export_program(graph),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamo=True,
                verbose=False,
                custom_translation_table=TRANSLATIONS,
            )
        except Exception as error:  # a family's network may fail in any way here
            reason = next((line.strip(" -") for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConfigError(f"the network {graph.name!r} cannot be written as ONNX ({reason[:200]})") from error
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"the network {graph.name!r} is larger than 2 GB, the most that an ONNX file can hold; export a smaller run"
        )
    onnx.checker.check_model(data, full_check=True)
    return data


EXPORT = Onnx
