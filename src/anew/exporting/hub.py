"""A folder that is ready to be shared on a model hub: the run without what only its owner needs, and a card with its figures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from anew.core import files
from anew.core.extras import require
from anew.errors import ConfigError, RunError
from anew.evaluation.reporting.model_card import KEEPS_RECORDS, escape
from anew.exporting.base import Target
from anew.exporting.card import LIMITS, measured_lines, metadata, read_report, run_name
from anew.runs.paths import CODEC_WEIGHTS, CONFIG, OWN_FAMILY, WEIGHTS
from anew.runs.record import RunRecord
from anew.runs.tensors import write_tensors
from anew.sampling.model import Model
from anew.sampling.restore import newest_weights

# Copied as far as a run has them.
COPIED_FILES = (CODEC_WEIGHTS, "tokenizer.json", OWN_FAMILY, "report/report.html", "report/report.json")
SAMPLES = re.compile(r"(\d{4,}(-[\w-]+)?|samples|final)\.\w{1,8}")  # final ones; previews have other names
PICTURES = (".png", ".gif", ".jpg")
MAX_EXCERPT = 1000  # characters of a text on the card
MAX_FILE_BYTES = 2**34  # largest file that is copied: larger than any run writes
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
GENERATED = """
import anew

model = anew.load("FOLDER"{trust})
samples = model.sample(16)
samples.save("samples/")
"""


class Hub(Target):
    """The run: config.json, weights, tokenizer, report, samples, and a card."""

    name: ClassVar[str] = "hub"
    can_push: ClassVar[bool] = True

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        run = model.folder.path
        weights, _, notes = newest_weights(model.folder, model.record.status)
        write_tensors(folder / WEIGHTS, weights)
        files.write_json(folder / CONFIG, _without_paths(model.record))
        for name in (*COPIED_FILES, *_samples(run)):
            if (run / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                files.write(folder / name, files.read(run / name, MAX_FILE_BYTES))
        files.write_text(folder / "README.md", _card(model))
        return [*notes, "no licence is chosen: set `license` in README.md to what the training data allows"]

    @classmethod
    def check_push(cls, repository: str) -> None:
        if not REPOSITORY.fullmatch(repository):
            raise ConfigError(f"`push` must be the name of a repository, as owner/name (got {repository!r:.60})")
        require("huggingface_hub", extra="hub", purpose="a push to the hub")

    @classmethod
    def push(cls, folder: Path, repository: str) -> str:
        import huggingface_hub
        from huggingface_hub.errors import LocalTokenNotFoundError

        api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        try:
            address = api.create_repo(repository, private=True, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a model trained with Anew")
        except LocalTokenNotFoundError:
            raise RunError("you are not logged in to the hub; run `hf auth login`, or set HF_TOKEN") from None
        except Exception as error:  # of the library, of the network, or the hub's answer
            raise RunError(
                f"{repository!r} was not pushed ({files.clause(error)}); the folder {str(folder)!r} is whole, push it again "
                "with `hf upload`"
            ) from error
        return str(address)


def _without_paths(record: RunRecord) -> dict[str, object]:
    """Contents of config.json without the folders of its owner's machine."""
    origin = record.request.plan_from
    request = replace(
        record.request,
        data=Path(record.request.data).name or "data",
        plan_from=None if origin is None else Path(origin).name or "plan_from",
    )
    data = record.data.model_copy(update={"path": Path(record.data.path).name or "data", "refusals": []})
    return record.model_copy(update={"request": request, "data": data}).to_json()


def _samples(source: Path) -> Iterator[str]:
    """Names of final samples."""
    folder = source / "samples"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if SAMPLES.fullmatch(path.name):
            yield f"samples/{path.name}"


def _card(model: Model) -> str:
    report = read_report(model)
    record = model.record
    data = escape(Path(record.data.path).name or "data")
    trust = ", trust_code=True" if record.family.name == OWN_FAMILY else ""
    parameters = sum(tensor.numel() for tensor in model.family.parameters())
    keeps_records = KEEPS_RECORDS if record.family.config.get("aligned") else ""
    return "\n".join(
        [
            f"{metadata(model, 'anew', [] if report is None else report.scores)}\n# {escape(run_name(model))}\n",
            f"A {escape(model.family_name)} that makes new {escape(model.item_modality.name)} data, trained from scratch on `{data}` "
            f"with Anew. It has {parameters:,} parameters.\n",
            *_sample_lines(model.folder.path),
            f"## Use\n\n```python{GENERATED.format(trust=trust)}```\n",
            "## How close, how varied, how new\n",
            *measured_lines(report),
            "\nOn data that was held out from training. *Real data*: training items scored as if they were samples. *Naive*: a "
            "generator that knows next to nothing.",
            f"\n## Limits\n\n{LIMITS}\n{keeps_records}",
        ]
    )


def _sample_lines(source: Path) -> list[str]:
    """The sheet of samples as a picture, or the beginning of the first text."""
    for name in (f"final{suffix}" for suffix in PICTURES):
        if (source / "samples" / name).is_file():
            return [f"![samples](samples/{name})\n"]
    text = source / "samples" / "final.txt"
    if not text.is_file():
        return []
    excerpt = files.read(text, MAX_FILE_BYTES)[: 4 * MAX_EXCERPT].decode("utf-8", "replace")[:MAX_EXCERPT]
    return ["Samples:\n", *(f"    {line}" for line in excerpt.splitlines()), ""]


EXPORT = Hub
