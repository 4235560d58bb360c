"""Exit codes of commands."""

DONE = 0  # what programs expect
FAULT = 1  # a bug, or the machine
MISTAKE = 2  # the user has to fix something
FAILED_CHECK = 3  # a condition of `evaluate` does not hold, or a run of `compare` failed
STOPPED = 75  # EX_TEMPFAIL: the same command again, or `resume`, continues
