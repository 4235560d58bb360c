"""Exit codes of commands, and what they mean to users."""

DONE = 0  # what programs expect
INTERNAL_ERROR = 1  # what Python itself ends with after an exception
USER_ERROR = 2  # what argparse ends with after a wrong argument
FAILED_CHECK = 3  # chosen: a failure of the data or the model, not of the command
STOPPED = 75  # EX_TEMPFAIL of sysexits.h

MEANINGS = {
    DONE: "done",
    INTERNAL_ERROR: "a bug in Anew; the message names a file with the traceback",
    USER_ERROR: "a wrong argument, unusable data or a limit of the machine; the message says what to change",
    FAILED_CHECK: "a condition of `anew evaluate --fail-on` holds, was not measured, or could not have been noticed, or a run of "
    "`anew compare` failed",
    STOPPED: "stopped by Ctrl-C, SIGTERM, a closed terminal or another process; or the store of a run, or of its data, failed for a "
    "minute; or the run is in use. The same command, or `resume`, continues",
}
