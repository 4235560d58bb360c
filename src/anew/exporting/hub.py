"""A folder for a model hub: the run without what only its owner needs, and a card with its figures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from anew.core import files
from anew.errors import RunError
from anew.evaluation.reporting.model_card import LIMITS, describe_kept_data, escape
from anew.exporting.base import Target
from anew.exporting.card import card_head, data_name, measured_lines, read_report
from anew.families.base import num_parameters
from anew.runs.paths import CODEC_WEIGHTS, CONFIG, OWN_FAMILY
from anew.runs.record import RunRecord
from anew.runs.weights import write_weights
from anew.sampling.model import Model
from anew.sampling.restore import newest_weights

# Files that are copied if the run has them. report.html is not one of them: it shows training items next to samples, and held-out items.
COPIED_FILES = (CODEC_WEIGHTS, "tokenizer.json", OWN_FAMILY, "report/report.json")
NOTES = (
    "report.html is left out, since it shows items of the data.",
    "No licence is chosen: set `license` in README.md to one that the training data allows.",
)
# Names of final samples; previews during training have others
SAMPLE_NAME = re.compile(r"(\d{4,}(-[\w-]+)?|samples|final)\.\w{1,8}")
IMAGE_SUFFIXES = (".png", ".gif", ".jpg")
MAX_EXCERPT = 1000  # characters of sample texts on the card
# Bytes of a file that are in memory while it is copied: weights may be larger than what is free; chosen.
PIECE_BYTES = 2**24
MAX_FILE_BYTES = 2**34  # largest file that is copied: larger than any run writes
USE = """
import anew

model = anew.load("FOLDER"{trust})
samples = model.sample(16)
samples.save("new-samples/")
"""


class Hub(Target):
    """The run: config.json, weights, tokenizer, report, samples, and a card."""

    name: ClassVar[str] = "hub"

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        run = model.folder.path
        newest = newest_weights(model.folder, model.record.status)
        write_weights(folder, newest.state)
        files.write_json(folder / CONFIG, _without_paths(model.record))
        for name in (*COPIED_FILES, *_sample_files(run)):
            if (run / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                with files.open_checked(run / name, MAX_FILE_BYTES) as file:
                    files.write_parts(folder / name, iter(partial(file.read, PIECE_BYTES), b""))
        files.write_text(folder / "README.md", _card(model))
        return [*newest.notes, *NOTES]

    @classmethod
    def push(cls, folder: Path, repository: str) -> str:
        import huggingface_hub
        from huggingface_hub.errors import LocalTokenNotFoundError

        api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        try:
            address = api.create_repo(repository, private=True, exist_ok=True)
            is_private = api.repo_info(repository).private  # one that exists stays as it is
            if is_private:
                api.upload_folder(
                    repo_id=repository, folder_path=folder, commit_message="Upload a model trained with Anew"
                )
        except LocalTokenNotFoundError:
            raise RunError("you are not logged in to the hub; run `hf auth login`, or set HF_TOKEN") from None
        except Exception as error:  # the library, the connection or the hub may fail in any way
            raise RunError(
                f"{repository!r} was not pushed ({files.clause(error)}); the folder {str(folder)!r} is complete; upload it with "
                "`hf upload`"
            ) from error
        if not is_private:
            raise RunError(
                f"{repository!r} is public, so nothing was uploaded; make it private, or upload the folder {str(folder)!r} "
                "with `hf upload`"
            )
        return str(address)


def _without_paths(record: RunRecord) -> dict[str, object]:
    """Contents of config.json without paths of its owner's machine."""
    origin = record.request.plan_from
    request = replace(
        record.request,
        data=Path(record.request.data).name or "data",
        plan_from=None if origin is None else Path(origin).name or "plan_from",
    )
    data = record.data.model_copy(update={"path": Path(record.data.path).name or "data", "refusals": []})
    return record.model_copy(update={"request": request, "data": data}).to_json()


def _sample_files(run: Path) -> Iterator[str]:
    """Paths of final samples in the run."""
    folder = run / "samples"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if SAMPLE_NAME.fullmatch(path.name):
            yield f"samples/{path.name}"


def _card(model: Model) -> str:
    report = read_report(model)
    record = model.record
    data = escape(data_name(model))
    trust = ", trust_code=True" if record.family.name == OWN_FAMILY else ""
    parameters = num_parameters(model.family)
    return "\n".join(
        [
            card_head(model, "anew", [] if report is None else report.informative_scores),
            f"A {escape(model.family_name)} that generates new {escape(model.item_modality.name)} data, trained from scratch on `{data}` "
            f"with Anew. It has {parameters:,} parameters.\n",
            *_sample_lines(model.folder.path),
            f"## Use\n\n```python{USE.format(trust=trust)}```\n",
            "## How close, how varied, how new\n",
            *measured_lines(report),
            "\nMeasured on held-out data. *Real data*: training items scored as if they were samples. *Naive*: a "
            "generator that knows next to nothing.",
            f"\n## Limits\n\n{LIMITS}\n{describe_kept_data(record.family.config, record.spec)}",
        ]
    )


def _sample_lines(run: Path) -> list[str]:
    """The image sheet of samples, or the beginning of the sample texts."""
    for name in (f"final{suffix}" for suffix in IMAGE_SUFFIXES):
        if (run / "samples" / name).is_file():
            return [f"![samples](samples/{name})\n"]
    text = run / "samples" / "final.txt"
    if not text.is_file():
        return []
    with files.open_checked(text, MAX_FILE_BYTES) as file:
        excerpt = file.read(4 * MAX_EXCERPT).decode("utf-8", "replace")[:MAX_EXCERPT]
    return ["Samples:\n", *(f"    {line}" for line in excerpt.splitlines()), ""]


EXPORT = Hub
