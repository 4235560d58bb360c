"""The verb that puts several runs side by side: compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.keywords import names_unknown_arguments
from anew.api.loading import note_loading
from anew.api.training import run_place
from anew.core import arguments
from anew.core.reporter import Reporter
from anew.core.settings import MAX_INT, check_int
from anew.errors import ConfigError, shorten
from anew.planning.request import Settings, make_request

if TYPE_CHECKING:
    from anew.workflows.compare.run import ComparisonReport

COMPARISON_BUDGET = "5m"


@names_unknown_arguments
def compare(
    data: str | Path | None = None,
    *,
    out: str | Path,
    families: str | Sequence[str] = (),
    runs: Sequence[str | Path] = (),
    budget: str | float | None = None,
    steps: int | None = None,
    modality: str | None = None,
    seed: int = 0,
    seeds: int = 1,
    settings: Settings | None = None,
    n: int | None = None,
    trust_code: bool = False,
    reporter: Reporter | None = None,
) -> ComparisonReport:
    """Train several families on the same data, split and seed, or take finished runs, and measure all in the same way.

    If it was stopped, the same call continues it.

    Args:
        data: The data to train `families` on.
        out: The folder for the runs, compare.json and compare.html.
        families: Names of families, as in "vae,gan,diffusion:latent".
        runs: Finished runs, instead of families to train.
        budget: Wall-clock time for each training, as in `train`. Without budget and steps: 5 minutes.
        steps: A number of steps for each training, instead of a budget.
        modality: The kind of data. None detects it.
        seed: Seed of the weights and the training. The split into parts follows from the data alone.
        seeds: Number of trainings of each family, 1 to 100, with `seed` and the following ones, each at most 2**63 - 1. With several,
            the report gives the median and the range of each figure, and ranks a family only where its range overlaps with that of
            no other.
        settings: Settings for all families, by name; "gan.width" is for one alone.
        n: Number of samples of each run, from 20 to 10,000. None: as many as the slowest run draws in 8 seconds, at most 1,000.
        trust_code: As in `load`.
        reporter: Shows the progress. None shows nothing.

    Returns:
        The figures, and the folder of the report.

    Raises:
        UserError: An argument or the data cannot be used; the message is one sentence.

    Examples:
        >>> report = anew.compare("digits-data", out="duel", families="vae,gan", budget="5m")
        >>> print(report.table)
    """
    n, seeds = None if n is None else check_int("n", n, 20, 10_000), check_int("seeds", seeds, 1, 100)
    seed = check_int("seed", seed, 0, MAX_INT - (seeds - 1))
    run_paths = [run_place("runs", run) for run in arguments.several("runs", runs)]
    names = _family_names(families)
    _check_either(names, run_paths, data, budget=budget, steps=steps, settings=settings, seeds=seeds)
    reporter, trust_code = arguments.reporter(reporter), arguments.switch("trust_code", trust_code)
    target = arguments.new_path("out", out)
    from anew.workflows.compare.subprocesses import parse_families

    request = None
    if data is not None:
        limit = COMPARISON_BUDGET if budget is None and steps is None else budget
        request = make_request(data, budget=limit, steps=steps, modality=modality, seed=seed, settings=settings)
        parse_families(names, target, seeds, seed)  # a wrong name need not wait for PyTorch
    note_loading("PyTorch")
    from anew.workflows.compare.run import compare_families

    return compare_families(
        target, request, names, run_paths, n=n, trust_code=trust_code, reporter=reporter, seeds=seeds
    )


def _family_names(families: str | Sequence[str]) -> list[str]:
    """The names in one text, "vae,gan", or in several.

    Raises:
        ConfigError: One of them is not a text.
    """
    values = arguments.several("families", families)
    not_a_name = next((name for name in values if not isinstance(name, str)), None)
    if not_a_name is not None:
        raise ConfigError(f"`families` must be names (got {shorten(not_a_name)})")
    return [name.strip() for name in ",".join(map(str, values)).split(",") if name.strip()]


def _check_either(
    names: Sequence[str],
    runs: Sequence[Path],
    data: str | Path | None,
    *,
    budget: str | float | None,
    steps: int | None,
    settings: Settings | None,
    seeds: int,
) -> None:
    """Refuse arguments of `compare` that mix families to train with finished runs."""
    if bool(runs) == bool(names):
        raise ConfigError("give either `families` to train, as in vae,gan,diffusion, or `runs` that are finished")
    if runs and not (data is None and budget is None and steps is None and not settings):
        raise ConfigError("finished runs are compared as they are; leave out data, budget, steps and settings")
    if runs and seeds != 1:
        raise ConfigError("`seeds` is for families that are trained; finished runs are compared as they are")
    if not runs and data is None:
        raise ConfigError("`data` is missing; give the data to train the families on")
