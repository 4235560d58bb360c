"""Optional packages, which only some data need: imported where they are used, and named where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from anew.errors import DataError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The optional module, imported.

    module: its dotted name, such as `rdkit.Chem`; extra: the extra of anew that installs it; purpose: what needs it, as
    the beginning of a sentence ("reading sound"). Raises DataError, one sentence, where it is missing or does not load.
    """
    package = module.partition(".")[0]
    command = f"`pip install '.[{extra}]'` in a clone of Anew"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise DataError(f"{purpose} needs the package {package}; install it with {command}") from None
    except (ImportError, OSError) as error:  # OSError: a shared library that the package loads is missing
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
        raise DataError(
            f"{purpose} needs the package {package}, which does not load ({reason}); reinstall it with {command}"
        ) from None
