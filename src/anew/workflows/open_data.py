"""Open the data of a request, and report items that were skipped."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from anew.core.activity import progress_lines
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.reading_time import ReadingTime, TooSlowToRead
from anew.core.reporter import Reporter
from anew.data.dataset import Dataset
from anew.data.modality import load_modality
from anew.data.skipped import describe_skipped
from anew.data.sources.columns import ColumnChoice
from anew.data.types import DataBudget
from anew.planning.budget import seconds_of_use, seconds_to_read, still_reading, too_slow_to_read
from anew.planning.context import RunContext, TrainingData
from anew.planning.family_choice import check_modality, settings_of
from anew.planning.replay import replayed_run
from anew.planning.train_config import TrainConfig
from anew.runs.record import Request


class SkippedItemsReport:
    """Reports which items were skipped and why, each once: most files are read only when they are used."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reported: list[str] = []

    def update(self, data: TrainingData) -> None:
        """Report what was not reported yet."""
        lines = describe_skipped(data.scan)
        for line in lines:
            if line not in self._reported:
                self._reporter.message(line)
        self._reported = lines


def open_data(request: Request, train_config: TrainConfig, context: RunContext) -> Dataset:
    """Open the data of a request, split it, and fit its modality.

    Raises:
        BudgetError: Reading takes so long that the budget leaves no time to train.
    """
    limit = seconds_to_read(request, train_config, context)
    reading = ReadingTime()
    if limit is not None and not train_config.read_all:
        assert request.budget is not None, "only a budget sets a limit"
        longest = seconds_of_use(request.budget, context)
        reading = ReadingTime(request.budget, context.elapsed(), longest=longest)
    try:
        with progress_lines(lambda: reading.stage), hard_stop(limit):
            return _opened(request, context, reading)
    except TooSlowToRead as too_slow:
        assert request.budget is not None, "only a budget sets a limit"
        raise too_slow_to_read(request.budget, context.elapsed(), too_slow) from None
    except TimeIsUp:
        assert request.budget is not None, "only a budget sets a limit"
        raise still_reading(request.budget, context) from None


def _opened(request: Request, context: RunContext, reading: ReadingTime) -> Dataset:
    seconds, threads = request.budget or request.fit_seconds, context.world.minimum(torch.get_num_threads())
    size = DataBudget(seconds, 0, 0, threads, context.world.device.type, reading=reading)
    data = open_for_families(request, size, [request.family])
    data.fit(size)
    return data


def open_for_families(request: Request, size: DataBudget, families: Iterable[str | None]) -> Dataset:
    """Open the data of a request, not fitted yet. Raises ConfigError, before it is read, if one of these families cannot learn it."""

    def modality_settings(modality: str) -> dict[str, object]:
        owner = load_modality(modality)
        for family in families:
            check_modality(family, owner)  # reading the data takes time
        return settings_of(request.settings, modality, owner.Config)

    return Dataset.open(
        request.data,
        modality=request.modality,
        settings=modality_settings,
        seed=request.seed,
        size=size,
        columns=ColumnChoice.of(request.settings),
        repeated=None if request.plan_from is None else replayed_run(request.plan_from).record().data,
    )
