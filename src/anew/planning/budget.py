"""Division of a wall-clock budget into reading, training, calibration, the report, and ending."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anew.core.machine.threads import MIN_SLOWDOWN, stretched
from anew.core.reading_time import CLOSED_FORM_SHARE, TooSlowToRead
from anew.errors import BudgetError
from anew.planning.context import RunContext
from anew.planning.train_config import TrainConfig
from anew.runs.record import Candidate, Request

# A finished run must be trained for at least this many times its training so far: less than a tenth more changes nothing
# that can be seen; chosen.
MIN_TRAINING_GROWTH = 1.1
# Times the budget, or the time so far, that is advised where reading was not over: how long it takes is not known; chosen.
READING_ADVICE_FACTOR = 3
MIN_TRAINING = 1.0  # seconds: less would be hardly one step
# Seconds on a core from the end of reading to the end of the command, at least, with one step and a short report: measured
# 3 s for names, 4 s for clips.
MIN_REST = 3.0
# Seconds on a core in which little data is read and its form is chosen: measured 0.8 for 300 clips of spoken syllables; chosen
MIN_READING = 1.0
# Share of the least time needed that must be left on busy cores for data to be read: the load may ease; chosen
READABLE_SHARE = 0.7
READING_OF_REST = 0.25  # share of the time that is left after starting that reading has in any case; chosen
SHORT_OF_TIME = "other programs use the cores, which leaves little time to train"
ADVICE_FACTOR = 1.2  # times MIN_REST that is advised on busy cores: reading again may take longer; chosen
# Share of the budget that training has at least if nothing went wrong. If it has less on busy cores, what can be done
# without is left out; chosen.
MIN_TRAINING_SHARE = 0.25


def evaluation_slice(budget: float, slowdown: float = 1.0) -> float:
    """The seconds of a budget that are kept for the report.

    These are 7 s and a fifteenth of the budget (below a minute 5 s and a tenth), at most 10 minutes; on busy cores
    longer by the factor `slowdown`, up to a quarter of the budget.
    """
    return stretched(min(600.0, 5.0 + budget / 10, 7.0 + budget / 15), slowdown, budget / 4)


def saving_slice(budget: float, slowdown: float = 1.0) -> float:
    """The seconds kept for writing the final files and ending the process.

    On busy cores they are longer by the factor `slowdown`, up to a twelfth of the budget.
    """
    return stretched(min(3.0, 0.7 + budget / 200), slowdown, budget / 12)


def calibration_slice(budget: float, slowdown: float = 1.0) -> float:
    """The seconds kept for choosing the weights and for fitting what needs validation data at the end.

    On busy cores they are longer by the factor `slowdown`, up to a twelfth of the budget: even one batch took so long that
    the report lacked the time.
    """
    return stretched(min(30.0, 0.02 * budget + min(1.0, budget / 60)), slowdown, budget / 12)


def training_seconds(
    request: Request, config: TrainConfig, context: RunContext, minimum: float | None = None
) -> float | None:
    """The seconds that a request leaves for training from now on; None if it counts steps.

    Args:
        request: Holds the budget.
        config: Its `train_seconds` takes precedence over the budget.
        context: Says how much of the budget is spent.
        minimum: Least seconds of training, even if the budget has fewer left.

    Raises:
        BudgetError: Less than a second is left, and there is no minimum.
    """
    if config.train_seconds:
        return float(config.train_seconds)
    return None if request.budget is None else time_to_train(request.budget, context, minimum)


def time_to_train(budget: float, context: RunContext, minimum: float | None = None) -> float:
    """The seconds of a budget that are left for training, the same on all processes; see `training_seconds`.

    If there is a minimum, training takes place whatever is left, and the report gives up to half of its time to it. The same happens if
    busy cores have taken that time.
    """
    elapsed = context.elapsed()
    seconds = remaining_training(budget, context, context.slowdown)
    if minimum is None and _has_minimum_time(budget - elapsed - context.reserved, context.slowdown):
        minimum = MIN_TRAINING
    if minimum is not None:
        report = evaluation_slice(budget, context.slowdown) + context.report_extra
        # Preparing may take far longer than it was expected to: a long report on a network that took one step helps nobody.
        seconds = max(seconds, (seconds + report) / 2)
    if seconds < MIN_TRAINING and minimum is None:
        raise _too_small(budget, elapsed, context)
    return float(context.world.broadcast(max(seconds, minimum or MIN_TRAINING)))


def remaining_training(budget: float, context: RunContext, slowdown: float) -> float:
    """The seconds of a budget that are left for training on cores this busy, on this process; may be below 0."""
    return longest_training(budget, slowdown) - context.elapsed() - context.reserved - context.report_extra


def _has_minimum_time(remaining: float, slowdown: float) -> bool:
    """Whether busy cores leave enough of a budget for one step and a short report, though not for more."""
    return slowdown >= MIN_SLOWDOWN and remaining >= MIN_REST * slowdown


def is_short_of_time(budget: float | None, seconds: float | None, context: RunContext) -> bool:
    """Whether busy cores leave so little time to train that what can be done without should be left out.

    Args:
        budget: Seconds of the whole command; None without a budget.
        seconds: Seconds of it that are left for training; None if the training counts steps.
        context: Says how busy the cores are.
    """
    if budget is None or seconds is None:
        return False
    return context.world.broadcast(context.slowdown >= MIN_SLOWDOWN and seconds < MIN_TRAINING_SHARE * budget)


def seconds_to_read(request: Request, config: TrainConfig, context: RunContext) -> float | None:
    """The seconds from now on after which a training that is still reading its data cannot begin; None if it can at any time.

    Several processes have no limit: each would stop at another place.

    Raises:
        BudgetError: It is too late already.
    """
    is_free = request.budget is None or config.train_seconds or request.plan_from is not None
    if is_free or context.world.size > 1:
        return None
    assert request.budget is not None, "a request without a budget has no limit"
    left, least = request.budget - context.elapsed(), (MIN_READING + MIN_REST) * context.slowdown
    if context.slowdown >= MIN_SLOWDOWN and left < READABLE_SHARE * least:
        raise _too_late_to_read(request.budget, context)
    return longest_training(request.budget) - context.elapsed() - MIN_TRAINING


def seconds_of_use(budget: float, context: RunContext) -> float:
    """The seconds from now on after which a training has hardly any use for data, as what follows takes the rest at this load."""
    left = budget - context.elapsed()
    return max(left - MIN_REST * context.slowdown, READING_OF_REST * left)


def _too_late_to_read(budget: float, context: RunContext) -> BudgetError:
    """The error for a budget that starting has used up, as far as the load tells, before anything is read."""
    elapsed, shortest = context.elapsed(), (MIN_READING + MIN_REST) * context.slowdown
    return BudgetError(
        f"a budget of {budget:,.10g} s leaves no time to train: starting took {elapsed:.1f} s, and reading a little, a single step and "
        f"a short report take {shortest:.0f} s (other programs use the cores: work takes {context.slowdown:.0f} times as long); "
        f"give at least {math.ceil(ADVICE_FACTOR * (elapsed + shortest))}s"
    )


def still_reading(budget: float, context: RunContext) -> BudgetError:
    """The error for a budget that is over, but for the report, before the data is read."""
    elapsed = context.elapsed()
    needed = budget
    while longest_training(needed) - elapsed < MIN_TRAINING:
        needed += 1.0
    advised = max(READING_ADVICE_FACTOR * max(budget, elapsed), needed)
    return BudgetError(
        f"a budget of {budget:,.10g} s leaves no time to train: starting and reading had not ended after {elapsed:.1f} s and "
        f"the report needs {evaluation_slice(budget):.1f} s; give more, such as {advised:.0f}s"
    )


def too_slow_to_read(budget: float, started: float, too_slow: TooSlowToRead) -> BudgetError:
    """The error for a budget in which not even the fewest items can be read. started: seconds until that was known."""
    needed = math.ceil((started + too_slow.seconds) / CLOSED_FORM_SHARE)
    return BudgetError(
        f"a budget of {budget:,.10g} s leaves no time to train: {started:.1f} s are over, and reading even {too_slow.num_items} items "
        f"takes {too_slow.seconds:.0f} s at the present load; give at least {needed}s"
    )


def longest_training(budget: float, slowdown: float = 1.0) -> float:
    """The seconds of a budget that are left for training if starting and reading take none; may be below 0."""
    after_training = (evaluation_slice, saving_slice, calibration_slice)
    return budget - sum(seconds(budget, slowdown) for seconds in after_training)


def _too_small(budget: float, elapsed: float, context: RunContext) -> BudgetError:
    """The error for a budget that leaves no time to train; it names a budget that would be enough."""
    slowdown = context.slowdown
    if slowdown < MIN_SLOWDOWN:
        needed = budget
        while remaining_training(needed, context, slowdown) < 2.0:
            needed += 1.0
        rest = f"the report needs {evaluation_slice(budget, slowdown):.1f} s"
    else:
        shortest = MIN_REST * slowdown
        rest = (
            f"a single step and a short report take {shortest:.1f} s "
            f"(other programs use the cores: work takes {slowdown:.0f} times as long)"
        )
        needed = elapsed + context.reserved + ADVICE_FACTOR * shortest
    return BudgetError(
        f"a budget of {budget:,.10g} s leaves no time to train: starting and reading took {elapsed:.1f} s and {rest}; "
        f"give at least {int(needed) + 1}s"
    )


def check_budget(budget: float) -> None:
    """Refuse a budget, before anything is read, that would leave no time to train even if reading took none.

    Raises:
        BudgetError: The budget is too small.
    """
    needed = budget
    while longest_training(needed) < MIN_TRAINING:
        needed += 1.0
    if needed > budget:
        raise BudgetError(
            f"a budget of {budget:,.10g} s leaves no time to train: the report alone needs {evaluation_slice(budget):.1f} s; "
            f"give at least {int(needed) + 1}s and the time that starting and reading take, such as {max(20.0, 2 * needed):.0f}s"
        )


def check_gain(budget: float, context: RunContext, spent: float, trained: float) -> None:
    """Refuse to give a finished run so little time that it would be trained for no longer than before.

    Args:
        budget: Additional seconds for the whole command.
        context: Says how much of them is spent.
        spent: Seconds of training up to the checkpoint from which the run continues.
        trained: Seconds of training of its present weights.

    Raises:
        BudgetError: The training would be no longer than that of the present weights.
    """
    if spent + time_to_train(budget, context) > trained:
        return
    needed = budget
    while spent + remaining_training(needed, context, context.slowdown) < MIN_TRAINING_GROWTH * trained:
        needed += max(1.0, needed / 50)
    raise BudgetError(
        f"a budget of {budget:,.10g} s is too short to improve this run: it continues from where its learning rate began to fall, "
        f"{trained - spent:.0f} s of training before its end; give at least {int(needed) + 1}s"
    )


def largest_affordable(candidates: Sequence[Candidate]) -> Candidate:
    """The largest candidate that sees as many examples as it should, else the smallest. candidates: at least one, smallest first."""
    affordable = [c for c in candidates if c.examples >= c.target_examples]
    return affordable[-1] if affordable else candidates[0]
