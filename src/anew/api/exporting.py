"""The verb that writes a run in the format of another program: export."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.keywords import names_unknown_arguments
from anew.api.loading import note_loading
from anew.api.training import load, open_run
from anew.core import arguments
from anew.core.registry import available, check_name
from anew.errors import ConfigError
from anew.exporting.traits import check_new, check_number_type, check_packages, check_push, traits_of

if TYPE_CHECKING:
    from anew.exporting.base import Export

_log = logging.getLogger("anew.reading")  # the program that uses Anew decides where it is shown


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
    check_new(target_path, traits_of(name).suffix)
    number_type = check_number_type(name, arguments.optional_text("number_type", number_type))
    repository = arguments.optional_text("push", push)
    if repository is not None:
        check_push(name, repository)
    trust_code = arguments.switch("trust_code", trust_code)
    folder = open_run(run)
    check_packages(name)
    note_loading("PyTorch and the run")
    from anew.exporting.base import export_model, load_target

    target = load_target(name)
    model = load(folder.path, "cpu", trust_code=trust_code)
    if name == "html":
        _log.info("writing the page, which takes ten seconds or more, and longer on busy cores")
    result = export_model(model, target, target_path, number_type)
    return result if repository is None else replace(result, address=target.push(result.folder, repository))


def export_targets() -> list[str]:
    """The names of the targets that `export` takes."""
    return available("exporting")
