"""One HTML file that generates new data in any browser, offline: it holds the weights, an interpreter, and all that it shows."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

from anew.core import files
from anew.core.specs import Tokens
from anew.data.formats.text.tokenizer import SubWords, word_pattern
from anew.data.modalities.code import Code
from anew.data.modalities.protein import Protein, Residues
from anew.data.modalities.text import Text
from anew.evaluation.reporting.model_card import CARD_QUESTIONS
from anew.exporting.base import Target
from anew.exporting.card import (
    WHOLE_RUN,
    cost_of_leaving_out,
    data_name,
    figure_cells,
    notes_on_parts,
    read_report,
    run_name,
)
from anew.exporting.graph import WEB, Container, of_one_function
from anew.exporting.sampler import class_labels, class_suffixes, item_format, whole_sampler
from anew.families.base import num_parameters
from anew.families.portable import PortableSampler
from anew.sampling.model import Model

PAGE = WEB / "page"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:"
)
# Imports, exports and comments of JavaScript modules, which become one script so that the page needs no other file
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
EXPORTED = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) ([\w$]+))", re.MULTILINE)
COMMENT = re.compile(r"^\s*//.*\n", re.MULTILINE)


class Html(Target):
    """One HTML file."""

    name: ClassVar[str] = "html"

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        sampler = whole_sampler(model)
        container = Container(number_type)
        traced = of_one_function((*sampler.graphs, *sampler.views))
        for number, graphs in enumerate(traced, 1):
            self.stage = f"turning network {number} of {len(traced)} into a graph"
            container.add(*graphs)
        self.stage = "writing the page"
        program = {
            "container": container.to_json(),
            "steps": sampler.steps,
            "labels": class_labels(model),
            "item": _item_description(model),
            "about": _about(model, sampler, number_type),
        }
        files.write_text(folder / "page.html", page(run_name(model), program, container.block()))
        return notes_on_parts(model, sampler.left_out)


def page(name: str, program: Mapping[str, object], block: bytes) -> str:
    """The page as HTML.

    Args:
        block: Bytes of the tensors of the program's container.
    """
    engine = f"{bundle(WEB, 'worker')}if (typeof document === 'undefined') {variable('worker')}.serve(self);\n"
    values = {
        "policy": CONTENT_SECURITY_POLICY,
        "title": html.escape(f"{name}, made with Anew"),
        "style": (PAGE / "page.css").read_text(encoding="utf-8"),
        "body": (PAGE / "body.html").read_text(encoding="utf-8"),
        "program": _json_text(program),
        "tensors": base64.b64encode(block).decode("ascii"),
        "engine": _script_text(engine),
        "page": _script_text(bundle(PAGE, "page")),
    }
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    head, *pieces = template.split("{{ ")
    parts = [head]
    for piece in pieces:
        slot, _, tail = piece.partition(" }}")
        parts += [values[slot], tail]
    return "".join(parts)


def _json_text(value: object) -> str:
    """JSON that is safe in a `script` element: names and labels in it may come from anybody."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def _script_text(text: str) -> str:
    """Our own JavaScript, made safe in a `script` element: outside of strings it has neither `</` nor `<!--`."""
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def _item_description(model: Model) -> dict[str, object]:
    """Description of a sample for the page, with all that is needed to write it to a file."""
    modality = model.item_modality
    if not isinstance(modality, Text) or not isinstance(model.item_spec, Tokens):
        return {**item_format(model), "name": modality.name, "shape": list(model.item_spec.shape)}
    return {
        "kind": "text",
        "name": modality.name,
        "tokenizer": _tokenizer_data(modality),
        "special": model.item_spec.special,
        "upper": isinstance(modality, Protein),
        "suffix": modality.save_item("").suffix,
        "suffixes": class_suffixes(model),
        "packed": model.item_spec.packed,
        "gap": isinstance(modality, Code) and modality.takes_suffix,
    }


def _tokenizer_data(modality: Text) -> dict[str, object]:
    """Data of the tokenizer, with which the page encodes and decodes text."""
    tokenizer = modality.tokenizer
    if not isinstance(tokenizer, SubWords):
        letters = tokenizer.state()["letters"]
        unknown = tokenizer.alphabet.unknown if isinstance(tokenizer, Residues) else None
        return {"kind": "characters", "letters": letters, "size": tokenizer.size, "unknown": unknown}
    state = json.loads(tokenizer.json)
    ids = state["model"]["vocab"]
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in state["model"]["merges"]]
    return {
        "kind": "bpe",
        "pieces": [piece.decode("latin-1") for piece in tokenizer.pieces],
        "merges": [[ids[first], ids[second]] for first, second in merges],
        "words": word_pattern(tokenizer.json),
        "size": tokenizer.size,
    }


def _about(model: Model, sampler: PortableSampler, number_type: str) -> dict[str, object]:
    """Contents of the page's tab About: the model, its figures, and differences from the run."""
    report = read_report(model)
    verdict = {} if report is None else report.verdict
    cost = cost_of_leaving_out(model, report, sampler.left_out)
    differences = [f"Left out: {clause}." for clause in sampler.left_out]
    if number_type != "f32":
        differences.append(f"Weights are rounded to {number_type}.")
    differences.append("Random numbers: the same seed gives other samples than in Anew.")
    return {
        "name": run_name(model),
        "family": model.family_name.removesuffix(".py"),
        "makes": model.item_modality.traits.plural,
        "data": data_name(model),
        "parameters": num_parameters(model.family),
        "alone": cost,
        "whole_run": WHOLE_RUN if cost else "",
        "answers": [[CARD_QUESTIONS.get(name, ""), answer] for name, answer in verdict.items()],
        "scores": [
            [score.title or score.name, *figure_cells(score)]
            for score in (() if report is None else report.informative_scores)
        ],
        "differences": differences,
        "may_repeat": sampler.may_repeat,
    }


@cache
def bundle(folder: Path, entry: str) -> str:
    """The JavaScript module `entry` and its imports as one script, which defines one global name for each module.

    Modules import and export by name, each at the beginning of a line: `import { a } from "./b.js";`, `export function a`.
    """
    order: list[str] = []
    _collect(folder, entry, order)
    modules = "".join(_wrap((folder / f"{name}.js").read_text(encoding="utf-8"), name) for name in order)
    return f'"use strict";\n{modules}'


def variable(module: str) -> str:
    """The variable of the script that holds what a module exports."""
    return f"${module.replace('-', '_')}"


def _collect(folder: Path, name: str, order: list[str]) -> None:
    if name in order:
        return
    for _, imported in IMPORT.findall((folder / f"{name}.js").read_text(encoding="utf-8")):
        _collect(folder, imported, order)
    order.append(name)


def _wrap(source: str, name: str) -> str:
    """A module, without its comments, as a function that is called once."""
    exports = ", ".join(EXPORTED.findall(source))
    source = IMPORT.sub(lambda match: f"const {{{match[1].replace(' as ', ': ')}}} = {variable(match[2])};\n", source)
    source = COMMENT.sub("", EXPORTED.sub("", source))
    return f"const {variable(name)} = (() => {{\n{source}return {{ {exports} }};\n}})();\n"


EXPORT = Html
