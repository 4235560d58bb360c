"""The verb that writes a run in the format of another program: export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.keywords import names_unknown_arguments
from anew.api.training import load, open_run
from anew.core import arguments
from anew.core.registry import available, check_name
from anew.errors import ConfigError
from anew.exporting.places import SINGLE_FILES, check_new

if TYPE_CHECKING:
    from anew.exporting.base import Export


@names_unknown_arguments
def export(
    run: str | Path,
    to: str,
    out: str | Path,
    *,
    number_type: str | None = None,
    push: str | None = None,
    trust_code: bool = False,
) -> Export:
    """Write a run in the format of another program. This needs only the run folder, not the data.

    Args:
        run: The run: a folder or an address.
        to: The target: "html", "transformers", "gguf", "onnx" or "hub".
        out: The folder to create, or, for the target html, a file that ends in .html. If the export fails, nothing is left of it.
        number_type: The number format of the weights. None takes the default of the target.
        push: A repository of the Hugging Face hub, as `owner/name`, to upload the folder to; made private if missing, and
            refused if public. Only for "hub". None uploads nothing.
        trust_code: As in `load`.

    Returns:
        The files, and notes on what the export leaves out.

    Raises:
        ConfigError: The target is unknown or does not support this run, or `out` is not empty.
        DataError: The target needs a package that is missing; the sentence names the extra.
        RunError: The run has no weights or is damaged, or the folder cannot be written.

    Examples:
        >>> print(anew.export("towns", "transformers", "towns-qwen").notes)
    """
    name = arguments.optional_text("to", to)
    if name is None:
        raise ConfigError(f"`to` is missing; give one of {', '.join(export_targets())}")
    check_name("exporting", name)
    target_path = arguments.new_path("out", out)
    check_new(target_path, SINGLE_FILES.get(name))
    number_type = arguments.optional_text("number_type", number_type)
    repository = arguments.optional_text("push", push)
    trust_code = arguments.switch("trust_code", trust_code)
    folder = open_run(run)
    from anew.exporting.base import check_number_type, export_model, load_target

    target = load_target(name)
    number_type = check_number_type(target, number_type)
    target.check_packages()
    if repository is not None and not target.can_push:
        raise ConfigError(f"`push` uploads a folder for the hub, and {name} makes another; leave it out, or use hub")
    if repository is not None:
        target.check_push(repository)
    model = load(folder.path, "cpu", trust_code=trust_code)
    result = export_model(model, target, target_path, number_type)
    return result if repository is None else replace(result, address=target.push(result.folder, repository))


def export_targets() -> list[str]:
    """The names of the targets that `export` takes."""
    return available("exporting")
